package otlp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// An exchange as both ends of its connection know it.
var (
	atClient = trace.Pair(42).Of(1000, event.RoleClient, true)
	atServer = trace.Pair(42).Of(1000, event.RoleClient, false)
)

func asking(c *socket.Connection) {
	c.Exchange, c.Key = atClient, trace.ExchangeKey{Socket: 1, Serial: 1, ID: 1}
}
func hearing(c *socket.Connection) {
	c.Exchange, c.Key = atServer, trace.ExchangeKey{Socket: 2, Serial: 1, ID: 1}
}

func TestSpanHasThePlaceThatIsFoundWhenItsBatchIsTaken(t *testing.T) {
	elsewhere := trace.Parent{Trace: [16]byte{7}, Span: [8]byte{8}, Flags: 1}
	for name, test := range map[string]struct {
		source trace.Source
		flags  [2]uint32 // of the client's span, and the server's
	}{
		"no parent":                      {trace.SourceNone, [2]uint32{1 | flagHasIsRemote, 1 | flagHasIsRemote}},
		"a trace context of the wire":    {trace.SourceWire, [2]uint32{1 | flagHasIsRemote, 1 | flagHasIsRemote | flagIsRemote}},
		"the other end":                  {trace.SourcePeer, [2]uint32{1 | flagHasIsRemote | flagIsRemote, 1 | flagHasIsRemote | flagIsRemote}},
		"a cause in the same process":    {trace.SourceThread, [2]uint32{1 | flagHasIsRemote, 1 | flagHasIsRemote}},
		"less evidence for such a cause": {trace.SourceCallback, [2]uint32{1 | flagHasIsRemote, 1 | flagHasIsRemote}},
	} {
		t.Run(name, func(t *testing.T) {
			taken := false
			b := newBuilder(Options{Resolve: func(trace.ExchangeKey) (trace.Parent, bool) {
				require.True(t, taken, "only when the batch is taken")
				p := elsewhere
				p.Source = test.source
				return p, true
			}})
			exchanged(get(protocol.Client, "200"), asking)(b)
			exchanged(get(protocol.Server, "200"), accepted, hearing)(b)
			b.Close(time.Time{})
			taken = true
			_, traces := b.Take()
			spans := spansOf(traces)
			require.Len(t, spans, 2)
			for i, s := range spans {
				assert.Equal(t, pcommon.TraceID(elsewhere.Trace), s.TraceID())
				assert.Equal(t, pcommon.SpanID(elsewhere.Span), s.ParentSpanID())
				assert.Equal(t, test.flags[i], s.Flags())
				source, has := s.Attributes().Get(parentSource)
				assert.Equal(t, test.source != trace.SourceNone, has)
				if has {
					assert.Equal(t, test.source.String(), source.Str())
				}
			}
			assert.Equal(t, pcommon.SpanID(atClient.Own), spans[0].SpanID())
			assert.Equal(t, pcommon.SpanID(atServer.Own), spans[1].SpanID())
		})
	}
}

// Of an exchange that nothing is known of any more, the span stays where its trace context puts it.
func TestSpanWithoutAPlaceKeepsItsTraceContext(t *testing.T) {
	wire := protocol.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Flags: 1}
	b := newBuilder(Options{Resolve: func(trace.ExchangeKey) (trace.Parent, bool) { return trace.Parent{}, false }})
	exchanged(get(protocol.Server, "200"), accepted, hearing)(b)
	x := get(protocol.Server, "200")
	x.Parent = wire
	exchanged(x, accepted, hearing)(b)
	_, traces := b.Take()
	spans := spansOf(traces)
	require.Len(t, spans, 2)
	assert.Equal(t, pcommon.TraceID(atServer.Trace), spans[0].TraceID())
	assert.Zero(t, spans[0].ParentSpanID())
	assert.EqualValues(t, rootFlags, spans[0].Flags())
	assert.Equal(t, pcommon.TraceID(wire.TraceID), spans[1].TraceID())
	assert.Equal(t, pcommon.SpanID(wire.SpanID), spans[1].ParentSpanID())
	assert.EqualValues(t, 1|flagHasIsRemote|flagIsRemote, spans[1].Flags())
}

func TestQuestionsOfABatchAreAboutTheOtherEndAndTheCause(t *testing.T) {
	b := newBuilder(Options{Resolve: func(trace.ExchangeKey) (trace.Parent, bool) { return trace.Parent{}, false }})
	emit := func(began uint64, side protocol.Side, changes ...func(*socket.Connection)) {
		x := get(side, "200")
		x.Start.Began = began
		exchanged(x, changes...)(b)
	}
	for _, test := range []struct {
		name string
		emit func()
		want uint64
	}{
		{"the end that asks", func() { emit(99, protocol.Client, asking) }, 99},
		{"the end that is asked", func() { emit(77, protocol.Server, accepted, hearing) }, 77},
		{"what the other end does not know", func() {
			emit(77, protocol.Server, accepted, hearing, func(c *socket.Connection) { c.Exchange.Joined = false })
		}, 0},
		{"what is joined later", func() {
			emit(77, protocol.Server, accepted, hearing, func(c *socket.Connection) { c.JoinedAt = 88 })
		}, 88},
		{"the latest of two", func() {
			emit(77, protocol.Server, accepted, hearing)
			emit(66, protocol.Server, accepted, hearing)
		}, 77},
	} {
		test.emit()
		b.Close(time.Time{})
		assert.Equal(t, test.want, b.LatestQuestion(), test.name)
		b.Take()
	}
}

// A span that is the first of the next batch, because this one is full without it, is joined in that one.
func TestSpanThatDidNotFitIsJoined(t *testing.T) {
	var parents []pcommon.SpanID
	var b *Builder
	take := func() {
		_, traces := b.Take()
		for _, s := range spansOf(traces) {
			parents = append(parents, s.ParentSpanID())
		}
	}
	b = newBuilder(Options{
		Bounds: Bounds{Bytes: 4 << 10}, Full: take,
		Resolve: func(trace.ExchangeKey) (trace.Parent, bool) {
			return trace.Parent{Trace: atServer.Trace, Span: atClient.Own, Source: trace.SourcePeer}, true
		},
	})
	const spans = 50
	for range spans {
		exchanged(get(protocol.Server, "200"), accepted, hearing)(b)
	}
	take()
	require.Len(t, parents, spans)
	for _, p := range parents {
		assert.Equal(t, pcommon.SpanID(atClient.Own), p)
	}
}

func TestRecordOfAConnectionHasTheTraceOfItsLastRequest(t *testing.T) {
	elsewhere := trace.Parent{Trace: [16]byte{7}, Span: [8]byte{8}, Source: trace.SourceThread}
	for name, found := range map[string]bool{"that is found": true, "that is not known any more": false} {
		b := newBuilder(Options{Resolve: func(trace.ExchangeKey) (trace.Parent, bool) { return elsewhere, found }})
		c := connect(asking)
		emitExchange(b, c, get(protocol.Client, "200"))
		finByPeer(c)
		b.Closed(c)
		logs, traces := b.Take()
		span, record := spansOf(traces)[0], recordsOf(logs)[0]
		assert.Equal(t, found, record.TraceID() == elsewhere.Trace, name)
		assert.Equal(t, span.TraceID(), record.TraceID(), name)
		assert.Equal(t, span.SpanID(), record.SpanID(), name)
	}
}
