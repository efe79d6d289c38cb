//go:build amd64 || arm64

package kernel

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
)

// The iterator goes on by counting where a read() has returned, and other sockets of the bucket have come and gone meanwhile.
func TestIteratorReportsEverySocketWhileOthersComeAndGo(t *testing.T) {
	const pairs, passes = 1000, 5
	tracer := openForTest(t)
	cookies := map[uint64]bool{}
	for range pairs {
		a, b := socketpair(t, "")
		for _, fd := range []int{a, b} {
			cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
			must(t, err)
			cookies[cookie] = true
			t.Cleanup(func() { must(t, unix.Close(fd)) })
		}
		_, err := unix.Write(a, []byte{1})
		must(t, err)
		_, err = unix.Read(b, make([]byte, 1))
		must(t, err)
	}
	var over atomic.Bool
	churned := make(chan error)
	go func() { churned <- comeAndGo(&over) }()

	for pass := range uint32(passes) {
		done := make(chan error)
		go func() {
			done <- tracer.iterateAll(t.Context(), bpf.SocketflowProgExistingUnix, uint32(bpf.SocketflowIterationITERATION_LIVE)+pass)
		}()
		live := liveUntil(t, tracer, done)
		var missing int
		for cookie := range cookies {
			if !live[cookie] {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("pass %d: %d of %d sockets were not reported", pass, missing, len(cookies))
		}
	}
	over.Store(true)
	must(t, <-churned)
}

// comeAndGo makes and closes sockets.
func comeAndGo(over *atomic.Bool) error {
	var open [][2]int
	for !over.Load() {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if open = append(open, fds); len(open) < 100 {
			continue
		}
		if err := errors.Join(unix.Close(open[0][0]), unix.Close(open[0][1])); err != nil {
			return err
		}
		open = open[1:]
	}
	for _, fds := range open {
		if err := errors.Join(unix.Close(fds[0]), unix.Close(fds[1])); err != nil {
			return err
		}
	}
	return nil
}

// liveUntil reads the cookies of live sockets until what reports them is done, and all that it has written.
func liveUntil(t *testing.T, tracer *SocketTracer, done <-chan error) map[uint64]bool {
	t.Helper()
	live := map[uint64]bool{}
	for ended := false; ; {
		var e event.Event
		idle := true
		for _, r := range tracer.Readers() {
			r.SetDeadline(time.Now().Add(10 * time.Millisecond))
			for r.Next(&e) == nil {
				idle = false
				if e.Kind == event.KindLive {
					live[e.Flow.Cookie] = true
				}
			}
		}
		if ended && idle {
			return live
		}
		select {
		case err := <-done:
			must(t, err)
			ended = true
		default:
		}
	}
}
