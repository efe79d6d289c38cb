package console

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

const (
	maxMetrics = 500
	maxSeries  = 20_000           // of all metrics; the values of further ones are not remembered
	shownOnes  = 30               // metrics of a table
	stale      = 10 * time.Minute // a series of which nothing has come for so long is forgotten
	sweepEvery = time.Minute
)

// metricTable remembers the last value of each series, and prints a line for each metric: one for each series would be unreadable. Its owner locks it.
type metricTable struct {
	metrics map[string]*metricRow
	series  int
	left    int // series that are not remembered, and metrics
	last    time.Time
	now     time.Time // of what comes
	swept   time.Time // when stale series were forgotten last
}

type metricRow struct {
	unit     string
	series   map[uint64]value
	measured bool // a distribution; otherwise a number
	shown    float64
	changed  bool // since the last table
	counts   bool // the number only grows
	level    bool // a gauge: numbers of several series have no sum
}

// value is that of a number, or of a distribution.
type value struct {
	number, count float64
	seen          time.Time
	ended         bool // the point says that there are no more
}

func newMetricTable() *metricTable { return &metricTable{metrics: map[string]*metricRow{}} }

// since is when the last table was printed.
func (t *metricTable) since(began time.Time) time.Time {
	if t.last.IsZero() {
		return began
	}
	return t.last
}

// add remembers what has come at a time.
func (t *metricTable) add(md pmetric.Metrics, now time.Time) {
	if t.now = now; now.Sub(t.swept) >= sweepEvery {
		t.sweep()
	}
	for _, of := range md.ResourceMetrics().All() {
		var base maphash.Hash
		base.SetSeed(seed)
		hashMap(&base, of.Resource().Attributes())
		for _, scope := range of.ScopeMetrics().All() {
			for _, m := range scope.Metrics().All() {
				if row := t.row(m); row != nil {
					t.addPoints(row, m, base.Sum64())
				}
			}
		}
	}
}

// sweep forgets series that have ended, so that there is room for others. What a table says has grown is without them.
func (t *metricTable) sweep() {
	t.swept = t.now
	for name, row := range t.metrics {
		for key, v := range row.series {
			if t.now.Sub(v.seen) < stale {
				continue
			}
			t.forget(row, key, v)
		}
		if len(row.series) == 0 {
			delete(t.metrics, name)
		}
	}
}

// forget forgets a series.
func (t *metricTable) forget(row *metricRow, key uint64, last value) {
	delete(row.series, key)
	t.series--
	if row.measured {
		row.shown -= last.count
	} else {
		row.shown -= last.number
	}
}

func (t *metricTable) row(m pmetric.Metric) *metricRow {
	row := t.metrics[m.Name()]
	if row == nil {
		if len(t.metrics) >= maxMetrics {
			t.left++
			return nil
		}
		row = &metricRow{unit: m.Unit(), series: map[uint64]value{}}
		t.metrics[m.Name()] = row
	}
	row.changed = true
	return row
}

func (t *metricTable) addPoints(row *metricRow, m pmetric.Metric, resource uint64) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		row.level = true
		for _, p := range m.Gauge().DataPoints().All() {
			t.put(row, resource, p.Attributes(), value{number: number(p), ended: p.Flags().NoRecordedValue()}, false)
		}
	case pmetric.MetricTypeSum:
		row.counts = m.Sum().IsMonotonic()
		for _, p := range m.Sum().DataPoints().All() {
			t.put(row, resource, p.Attributes(), value{number: number(p), ended: p.Flags().NoRecordedValue()}, isDelta(m.Sum().AggregationTemporality()))
		}
	case pmetric.MetricTypeHistogram:
		row.measured = true
		for _, p := range m.Histogram().DataPoints().All() {
			t.put(row, resource, p.Attributes(), distribution(p), isDelta(m.Histogram().AggregationTemporality()))
		}
	case pmetric.MetricTypeExponentialHistogram:
		row.measured = true
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			t.put(row, resource, p.Attributes(), distribution(p), isDelta(m.ExponentialHistogram().AggregationTemporality()))
		}
	case pmetric.MetricTypeSummary:
		row.measured = true
		for _, p := range m.Summary().DataPoints().All() {
			t.put(row, resource, p.Attributes(), distribution(p), false)
		}
	}
}

