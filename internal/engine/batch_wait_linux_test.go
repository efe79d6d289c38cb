//go:build amd64 || arm64

package engine

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/progress"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// countingSink counts spans.
type countingSink struct{ spans int }

func (s *countingSink) Deliver(_ context.Context, from *otlp.Builder) {
	_, traces := from.Take()
	s.spans += traces.SpanCount()
}

// waitingShard is the first of two shards. Its batches have one span each, that of a request that a connection sends at a time.
func waitingShard(t *testing.T) (s *shard, sink *countingSink, sends func(at uint64)) {
	t.Helper()
	sink = &countingSink{}
	e := New(Options{Shards: 2, Sink: sink, BatchTimeout: time.Minute, Logger: zap.NewNop()})
	e.progress = progress.New(2)
	s = &shard{engine: e}
	s.builder = otlp.NewBuilder(otlp.Options{
		Traces: true, Bounds: otlp.Bounds{Items: 1}, Full: func() { s.close(time.Unix(0, 0)) },
		Resolve: func(trace.ExchangeKey) (trace.Parent, bool) { return trace.Parent{}, false },
	})
	c := &socket.Connection{Process: &process.Info{}, Key: trace.ExchangeKey{Socket: 1}}
	c.Exchange.Asks = true
	return s, sink, func(at uint64) {
		x := protocol.Exchange{Name: "GET"}
		x.Start.Began = at
		s.Exchanged(c, &x, 1, 2)
		s.deliverDue(time.Unix(1, 0))
	}
}

// A shard that catches up fills batches faster than the others read what answers their questions.
func TestFullBatchesWaitForOtherShards(t *testing.T) {
	s, sink, sends := waitingShard(t)
	const batches = 5
	s.engine.progress.Leave(0)
	for at := range uint64(batches) {
		sends(at + 1)
	}
	assert.Zero(t, sink.spans)
	s.engine.progress.Reach(1, 3)
	s.deliverDue(time.Unix(1, 0))
	assert.Equal(t, 3, sink.spans, "what happened until then is known")
	s.engine.progress.Reach(1, batches)
	s.deliverDue(time.Unix(1, 0))
	assert.Equal(t, batches, sink.spans)
}

func TestFullBatchesThatWaitAreBounded(t *testing.T) {
	s, sink, sends := waitingShard(t)
	const all = 3 * mostClosed
	for at := range uint64(all) {
		sends(at + 1)
	}
	assert.Equal(t, all-mostClosed, sink.spans)
	assert.Equal(t, mostClosed, s.builder.ClosedBatches())
	s.deliverDue(time.Unix(60, 0))
	assert.Equal(t, all, sink.spans, "none waits longer than a batch may")
}
