package console

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// flood is a batch with both ends of so many requests.
func flood(t testing.TB, requests int) ptrace.Traces {
	td := ptrace.NewTraces()
	for side, kind := range []ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer} {
		of := td.ResourceSpans().AppendEmpty()
		of.Resource().Attributes().PutStr("service.name", kind.String())
		spans := of.ScopeSpans().AppendEmpty().Spans()
		for i := range requests {
			s := spans.AppendEmpty()
			s.SetKind(kind)
			s.SetName("GET")
			var id, parent pcommon.SpanID
			binary.BigEndian.PutUint64(id[:], uint64(2*i+1+side))
			if side == 1 {
				binary.BigEndian.PutUint64(parent[:], uint64(2*i+1))
			}
			s.SetTraceID(pcommon.TraceID{0: 1})
			s.SetSpanID(id)
			s.SetParentSpanID(parent)
			s.SetEndTimestamp(pcommon.NewTimestampFromTime(noon))
			require.NoError(t, s.Attributes().FromRaw(map[string]any{"http.request.method": "GET", "url.path": "/", "socketflow.capture": "complete",
				"http.response.status_code": 200, "server.address": "127.0.0.1", "server.port": 80}))
		}
	}
	return td
}

// TestSpansBeyondTheBudgetAllocateNothing also counts each request once, of which both ends come.
func TestSpansBeyondTheBudgetAllocateNothing(t *testing.T) {
	b := newBench(t, nil)
	td := flood(t, 1000)
	require.NoError(t, b.consumeTraces(context.Background(), td))
	assert.Equal(t, 1000-38, b.budget.more)
	b.unpaid = newRecent() // otherwise the same requests are known
	assert.Less(t, testing.AllocsPerRun(10, func() {
		if err := b.consumeTraces(context.Background(), td); err != nil {
			t.Error(err)
		}
	}), 20.0, "of 2,000 spans")
}

func BenchmarkSpansBeyondTheBudget(b *testing.B) {
	c := newBench(&testing.T{}, nil)
	td := flood(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		c.unpaid.places = [1 << recentBits]uint64{}
		if err := c.consumeTraces(context.Background(), td); err != nil {
			b.Fatal(err)
		}
	}
}
