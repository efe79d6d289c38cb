//go:build amd64 || arm64

package kernel

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/testenv"
)

// TestDatagramWhoseSenderWaitsIsDatedByItsBeginning: a thread waits within a call that sends the first datagram of a flow, while another one
// receives the first from there. The flow begins with that one, and the first one sent is dated before it.
func TestDatagramWhoseSenderWaitsIsDatedByItsBeginning(t *testing.T) {
	before := datagramOptions
	t.Cleanup(func() { datagramOptions = before })
	datagramOptions.Data = true // it is observed who waits
	eachDatagramTracer(t, func(t *testing.T, tracer datagramTracer, _ bool) {
		a, b := newDatagramEnd(t, unix.AF_INET), newDatagramEnd(t, unix.AF_INET)
		late, sent := testenv.NewLatePage(t), make(chan error)
		go func() { sent <- unix.Sendto(a.fd, late.Bytes[:4], 0, b.address) }()
		late.AwaitReader()
		must(t, unix.Sendto(b.fd, []byte("to a"), 0, a.address))
		if n, _, err := unix.Recvfrom(a.fd, make([]byte, 10), 0); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		late.Arrive("to b")
		must(t, <-sent)

		var flow *datagramReport
		for _, r := range datagramsOf(t, tracer, a) {
			if r.flow.Remote == b.addrPort() {
				flow = r
			}
		}
		if flow == nil || len(flow.emitted[event.Sent]) != 1 || len(flow.emitted[event.Received]) != 1 {
			t.Fatalf("emitted: %+v", flow)
		}
		if flow.flow.Role != event.RoleServer {
			t.Errorf("the flow did not begin with what was received: %+v", flow.flow)
		}
		if payload := string(flow.emitted[event.Sent][0].Payload); payload != "to b" {
			t.Errorf("%q is emitted", payload)
		}
		if sent, received := flow.emitted[event.Sent][0].Began, flow.emitted[event.Received][0].Began; sent == 0 || sent >= received {
			t.Errorf("the datagram sent is dated %d ns after the one received", sent-received)
		}
	})
}

// TestEndedFlowLeavesTheTable: a flow that has ended has no entry any more, and the next datagram begins another one.
func TestEndedFlowLeavesTheTable(t *testing.T) {
	before := datagramOptions
	t.Cleanup(func() { datagramOptions = before })
	datagramOptions.DatagramIdle = time.Nanosecond
	eachDatagramTracer(t, func(t *testing.T, tracer datagramTracer, _ bool) {
		a, b := newDatagramEnd(t, unix.AF_INET), newDatagramEnd(t, unix.AF_INET)
		cookies := map[uint64]bool{}
		for range 2 {
			must(t, unix.Sendto(a.fd, []byte("x"), 0, b.address))
			reports := datagramsOf(t, tracer, a)
			if len(reports) != 1 || cookies[reports[0].flow.Cookie] {
				t.Fatalf("%d flows, the first %+v; before: %v", len(reports), reports[0].flow, cookies)
			}
			cookie := reports[0].flow.Cookie
			cookies[cookie] = true
			if n := flowsInKernel(t, tracer)[cookie].Datagrams[event.Sent]; n != 1 {
				t.Errorf("%d datagrams are counted, want 1", n)
			}
			_, err := tracer.Datagrams(t.Context())
			must(t, err)
			if _, there := flowsInKernel(t, tracer)[cookie]; there {
				t.Error("a flow that has ended is still there")
			}
		}
		if counters, err := tracer.Counters(); err != nil || counters.FlowReopened != 0 {
			t.Errorf("%d flows are begun again: %v", counters.FlowReopened, err)
		}
	})
}
