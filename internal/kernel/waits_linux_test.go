//go:build amd64 || arm64

package kernel

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/monotime"
)

// sender is a thread that writes. All its calls look the same to the kernel.
type sender struct {
	tid   int
	bytes chan int
	done  chan sending
}

// sending is a call that has returned.
type sending struct {
	n           int
	err         error
	before, end uint64
}

func newSender(t *testing.T, fd int, b []byte) *sender {
	s := &sender{bytes: make(chan int), done: make(chan sending)}
	ready := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		s.tid = unix.Gettid()
		close(ready)
		for n := range s.bytes {
			before := monotime.Now()
			n, err := unix.Write(fd, b[:n])
			s.done <- sending{n, err, before, monotime.Now()}
		}
	}()
	<-ready
	t.Cleanup(func() { close(s.bytes) })
	return s
}

// waits returns when the thread waits within a call, at the latest in ten seconds.
func (s *sender) waits(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", s.tid))
		must(t, err)
		call, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", s.tid))
		must(t, err)
		if bytes.Contains(stat, []byte(") S ")) && bytes.HasPrefix(call, fmt.Appendf(nil, "%d ", unix.SYS_WRITE)) {
			return
		}
	}
	t.Fatal("the call does not wait")
}

func drain(t *testing.T, fd, n int) {
	t.Helper()
	b := make([]byte, 1<<20)
	for n > 0 {
		k, err := unix.Read(fd, b)
		if err != nil || k == 0 {
			t.Fatalf("%d bytes are missing: %v", n, err)
		}
		n -= k
	}
}

// TestBlockingSendIsDatedByItsBeginning: a call that waits until the other end has read has begun long before its end. What follows it is
// not mistaken for it.
func TestBlockingSendIsDatedByItsBeginning(t *testing.T) {
	const large, small = 16 << 20, 1000 // the former is more than the buffers of a socket hold
	eachMode(t, Options{PayloadLimit: 100_000, PayloadBurst: 100_000}, func(t *testing.T, tracer framesTracer) {
		client, server := connect(t)
		s := newSender(t, client, make([]byte, large))
		var calls []sending
		finish := func() sending {
			done := <-s.done
			calls = append(calls, done)
			return done
		}
		s.bytes <- large
		s.waits(t)
		waited := monotime.Now()
		drain(t, server, large)
		finish()
		s.bytes <- small
		finish()
		drain(t, server, small)

		// A call that waits and then fails is not seen, and is no beginning of the next.
		timeout := unix.NsecToTimeval(int64(20 * time.Millisecond))
		must(t, unix.SetsockoptTimeval(client, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout))
		full := 0
		for {
			s.bytes <- large
			done := finish()
			if done.err != nil {
				break
			}
			full += done.n
		}
		drain(t, server, full)
		s.bytes <- small
		finish()
		drain(t, server, small)

		ends := readEnds(t, tracer)
		var at uint64
		for _, call := range calls {
			if call.err != nil {
				continue
			}
			seen := false
			for i := range ends[event.RoleClient].data[event.Sent] {
				e := &ends[event.RoleClient].data[event.Sent][i]
				if e.Data.Position < at || e.Data.Position >= at+uint64(call.n) {
					continue
				}
				seen = true
				if e.Data.Began < call.before || e.Data.Began > e.Time || e.Time > call.end {
					t.Errorf("%d bytes at %d began at %d and ended at %d, want %d to %d", call.n, e.Data.Position, e.Data.Began, e.Time, call.before, call.end)
				}
				if at == 0 && e.Data.Began > waited {
					t.Errorf("the bytes at %d began %d ns after the call had been seen to wait", e.Data.Position, e.Data.Began-waited)
				}
			}
			if !seen {
				t.Errorf("nothing is emitted of %d bytes at %d", call.n, at)
			}
			at += uint64(call.n)
		}
		for _, e := range ends[event.RoleServer].data[event.Received] {
			if e.Data.Began != e.Time {
				t.Errorf("the receipt of the bytes at %d began %d ns before its end", e.Data.Position, e.Time-e.Data.Began)
			}
		}
	})
}
