package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// tree is a temporary directory with a fake procfs in it.
type tree struct {
	t    *testing.T
	root string
}

func newTree(t *testing.T) tree { return tree{t: t, root: t.TempDir()} }

func (tr tree) procRoot() string { return filepath.Join(tr.root, "proc") }

func (tr tree) reader(change ...func(*Options)) *Reader {
	tr.t.Helper()
	o := Options{ProcRoot: tr.procRoot(), HostRoot: filepath.Join(tr.root, "host")}
	for _, c := range change {
		c(&o)
	}
	r, err := NewReader(o)
	if err != nil {
		tr.t.Fatal(err)
	}
	return r
}

// proc is the content of a directory in /proc. An empty field is an empty file; an empty exe is a missing link.
type proc struct {
	start            uint64
	comm, exe        string
	cmdline, environ []string
	cgroup           string
}

func (tr tree) add(pid uint32, p proc) {
	tr.t.Helper()
	dir := strconv.Itoa(int(pid))
	tr.write("proc/"+dir+"/stat", statLine(pid, p.comm, p.start))
	tr.write("proc/"+dir+"/cmdline", string(block(p.cmdline...)))
	tr.write("proc/"+dir+"/environ", string(block(p.environ...)))
	tr.write("proc/"+dir+"/cgroup", p.cgroup)
	if p.exe != "" {
		tr.link("proc/"+dir+"/exe", p.exe)
	}
}

func (tr tree) write(path, content string) {
	tr.t.Helper()
	path = filepath.Join(tr.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

// link creates or replaces a symbolic link.
func (tr tree) link(path, target string) {
	tr.t.Helper()
	path = filepath.Join(tr.root, path)
	if err := os.Symlink(target, path+".new"); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		tr.t.Fatal(err)
	}
}

// statLine is a line as Linux 6.18 writes it.
func statLine(pid uint32, comm string, start uint64) string {
	return fmt.Sprintf("%[1]d (%[2]s) S 1 %[1]d %[1]d 0 -1 4194560 11733 0 12 0 46 33 0 0 20 0 9 0 %[3]d 1964572672 3341 "+
		"18446744073709551615 94446452285440 94446452309545 140732892041952 0 0 0 0 0 2143420159 0 0 0 17 1 0 0 0 0 0 "+
		"94446452325392 94446452327008 94447453753344 140732892043958 140732892043986 140732892043986 140732892045290 0\n",
		pid, comm, start)
}

// block is an argument or environment block.
func block(entries ...string) []byte {
	var b []byte
	for _, e := range entries {
		b = append(append(b, e...), 0)
	}
	return b
}

// hex64 is a container id that is easy to distinguish from others.
func hex64(c string) string { return strings.Repeat(c, 64) }

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %#v, want %#v", what, got, want)
	}
}