func distribution(p interface {
	Sum() float64
	Count() uint64
	Flags() pmetric.DataPointFlags
}) value {
	return value{number: p.Sum(), count: float64(p.Count()), ended: p.Flags().NoRecordedValue()}
}

func isDelta(t pmetric.AggregationTemporality) bool { return t == pmetric.AggregationTemporalityDelta }

func number(p pmetric.NumberDataPoint) float64 {
	if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
		return float64(p.IntValue())
	}
	return p.DoubleValue()
}

// put remembers the value of a series.
func (t *metricTable) put(row *metricRow, resource uint64, attributes pcommon.Map, v value, delta bool) {
	var h maphash.Hash
	h.SetSeed(seed)
	maphash.WriteComparable(&h, resource)
	hashMap(&h, attributes)
	key := h.Sum64()
	before, known := row.series[key]
	if v.ended {
		if known {
			t.forget(row, key, before)
		}
		return
	}
	if !known {
		if t.series >= maxSeries {
			t.left++
			return
		}
		t.series++
	}
	if delta {
		v.number += before.number
		v.count += before.count
	}
	v.seen = t.now
	row.series[key] = v
}

// hashMap hashes attributes in the order in which they come, which sources keep.
func hashMap(h *maphash.Hash, m pcommon.Map) {
	for key, v := range m.All() {
		maphash.WriteComparable(h, key)
		maphash.WriteComparable(h, v.AsString())
	}
}

// text is a table of the metrics that have come since the last one.
func (t *metricTable) text(now time.Time, zone *time.Location) []string {
	t.last = now
	names := slices.SortedFunc(maps.Keys(t.metrics), cmp.Compare)
	names = slices.DeleteFunc(names, func(name string) bool { return !t.metrics[name].changed })
	if len(names) == 0 {
		return nil
	}
	out := []string{fmt.Sprintf("%s %-50s %7s  %s", now.In(zone).Format(timeLayout), "metric", "series", "value")}
	for i, name := range names {
		if i == shownOnes {
			out = append(out, fmt.Sprintf("… %d more metrics", len(names)-i))
			break
		}
		cell, used := appendText(nil, name, 50)
		row := t.metrics[name]
		out = append(out, fmt.Sprintf("%*s %s%s %7d  %s", len(timeLayout), "", cell, strings.Repeat(" ", 50-used), len(row.series), row.text()))
	}
	if t.left > 0 {
		out = append(out, fmt.Sprintf("… the values of further series were not added up, %s times", humanize.Comma(int64(t.left))))
		t.left = 0
	}
	for _, row := range t.metrics {
		row.changed = false
	}
	return out
}

// text is the value of a metric: all series added up, or of a gauge the lowest and the highest one.
func (r *metricRow) text() string {
	if r.level && !r.measured {
		return r.levels()
	}
	var all value
	for _, v := range r.series {
		all.number += v.number
		all.count += v.count
	}
	unit, _ := appendText(nil, strings.Trim(r.unit, "{}"), 20)
	total, mean := all.number, ""
	if r.measured {
		total = all.count
		if all.count > 0 {
			mean = fmt.Sprintf("mean %.3g %s", all.number/all.count, unit)
		}
		unit = nil
	}
	text := figure(total)
	if len(unit) > 0 && string(unit) != "1" {
		text += " " + string(unit)
	}
	if grown := total - r.shown; (r.counts || r.measured) && r.shown != 0 {
		text += " (+" + figure(grown) + ")"
	}
	r.shown = total
	if mean != "" {
		text += "  " + mean
	}
	return text
}

func (r *metricRow) levels() string {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range r.series {
		low, high = min(low, v.number), max(high, v.number)
	}
	if len(r.series) == 0 {
		return "ended"
	}
	text := figure(low)
	if low != high {
		text += " to " + figure(high)
	}
	if unit, _ := appendText(nil, strings.Trim(r.unit, "{}"), 20); len(unit) > 0 && string(unit) != "1" {
		text += " " + string(unit)
	}
	return text
}

// figure is a number for people.
func figure(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return humanize.Comma(int64(f))
	}
	return strconv.FormatFloat(f, 'g', 4, 64)
}
