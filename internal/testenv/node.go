package testenv

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// nodes are packages of npm, each a Node.js.
//
//go:embed nodes
var nodes embed.FS

// NPMNode returns the Node.js of a major version as npm has it: linked with its own OpenSSL, whose symbols it has. It is fetched once, into
// ${SOCKETFLOW_CACHE:-${XDG_CACHE_HOME:-~/.cache}/socketflow}. A test whose Node.js npm cannot fetch fails.
func NPMNode(t testing.TB, major string) string {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		Lacking(t, "of npm's Node.js the one for amd64 is taken here")
	}
	dir, err := fetchNodes(NeedProgram(t, "npm", "npm"))
	if err != nil {
		t.Fatalf("npm has to fetch Node.js %s, and could not: %v", major, err)
	}
	return filepath.Join(dir, "node_modules", "node"+major, "bin", "node")
}

// fetchNodes returns where all of them are.
func fetchNodes(npm string) (dir string, err error) {
	lock, err := nodes.ReadFile("nodes/package-lock.json")
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(cache, fmt.Sprintf("nodes-%x", sha256.Sum256(lock))[:18])
	if isDir(dir) {
		return dir, nil
	}
	// What is there under its name is whole, whoever else fetches it now.
	made, err := os.MkdirTemp(cache, "nodes-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(made) }() // the temporary name, if it still has it
	wanted, err := fs.Sub(nodes, "nodes")
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(made, wanted); err != nil {
		return "", err
	}
	cmd := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = made
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	if err := os.Rename(made, dir); err != nil && !isDir(dir) {
		return "", err
	}
	return dir, nil
}

func isDir(path string) bool {
	stat, err := os.Stat(path)
	return err == nil && stat.IsDir()
}

// cacheDir is where what tests fetch is kept.
func cacheDir() (string, error) {
	dir := os.Getenv("SOCKETFLOW_CACHE")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(user, "socketflow")
	}
	return dir, os.MkdirAll(dir, 0o750) //nolint:gosec // where it is, is for whoever runs the tests to say
}
