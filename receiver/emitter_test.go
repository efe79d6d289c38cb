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
	o, err := newEmitter(set, consumers{traces: traces, logs: logs})
	require.NoError(t, err)

	o.consumeTraces(t.Context(), spansOf(3))
	o.consumeLogs(t.Context(), recordsOf(5))
	o.consumeTraces(t.Context(), ptrace.NewTraces())
	o.consumeLogs(t.Context(), plog.NewLogs())
	o.losses.settle(true, time.Second)

	assert.Equal(t, 3, traces.SpanCount())
	assert.Len(t, traces.AllTraces(), 1, "nothing is not handed over")
	assert.Equal(t, 5, logs.LogRecordCount())
	assert.Len(t, logs.AllLogs(), 1)
	assert.Equal(t, int64(3), sumOf(t, tel, "otelcol_receiver_accepted_spans"))
	assert.Equal(t, int64(5), sumOf(t, tel, "otelcol_receiver_accepted_log_records"))
	assert.Zero(t, o.losses.all())
	assert.Zero(t, logged.Len())
}

func TestEmitterCountsRefusals(t *testing.T) {
	set, tel, logged := settingsOf(t)
	full := errors.New("full")
	o, err := newEmitter(set, consumers{traces: consumertest.NewErr(full), logs: consumertest.NewErr(full)})
	require.NoError(t, err)
	now := time.Unix(1000, 0)
	o.losses.now = func() time.Time { return now }

	o.consumeTraces(t.Context(), spansOf(3))
	o.consumeLogs(t.Context(), recordsOf(5))
	o.consumeLogs(t.Context(), recordsOf(5))
	assert.Equal(t, items{spans: 3, records: 10}, o.losses.all())
	assert.Equal(t, int64(3), sumOf(t, tel, "otelcol_receiver_refused_spans"))
	assert.Equal(t, int64(10), sumOf(t, tel, "otelcol_receiver_refused_log_records"))

	assert.Equal(t, []items{{spans: 3}}, lossesIn(t, logged), "the first one is logged at once, the next ones wait")
	now = now.Add(lossLogPause)
	o.consumeTraces(t.Context(), spansOf(1))
	assert.Equal(t, []items{{spans: 1, records: 10}}, lossesIn(t, logged), "with those that waited")
	o.consumeTraces(t.Context(), spansOf(2))
	assert.Empty(t, lossesIn(t, logged))
	o.losses.stop()
	assert.Equal(t, []items{{spans: 2}}, lossesIn(t, logged), "what still waited")
	o.losses.settle(true, time.Second)
	assert.Empty(t, lossesIn(t, logged))
}

// lossesIn takes the log's lines, which are all about losses, and returns the items that they count.
func lossesIn(t *testing.T, logged *observer.ObservedLogs) (lines []items) {
	for _, line := range logged.TakeAll() {
		fields := line.ContextMap()
		assert.Equal(t, "full", fields["last_error"])
		lines = append(lines, items{int(fields["spans"].(int64)), int(fields["log_records"].(int64)), int(fields["data_points"].(int64))})
	}
	return lines
}

// What is lost at a shutdown is in one line, and in no other: what was refused, and what the pipeline has not answered for.
func TestLossesAtShutdownAreLoggedOnce(t *testing.T) {
	full := errors.New("full")
	for name, tc := range map[string]struct {
		whole bool
		line  items
	}{
		"the pipeline has answered for everything":     {whole: true, line: items{spans: 3, records: 10}},
		"the pipeline has not answered for everything": {line: items{spans: 3, records: 17}},
	} {
		t.Run(name, func(t *testing.T) {
			set, _, logged := settingsOf(t)
			o, err := newEmitter(set, consumers{traces: consumertest.NewErr(full), logs: consumertest.NewErr(full)})
			require.NoError(t, err)
			o.consumeLogs(t.Context(), recordsOf(2))
			assert.Equal(t, []items{{records: 2}}, lossesIn(t, logged), "before the shutdown")
			if !tc.whole {
				o.losses.begin(items{records: 7})
			}

			o.losses.stop()
			o.consumeLogs(t.Context(), recordsOf(10))
			o.consumeTraces(t.Context(), spansOf(3))
			assert.Empty(t, lossesIn(t, logged), "they wait for the last line")
			o.losses.settle(tc.whole, time.Second)
			assert.Equal(t, []items{tc.line}, lossesIn(t, logged))
			assert.Equal(t, items{spans: tc.line.spans, records: tc.line.records + 2}, o.losses.all(), "the lines have all that is counted")

			o.losses.end(items{records: 7}, full)
			assert.Empty(t, lossesIn(t, logged), "an answer that comes too late changes nothing")
			assert.Equal(t, items{spans: tc.line.spans, records: tc.line.records + 2}, o.losses.all())
		})
	}
}

func TestEmitterOfOneSignal(t *testing.T) {
	set, _, _ := settingsOf(t)
	logs := &consumertest.LogsSink{}
	o, err := newEmitter(set, consumers{logs: logs})
	require.NoError(t, err)
	o.consumeTraces(t.Context(), spansOf(3))
	o.consumeLogs(t.Context(), recordsOf(5))
	assert.Equal(t, 5, logs.LogRecordCount())
	assert.Zero(t, o.losses.all())
}
