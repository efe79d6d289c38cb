//go:build amd64 || arm64

package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/testenv"
	"github.com/socketflow/socketflow/internal/trace"
)

// All spans of a trace are kept, or none: those of both ends of a request, and those of what is sent because of it.
func TestTracesAreSampledAsAWhole(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	const requests, together, each = 200, 20, 2 + 2*3
	url := newCaller(t, nil)
	sink := &spanSink{}
	opts := optionsOf(t, kernel.ModeSocket, sink)
	opts.Shards, opts.RingBytes, opts.ParserMemory = 2, 1<<23, 1<<24
	opts.BatchTimeout = 5 * time.Second                // one shard waits for the other for so long
	opts.Parents &^= trace.SourcesOf(trace.SourceOnly) // this process asks while it serves one
	opts.Telemetry.Records, opts.Telemetry.ConnectionSpans = 0, otlp.SpansNever
	opts.Telemetry.Sampling = sampling.Policy{Threshold: sampling.ThresholdOf(0.5), HonourParent: true}
	e := engine.New(opts)
	require.NoError(t, e.Start())
	ask(t, url, requests, together)
	awaitTrue(t, "all requests", func() bool { return e.Snapshot().Exchanges["http"] == requests*each })
	_, err := e.Drain(t.Context())
	require.NoError(t, err)
	s := e.Snapshot()
	require.NoError(t, e.Close())

	traces := map[pcommon.TraceID]int{}
	for _, span := range sink.spans {
		traces[span.TraceID()]++
		require.Equal(t, "ot=th:8", span.TraceState().AsRaw())
		require.GreaterOrEqual(t, span.TraceID()[9], uint8(0x80))
	}
	for id, spans := range traces {
		assert.Equal(t, each, spans, id)
	}
	assert.InDelta(t, requests/2, len(traces), requests/4)
	assert.EqualValues(t, requests*each-len(sink.spans), s.SampledOutByRatio)
	assert.Zero(t, s.SampledOutByParent)
}

// A trace that is not sampled stays so on both ends, in what a program sends because of it, and in its own spans.
func TestTracesThatAreNotSampledAreLeftOut(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	for name, honour := range map[string]bool{"honoured": true, "not honoured": false} {
		t.Run(name, func(t *testing.T) {
			sink := newEndsSink()
			opts := optionsOf(t, kernel.ModeSocket, sink)
			opts.Telemetry.Sampling.HonourParent = honour
			e := engine.New(opts)
			require.NoError(t, e.Start())
			p := connectOver(t, "tcp", "127.0.0.1:0")
			for i, context := range []string{
				"",
				"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nTracestate: a=1,ot=th:c\r\n",
				"Traceparent: 00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-00\r\n",
				"B3: 0af7651916cd43dd8448eb211c80319e-b7ad6b7169203331-0\r\n",
				"",
			} {
				_, err := fmt.Fprintf(p.client, "GET /%d HTTP/1.1\r\nHost: host.test\r\n%s\r\n", i, context)
				require.NoError(t, err)
				p.answer(t, 1)
			}
			awaitTrue(t, "all requests", func() bool { return e.Snapshot().Exchanges["http"] == 2*5 })
			_, err := e.Drain(t.Context())
			require.NoError(t, err)
			s := e.Snapshot()
			require.NoError(t, e.Close())
			for _, spans := range sink.spans {
				for i, state := range []string{"", "a=1,ot=th:c", "", "", ""} {
					span, has := spans[fmt.Sprint(i)]
					require.Equal(t, !honour || i != 2 && i != 3, has, i)
					if has {
						assert.Equal(t, state, span.TraceState().AsRaw())
					}
				}
			}
			assert.Equal(t, honour, s.SampledOutByParent == 2*2)
			assert.Zero(t, s.SampledOutByRatio)
		})
	}
}
