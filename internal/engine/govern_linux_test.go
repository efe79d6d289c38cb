//go:build amd64 || arm64

package engine_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/testenv"
	"github.com/socketflow/socketflow/internal/trace"
)

// TestProcessorLimitKeepsFewerTraces: whole ones, with the threshold of the moment, and what is left out is counted. The requests themselves take more of
// the processor than the limit.
func TestProcessorLimitKeepsFewerTraces(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	const round, each = 20, 2 + 2*3
	url := newCaller(t, nil)
	sink := &spanSink{}
	opts := optionsOf(t, kernel.ModeSocket, sink)
	core, logged := observer.New(zapcore.WarnLevel)
	opts.Logger = zap.New(core)
	opts.CPULimit = 1e-6
	opts.Parents &^= trace.SourcesOf(trace.SourceOnly) // this process asks while it serves one
	opts.Telemetry.Records, opts.Telemetry.ConnectionSpans = 0, otlp.SpansNever
	e := engine.New(opts)
	require.NoError(t, e.Start())
	sent := 0
	awaitTrue(t, "traces that are left out", func() bool {
		ask(t, url, round, 1)
		sent += round
		return e.Snapshot().SampledOutByLimit > round*each
	})
	awaitTrue(t, "all requests", func() bool { return e.Snapshot().Exchanges["http"] == uint64(sent*each) })
	_, err := e.Drain(t.Context())
	require.NoError(t, err)
	s := e.Snapshot()
	require.NoError(t, e.Close())
	assert.EqualValues(t, sent*each-len(sink.spans), s.SampledOutByLimit)
	assert.Zero(t, s.SampledOutByRatio)
	kept := map[string]int{} // spans by tracestate
	for _, span := range sink.spans {
		kept[span.TraceState().AsRaw()]++
	}
	assert.Positive(t, kept[""], "before the first look")
	for state := range kept {
		assert.True(t, state == "" || strings.HasPrefix(state, "ot=th:"), state)
	}
	assert.Equal(t, 1, logged.FilterMessageSnippet("sampling::cpu_limit").Len(), "it is said once")
}
