//go:build amd64 || arm64

package kernel

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// TestLocalClose: an end is left when its process can neither send nor receive any more, and not when it has closed one direction.
func TestLocalClose(t *testing.T) {
	type positions = [event.Directions]uint64
	shut := func(how int) func(*wire) { return func(w *wire) { must(w.t, unix.Shutdown(w.client, how)) } }
	closeClient := func(w *wire) { must(w.t, unix.Close(w.client)) }
	closeServer := func(w *wire) {
		must(w.t, unix.Close(w.server))
		for {
			info, err := unix.GetsockoptTCPInfo(w.client, unix.IPPROTO_TCP, unix.TCP_INFO)
			must(w.t, err)
			if event.State(info.State) == event.StateCloseWait || event.State(info.State) == event.StateClose {
				return
			}
		}
	}
	ask := func(w *wire) { w.send([]byte("what")); w.receive(4) }
	answer := func(w *wire) {
		n, err := unix.Write(w.server, []byte("this"))
		w.did(n, 4, err)
	}
	hear := func(w *wire) {
		n, err := unix.Read(w.client, make([]byte, 10))
		w.did(n, 4, err)
	}
	cases := map[string]struct {
		before []func(*wire) // does not leave
		leave  func(*wire)
		after  []func(*wire)
		want   positions
	}{
		"close":                         {[]func(*wire){ask}, closeClient, nil, positions{4, 0}},
		"close after the answer":        {[]func(*wire){ask, answer, hear}, closeClient, nil, positions{4, 4}},
		"shutdown of both":              {[]func(*wire){ask}, shut(unix.SHUT_RDWR), []func(*wire){closeClient}, positions{4, 0}},
		"half-close, close":             {[]func(*wire){ask, shut(unix.SHUT_WR)}, closeClient, nil, positions{4, 0}},
		"half-close, answer, close":     {[]func(*wire){ask, shut(unix.SHUT_WR), answer, hear}, closeClient, nil, positions{4, 4}},
		"half-close, other direction":   {[]func(*wire){ask, shut(unix.SHUT_RD)}, closeClient, nil, positions{4, 0}},
		"half-close with bytes to read": {[]func(*wire){ask, answer, closeServer, shut(unix.SHUT_WR), hear}, nil, nil, positions{}},
		"close behind the other end":    {[]func(*wire){ask, answer, hear, closeServer}, closeClient, nil, positions{4, 4}},
		"one of two descriptors": {
			[]func(*wire){ask, func(w *wire) {
				copied, err := unix.Dup(w.client)
				must(w.t, err)
				must(w.t, unix.Close(w.client))
				w.client = copied
			}}, closeClient, nil, positions{4, 0},
		},
	}
	eachAttachment(t, func(t *testing.T, tracer *SocketTracer) {
		for name, test := range cases {
			t.Run(name, func(t *testing.T) {
				w := newWire(t, tracer)
				for _, step := range test.before {
					step(w)
				}
				w.listen()
				if len(w.left[atClient]) > 0 {
					t.Fatal("it is left too early")
				}
				if test.leave == nil {
					return
				}
				test.leave(w)
				for _, step := range test.after {
					step(w)
				}
				w.listen()
				if got := w.left[atClient]; len(got) != 1 || got[0].Position != test.want {
					t.Errorf("left %+v, want once at %v", got, test.want)
				}
				if len(w.emitted[atClient][event.Sent]) != 1 {
					t.Error("the request is not there")
				}
			})
		}
	})
}
