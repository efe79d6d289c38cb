package otlp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/metrics"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// measured is a store that one shard fills, and the builder of what it emits.
type measured struct {
	store    *metrics.Store
	recorder *metrics.Recorder
	builder  *Measurements
	now      int64
}

const measuredSecond = int64(time.Second)

func measuring(change func(*metrics.Options, *Options)) *measured {
	options := Options{ScopeName: "scope", ScopeVersion: "1.2.3", Host: process.Host{Name: "host"}}
	store := metrics.Options{Series: 10_000, StaleAfter: time.Minute, Alive: func(process.ID) bool { return false }, Errno: ErrnoName}
	change(&store, &options)
	m := &measured{builder: NewMeasurements(options, store.Delta), now: measuredSecond}
	store.Text = m.builder.Text
	m.store = metrics.NewStore(store, 0)
	m.recorder = m.store.Recorder(metrics.Peers{Settled: func(uint64) bool { return true }, Now: func() uint64 { return 0 }})
	return m
}

// collect hands over, and returns all batches.
func (m *measured) collect() []pmetric.Metrics {
	m.now += measuredSecond
	m.recorder.HandOver(m.now, nil)
	m.builder.Collect(m.store, m.now)
	return m.builder.Take()
}

func asServer(p *process.Info) *socket.Connection {
	return &socket.Connection{Process: p, Role: event.RoleServer, PeerSettled: true}
}

func asClient(p *process.Info) *socket.Connection {
	return &socket.Connection{Process: p, Role: event.RoleClient, PeerSettled: true}
}

// pointsOf calls each with every histogram's point.
func pointsOf(batches []pmetric.Metrics, each func(resource pcommon.Map, m pmetric.Metric, p pmetric.HistogramDataPoint)) {
	for _, batch := range batches {
		for _, r := range batch.ResourceMetrics().All() {
			for _, m := range r.ScopeMetrics().At(0).Metrics().All() {
				if m.Type() != pmetric.MetricTypeHistogram {
					continue
				}
				for _, p := range m.Histogram().DataPoints().All() {
					each(r.Resource().Attributes(), m, p)
				}
			}
		}
	}
}

func TestMetricsHaveTheFormOfTheConventions(t *testing.T) {
	m := measuring(func(*metrics.Options, *Options) {})
	x := get(protocol.Server, "200")
	x.RequestBody, x.ResponseBody = protocol.Size{Known: true}, protocol.Size{Bytes: 300, Known: true}
	m.recorder.Exchanged(asServer(nginx()), x, 30*time.Millisecond, measuredSecond)
	batches := m.collect()
	require.Len(t, batches, 1)
	require.Equal(t, 1, batches[0].ResourceMetrics().Len())
	r := batches[0].ResourceMetrics().At(0)
	assert.Equal(t, semconv.SchemaURL, r.SchemaUrl())
	assert.Equal(t, nginx().ServiceName, textOf(t, r.Resource().Attributes(), "service.name"))
	assert.Equal(t, "scope", r.ScopeMetrics().At(0).Scope().Name())
	all := r.ScopeMetrics().At(0).Metrics()
	require.Equal(t, 3, all.Len())
	duration := all.At(0)
	assert.Equal(t, "http.server.request.duration", duration.Name())
	assert.Equal(t, "s", duration.Unit())
	assert.Equal(t, pmetric.AggregationTemporalityCumulative, duration.Histogram().AggregationTemporality())
	p := duration.Histogram().DataPoints().At(0)
	assert.Equal(t, map[string]any{
		"http.request.method": "GET", "http.response.status_code": int64(200), "network.protocol.version": "1.1", "url.scheme": "http",
	}, p.Attributes().AsRaw())
	assert.EqualValues(t, 1, p.Count())
	assert.InDelta(t, 0.03, p.Sum(), 1e-9)
	assert.Equal(t, []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}, p.ExplicitBounds().AsRaw())
	assert.Equal(t, []uint64{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, p.BucketCounts().AsRaw())
	assert.EqualValues(t, 0, p.StartTimestamp())
	assert.EqualValues(t, m.now, p.Timestamp())
	assert.Equal(t, 300.0, all.At(2).Histogram().DataPoints().At(0).Sum())
	assert.Equal(t, "By", all.At(2).Unit())
}

