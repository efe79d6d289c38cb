package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// image writes a file system for a kernel to begin with: a cpio archive of the format newc, see
// Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's source. Several after each other are one.
type image struct {
	w    *bufio.Writer
	err  error
	n    uint32
	seen map[string]bool // directories and files
}

func newImage(w io.Writer) *image {
	return &image{w: bufio.NewWriterSize(w, 1<<20), seen: map[string]bool{}}
}

const (
	directoryMode = 0o040755
	fileMode      = 0o100755
)

// entry writes one entry. The name has no slash at its beginning.
func (m *image) entry(name string, mode uint32, content []byte) {
	m.n++
	header := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		m.n, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
	m.write([]byte(header), []byte(name), make([]byte, 1+pad(len(header)+len(name)+1)))
	m.write(content, make([]byte, pad(len(content))))
}

// pad is how much is missing to a multiple of four.
func pad(n int) int { return -n & 3 }

func (m *image) write(parts ...[]byte) {
	for _, part := range parts {
		if m.err == nil {
			_, m.err = m.w.Write(part)
		}
	}
}

// add writes a file, and the directories it is in.
func (m *image) add(name string, content []byte) {
	name = strings.TrimPrefix(path.Clean(name), "/")
	if m.seen[name] {
		return
	}
	m.seen[name] = true
	for i := range len(name) {
		if dir := name[:i]; name[i] == '/' && !m.seen[dir] {
			m.seen[dir] = true
			m.entry(dir, directoryMode, nil)
		}
	}
	m.entry(name, fileMode, content)
}

// copy adds a file of this host.
func (m *image) copy(name, from string) {
	content, err := os.ReadFile(from)
	if err != nil {
		m.err = err
		return
	}
	m.add(name, content)
}

func (m *image) close() error {
	m.entry("TRAILER!!!", 0, nil)
	if m.err == nil {
		m.err = m.w.Flush()
	}
	return m.err
}

// testBinary is where an image has a package's tests.
func testBinary(pkg string) string { return "/tests/" + path.Base(pkg) + ".test" }

// tools are programs of this host that tests run.
var tools = []string{"ip", "sh"}

// build makes what all machines have in common: the guest, the tests and the tools, in an image.
func build(ctx context.Context, work string) (name string, err error) {
	name = filepath.Join(work, "image")
	f, err := os.Create(name)
	if err != nil {
		return "", err
	}
	m := newImage(f)
	if err := compile(ctx, work, m); err != nil {
		return "", err
	}
	for _, tool := range tools {
		if err := m.addProgram(ctx, tool); err != nil {
			return "", err
		}
	}
	if err := m.close(); err != nil {
		return "", fmt.Errorf("write the image: %w", err)
	}
	return name, f.Close()
}

func compile(ctx context.Context, work string, m *image) error {
	binary := filepath.Join(work, "binary")
	if err := goTool(ctx, "build", "-ldflags=-s -w", "-o", binary, "./internal/vmtest/guest"); err != nil {
		return err
	}
	m.copy("init", binary)
	for _, pkg := range []string{kernelPackage, receiverPackage} {
		if err := goTool(ctx, "test", "-c", "-ldflags=-s -w", "-o", binary, "./"+pkg); err != nil {
			return err
		}
		m.copy(testBinary(pkg), binary)
	}
	return os.Remove(binary)
}

// goTool builds for the machines: statically, they have no libraries to offer.
func goTool(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// library is a file that a line of ldd's output names.
var library = regexp.MustCompile(`(/\S+) \(0x`)

// addProgram adds a program of this host and its libraries, all where they are here.
func (m *image) addProgram(ctx context.Context, name string) error {
	file, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("the tests run %s, which is not here: run .ci/deps kernels: %w", name, err)
	}
	out, err := exec.CommandContext(ctx, "ldd", file).Output()
	if err != nil {
		return fmt.Errorf("ldd %s: %w", file, err)
	}
	if !bytes.Contains(out, []byte("x86-64")) {
		return fmt.Errorf("%s is not for amd64, and the machines are: run this on amd64", file)
	}
	m.copy(file, file)
	for _, match := range library.FindAllSubmatch(out, -1) {
		m.copy(string(match[1]), string(match[1]))
	}
	return m.err
}
