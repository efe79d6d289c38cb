//go:build amd64 || arm64

package libraries

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
	"github.com/socketflow/socketflow/internal/tlslib"
)

// calls make the linker put crypto/tls into this program.
var calls = []any{(*tls.Conn).Read, (*tls.Conn).Write}

// host attaches nothing, and remembers to what it was asked to attach.
type host struct {
	mu       sync.Mutex
	attached map[uint64]int // by inode
	closed   int
	probes   map[uint64][]kernel.LibraryProbe
	refuse   error
}

func (h *host) attach(path string, probes []kernel.LibraryProbe) (io.Closer, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.attached[stat.Ino]++
	h.probes[stat.Ino] = probes
	return h, h.refuse
}

func (h *host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed++
	return nil
}

func (h *host) times(inode uint64) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.attached[inode]
}

// watch runs a Watcher of Go programs until it is stopped.
func watch(t *testing.T, h *host) (w *Watcher, logs *observer.ObservedLogs, stop func()) {
	t.Helper()
	h.attached, h.probes = map[uint64]int{}, map[uint64][]kernel.LibraryProbe{}
	core, logs := observer.New(zap.InfoLevel)
	w = New(Options{Kinds: map[tlslib.Kind]bool{tlslib.Go: true}, Attach: h.attach, Logger: zap.New(core)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		w.Run(ctx)
		close(done)
	}()
	return w, logs, func() {
		cancel()
		<-done
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within 20s:", what)
		}
	}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Ino
}

func TestRunningProgramIsAttachedToOnce(t *testing.T) {
	h := &host{}
	w, _, stop := watch(t, h)
	own := inode(t, "/proc/self/exe")
	eventually(t, "this program is attached to", func() bool { return h.times(own) > 0 })
	later := copyOfSelf(t)
	cmd := exec.Command(later, "-test.run", "TestHelperThatWaits")
	cmd.Env = append(os.Environ(), "LIBRARIES_WAIT=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.Look(uint32(os.Getpid()))
		w.Look(uint32(cmd.Process.Pid))
	}
	eventually(t, "a new program is attached to", func() bool {
		w.Look(uint32(cmd.Process.Pid)) // what it has mapped may not have been there yet
		return h.times(inode(t, later)) > 0
	})
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	for file, n := range h.attached {
		if n != 1 {
			t.Errorf("inode %d was attached to %d times", file, n)
		}
	}
	if h.closed != len(h.attached) || w.Stats().Observed != uint64(len(h.attached)) {
		t.Errorf("%d attached, %d detached, %d counted", len(h.attached), h.closed, w.Stats().Observed)
	}
	seen := map[kernel.LibraryProbeKind]int{}
	for _, p := range h.probes[own] {
		seen[p.Kind]++
	}
	if seen[kernel.GoReadEnter] != 1 || seen[kernel.GoReadExit] == 0 || seen[kernel.GoWriteEnter] != 1 || seen[kernel.GoRecord] != 1 {
		t.Errorf("probes %v", seen)
	}
}

func TestRefusedLibraryIsCountedAndLogged(t *testing.T) {
	h := &host{refuse: errors.New("no more room")}
	w, logs, stop := watch(t, h)
	own := inode(t, "/proc/self/exe")
	eventually(t, "it was tried", func() bool { return h.times(own) > 0 })
	w.Look(uint32(os.Getpid()))
	stop()
	if h.times(own) != 1 || w.Stats().Refused == 0 || w.Stats().Observed != 0 || h.closed != 0 {
		t.Errorf("tried %d times, %+v, %d closed", h.times(own), w.Stats(), h.closed)
	}
	if logs.FilterMessageSnippet("are not seen").Len() == 0 {
		t.Error("nothing was logged")
	}
}

// copyOfSelf is this program in a file of its own.
func copyOfSelf(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "later")
	if err := os.WriteFile(path, content, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestHelperThatWaits is what a copy of this program does: it waits until its input ends.
func TestHelperThatWaits(t *testing.T) {
	for _, call := range calls {
		if call == nil {
			t.Fatal("a call is missing")
		}
	}
	if os.Getenv("LIBRARIES_WAIT") == "" {
		return
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Fatal(err)
	}
}

// Files of others that may not be opened are no libraries that are refused, each by itself: one line says what is missing.
func TestFilesThatMayNotBeOpenedAreLoggedOnce(t *testing.T) {
	testenv.NeedRoot(t, "being another user")
	core, log := observer.New(zap.InfoLevel)
	w := New(Options{Logger: zap.New(core)})
	testenv.AsNobody(t, func() {
		for range 2 {
			w.process(uint32(os.Getppid()), map[mapping]bool{})
		}
	})
	if log.Len() != 1 || log.FilterMessageSnippet("CAP_SYS_PTRACE").Len() != 1 {
		t.Errorf("logged %v, want one line with what is missing", log.All())
	}
}
