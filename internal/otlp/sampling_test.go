package otlp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// Trace ids that half of a ratio leaves out, and keeps.
var (
	lowTrace  = [16]byte{0: 1, 9: 0x7f}
	highTrace = [16]byte{0: 1, 9: 0x80}
)

const half = sampling.Threshold(1 << 55)

// resolving is a Builder whose exchanges all have a place.
func resolving(policy sampling.Policy, p trace.Parent, found bool) *Builder {
	return newBuilder(Options{Sampling: policy, Resolve: func(trace.ExchangeKey) (trace.Parent, bool) { return p, found }})
}

func TestSpansOfRequestsAreSampledByTheirTrace(t *testing.T) {
	begun := func(id [16]byte) trace.Parent { return trace.Parent{Trace: id, Flags: 3} }
	wire := func(flags uint8, state sampling.State) trace.Parent {
		return trace.Parent{Trace: lowTrace, Span: [8]byte{8}, Flags: flags, Source: trace.SourceWire, Wire: true, State: state}
	}
	parent := func(p trace.Parent, span [8]byte) trace.Parent {
		p.Span, p.Source = span, trace.SourcePeer
		return p
	}
	keeping := sampling.Policy{Threshold: half, HonourParent: true, KeepErrors: true, KeepSlowerThan: time.Second}
	quarter := sampling.Threshold(3 << 54).State()
	for name, test := range map[string]struct {
		policy sampling.Policy
		place  trace.Parent
		status string
		own    string // the tracestate of the request's own trace context
		out    sampling.Decision
		state  string
	}{
		"nothing is configured":                          {place: begun(lowTrace)},
		"nothing is configured, not sampled":             {place: wire(0, sampling.State{})},
		"nothing is configured, with a state":            {place: begun(lowTrace), own: "a=1", state: "a=1"},
		"its ratio":                                      {policy: keeping, place: begun(highTrace), state: "ot=th:8"},
		"its ratio, a child":                             {policy: keeping, place: parent(begun(highTrace), [8]byte{9}), state: "ot=th:8"},
		"its ratio, and a state":                         {policy: keeping, place: begun(highTrace), own: "a=1", state: "ot=th:8,a=1"},
		"its ratio, an error":                            {policy: keeping, place: begun(highTrace), status: "500", state: "ot=th:8"},
		"not its ratio":                                  {policy: keeping, place: begun(lowTrace), out: sampling.OutByRatio},
		"not its ratio, a child":                         {policy: keeping, place: parent(begun(lowTrace), [8]byte{9}), out: sampling.OutByRatio},
		"not its ratio, an error":                        {policy: keeping, place: begun(lowTrace), status: "500"},
		"not its ratio, an error that is not kept":       {policy: sampling.Policy{Threshold: half}, place: begun(lowTrace), status: "500", out: sampling.OutByRatio},
		"not its ratio, slow":                            {policy: sampling.Policy{Threshold: half, KeepSlowerThan: 1}, place: begun(lowTrace)},
		"nothing, but for errors":                        {policy: sampling.Policy{Threshold: sampling.KeepNone, KeepErrors: true}, place: begun(highTrace), out: sampling.OutByRatio},
		"a trace that does not begin here":               {policy: keeping, place: wire(1, sampling.State{})},
		"a trace that does not begin here, with state":   {policy: keeping, place: wire(1, quarter), own: "ot=th:c,a=1", state: "ot=th:c,a=1"},
		"a child of such a trace":                        {policy: keeping, place: parent(wire(1, quarter), [8]byte{9}), state: "ot=th:c"},
		"a child of such a trace, with a state":          {policy: keeping, place: parent(wire(1, quarter), [8]byte{9}), own: "a=1", state: "ot=th:c,a=1"},
		"a child of such a trace, nothing is configured": {place: parent(wire(1, quarter), [8]byte{9}), state: "ot=th:c"},
		"not sampled":                                    {policy: sampling.Policy{HonourParent: true}, place: wire(2, sampling.State{}), out: sampling.OutByParent},
		"not sampled, an error":                          {policy: keeping, place: wire(0, sampling.State{}), status: "500", out: sampling.OutByParent},
		"not sampled, a child":                           {policy: keeping, place: parent(wire(0, sampling.State{}), [8]byte{9}), out: sampling.OutByParent},
	} {
		t.Run(name, func(t *testing.T) {
			b := resolving(test.policy, test.place, true)
			x := get(protocol.Client, "200")
			if test.status != "" {
				x = get(protocol.Client, test.status)
			}
			x.Parent = protocol.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Flags: 1, State: test.own}
			c := connect(asking)
			emitExchange(b, c, x)
			finByPeer(c)
			b.Closed(c)
			logs, traces := b.Take()
			record := recordsOf(logs)[0]
			assert.Equal(t, pcommon.TraceID(test.place.Trace), record.TraceID(), "of the record")
			assert.Equal(t, pcommon.SpanID(atClient.Own), record.SpanID(), "of the record")
			for d := range sampling.Decisions {
				assert.Equal(t, d == test.out && test.out.IsOut(), b.LeftOut(d) == 1, d)
			}
			if test.out.IsOut() {
				assert.Zero(t, traces.ResourceSpans().Len())
				assert.Zero(t, b.Parents(test.place.Source))
				return
			}
			span := spansOf(traces)[0]
			assert.Equal(t, test.state, span.TraceState().AsRaw())
			assert.Equal(t, uint32(test.place.Flags), span.Flags()&0xff)
			assert.EqualValues(t, 1, b.Parents(test.place.Source))
		})
	}
}

