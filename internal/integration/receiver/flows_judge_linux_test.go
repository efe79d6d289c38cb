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

// judged is a flow, and what should be told of it.
func judged() (workload.Flow, *toldFlow) {
	truth := workload.Flow{
		End: workload.End{
			Step: "step: client", PID: 10, NetNS: 20, Role: workload.Client, Sent: 30, Received: 40,
			Local: netip.MustParseAddrPort("[::ffff:10.0.0.1]:258"), Remote: netip.MustParseAddrPort("10.0.0.2:772"),
		},
		Transport: workload.TCP, Requests: []string{"/a"},
	}
	resource := pcommon.NewMap()
	resource.PutInt("process.pid", 10)
	told := &toldFlow{}
	common := map[string]any{
		"socketflow.role.name": "client", "socketflow.netns": 20, "socketflow.address.source": "sock", "network.transport": "tcp",
		"network.local.address": "10.0.0.1", "network.local.port": 258, "network.peer.address": "10.0.0.2", "network.peer.port": 772,
		"socketflow.capture": "complete", "socketflow.bytes.sent": 30, "socketflow.bytes.received": 40,
	}
	for event, to := range map[string]**record{opened: &told.open, closed: &told.end} {
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
	told.spans = []span{s}
	return truth, told
}

// What the tests of scenarios rest on finds each kind of fault.
func TestFlowCheckFindsDifferences(t *testing.T) {
	everywhere := func(change func(pcommon.Map)) func(*workload.Flow, *toldFlow) {
		return func(_ *workload.Flow, told *toldFlow) {
			change(told.open.Attributes())
			change(told.end.Attributes())
			change(told.spans[0].Attributes())
		}
	}
	atTheEnd := func(change func(pcommon.Map)) func(*workload.Flow, *toldFlow) {
		return func(_ *workload.Flow, told *toldFlow) { change(told.end.Attributes()) }
	}
	withoutPort := everywhere(func(a pcommon.Map) {
		a.Remove("network.local.port")
		a.PutStr("socketflow.address.source", "container")
	})
	for name, test := range map[string]struct {
		mode   receiver.Mode
		change func(truth *workload.Flow, told *toldFlow)
		wrong  int
	}{
		"all is well":         {receiver.ModeSocket, func(*workload.Flow, *toldFlow) {}, 0},
		"another peer":        {receiver.ModeSocket, atTheEnd(func(a pcommon.Map) { a.PutInt("network.peer.port", 0x0403) }), 2},
		"another local":       {receiver.ModeSocket, atTheEnd(func(a pcommon.Map) { a.PutStr("network.local.address", "127.0.0.6") }), 2},
		"an opening's peer":   {receiver.ModeSocket, func(_ *workload.Flow, told *toldFlow) { told.open.Attributes().PutInt("network.peer.port", 1) }, 1},
		"a request's address": {receiver.ModeSocket, func(_ *workload.Flow, told *toldFlow) { told.spans[0].Attributes().Remove("network.peer.port") }, 1},
		"another source":      {receiver.ModeSocket, atTheEnd(func(a pcommon.Map) { a.PutStr("socketflow.address.source", "accept") }), 1},
		"another namespace":   {receiver.ModeSocket, atTheEnd(func(a pcommon.Map) { a.PutInt("socketflow.netns", 21) }), 1},
		"another process":     {receiver.ModeSocket, func(truth *workload.Flow, _ *toldFlow) { truth.PID = 11 }, 2},
		"another server":      {receiver.ModeSocket, func(truth *workload.Flow, _ *toldFlow) { truth.ServedBy = 11 }, 1},
		"bytes":               {receiver.ModeSocket, atTheEnd(func(a pcommon.Map) { a.PutInt("socketflow.bytes.sent", 31) }), 1},
		"a gap":               {receiver.ModeSocket, atTheEnd(func(a pcommon.Map) { a.PutStr("socketflow.capture", "gap") }), 1},
		"another role":        {receiver.ModeSocket, atTheEnd(func(a pcommon.Map) { a.PutStr("socketflow.role.name", "server") }), 2},
		"no opening":          {receiver.ModeSocket, func(_ *workload.Flow, told *toldFlow) { told.open = nil }, 1},
		"no end":              {receiver.ModeSocket, func(_ *workload.Flow, told *toldFlow) { told.end = nil }, 1},
		"no request":          {receiver.ModeSocket, func(_ *workload.Flow, told *toldFlow) { told.spans = nil }, 1},
		"a request too many":  {receiver.ModeSocket, func(_ *workload.Flow, told *toldFlow) { told.spans = append(told.spans, told.spans...) }, 1},
		"another status": {receiver.ModeSocket, func(_ *workload.Flow, told *toldFlow) {
			told.spans[0].Attributes().PutInt("http.response.status_code", 500)
		}, 1},
		"a port that a call told": {"syscall", withoutPort, 3},
		"a port that no call told": {"syscall", func(truth *workload.Flow, told *toldFlow) {
			truth.LocalUntold = true
			withoutPort(truth, told)
		}, 0},
		"a port that no call told, in socket mode": {receiver.ModeSocket, func(truth *workload.Flow, told *toldFlow) {
			truth.LocalUntold = true
			withoutPort(truth, told)
		}, 3},
		"a wrong address that no call told": {"syscall", func(truth *workload.Flow, told *toldFlow) {
			truth.LocalUntold = true
			everywhere(func(a pcommon.Map) {
				a.PutStr("network.local.address", "127.0.0.1")
				a.PutStr("socketflow.address.source", "container")
			})(truth, told)
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			truth, told := judged()
			test.change(&truth, told)
			var wrong findings
			wrong.judge(test.mode, []workload.Flow{truth}, []*toldFlow{told})
			assert.Equal(t, test.wrong, wrong.count, "%q", wrong.first)
		})
	}
}
