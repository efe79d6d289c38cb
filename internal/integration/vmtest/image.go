package main

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// image writes a kernel's initial file system: a cpio archive of the format newc, see
// Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's source. Several archives one after the other are one
// file system.
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

// pad is the distance to the next multiple of four.
func pad(n int) int { return -n & 3 }

func (m *image) write(parts ...[]byte) {
	for _, part := range parts {
		if m.err == nil {
			_, m.err = m.w.Write(part)
		}
	}
}

// add writes a file, and its parent directories.
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

// testBinary is the path of a package's tests in an image.
func testBinary(pkg string) string { return "/tests/" + path.Base(pkg) + ".test" }

// tools are programs that tests run.
var tools = []string{"ip", "openssl", "sh"}

// build makes the image that all machines of an architecture share: the guest, the tests and the tools, which are in a directory
// of .ci/kernels.
func build(ctx context.Context, work string, arch *architecture, toolsDir string) (name string, err error) {
	name = filepath.Join(work, "image-"+arch.name)
	f, err := os.Create(name)
	if err != nil {
		return "", err
	}
	m := newImage(f)
	if err := compile(ctx, work, arch, m); err != nil {
		return "", err
	}
	for _, tool := range tools {
		if err := m.addProgram(toolsDir, tool); err != nil {
			return "", err
		}
	}
	if err := m.close(); err != nil {
		return "", fmt.Errorf("write the image: %w", err)
	}
	return name, f.Close()
}

func compile(ctx context.Context, work string, arch *architecture, m *image) error {
	binary, err := filepath.Abs(filepath.Join(work, "binary"))
	if err != nil {
		return err
	}
	if err := goTool(ctx, arch, integration+"/vmtest/guest", "build", "-ldflags=-s -w", "-o", binary); err != nil {
		return err
	}
	m.copy("init", binary)
	for _, pkg := range []string{kernelPackage, receiverPackage} {
		if err := goTool(ctx, arch, pkg, "test", "-c", "-ldflags=-s -w", "-o", binary); err != nil {
			return err
		}
		m.copy(testBinary(pkg), binary)
	}
	return os.Remove(binary)
}

// goTool builds a package, by its folder, for the machines: statically, because they have no libraries.
func goTool(ctx context.Context, arch *architecture, pkg string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append(args, ".")...)
	cmd.Dir = pkg // the package may be of another module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch.name)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// addProgram adds a program to /bin, and its libraries to /lib, where the dynamic linker of every architecture looks.
func (m *image) addProgram(toolsDir, name string) error {
	for files := []string{"bin/" + name}; len(files) > 0; files = files[1:] {
		if m.seen[files[0]] {
			continue
		}
		file := filepath.Join(toolsDir, files[0])
		m.copy(files[0], file)
		if m.err != nil {
			return m.err
		}
		interpreter, libraries, err := linked(file)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if interpreter != "" {
			m.copy(interpreter, filepath.Join(toolsDir, "lib", path.Base(interpreter)))
		}
		for _, library := range libraries {
			files = append(files, "lib/"+library)
		}
	}
	return m.err
}

// linked is the list of what a program or a library needs: the dynamic linker, by its path, and libraries, by their names.
func linked(file string) (interpreter string, libraries []string, err error) {
	f, err := elf.Open(file)
	if err != nil {
		return "", nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		content, err := io.ReadAll(p.Open())
		if err != nil {
			return "", nil, err
		}
		interpreter = string(bytes.TrimRight(content, "\x00"))
	}
	libraries, err = f.ImportedLibraries()
	return interpreter, libraries, err
}
