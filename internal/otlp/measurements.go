package otlp

import (
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pmetric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/metrics"
	"github.com/socketflow/socketflow/internal/process"
)

// Measurements builds batches of metrics. It is for one goroutine, but for what says otherwise.
type Measurements struct {
	options     Options
	temporality pmetric.AggregationTemporality
	omitted     map[string]bool // resource attributes
	bound       bound
	cut         atomic.Uint64

	full  []pmetric.Metrics
	batch measurementsBatch

	// These are reused.
	histogram   pmetric.HistogramDataPoint
	exponential pmetric.ExponentialHistogramDataPoint
	number      pmetric.NumberDataPoint
}

// NewMeasurements returns a builder that has nothing. Of the options those of a resource, a scope and the Bounds count.
func NewMeasurements(options Options, delta bool) *Measurements {
	m := &Measurements{
		options: options, omitted: omittedKeys(options.Omitted), bound: bound{length: options.AttributeLength},
		temporality: pmetric.AggregationTemporalityCumulative,
		histogram:   pmetric.NewHistogramDataPoint(), exponential: pmetric.NewExponentialHistogramDataPoint(), number: pmetric.NewNumberDataPoint(),
	}
	if delta {
		m.temporality = pmetric.AggregationTemporalityDelta
	}
	if m.bound.length == 0 {
		m.bound.length = defaultLength
	}
	return m
}

// Text makes the value of an attribute of a series sound, and cuts it. Any goroutine may call it.
func (m *Measurements) Text(s string) string {
	s = sound(s)
	if len(s) > m.bound.length {
		m.cut.Add(1)
		s = strings.Clone(cutText(s, m.bound.length))
	}
	return s
}

// ErrnoName is the name of a Linux error number.
func ErrnoName(number uint32) string { return lookUpErrno(number).name }

// Truncated is how many values of attributes were cut. It may be called from any goroutine.
func (m *Measurements) Truncated() uint64 { return m.cut.Load() + m.bound.total.Load() }

// Collect adds what a store has to emit at a time (Unix, ns).
func (m *Measurements) Collect(from *metrics.Store, now int64) {
	from.Collect(now, func(e *metrics.Emission) {
		for i := range e.Series.Points {
			if e.Series.Points[i].Count > 0 { // otherwise nothing of the kind was measured
				m.add(e, i, now)
			}
		}
	})
}

// Take returns the batches. The builder keeps no reference to them.
func (m *Measurements) Take() []pmetric.Metrics {
	m.close()
	all := m.full
	m.full = nil
	return all
}

// measurementsBatch is the batch that grows.
type measurementsBatch struct {
	metrics  pmetric.Metrics
	load     load
	of       *process.Info // that the last resource describes; nil: there is none
	resource pmetric.ScopeMetrics
	known    []knownMetric // of that resource
}

// knownMetric is where the points of an instrument belong.
type knownMetric struct {
	instrument *metrics.Instrument
	metric     pmetric.Metric
}

func (m *Measurements) close() {
	if m.batch.load.items > 0 {
		m.full = append(m.full, m.batch.metrics)
	}
	m.batch = measurementsBatch{known: m.batch.known[:0]}
}

// admit makes room for a point of so many bytes, and returns the metric that it belongs to.
func (m *Measurements) admit(e *metrics.Emission, i *metrics.Instrument, size int) pmetric.Metric {
	b, bounds := &m.batch, &m.options.Bounds
	if !b.load.admits(size+m.opening(e.Resource.Info, i), bounds) || bounds.Items != 0 && b.load.items >= bounds.Items {
		m.close()
	}
	if b.load.items == 0 {
		b.metrics = pmetric.NewMetrics()
	}
	opening := 0
	if b.of != e.Resource.Info {
		opening += m.beginResource(e.Resource.Info)
	}
	metric, found := b.find(i)
	if !found {
		metric = m.beginMetric(i)
		opening += metricBytes(i)
	}
	b.load.add(size + opening)
	return metric
}

func (b *measurementsBatch) find(i *metrics.Instrument) (pmetric.Metric, bool) {
	for k := range b.known {
		if b.known[k].instrument.Name == i.Name {
			return b.known[k].metric, true
		}
	}
	return pmetric.Metric{}, false
}

// opening is how many bytes at most come before a point in the batch.
func (m *Measurements) opening(of *process.Info, i *metrics.Instrument) (size int) {
	if m.batch.of != of {
		return resourceBytes(of) + metricBytes(i)
	}
	if _, found := m.batch.find(i); !found {
		size = metricBytes(i)
	}
	return size
}

// metricBytes is what a metric takes at most beside its points.
func metricBytes(i *metrics.Instrument) int {
	const rest = 32 // tags, lengths, temporality
	return len(i.Name) + len(i.Description) + len(i.Unit) + rest
}

// resourceBytes is what a resource takes about.
func resourceBytes(p *process.Info) int {
	size := 2 << 10
	for _, a := range p.ResourceAttributes {
		size += attributeBytes + len(a.Key) + len(a.Value)
	}
	for _, arg := range p.CommandLine {
		size += elementBytes + len(arg)
	}
	return size
}

// beginResource begins the resource of a process, and returns its size.
func (m *Measurements) beginResource(p *process.Info) int {
	b := &m.batch
	r := b.metrics.ResourceMetrics().AppendEmpty()
	r.SetSchemaUrl(semconv.SchemaURL)
	describe(p, &m.options.Host, m.omitted, &m.bound, r.Resource().Attributes())
	b.resource = r.ScopeMetrics().AppendEmpty()
	b.resource.SetSchemaUrl(semconv.SchemaURL)
	b.resource.Scope().SetName(sound(m.options.ScopeName))
	b.resource.Scope().SetVersion(sound(m.options.ScopeVersion))
	b.of, b.known = p, b.known[:0]
	return growing(metricSizer.ResourceMetricsSize(r)) + maxPrefix
}

var metricSizer pmetric.ProtoMarshaler

func (m *Measurements) beginMetric(i *metrics.Instrument) pmetric.Metric {
	b := &m.batch
	metric := b.resource.Metrics().AppendEmpty()
	metric.SetName(i.Name)
	metric.SetUnit(i.Unit)
	metric.SetDescription(i.Description)
	b.known = append(b.known, knownMetric{i, metric})
	return metric
}
