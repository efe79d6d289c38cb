package otlp

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// TestReusedDraftHasNothingOfTheSpanBefore: of one that was left out, because its trace is not sampled.
func TestReusedDraftHasNothingOfTheSpanBefore(t *testing.T) {
	newBuilder := func() *Builder {
		return NewBuilder(Options{
			Traces: true, Addresses: AddressStable, Sampling: sampling.Policy{HonourParent: true},
			Resolve: func(trace.ExchangeKey) (trace.Parent, bool) { return trace.Parent{}, false },
		})
	}
	c, x := benchmarkBatch(socket.End{})[0], request()
	emit := func(b *Builder, path string, parent protocol.TraceContext) ptrace.Traces {
		c.Key, x.Parent = trace.ExchangeKey{Socket: 1}, parent
		c.Exchange.Trace, c.Exchange.Own = [16]byte{9}, [8]byte{9}
		x.SetText(2, []byte(path))
		b.Exchanged(&c, x, 10, 20)
		_, traces := b.Take()
		return traces
	}
	reusing := newBuilder()
	left := emit(reusing, "/before", protocol.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}, State: "vendor=1"})
	require.Zero(t, left.ResourceSpans().Len())
	require.Equal(t, 1, reusing.attrLayouts.drafts)
	var marshal ptrace.ProtoMarshaler
	got, err := marshal.MarshalTraces(emit(reusing, "/after", protocol.TraceContext{}))
	require.NoError(t, err)
	want, err := marshal.MarshalTraces(emit(newBuilder(), "/after", protocol.TraceContext{}))
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.Zero(t, reusing.attrLayouts.drafts, "it was reused")
}
