package main

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/integration/otelcol"
)

// observedSoak has one segment of 100 s, which a reload ends.
func observedSoak(own otelcol.Counters) *soak {
	return &soak{
		at:       addresses{HTTP: 80, DNS: 53},
		ledger:   newLedger(),
		segments: []segment{{begin: 0, end: int64(100 * time.Second), how: "reload", counters: own}},
	}
}

// good is a request that was emitted at both ends.
func good() request {
	return request{
		begin: int64(50 * time.Second), end: int64(51 * time.Second), port: 4000, answered: true,
		sides: [sides]seen{{id: 1, local: 4000, peer: 80, spans: 1}, {id: 2, local: 80, peer: 4000, spans: 1}},
	}
}

func TestEachSideOfARequestHasOneVerdict(t *testing.T) {
	for name, test := range map[string]struct {
		own    otelcol.Counters
		change func(*request)
		want   tally
	}{
		"emitted at both ends":             {nil, func(*request) {}, tally{emitted: 2}},
		"missing, and nothing was counted": {nil, func(r *request) { r.sides[serverSide] = seen{} }, tally{emitted: 1, unexplained: 1}},
		"missing, and the exporter counted one": {
			otelcol.Counters{`exporter_send_failed_spans{exporter="x"}`: 1},
			func(r *request) { r.sides = [sides]seen{} }, tally{export: 1, unexplained: 1},
		},
		"missing, and the kernel counted it": {
			otelcol.Counters{"socketflow_kernel_events_lost": 1},
			func(r *request) { r.sides[clientSide] = seen{} }, tally{emitted: 1, kernel: 1},
		},
		"an undecodable header field explains nothing": {
			otelcol.Counters{`socketflow_parse_errors{cause="undecodable"}`: 5},
			func(r *request) { r.sides[clientSide] = seen{} }, tally{emitted: 1, unexplained: 1},
		},
		"what the queue refused is counted twice, and covers one": {
			otelcol.Counters{`exporter_enqueue_failed_spans{exporter="x"}`: 1, `socketflow_items_refused{signal="spans"}`: 1},
			func(r *request) { r.sides = [sides]seen{} }, tally{export: 1, unexplained: 1},
		},
		"refused log records are no spans": {
			otelcol.Counters{`socketflow_items_refused{signal="logs"}`: 1},
			func(r *request) { r.sides[clientSide] = seen{} }, tally{emitted: 1, unexplained: 1},
		},
		"flows that gave way explain no TCP": {
			otelcol.Counters{"socketflow_flows_reopened": 5},
			func(r *request) { r.sides[clientSide] = seen{} }, tally{emitted: 1, unexplained: 1},
		},
		"under way when the reload began": {
			nil, func(r *request) { r.end = int64(101 * time.Second); r.sides = [sides]seen{} }, tally{down: 2},
		},
		"emitted twice": {nil, func(r *request) { r.sides[clientSide].spans = 2 }, tally{emitted: 2, duplicates: 1}},
		"emitted before and after a reload, as cut": {
			nil, func(r *request) {
				r.end = int64(101 * time.Second)
				r.sides[clientSide].spans = 2
				r.sides[clientSide].cut = true
			},
			tally{emitted: 2, split: 1},
		},
		"another port": {nil, func(r *request) { r.sides[serverSide].peer++ }, tally{emitted: 2, wrong: 1}},
		"not answered": {nil, func(r *request) { r.answered = false }, tally{emitted: 2, unanswered: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			x, r := observedSoak(test.own), good()
			test.change(&r)
			got, _ := x.judge(&r, []otelcol.Losses{x.segments[0].counters.Losses()})
			test.want.requests, test.want.expected = 1, 2
			assert.Equal(t, test.want, got)
		})
	}
}

func TestLedgerKnowsSpansThatTheExporterSendsTwice(t *testing.T) {
	l := newLedger()
	l.pids[3] = 77
	traces := ptrace.NewTraces()
	resource := traces.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutInt("process.pid", 77)
	span := resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetKind(ptrace.SpanKindClient)
	span.SetSpanID([8]byte{1})
	span.Attributes().PutStr("url.full", "http://127.0.0.1:80/r3x5")
	l.emitted(traces)
	l.emitted(traces)
	assert.Equal(t, uint8(1), l.requests[3][5].sides[clientSide].spans)
	assert.False(t, l.requests[3][5].sides[clientSide].wrong)
	assert.Equal(t, 1, l.resent)
	span.SetSpanID([8]byte{2})
	l.emitted(traces)
	assert.Equal(t, uint8(2), l.requests[3][5].sides[clientSide].spans)
}

func TestMemoryIsComparedInCalmAfterTheFirstFlood(t *testing.T) {
	grows := func(step int) (all []sample) {
		began := time.Date(2026, 11, 28, 7, 0, 0, 0, time.UTC)
		all = append(all, sample{at: began, phase: "calm", rss: 1}, sample{at: began, phase: "flood"},
			sample{at: began.Add(time.Minute), phase: "calm", rss: 800_000})
		for i := range 24 {
			at := began.Add(4*time.Minute + time.Duration(i)*20*time.Second)
			all = append(all, sample{at: at, phase: "calm", rss: 50_000 + i*step}, sample{at: at, phase: "stall", rss: 900_000})
		}
		return all
	}
	assert.Len(t, steady(grows(0), 0), 24)
	reloaded := append(grows(0), sample{at: grows(0)[3].at, phase: "reload"})
	slices.SortStableFunc(reloaded, func(a, b sample) int { return a.at.Compare(b.at) })
	assert.Len(t, steady(reloaded, 0), 20, "what ends after a reload takes 90 s")
	assert.Zero(t, flat(grows(0)))
	assert.Equal(t, 1, flat(grows(2_000)), "RssAnon grows by 40 MB")
	assert.Equal(t, 1, flat(nil), "no samples show nothing")
}

func TestSamplesAreReadAsTheyWereWritten(t *testing.T) {
	dir := t.TempDir()
	want := sample{at: time.Date(2026, 11, 28, 7, 0, 0, 0, time.UTC), life: 1, phase: "calm", rss: 2, heap: 3, files: 4, goroutines: 5}
	require.NoError(t, writeSample(dir, want))
	require.NoError(t, writeSample(dir, want))
	got, err := readSamples(filepath.Join(dir, "samples.csv"))
	require.NoError(t, err)
	assert.Equal(t, []sample{want, want}, got)
}
