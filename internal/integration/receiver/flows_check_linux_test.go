package receiver_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/integration/workload"
	"github.com/socketflow/socketflow/receiver"
)

// exampleFlow is a flow, and the telemetry that should be emitted for it.
func exampleFlow() (workload.Flow, *emittedFlow) {
	truth := workload.Flow{
		End: workload.End{
			Step: "step: client", PID: 10, NetNS: 20, Role: workload.Client, Sent: 30, Received: 40,
			Local: netip.MustParseAddrPort("[::ffff:10.0.0.1]:258"), Remote: netip.MustParseAddrPort("10.0.0.2:772"),
		},
		Transport: workload.TCP, Requests: []string{"/a"},
	}
	resource := pcommon.NewMap()
	resource.PutInt("process.pid", 10)
	emitted := &emittedFlow{}
	common := map[string]any{
		"socketflow.role.name": "client", "socketflow.netns": 20, "socketflow.address.source": "sock", "network.transport": "tcp",
		"network.local.address": "10.0.0.1", "network.local.port": 258, "network.peer.address": "10.0.0.2", "network.peer.port": 772,
		"socketflow.capture": "complete", "socketflow.bytes.sent": 30, "socketflow.bytes.received": 40,
	}
	for event, to := range map[string]**record{opened: &emitted.open, closed: &emitted.end} {
		r := record{plog.NewLogRecord(), resource}
		r.SetEventName(event)
		_ = r.Attributes().FromRaw(common)
		*to = &r
	}
	s := span{ptrace.NewSpan(), resource}
	s.SetKind(ptrace.SpanKindClient)
	common["http.request.method"], common["http.response.status_code"] = "GET", 200
	common["url.full"] = "http://scenario.test/a"
	_ = s.Attributes().FromRaw(common)
	emitted.spans = []span{s}
	return truth, emitted
}

// The comparison that the tests of scenarios use finds each kind of fault.
func TestFlowCheckFindsDifferences(t *testing.T) {
	everywhere := func(change func(pcommon.Map)) func(*workload.Flow, *emittedFlow) {
		return func(_ *workload.Flow, emitted *emittedFlow) {
			change(emitted.open.Attributes())
			change(emitted.end.Attributes())
			change(emitted.spans[0].Attributes())
		}
	}
	atTheEnd := func(change func(pcommon.Map)) func(*workload.Flow, *emittedFlow) {
		return func(_ *workload.Flow, emitted *emittedFlow) { change(emitted.end.Attributes()) }
	}
	withoutPort := everywhere(func(a pcommon.Map) {
		a.Remove("network.local.port")
		a.PutStr("socketflow.address.source", "container")
	})
	for name, test := range map[string]struct {
		mode   receiver.Mode
		change func(truth *workload.Flow, emitted *emittedFlow)
		wrong  int
	}{
		"all is well":   {receiver.ModeSocket, func(*workload.Flow, *emittedFlow) {}, 0},
		"another peer":  {receiver.ModeSocket, atTheEnd(func(a pcommon.Map) { a.PutInt("network.peer.port", 0x0403) }), 2},
		"another local": {receiver.ModeSocket, atTheEnd(func(a pcommon.Map) { a.PutStr("network.local.address", "127.0.0.6") }), 2},
		"an opening's peer": {receiver.ModeSocket, func(_ *workload.Flow, emitted *emittedFlow) {
			emitted.open.Attributes().PutInt("network.peer.port", 1)
		}, 1},
		"a request's address": {receiver.ModeSocket, func(_ *workload.Flow, emitted *emittedFlow) {
			emitted.spans[0].Attributes().Remove("network.peer.port")
		}, 1},
		"another source":    {receiver.ModeSocket, atTheEnd(func(a pcommon.Map) { a.PutStr("socketflow.address.source", "accept") }), 1},
		"another namespace": {receiver.ModeSocket, atTheEnd(func(a pcommon.Map) { a.PutInt("socketflow.netns", 21) }), 1},
		"another process":   {receiver.ModeSocket, func(truth *workload.Flow, _ *emittedFlow) { truth.PID = 11 }, 2},
		"another server":    {receiver.ModeSocket, func(truth *workload.Flow, _ *emittedFlow) { truth.ServedBy = 11 }, 1},
		"bytes":             {receiver.ModeSocket, atTheEnd(func(a pcommon.Map) { a.PutInt("socketflow.bytes.sent", 31) }), 1},
		"a gap":             {receiver.ModeSocket, atTheEnd(func(a pcommon.Map) { a.PutStr("socketflow.capture", "gap") }), 1},
		"another role":      {receiver.ModeSocket, atTheEnd(func(a pcommon.Map) { a.PutStr("socketflow.role.name", "server") }), 2},
		"no opening":        {receiver.ModeSocket, func(_ *workload.Flow, emitted *emittedFlow) { emitted.open = nil }, 1},
		"no end":            {receiver.ModeSocket, func(_ *workload.Flow, emitted *emittedFlow) { emitted.end = nil }, 1},
		"no request":        {receiver.ModeSocket, func(_ *workload.Flow, emitted *emittedFlow) { emitted.spans = nil }, 1},
		"a request too many": {receiver.ModeSocket, func(_ *workload.Flow, emitted *emittedFlow) {
			emitted.spans = append(emitted.spans, emitted.spans...)
		}, 1},
		"another status": {receiver.ModeSocket, func(_ *workload.Flow, emitted *emittedFlow) {
			emitted.spans[0].Attributes().PutInt("http.response.status_code", 500)
		}, 1},
		"a port that a call showed": {"syscall", withoutPort, 3},
		"a port that no call showed": {"syscall", func(truth *workload.Flow, emitted *emittedFlow) {
			truth.LocalUnknown = true
			withoutPort(truth, emitted)
		}, 0},
		"a port that no call showed, in socket mode": {receiver.ModeSocket, func(truth *workload.Flow, emitted *emittedFlow) {
			truth.LocalUnknown = true
			withoutPort(truth, emitted)
		}, 3},
		"a wrong address that no call showed": {"syscall", func(truth *workload.Flow, emitted *emittedFlow) {
			truth.LocalUnknown = true
			everywhere(func(a pcommon.Map) {
				a.PutStr("network.local.address", "127.0.0.1")
				a.PutStr("socketflow.address.source", "container")
			})(truth, emitted)
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			truth, emitted := exampleFlow()
			test.change(&truth, emitted)
			var wrong findings
			wrong.compare(test.mode, []workload.Flow{truth}, []*emittedFlow{emitted})
			assert.Equal(t, test.wrong, wrong.count, "%q", wrong.first)
		})
	}
}