// What nothing is known of any more is sampled by what it says itself.
func TestSpansWithoutAPlaceAreSampled(t *testing.T) {
	policy := sampling.Policy{Threshold: half, HonourParent: true}
	for name, test := range map[string]struct {
		own    trace.Exchange
		wire   protocol.TraceContext
		reason sampling.Decision
		state  string
	}{
		"not its ratio": {own: trace.Exchange{Trace: lowTrace, Own: [8]byte{1}}, reason: sampling.OutByRatio},
		"its ratio":     {own: trace.Exchange{Trace: highTrace, Own: [8]byte{1}}, state: "ot=th:8"},
		"not sampled": {
			own: trace.Exchange{Trace: highTrace, Own: [8]byte{1}}, wire: protocol.TraceContext{TraceID: highTrace, SpanID: [8]byte{2}},
			reason: sampling.OutByParent,
		},
		"sampled": {
			own:   trace.Exchange{Trace: highTrace, Own: [8]byte{1}},
			wire:  protocol.TraceContext{TraceID: lowTrace, SpanID: [8]byte{2}, Flags: 1, State: "ot=th:c"},
			state: "ot=th:c",
		},
	} {
		b := resolving(policy, trace.Parent{}, false)
		x := get(protocol.Client, "200")
		x.Parent = test.wire
		exchanged(x, asking, func(c *socket.Connection) { c.Exchange = test.own })(b)
		_, traces := b.Take()
		if test.reason.IsOut() {
			assert.Zero(t, traces.SpanCount(), name)
			assert.EqualValues(t, 1, b.LeftOut(test.reason), name)
		} else if assert.Equal(t, 1, traces.SpanCount(), name) {
			assert.Equal(t, test.state, spansOf(traces)[0].TraceState().AsRaw(), name)
		}
	}
}

