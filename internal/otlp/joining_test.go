package otlp

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// The ends of a connection, and an exchange on it as both know it.
const (
	clientsEnd trace.End = 1 + iota
	serversEnd
)

var (
	atClient = trace.Pair(42).Of(1000, event.RoleClient, true)
	atServer = trace.Pair(42).Of(1000, event.RoleClient, false)
)

func asking(c *socket.Connection)  { c.Exchange, c.OtherEnd = atClient, serversEnd }
func hearing(c *socket.Connection) { c.Exchange, c.OtherEnd = atServer, clientsEnd }

func TestSpanOfTheServerIsTheChildOfItsClients(t *testing.T) {
	wire := protocol.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Flags: 1}
	for name, test := range map[string]struct {
		parent   protocol.TraceContext
		observed trace.End
		want     pcommon.SpanID // parent of the server's span
		flags    uint32
	}{
		"both ends are observed":                      {observed: clientsEnd, want: atClient.Own, flags: rootFlags | flagIsRemote},
		"the client is on another host":               {flags: rootFlags},
		"only the own end is observed":                {observed: serversEnd, flags: rootFlags},
		"a trace context, and both ends are observed": {parent: wire, observed: clientsEnd, want: atClient.Own, flags: 1 | flagHasIsRemote | flagIsRemote},
		"a trace context of another host":             {parent: wire, want: wire.SpanID, flags: 1 | flagHasIsRemote | flagIsRemote},
	} {
		t.Run(name, func(t *testing.T) {
			taken := false
			b := newBuilder(Options{Observes: func(end trace.End) bool {
				require.True(t, taken, "only when the batch is taken")
				return end == test.observed
			}})
			x := get(protocol.Client, "200")
			x.Parent = test.parent
			exchanged(x, asking)(b)
			b.Close()
			assert.Zero(t, b.LatestQuestion(), "the end that asks has no question")
			taken = true
			_, traces := b.Take()
			spans := spansOf(traces)
			require.Len(t, spans, 1)

			taken = false
			x = get(protocol.Server, "200")
			x.Parent, x.Start.Began = test.parent, 77
			exchanged(x, accepted, hearing)(b)
			b.Close()
			assert.True(t, b.HasClosed())
			x.Start.Began = 99
			exchanged(x, accepted, hearing)(b)
			assert.EqualValues(t, 77, b.LatestQuestion(), "of the closed batch")
			taken = true
			_, traces = b.Take()
			assert.False(t, b.HasClosed())
			assert.Equal(t, 1, traces.SpanCount())
			assert.Equal(t, 1, b.Spans())
			spans = append(spans, spansOf(traces)...)
			require.Len(t, spans, 2)

			traceID := pcommon.TraceID(atClient.Trace)
			if test.parent.Valid() {
				traceID = test.parent.TraceID
			}
			assert.Equal(t, traceID, spans[0].TraceID())
			assert.Equal(t, traceID, spans[1].TraceID())
			assert.Equal(t, pcommon.SpanID(atClient.Own), spans[0].SpanID())
			assert.Equal(t, pcommon.SpanID(test.parent.SpanID), spans[0].ParentSpanID())
			assert.Equal(t, pcommon.SpanID(atServer.Own), spans[1].SpanID())
			assert.Equal(t, test.want, spans[1].ParentSpanID())
			assert.Equal(t, test.flags, spans[1].Flags())
		})
	}
}

// Whether the other end is observed may be known later than what it asks has begun.
func TestQuestionWaitsUntilTheOtherEndIsKnown(t *testing.T) {
	b := newBuilder(Options{Observes: func(trace.End) bool { return true }})
	x := get(protocol.Server, "200")
	x.Start.Began = 77
	exchanged(x, accepted, hearing, func(c *socket.Connection) { c.OtherEndAt = 99 })(b)
	b.Close()
	assert.EqualValues(t, 99, b.LatestQuestion())
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
		Bounds: Bounds{Bytes: 4 << 10}, Full: take, Observes: func(trace.End) bool { return true },
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

func TestRecordOfAConnectionHasTheIDsOfItsLastRequestAsBothEndsKnowThem(t *testing.T) {
	b := newBuilder(Options{})
	c := connect(asking)
	emitExchange(b, c, get(protocol.Client, "200"))
	c.Last = socket.LastExchange{ID: 1, TraceID: atClient.Trace, SpanID: atClient.Own}
	finByPeer(c)
	b.Closed(c)
	logs, traces := b.Take()
	span, record := spansOf(traces)[0], recordsOf(logs)[0]
	assert.Equal(t, span.TraceID(), record.TraceID())
	assert.Equal(t, span.SpanID(), record.SpanID())
}
