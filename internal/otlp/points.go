package otlp

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/socketflow/socketflow/internal/metrics"
)

// metricOverflow marks the series that has what others had no room for (OpenTelemetry, metrics SDK, "Overflow attribute").
const metricOverflow = "otel.metric.overflow"

var noRecordedValue = pmetric.DefaultDataPointFlags.WithNoRecordedValue(true)

// add adds the point of one instrument of a series.
func (m *Measurements) add(e *metrics.Emission, instrument int, now int64) {
	i, p := &e.Series.Family.Instruments[instrument], &e.Series.Points[instrument]
	var exemplars []metrics.Exemplar
	if instrument == 0 {
		exemplars = e.Series.Exemplars()
	}
	switch {
	case i.Kind == metrics.Ratio:
		m.addRatio(e, i, p, now)
	case i.Kind != metrics.Histogram:
		m.addSum(e, i, p, now)
	case p.Exponential != nil:
		m.addExponential(e, i, p, exemplars, now)
	default:
		m.addExplicit(e, i, p, exemplars, now)
	}
}

func (m *Measurements) addSum(e *metrics.Emission, i *metrics.Instrument, p *metrics.Point, now int64) {
	point := m.number
	start := e.Start
	if i.Kind == metrics.Level {
		start = e.Series.Start
	}
	point.SetStartTimestamp(pcommon.Timestamp(start))
	point.SetTimestamp(pcommon.Timestamp(now))
	writeSeries(e.Series, point.Attributes())
	if e.Ended {
		point.SetFlags(noRecordedValue)
	} else {
		point.SetIntValue(int64(p.Sum))
	}
	metric := m.admit(e, i, prefixed(metricSizer.NumberDataPointSize(point)))
	if metric.Type() == pmetric.MetricTypeEmpty {
		sum := metric.SetEmptySum()
		sum.SetIsMonotonic(i.Kind == metrics.Counter)
		sum.SetAggregationTemporality(m.temporality)
		if i.Kind == metrics.Level { // differences of levels are of no use to backends
			sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		}
	}
	point.MoveTo(metric.Sum().DataPoints().AppendEmpty())
}

func (m *Measurements) addRatio(e *metrics.Emission, i *metrics.Instrument, p *metrics.Point, now int64) {
	point := m.number
	point.SetTimestamp(pcommon.Timestamp(now))
	writeSeries(e.Series, point.Attributes())
	if e.Ended {
		point.SetFlags(noRecordedValue)
	} else {
		point.SetDoubleValue(p.Sum / p.Max)
	}
	metric := m.admit(e, i, prefixed(metricSizer.NumberDataPointSize(point)))
	if metric.Type() == pmetric.MetricTypeEmpty {
		metric.SetEmptyGauge()
	}
	point.MoveTo(metric.Gauge().DataPoints().AppendEmpty())
}

func (m *Measurements) addExplicit(e *metrics.Emission, i *metrics.Instrument, p *metrics.Point, exemplars []metrics.Exemplar, now int64) {
	point := m.histogram
	point.SetStartTimestamp(pcommon.Timestamp(e.Start))
	point.SetTimestamp(pcommon.Timestamp(now))
	writeSeries(e.Series, point.Attributes())
	if e.Ended {
		point.SetFlags(noRecordedValue)
	} else {
		point.SetCount(p.Count)
		point.SetSum(p.Sum)
		if p.Count > 0 {
			point.SetMin(p.Min)
			point.SetMax(p.Max)
		}
		point.ExplicitBounds().FromRaw(i.Bounds)
		point.BucketCounts().FromRaw(p.Buckets)
		writeExemplars(exemplars, point.Exemplars())
	}
	metric := m.admit(e, i, prefixed(metricSizer.HistogramDataPointSize(point)))
	if metric.Type() == pmetric.MetricTypeEmpty {
		metric.SetEmptyHistogram().SetAggregationTemporality(m.temporality)
	}
	point.MoveTo(metric.Histogram().DataPoints().AppendEmpty())
}

func (m *Measurements) addExponential(e *metrics.Emission, i *metrics.Instrument, p *metrics.Point, exemplars []metrics.Exemplar, now int64) {
	point := m.exponential
	point.SetStartTimestamp(pcommon.Timestamp(e.Start))
	point.SetTimestamp(pcommon.Timestamp(now))
	writeSeries(e.Series, point.Attributes())
	if e.Ended {
		point.SetFlags(noRecordedValue)
	} else {
		point.SetCount(p.Count)
		point.SetSum(p.Sum)
		if p.Count > 0 {
			point.SetMin(p.Min)
			point.SetMax(p.Max)
		}
		point.SetScale(int32(p.Exponential.Scale))
		point.SetZeroCount(p.Exponential.Zero)
		point.Positive().SetOffset(int32(p.Exponential.First))
		point.Positive().BucketCounts().FromRaw(p.Exponential.Counts)
		writeExemplars(exemplars, point.Exemplars())
	}
	metric := m.admit(e, i, prefixed(metricSizer.ExponentialHistogramDataPointSize(point)))
	if metric.Type() == pmetric.MetricTypeEmpty {
		metric.SetEmptyExponentialHistogram().SetAggregationTemporality(m.temporality)
	}
	point.MoveTo(metric.ExponentialHistogram().DataPoints().AppendEmpty())
}

func writeSeries(s *metrics.Series, to pcommon.Map) {
	if s.Overflow {
		to.PutBool(metricOverflow, true)
		return
	}
	to.EnsureCapacity(len(s.Attributes))
	for i := range s.Attributes {
		if a := &s.Attributes[i]; a.IsInt {
			to.PutInt(a.Key, a.Int)
		} else {
			to.PutStr(a.Key, a.Text)
		}
	}
}

func writeExemplars(all []metrics.Exemplar, to pmetric.ExemplarSlice) {
	to.EnsureCapacity(len(all))
	for i := range all {
		x, out := &all[i], to.AppendEmpty()
		out.SetDoubleValue(x.Value)
		out.SetTimestamp(pcommon.Timestamp(x.At))
		out.SetTraceID(x.Trace)
		out.SetSpanID(x.Span)
	}
}
