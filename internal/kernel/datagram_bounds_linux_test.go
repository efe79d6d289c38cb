//go:build amd64 || arm64

package kernel

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// TestDatagramRingFullIsCounted: what the ring buffer has no room for is counted, and the next event of that direction says so.
func TestDatagramRingFullIsCounted(t *testing.T) {
	eachDatagramTracer(t, func(t *testing.T, tracer datagramTracer, _ bool) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		a, b := newDatagramEnd(t, unix.AF_INET), newDatagramEnd(t, unix.AF_INET)
		a.pass(b, []byte("one"))
		cookie := cookieOf(t, datagramsOf(t, tracer, a), a)
		tracer.Want(cookie, event.Want{Limit: [event.Directions]uint32{4096, 4096}})
		payload := letters(2000) // what even a crowded ring buffer takes
		datagrams := 2 * datagramOptions.RingBytes / len(payload)
		for range datagrams {
			a.pass(b, payload)
		}
		got := dataOf(t, tracer, cookie)
		for i, d := range got[:10] {
			if string(d.Payload) != string(payload) || d.CutReason != 0 || d.GapReason != 0 {
				t.Errorf("datagram %d: %d bytes, cut %d, gap %d", i, len(d.Payload), d.CutReason, d.GapReason)
			}
		}
		counters, err := tracer.Counters()
		must(t, err)
		if counters.PayloadRingFull == 0 || counters.RingFull[event.KindData] == 0 || len(got) >= datagrams {
			t.Errorf("%d events of %d datagrams, %+v", len(got), datagrams, counters)
		}
		a.pass(b, []byte("after"))
		a.pass(b, []byte("that"))
		got = dataOf(t, tracer, cookie)
		if len(got) != 2 || got[0].GapReason != event.CutRingFull || string(got[0].Payload) != "after" || got[1].GapReason != 0 {
			t.Errorf("after that: %+v", got)
		}
	})
}

// TestFlowThatHadToGiveWayIsCounted: a flow that goes on after others have taken its place in the kernel's table is begun again.
func TestFlowThatHadToGiveWayIsCounted(t *testing.T) {
	before := datagramOptions
	t.Cleanup(func() { datagramOptions = before })
	datagramOptions.Sockets = 64
	eachDatagramTracer(t, func(t *testing.T, tracer datagramTracer, _ bool) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		a, b := newDatagramEnd(t, unix.AF_INET), newDatagramEnd(t, unix.AF_INET)
		a.pass(b, []byte("first"))
		counters, err := tracer.Counters()
		must(t, err)
		if counters.FlowReopened != 0 {
			t.Errorf("%d flows are begun again, want none", counters.FlowReopened)
		}
		for range 2 {
			for i := range 2 * datagramOptions.Sockets { // nobody receives there
				must(t, unix.Sendto(a.fd, []byte("other"), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 1, 0, byte(i)}, Port: 9}))
			}
		}
		if counters, err = tracer.Counters(); err != nil || counters.FlowReopened == 0 {
			t.Errorf("%d flows are begun again, want some: %v", counters.FlowReopened, err)
		}
	})
}
