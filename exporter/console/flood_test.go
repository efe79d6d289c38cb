package console

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

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
	b.print(true) // otherwise the requests that wait are known
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
		c.counted[0].places, c.counted[1].places = [1 << recentBits]uint64{}, [1 << recentBits]uint64{}
		if err := c.consumeTraces(context.Background(), td); err != nil {
			b.Fatal(err)
		}
	}
}

// Many requests may have the same remote parent: the one that was left out does not stand for the others.
func TestRequestsWithOneRemoteParentAreCounted(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxLinesPerSecond, c.Hint = 4, false })
	at := 10
	serve := func(id byte) {
		b.spans(testSpan{
			service: "python3", kind: ptrace.SpanKindServer, name: "GET", trace: 7, id: id, parent: 99, began: at - 2, ended: at,
			attributes: map[string]any{"http.request.method": "GET", "url.path": "/job", "http.response.status_code": 200},
		})
	}
	for id := byte(1); id <= 6; id++ {
		serve(id)
	}
	b.after(1500 * time.Millisecond)
	require.Equal(t, 3, b.summary.left)
	for id := byte(10); id < 13; id++ {
		b.clock = b.clock.Add(5 * time.Second)
		at = int(b.clock.Sub(noon) / time.Millisecond)
		serve(id)
		assert.Contains(t, b.after(1100*time.Millisecond), "/job", "request %d", id)
	}
}

// A span within a program is no end of the requests below it.
func TestInternalSpansAreNotFolded(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Hint = false })
	b.spans(testSpan{service: "job", kind: ptrace.SpanKindInternal, name: "import", trace: 7, id: 99, began: 0, ended: 900}, testSpan{
		service: "python3", kind: ptrace.SpanKindServer, name: "GET", trace: 7, id: 1, parent: 99, began: 8, ended: 10,
		attributes: map[string]any{"http.request.method": "GET", "url.path": "/job", "http.response.status_code": 200},
	})
	assert.Len(t, b.lines(), 2)
}