func textOf(t *testing.T, of pcommon.Map, key string) string {
	t.Helper()
	v, found := of.Get(key)
	require.True(t, found, key)
	return v.Str()
}

func TestExponentialHistograms(t *testing.T) {
	m := measuring(func(o *metrics.Options, _ *Options) { o.Exponential, o.Delta = true, true })
	for i := range 100 {
		m.recorder.Exchanged(asServer(nginx()), get(protocol.Server, "200"), time.Duration(i)*time.Millisecond, measuredSecond)
	}
	metric := m.collect()[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
	require.Equal(t, pmetric.MetricTypeExponentialHistogram, metric.Type())
	assert.Equal(t, pmetric.AggregationTemporalityDelta, metric.ExponentialHistogram().AggregationTemporality())
	p := metric.ExponentialHistogram().DataPoints().At(0)
	count := p.ZeroCount()
	for _, n := range p.Positive().BucketCounts().AsRaw() {
		count += n
	}
	assert.EqualValues(t, 100, count)
	assert.EqualValues(t, 1, p.ZeroCount())
	assert.EqualValues(t, 100, p.Count())
	assert.Empty(t, m.collect(), "nothing since")
}

// TestBatchesOfMetricsKeepTheirBounds: with one process that has many series, and with many processes.
func TestBatchesOfMetricsKeepTheirBounds(t *testing.T) {
	const most = 16 << 10
	for name, tc := range map[string]struct{ processes, series, items int }{
		"one process":    {1, 1000, 100_000},
		"many processes": {300, 3, 100_000},
		"few items":      {10, 20, 7},
	} {
		t.Run(name, func(t *testing.T) {
			m := measuring(func(_ *metrics.Options, o *Options) { o.Bounds = Bounds{Items: tc.items, Bytes: most} })
			for k := range tc.processes {
				p := *nginx()
				p.PID, p.InstanceID = uint32(k+1), fmt.Sprint(k)
				for i := range tc.series {
					x := *get(protocol.Client, "200")
					x.Server = fmt.Sprintf("%s-%d.test", strings.Repeat("h", 100), i)
					m.recorder.Exchanged(asClient(&p), &x, time.Millisecond, measuredSecond)
				}
			}
			seen := map[string]int{}
			batches := m.collect()
			for _, batch := range batches {
				assert.LessOrEqual(t, metricSizer.MetricsSize(batch), most)
				assert.LessOrEqual(t, batch.DataPointCount(), tc.items)
			}
			pointsOf(batches, func(resource pcommon.Map, _ pmetric.Metric, p pmetric.HistogramDataPoint) {
				pid, _ := resource.Get("process.pid")
				seen[pid.AsString()+textOf(t, p.Attributes(), "server.address")]++
			})
			assert.Len(t, seen, tc.processes*tc.series)
			for _, n := range seen {
				assert.Equal(t, 1, n)
			}
			assert.Greater(t, len(batches), 1)
		})
	}
}

func TestHostileTextOfSeriesIsSoundAndCut(t *testing.T) {
	m := measuring(func(_ *metrics.Options, o *Options) { o.AttributeLength = 512 })
	for _, server := range []string{"a\nb\xff", strings.Repeat("x", 600)} {
		x := *get(protocol.Client, "200")
		x.Server = server
		m.recorder.Exchanged(asClient(nginx()), &x, time.Millisecond, measuredSecond)
	}
	var servers []string
	pointsOf(m.collect(), func(_ pcommon.Map, _ pmetric.Metric, p pmetric.HistogramDataPoint) {
		servers = append(servers, textOf(t, p.Attributes(), "server.address"))
	})
	assert.ElementsMatch(t, []string{`a\nb` + "\ufffd", strings.Repeat("x", 512)}, servers)
	assert.EqualValues(t, 1, m.builder.Truncated())
}

func TestSeriesThatOverflowAndEndAreMarked(t *testing.T) {
	m := measuring(func(o *metrics.Options, _ *Options) { o.Series = 16 })
	for i := range 30 {
		x := *get(protocol.Client, "200")
		x.Server = fmt.Sprintf("%d.test", i)
		m.recorder.Exchanged(asClient(nginx()), &x, time.Millisecond, measuredSecond)
	}
	var overflowed uint64
	pointsOf(m.collect(), func(_ pcommon.Map, _ pmetric.Metric, p pmetric.HistogramDataPoint) {
		if v, found := p.Attributes().Get("otel.metric.overflow"); found && v.Bool() {
			overflowed += p.Count()
		}
		assert.False(t, p.Flags().NoRecordedValue())
	})
	assert.Equal(t, m.recorder.Overflowed(), overflowed)
	assert.Positive(t, overflowed)

	m.now += 60 * measuredSecond
	ended := 0
	pointsOf(m.collect(), func(_ pcommon.Map, _ pmetric.Metric, p pmetric.HistogramDataPoint) {
		assert.True(t, p.Flags().NoRecordedValue())
		assert.Zero(t, p.Count())
		ended++
	})
	assert.Positive(t, ended)
	assert.Empty(t, m.collect())
}

// TestExemplarsAreOfSpansThatAreKept: with the trace id that the span is emitted with.
func TestExemplarsAreOfSpansThatAreKept(t *testing.T) {
	for name, kept := range map[string]bool{"kept": true, "left out": false} {
		t.Run(name, func(t *testing.T) {
			parent := trace.Parent{Trace: highTrace, Flags: 3}
			policy := sampling.Policy{Threshold: sampling.KeepAll}
			if !kept {
				policy.Threshold = sampling.KeepNone
			}
			b := NewBuilder(Options{Traces: true, Sampling: policy, Resolve: func(trace.ExchangeKey) (trace.Parent, bool) { return parent, true }})
			m := measuring(func(*metrics.Options, *Options) {})
			c := asServer(nginx())
			c.Key, c.Exchange.Own = trace.ExchangeKey{Socket: 1}, [8]byte{7}
			x := get(protocol.Server, "200")
			tally := m.recorder.Exchanged(c, x, 5*time.Millisecond, measuredSecond)
			require.NotNil(t, tally)
			b.Measured(tally, c, x, measuredSecond-5e6, measuredSecond)
			_, traces := b.Take()
			var exemplars []pmetric.Exemplar
			pointsOf(m.collect(), func(_ pcommon.Map, _ pmetric.Metric, p pmetric.HistogramDataPoint) {
				for _, e := range p.Exemplars().All() {
					exemplars = append(exemplars, e)
				}
			})
			if !kept {
				assert.Empty(t, exemplars)
				return
			}
			require.Len(t, exemplars, 1)
			span := onlySpan(t, traces)
			assert.Equal(t, span.TraceID(), exemplars[0].TraceID())
			assert.Equal(t, span.SpanID(), exemplars[0].SpanID())
			assert.Equal(t, pcommon.TraceID(highTrace), exemplars[0].TraceID())
			assert.InDelta(t, 0.005, exemplars[0].DoubleValue(), 1e-12)
			assert.EqualValues(t, measuredSecond, exemplars[0].Timestamp())
		})
	}
}

func onlySpan(t *testing.T, traces ptrace.Traces) ptrace.Span {
	t.Helper()
	require.Equal(t, 1, traces.SpanCount())
	return traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
}

// One operation is one point of an emission.
func BenchmarkMetrics(b *testing.B) {
	b.ReportAllocs()
	m := measuring(func(o *metrics.Options, _ *Options) { o.Series = 100_000 })
	const series = 10_000
	p := nginx()
	for i := range series {
		x := *get(protocol.Client, "200")
		x.Server = fmt.Sprintf("%d.test", i)
		m.recorder.Exchanged(asClient(p), &x, time.Millisecond, measuredSecond)
	}
	for b.Loop() {
		m.collect()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series, "ns/point")
}
