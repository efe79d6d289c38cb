package receiver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

func spansOf(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for range n {
		spans.AppendEmpty()
	}
	return td
}

func recordsOf(n int) plog.Logs {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range n {
		records.AppendEmpty()
	}
	return ld
}

// settingsOf returns settings whose metrics and log lines a test can read.
func settingsOf(t *testing.T) (receiver.Settings, *componenttest.Telemetry, *observer.ObservedLogs) {
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	core, logged := observer.New(zap.InfoLevel)
	set := receivertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	set.Logger = zap.New(core)
	return set, tel, logged
}

// sumOf adds up the points of one of the collector's own counters.
func sumOf(t *testing.T, tel *componenttest.Telemetry, name string) int64 {
	t.Helper()
	m, err := tel.GetMetric(name)
	require.NoError(t, err)
	var sum int64
	for _, p := range pointsOf(t, m) {
		sum += p.Value
	}
	return sum
}

func TestEmitterHandsOver(t *testing.T) {
	set, tel, logged := settingsOf(t)
	traces, logs := &consumertest.TracesSink{}, &consumertest.LogsSink{}
	o, err := newEmitter(set, traces, logs)
	require.NoError(t, err)

	o.consumeTraces(t.Context(), spansOf(3))
	o.consumeLogs(t.Context(), recordsOf(5))
	o.consumeTraces(t.Context(), ptrace.NewTraces())
	o.consumeLogs(t.Context(), plog.NewLogs())
	o.End()

	assert.Equal(t, 3, traces.SpanCount())
	assert.Len(t, traces.AllTraces(), 1, "nothing is not handed over")
	assert.Equal(t, 5, logs.LogRecordCount())
	assert.Len(t, logs.AllLogs(), 1)
	assert.Equal(t, int64(3), sumOf(t, tel, "otelcol_receiver_accepted_spans"))
	assert.Equal(t, int64(5), sumOf(t, tel, "otelcol_receiver_accepted_log_records"))
	assert.Zero(t, o.refusedSpans.Load())
	assert.Zero(t, o.refusedLogs.Load())
	assert.Zero(t, logged.Len())
}

func TestEmitterCountsRefusals(t *testing.T) {
	set, tel, logged := settingsOf(t)
	full := errors.New("full")
	o, err := newEmitter(set, consumertest.NewErr(full), consumertest.NewErr(full))
	require.NoError(t, err)
	now := time.Unix(1000, 0)
	o.refusals.now = func() time.Time { return now }

	o.consumeTraces(t.Context(), spansOf(3))
	o.consumeLogs(t.Context(), recordsOf(5))
	o.consumeLogs(t.Context(), recordsOf(5))
	assert.Equal(t, uint64(3), o.refusedSpans.Load())
	assert.Equal(t, uint64(10), o.refusedLogs.Load())
	assert.Equal(t, int64(3), sumOf(t, tel, "otelcol_receiver_refused_spans"))
	assert.Equal(t, int64(10), sumOf(t, tel, "otelcol_receiver_refused_log_records"))

	refusals := func() (lines [][2]int64) {
		for _, line := range logged.TakeAll() {
			fields := line.ContextMap()
			assert.Equal(t, "full", fields["last_error"])
			lines = append(lines, [2]int64{fields["spans"].(int64), fields["log_records"].(int64)})
		}
		return lines
	}
	assert.Equal(t, [][2]int64{{3, 0}}, refusals(), "the first one is logged at once, the next ones wait")
	now = now.Add(refusalLogPause)
	o.consumeTraces(t.Context(), spansOf(1))
	assert.Equal(t, [][2]int64{{1, 10}}, refusals(), "with those that waited")
	o.consumeTraces(t.Context(), spansOf(2))
	assert.Empty(t, refusals())
	o.End()
	assert.Equal(t, [][2]int64{{2, 0}}, refusals(), "what still waited")
	o.End()
	assert.Empty(t, refusals())
}

func TestEmitterOfOneSignal(t *testing.T) {
	set, _, _ := settingsOf(t)
	logs := &consumertest.LogsSink{}
	o, err := newEmitter(set, nil, logs)
	require.NoError(t, err)
	o.consumeTraces(t.Context(), spansOf(3))
	o.consumeLogs(t.Context(), recordsOf(5))
	assert.Equal(t, 5, logs.LogRecordCount())
	assert.Zero(t, o.refusedSpans.Load())
}
