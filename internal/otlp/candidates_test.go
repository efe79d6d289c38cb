package otlp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/trace"
)

// undecided has spans without a parent, for which there are several candidates.
var undecided = Options{
	Resolve: func(trace.ExchangeKey) (trace.Parent, bool) {
		return trace.Parent{Trace: atClient.Trace, Flags: flagSampled | flagRandom}, true
	},
	Candidates: func(_ trace.ExchangeKey, c *trace.Candidates) {
		c.Named, c.Beyond = c.Named[:0], 2
		for i := range byte(trace.MaxCandidates) {
			c.Named = append(c.Named, trace.Candidate{Trace: [16]byte{7, i}, Span: [8]byte{8, i}, Flags: i & 1, Source: trace.SourceThread})
		}
	},
}

func TestSpanWithoutAParentLinksToCandidates(t *testing.T) {
	for name, test := range map[string]struct {
		parent trace.Parent
		asks   bool
		want   int
	}{
		"of a client":               {trace.Parent{Trace: [16]byte{1}}, true, trace.MaxCandidates},
		"of a client with a parent": {trace.Parent{Trace: [16]byte{1}, Span: [8]byte{2}, Source: trace.SourceWire}, true, 0},
		"of a server":               {trace.Parent{Trace: [16]byte{1}}, false, 0},
	} {
		options := undecided
		options.Resolve = func(trace.ExchangeKey) (trace.Parent, bool) { return test.parent, true }
		b := newBuilder(options)
		if test.asks {
			exchanged(get(protocol.Client, "200"), asking)(b)
		} else {
			exchanged(get(protocol.Server, "200"), accepted, hearing)(b)
		}
		_, traces := b.Take()
		span := spansOf(traces)[0]
		require.Equal(t, test.want, span.Links().Len(), name)
		for i, l := range span.Links().All() {
			assert.Equal(t, pcommon.TraceID{7, byte(i)}, l.TraceID())
			assert.Equal(t, pcommon.SpanID{8, byte(i)}, l.SpanID())
			assert.Equal(t, uint32(i&1)|flagHasIsRemote, l.Flags())
			assert.Equal(t, map[string]any{parentSource: "thread"}, l.Attributes().AsRaw())
		}
		assert.Equal(t, test.want/2, int(span.DroppedLinksCount()), name)
	}
}

// A batch is no larger than its bound, whatever is found when it is taken.
func TestLinksHaveTheRoomThatABatchHasLeft(t *testing.T) {
	const most = 16 << 10
	total, linked, links := 0, 0, 0
	var b *Builder
	take := func() {
		_, traces := b.Take()
		assert.LessOrEqual(t, spanSizer.TracesSize(traces), most)
		for _, s := range spansOf(traces) {
			total++
			if links += s.Links().Len(); s.Links().Len() > 0 {
				linked++
			}
			assert.Equal(t, 2+trace.MaxCandidates, int(s.DroppedLinksCount())+s.Links().Len())
		}
	}
	options := undecided
	options.Bounds, options.Full = Bounds{Bytes: most}, take
	b = newBuilder(options)
	const spans = 200
	for range spans {
		exchanged(get(protocol.Client, "200", "x-team: "+strings.Repeat("a", 50)), asking)(b)
	}
	take()
	assert.Equal(t, spans, total)
	assert.Positive(t, linked)
	assert.Less(t, links, spans*trace.MaxCandidates)
}
