// Package testenv is for tests that need something of the host that they run on. Where it is missing they are skipped; in CI (CI=true)
// they fail, for there nothing may be missing.
package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Lacking ends a test for want of something.
func Lacking(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// NeedRoot is for tests that do something that takes root.
func NeedRoot(t testing.TB, something string) {
	t.Helper()
	if os.Geteuid() != 0 {
		Lacking(t, "%s takes root", something)
	}
}

// NeedProgram finds a program of a Debian package, by its name or by patterns of where it may be.
func NeedProgram(t testing.TB, debianPackage string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		if paths, _ := filepath.Glob(name); len(paths) > 0 {
			return paths[len(paths)-1]
		}
	}
	Lacking(t, "needs %s: apt-get install %s", names[0], debianPackage)
	return ""
}
