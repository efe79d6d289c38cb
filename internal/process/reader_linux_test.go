package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/socketflow/socketflow/internal/procfs"
	"github.com/socketflow/socketflow/internal/testenv"
)

// The tests of this file use the procfs of this machine, or a FIFO to pause a Reader.

// asChild makes this test binary a child that prints a line, and then waits for the end of its input.
const asChild = "SOCKETFLOW_PROCESS_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		fmt.Println("running")
		_, err := io.Copy(io.Discard, os.Stdin)
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func here(t *testing.T) *Reader {
	t.Helper()
	r, err := NewReader(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// child is a process that lives until stop. Its first line of output has been read.
type child struct {
	pid  uint32
	in   io.WriteCloser
	out  io.Reader
	stop func()
}

func start(t *testing.T, cmd *exec.Cmd) *child {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{pid: uint32(cmd.Process.Pid), in: in, out: out}
	stopped := false
	c.stop = func() {
		if stopped {
			return
		}
		stopped = true
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(c.stop)
	c.line(t)
	return c
}

func (c *child) line(t *testing.T) {
	t.Helper()
	if _, err := c.out.Read(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
}

// idOf reads the start time of a process without the Reader. If there is no such process, the error is fs.ErrNotExist or ESRCH.
func idOf(pid uint32) (ID, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ID{}, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	start, err := strconv.ParseUint(fields[22-3], 10, 64)
	return ID{PID: pid, Start: start}, err
}

func mustID(t testing.TB, pid uint32) ID {
	t.Helper()
	id, err := idOf(pid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func testBinary(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSelf(t *testing.T) {
	r := here(t)
	info := r.Describe(Snapshot{ID: mustID(t, uint32(os.Getpid()))})
	equal(t, "executable", info.Executable, testBinary(t))
	if !slices.Equal(info.CommandLine, os.Args) {
		t.Errorf("got %q, want %q", info.CommandLine, os.Args)
	}
	equal(t, "stats", r.Stats(), Stats{Read: 1})
}

func TestAChildIsNamedByItsEnvironment(t *testing.T) {
	cmd := exec.Command(testBinary(t))
	cmd.Env = append(os.Environ(), asChild+"=1", "OTEL_SERVICE_NAME=checkout", "OTEL_RESOURCE_ATTRIBUTES=team=shop%20floor")
	c := start(t, cmd)
	r := here(t)
	info := r.Describe(Snapshot{ID: mustID(t, c.pid), Executable: testBinary(t)})
	equal(t, "service", info.ServiceName, "checkout")
	equal(t, "source", info.ServiceNameSource, SourceServiceName)
	equal(t, "attributes", fmt.Sprint(info.ResourceAttributes), "[{team shop floor false}]")
	equal(t, "stats", r.Stats(), Stats{Read: 1})

	snapshot := Snapshot{ID: info.ID, Comm: "child", Environ: block("OTEL_SERVICE_NAME=from-snapshot")}
	c.stop()
	gone := r.Describe(snapshot)
	same(t, gone, &Info{ID: info.ID, Comm: "child", CreatedAt: info.CreatedAt, ServiceName: "from-snapshot", ServiceNameSource: SourceServiceName})
	equal(t, "stats", r.Stats(), Stats{Read: 1, Gone: 1})
}

func TestAnExecDoesNotRenameWhoUsedTheSocket(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(shell, "-c", `echo first; read line; OTEL_SERVICE_NAME=second exec "$0"`, testBinary(t))
	cmd.Env = append(os.Environ(), asChild+"=1", "OTEL_SERVICE_NAME=first")
	c := start(t, cmd)
	r := here(t)
	before := r.Describe(Snapshot{ID: mustID(t, c.pid)})
	equal(t, "before", before.ServiceName, "first")

	if _, err := io.WriteString(c.in, "go\n"); err != nil {
		t.Fatal(err)
	}
	c.line(t) // the second program runs
	equal(t, "id after", mustID(t, c.pid), before.ID)
	after := r.Describe(Snapshot{ID: before.ID})
	equal(t, "after", after.ServiceName, "second")

	info := r.Describe(Snapshot{ID: before.ID, Executable: before.Executable, Environ: block("OTEL_SERVICE_NAME=first")})
	equal(t, "the user of the socket", info.ServiceName, "first")
	equal(t, "executable", info.Executable, before.Executable)
	equal(t, "cgroup", info.CgroupPath, before.CgroupPath)
	equal(t, "stats", r.Stats(), Stats{Read: 2, Exec: 1})
}

// observe relies on this guarantee of the kernel: an open directory of a process never shows another process.
func TestAHandleOfAProcessThatEndedFindsNothing(t *testing.T) {
	cmd := exec.Command(testBinary(t))
	cmd.Env = append(os.Environ(), asChild+"=1")
	c := start(t, cmd)
	r := here(t)
	dir, err := procfs.Open(r.procRoot, c.pid)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := dir.Close(); err != nil {
			t.Error(err)
		}
	}()
	start := mustID(t, c.pid).Start
	if _, err := r.observeBy(dir, start); err != nil {
		t.Fatal(err)
	}
	c.stop()
	o, err := r.observeBy(dir, start)
	if !procfs.IsMissing(err) || o.comm != "" {
		t.Errorf("got %+v, %v, want nothing", o, err)
	}
}

// The executable and the environment of another user's process cannot be read, unless the reader may trace it (ptrace(2),
// PTRACE_MODE_READ). This test runs the Reader as nobody, on a process of root.
func TestWhatMayNotBeReadComesFromTheSnapshot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	cmd := exec.Command(testBinary(t))
	cmd.Env = append(os.Environ(), asChild+"=1", "OTEL_SERVICE_NAME=closed")
	c := start(t, cmd)
	s := Snapshot{ID: mustID(t, c.pid), Comm: "web", Executable: "/srv/web", Environ: block("OTEL_SERVICE_NAME=shop")}

	r := here(t)
	var info, old *Info
	testenv.AsNobody(t, func() {
		info = r.Describe(s)
		old = r.Describe(Snapshot{ID: s.ID})
	})
	equal(t, "service from the snapshot", info.ServiceName, "shop")
	equal(t, "executable from the snapshot", info.Executable, "/srv/web")
	equal(t, "comm from the snapshot, as the program cannot be compared", info.Comm, "web")
	if !slices.Equal(info.CommandLine, cmd.Args) {
		t.Errorf("got %q, want the command line, which anybody may read", info.CommandLine)
	}
	equal(t, "service without a snapshot", old.ServiceNameSource, SourceComm)
	equal(t, "stats", r.Stats(), Stats{Denied: 2})
}

// whenRead replaces a file of a process by a FIFO. It calls change while a Reader waits for the content, and then writes
// the content.
func (tr tree) whenRead(file, content string, change func()) (done <-chan error) {
	tr.t.Helper()
	path := filepath.Join(tr.root, file)
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		tr.t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() {
		fifo, err := os.OpenFile(path, os.O_WRONLY, 0) // waits for the reader
		if err != nil {
			result <- err
			return
		}
		change()
		_, err = io.WriteString(fifo, content)
		result <- errors.Join(err, fifo.Close())
	}()
	return result
}

func TestAPidReusedHalfWayIsNeverMixed(t *testing.T) {
	neverMixed(t, func(tr tree) { // the other runs the same program
		tr.write("proc/4242/stat", statLine(4242, "other", 99999))
		tr.write("proc/4242/environ", string(block("OTEL_SERVICE_NAME=other")))
		tr.write("proc/4242/cgroup", "0::/other\n")
	})
}

func TestAnExecHalfWayIsNeverMixed(t *testing.T) {
	neverMixed(t, func(tr tree) {
		tr.link("proc/4242/exe", "/bin/other")
		tr.write("proc/4242/environ", string(block("OTEL_SERVICE_NAME=other")))
	})
}

// neverMixed describes web, which changes while it is read. The description must be that of before the change.
func neverMixed(t *testing.T, change func(tree)) {
	t.Helper()
	s, p := web()
	cases := []struct {
		about    string
		snapshot Snapshot
		want     *Info
	}{
		{"with a snapshot", s, webFromSnapshot()},
		{"with an id only", Snapshot{ID: s.ID}, &Info{ID: s.ID, ServiceName: UnknownService, ServiceNameSource: SourceUnknown}},
	}
	for _, c := range cases {
		t.Run(c.about, func(t *testing.T) {
			tr := newTree(t)
			tr.add(s.PID, p)
			r := tr.reader()
			done := tr.whenRead("proc/4242/cmdline", "other\x00", func() { change(tr) })
			same(t, r.Describe(c.snapshot), c.want)
			wait(t, done)
			equal(t, "stats", r.Stats(), Stats{Changed: 1})
		})
	}
}

func TestAProcessThatEndsHalfWayKeepsWhatWasRead(t *testing.T) {
	s, p := web()
	tr := newTree(t)
	tr.add(s.PID, p)
	r := tr.reader()
	done := tr.whenRead("proc/4242/cgroup", p.cgroup, func() {
		for _, file := range []string{"stat", "exe"} {
			if err := os.Remove(filepath.Join(tr.procRoot(), "4242", file)); err != nil {
				t.Error(err)
			}
		}
	})
	same(t, r.Describe(s), webInfo())
	wait(t, done)
	equal(t, "stats", r.Stats(), Stats{Gone: 1})
}

func TestEveryProcessOfThisMachineCanBeDescribed(t *testing.T) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	r := here(t)
	described := 0
	for _, e := range entries {
		pid, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil {
			continue
		}
		id, err := idOf(uint32(pid))
		if procfs.IsMissing(err) { // since ReadDir
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		before := r.Stats()
		info := r.Describe(Snapshot{ID: id})
		switch after := r.Stats(); {
		case after.Gone != before.Gone || after.Changed != before.Changed: // since idOf
		case after.Failed != before.Failed:
			t.Errorf("%d: cannot be read", pid)
		case info.ServiceName == UnknownService || info.Comm == "":
			t.Errorf("%d: nameless: %+v", pid, info)
		default:
			described++
		}
	}
	if described == 0 { // there is at least this process
		t.Error("no process was described")
	}
	t.Logf("%d processes: %+v", described, r.Stats())
}

func wait(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the file was never read")
	}
}

func BenchmarkDescribe(b *testing.B) {
	r, err := NewReader(Options{})
	if err != nil {
		b.Fatal(err)
	}
	s := Snapshot{ID: mustID(b, uint32(os.Getpid())), Args: bytes.Repeat([]byte("a\x00"), 10)}
	b.ReportAllocs()
	for b.Loop() {
		r.Describe(s)
	}
}

func TestProcessLivesUntilItEnds(t *testing.T) {
	cmd := exec.Command(testBinary(t))
	cmd.Env = append(os.Environ(), asChild+"=1")
	c := start(t, cmd)
	id := mustID(t, c.pid)
	r := here(t)
	if !r.Lives(id) {
		t.Error("it lives")
	}
	if r.Lives(ID{PID: id.PID, Start: id.Start + 1}) {
		t.Error("another process with the pid lives")
	}
	c.stop()
	if r.Lives(id) {
		t.Error("it has ended")
	}
}
