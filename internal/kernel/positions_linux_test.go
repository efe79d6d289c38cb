//go:build amd64 || arm64

package kernel

import (
	"context"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// adopt attaches the programs when the wire is there already, and returns whether these see the end of calls that are under way.
func (w *wire) adopt() bool {
	w.t.Helper()
	w.tracer = openForTest(w.t)
	w.identify()
	must(w.t, w.tracer.Existing(context.Background()))
	return slices.Contains(w.tracer.Attached(), "tp_btf/sock_send_length")
}

// expectPositions checks that the events of a direction are about so many bytes, from a position on and without a gap.
func (w *wire) expectPositions(end int, d event.Direction, from uint64, want int) {
	w.t.Helper()
	next := from
	for _, data := range w.emitted[end][d] {
		if data.Position != next {
			w.t.Errorf("end %d direction %d: position %d, want %d", end, d, data.Position, next)
		}
		next = data.Position + uint64(data.Length)
	}
	if next != from+uint64(want) {
		w.t.Errorf("end %d direction %d: %d bytes, want %d", end, d, next-from, want)
	}
}

// TestAdoptionInTheMiddleOfASend: a connection is found while a call sends. The call is emitted whole when it returns.
func TestAdoptionInTheMiddleOfASend(t *testing.T) {
	needPrivilege(t)
	w := &wire{t: t}
	w.client, w.server = connect(t)
	const size = 8 << 20
	sent := make(chan error, 1)
	go func() {
		_, err := unix.Write(w.client, letters(size))
		sent <- err
	}()
	for { // until the buffers are full
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(w.client), Events: unix.POLLOUT}}, 0)
		if n == 0 && err == nil {
			break
		}
	}
	seen := w.adopt()
	for range size >> 10 {
		w.receive(1 << 10)
		w.listen()
	}
	must(t, <-sent)
	w.send([]byte("more"))
	w.listen()
	if seen {
		w.expectPositions(atClient, event.Sent, 1, size+len("more")) // 0 is the SYN
	}
	w.expectPositions(atServer, event.Received, 0, size)
}

// TestAdoptionInTheMiddleOfAReceive: likewise for a call that waits for more bytes.
func TestAdoptionInTheMiddleOfAReceive(t *testing.T) {
	needPrivilege(t)
	w := &wire{t: t}
	w.client, w.server = connect(t)
	w.send([]byte("what "))
	received := make(chan error, 1)
	go func() {
		_, _, err := unix.Recvfrom(w.server, make([]byte, 12), unix.MSG_WAITALL)
		received <- err
	}()
	for { // until the call has taken what is there
		waiting, err := unix.IoctlGetInt(w.server, unix.TIOCINQ)
		must(t, err)
		if waiting == 0 {
			break
		}
	}
	seen := w.adopt()
	w.send([]byte("is sent"))
	must(t, <-received)
	w.listen()
	w.expectPositions(atClient, event.Sent, 1+5, 7) // after the SYN, and "what "
	if seen {
		w.expectPositions(atServer, event.Received, 0, 12)
	}
}
