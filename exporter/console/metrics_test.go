package console

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

func (b *bench) metric(fill func(pmetric.Metric)) {
	b.t.Helper()
	md := pmetric.NewMetrics()
	fill(md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty())
	require.NoError(b.t, b.consumeMetrics(context.Background(), md))
}

func durations(series string, count uint64, sum float64) func(pmetric.Metric) {
	return func(m pmetric.Metric) {
		m.SetName("http.server.request.duration")
		m.SetUnit("s")
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := h.DataPoints().AppendEmpty()
		p.Attributes().PutStr("route", series)
		p.SetCount(count)
		p.SetSum(sum)
	}
}

func TestMetricIsOneLineForAllItsSeries(t *testing.T) {
	b := newBench(t, nil)
	b.metric(durations("/a", 10, 1))
	b.metric(durations("/b", 10, 3))
	b.metric(durations("/a", 20, 2)) // the same series
	printed := b.after(30 * time.Second)
	assert.Regexp(t, `(?m)^ +http\.server\.request\.duration +2  30  mean 0\.167 s$`, printed)
	assert.Empty(t, b.after(30*time.Second), "nothing new")
	b.metric(durations("/a", 25, 2))
	assert.Contains(t, b.after(30*time.Second), "35 (+5)")
}

func TestDeltasAreAddedUp(t *testing.T) {
	b := newBench(t, nil)
	for range 3 {
		b.metric(func(m pmetric.Metric) {
			m.SetName("requests")
			m.SetUnit("{request}")
			s := m.SetEmptySum()
			s.SetIsMonotonic(true)
			s.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
			s.DataPoints().AppendEmpty().SetIntValue(5)
		})
	}
	assert.Contains(t, b.after(30*time.Second), "15 request")
}

// gauge is a point of each of two series, and says whether the first one has ended.
func gauge(first, second float64, ended bool) func(pmetric.Metric) {
	return func(m pmetric.Metric) {
		m.SetName("observed.ratio")
		m.SetUnit("1")
		points := m.SetEmptyGauge().DataPoints()
		for i, v := range []float64{first, second} {
			p := points.AppendEmpty()
			p.Attributes().PutInt("series", int64(i))
			p.SetDoubleValue(v)
			if i == 0 && ended {
				p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
			}
		}
	}
}

func TestGaugesHaveNoSum(t *testing.T) {
	b := newBench(t, nil)
	b.metric(gauge(0.5, 0.875, false))
	assert.Regexp(t, `(?m)^ +observed\.ratio +2  0\.5 to 0\.875$`, b.after(30*time.Second))
	b.metric(gauge(1, 1, false))
	assert.Regexp(t, `(?m)^ +observed\.ratio +2  1$`, b.after(30*time.Second))
	b.metric(gauge(0, 0.25, true))
	assert.Regexp(t, `(?m)^ +observed\.ratio +1  0\.25$`, b.after(30*time.Second))
}

// A point without a value says that a series has ended: what it had counted has not gone down to nothing.
func TestSeriesThatSayTheyHaveEndedAreForgotten(t *testing.T) {
	b := newBench(t, nil)
	b.metric(durations("/ended", 10, 1))
	b.metric(durations("/goes_on", 10, 1))
	assert.Contains(t, b.after(30*time.Second), " 2  20")
	b.metric(func(m pmetric.Metric) {
		durations("/ended", 0, 0)(m)
		m.Histogram().DataPoints().At(0).SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
	})
	b.metric(durations("/goes_on", 13, 1))
	assert.Contains(t, b.after(30*time.Second), " 1  13 (+3)")
	assert.Equal(t, 1, b.metrics.series)
}

func TestTableOfMetricsIsBounded(t *testing.T) {
	b := newBench(t, nil)
	for i := range maxMetrics + 5 {
		b.metric(func(m pmetric.Metric) {
			m.SetName(fmt.Sprint("m", i))
			m.SetEmptyGauge().DataPoints().AppendEmpty().SetDoubleValue(1)
		})
	}
	printed := b.after(30 * time.Second)
	assert.Contains(t, printed, fmt.Sprintf("… %d more metrics", maxMetrics-shownOnes))
	assert.Contains(t, printed, "not added up, 5 times")
}

func TestSeriesThatHaveEndedMakeRoom(t *testing.T) {
	b := newBench(t, nil)
	b.metric(durations("/ended", 10, 1))
	b.metric(durations("/goes_on", 10, 1))
	assert.Contains(t, b.after(30*time.Second), " 2  20")
	b.clock = b.clock.Add(stale - time.Minute)
	b.metric(durations("/goes_on", 15, 1))
	b.clock = b.clock.Add(time.Minute)
	b.metric(durations("/goes_on", 17, 1))
	assert.Contains(t, b.after(30*time.Second), " 1  17 (+7)", "what has grown is not less for what has ended")
	assert.Equal(t, 1, b.metrics.series)
	b.clock = b.clock.Add(stale)
	b.metric(func(m pmetric.Metric) {
		m.SetName("another")
		m.SetEmptyGauge().DataPoints().AppendEmpty().SetDoubleValue(1)
	})
	assert.Len(t, b.metrics.metrics, 1)
}