// A batch keeps the order of its spans, and the resources that have some left. Its bounds hold.
func TestBatchHasOnlyTheSpansThatAreKept(t *testing.T) {
	state := sampling.StateOf("ot=th:fd70a3d70a3d71;rv:ffffffffffffff")
	for name, bounds := range map[string]Bounds{"items": {Items: 7}, "bytes": {Bytes: 8 << 10}, "none": {}} {
		t.Run(name, func(t *testing.T) {
			var places []trace.Parent
			var b *Builder
			var spans []ptrace.Span
			batches := 0
			take := func() {
				of := b.spans
				_, traces := b.Take()
				batches++
				for _, resource := range traces.ResourceSpans().All() {
					assert.NotZero(t, resource.ScopeSpans().At(0).Spans().Len())
				}
				if size := (&ptrace.ProtoMarshaler{}).TracesSize(traces); size > of.bytes || bounds.Bytes != 0 && size > bounds.Bytes {
					t.Errorf("a batch has %d bytes, counted as %+v", size, of)
				}
				spans = append(spans, spansOf(traces)...)
			}
			b = newBuilder(Options{
				Bounds: bounds, Full: take, Sampling: sampling.Policy{HonourParent: true},
				Resolve: func(k trace.ExchangeKey) (trace.Parent, bool) { return places[k.ID], true },
			})
			b.options.Records = 0
			others := []*process.Info{curl(), nginx(), curl()} // all of the last one's are left out
			kept := 0
			for i := range 100 {
				place := trace.Parent{Trace: highTrace, Span: [8]byte{byte(i)}, Flags: 1, Source: trace.SourceGoroutine, Wire: true, State: state}
				if i%3 == 2 || i%7 == 0 {
					place.Flags = 0
				} else {
					kept++
				}
				places = append(places, place)
				exchanged(get(protocol.Client, "200"), asking, func(c *socket.Connection) {
					c.Key.ID, c.Process = uint64(i), others[i%3]
				})(b)
			}
			take()
			assert.Len(t, spans, kept)
			if bounds != (Bounds{}) {
				assert.Greater(t, batches, 5)
			} else {
				assert.Equal(t, 1, batches)
			}
			var last [3]byte
			for _, s := range spans {
				id := s.ParentSpanID()
				require.EqualValues(t, 1, places[id[0]].Flags)
				assert.Equal(t, "ot=th:fd70a3d70a3d71;rv:ffffffffffffff", s.TraceState().AsRaw())
				assert.Less(t, last[id[0]%3], id[0], "the order of a process's spans")
				last[id[0]%3] = id[0]
			}
			assert.EqualValues(t, 100-kept, b.LeftOut(sampling.OutByParent))
		})
	}
}

// The span of a connection is a trace of its own. Its records have its ids, whether it is there or not.
func TestSpansOfConnectionsAreSampled(t *testing.T) {
	for name, test := range map[string]struct {
		policy  sampling.Policy
		failed  bool
		keeps   bool
		state   string
		records RecordKinds
	}{
		"all":                           {keeps: true, records: RecordAll},
		"none":                          {policy: sampling.Policy{Threshold: sampling.KeepNone}, records: RecordAll},
		"none, without records":         {policy: sampling.Policy{Threshold: sampling.KeepNone}, records: RecordOpen},
		"none, one that failed":         {policy: sampling.Policy{Threshold: sampling.KeepNone}, failed: true, records: RecordAll},
		"none but errors":               {policy: sampling.Policy{Threshold: sampling.KeepNone, KeepErrors: true}, records: RecordAll},
		"none but errors, and it is":    {policy: sampling.Policy{Threshold: sampling.KeepNone, KeepErrors: true}, failed: true, keeps: true, records: RecordAll},
		"none but slow ones, and it is": {policy: sampling.Policy{Threshold: sampling.KeepNone, KeepSlowerThan: 1}, keeps: true, records: RecordAll},
		"nearly all":                    {policy: sampling.Policy{Threshold: 1 << 20, HonourParent: true}, keeps: true, state: "ot=th:000000001", records: RecordAll},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBuilder(Options{Sampling: test.policy, Records: test.records})
			c := connect()
			finByPeer(c)
			if test.failed {
				c.End = socket.End{Way: socket.WayRST, By: socket.SideRemote}
				b.Failed(c)
			} else {
				b.Closed(c)
			}
			logs, traces := b.Take()
			spans, records := spansOf(traces), recordsOf(logs)
			traceID, spanID := b.traceIDs.Of(c.Serial, trace.Whole)
			if test.records == RecordAll {
				require.Len(t, records, 1)
				assert.Equal(t, pcommon.TraceID(traceID), records[0].TraceID())
				assert.Equal(t, pcommon.SpanID(spanID), records[0].SpanID())
				assert.Positive(t, records[0].Attributes().Len())
			}
			assert.Equal(t, !test.keeps, b.LeftOut(sampling.OutByRatio) == 1)
			if !test.keeps {
				assert.Empty(t, spans)
				return
			}
			require.Len(t, spans, 1)
			assert.Equal(t, pcommon.TraceID(traceID), spans[0].TraceID())
			assert.Equal(t, pcommon.SpanID(spanID), spans[0].SpanID())
			assert.Equal(t, test.state, spans[0].TraceState().AsRaw())
			assert.EqualValues(t, rootFlags, spans[0].Flags())
		})
	}
}
