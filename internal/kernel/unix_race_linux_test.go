//go:build amd64 || arm64

package kernel

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// TestTwoThreadsOpenOneUnixSocket: two threads transfer the first bytes of a Unix socket at the same time. It is opened once, before all else
// that is emitted of it.
func TestTwoThreadsOpenOneUnixSocket(t *testing.T) {
	write := func(fd int) error {
		_, err := unix.Write(fd, make([]byte, racedLength))
		return err
	}
	read := func(fd int) error {
		_, err := unix.Read(fd, make([]byte, racedLength))
		return err
	}
	opts := Options{Unix: true, PayloadLimit: 100, PayloadBurst: 1000}
	eachMode(t, opts, func(t *testing.T, tracer framesTracer) {
		for name, test := range map[string]struct {
			second func(fd int) error
			ends   int // of each connection that transfer something
		}{
			"both send":                     {write, 1},
			"one sends, the other receives": {read, 2},
		} {
			t.Run(name, func(t *testing.T) {
				for range racedRounds {
					withoutLoss(t, tracer, func() (check func()) {
						var fds, peers []int
						for range racedSockets {
							fd, peer := socketpair(t, "")
							fds, peers = append(fds, fd), append(peers, peer)
							if test.ends == 2 {
								must(t, write(peer))
							}
						}
						do := func(transfer func(int) error) func(int) {
							return func(i int) {
								if err := transfer(fds[i]); err != nil {
									t.Error(err)
								}
							}
						}
						race(len(fds), do(write), do(test.second))
						opened, early := readOpens(t, tracer)
						for i := range fds {
							must(t, errors.Join(unix.Close(fds[i]), unix.Close(peers[i])))
						}
						return func() { checkOpens(t, opened, early, racedSockets*test.ends) }
					})
				}
			})
		}
	})
}

// readOpens reads what was emitted of this process' Unix sockets: how often each was opened, and how many events came before the open of
// their socket.
func readOpens(t *testing.T, tracer framesTracer) (opened map[uint64]int, early int) {
	t.Helper()
	opened = map[uint64]int{}
	reader := tracer.Readers()[0]
	reader.SetDeadline(time.Now().Add(time.Millisecond))
	for {
		var e event.Event
		err := reader.Next(&e)
		if errors.Is(err, ErrIdle) {
			return opened, early
		}
		must(t, err)
		switch {
		case e.Owner.PID != uint32(os.Getpid()):
		case e.Kind == event.KindOpen && e.Flow.Transport == event.UnixStream:
			opened[e.Flow.Cookie]++
		case e.Kind == event.KindData && opened[e.Flow.Cookie] == 0:
			early++
		}
	}
}

func checkOpens(t *testing.T, opened map[uint64]int, early, want int) {
	t.Helper()
	again := 0
	for _, n := range opened {
		again += n - 1
	}
	if len(opened) != want || again > 0 || early > 0 {
		t.Errorf("%d sockets are opened, want %d; %d opened again, %d data events before the open", len(opened), want, again, early)
	}
}
