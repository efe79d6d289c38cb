//go:build amd64 || arm64

package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/socketflow/socketflow/internal/otlp"
)

// metricsSink has the latest point of each series, and what else an engine delivers.
type metricsSink struct {
	spanSink

	points sync.Mutex
	latest map[string]map[string]point // by metric and attributes, and by server.port, which is a test server's
}

type point struct {
	count     uint64
	sum       float64
	exemplars []pcommon.TraceID
	ended     bool
	ratio     float64 // of a gauge
	start     pcommon.Timestamp
}

func newMetricsSink() *metricsSink { return &metricsSink{latest: map[string]map[string]point{}} }

func (s *metricsSink) DeliverMetrics(_ context.Context, from *otlp.Measurements) {
	s.points.Lock()
	defer s.points.Unlock()
	for _, batch := range from.Take() {
		for _, r := range batch.ResourceMetrics().All() {
			for _, m := range r.ScopeMetrics().At(0).Metrics().All() {
				s.add(m)
			}
		}
	}
}

func (s *metricsSink) add(m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			x := point{count: p.Count(), sum: p.Sum(), ended: p.Flags().NoRecordedValue(), start: p.StartTimestamp()}
			for _, e := range p.Exemplars().All() {
				x.exemplars = append(x.exemplars, e.TraceID())
			}
			s.note(m.Name(), p.Attributes(), x)
		}
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			s.note(m.Name(), p.Attributes(), point{ratio: p.DoubleValue(), ended: p.Flags().NoRecordedValue()})
		}
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			s.note(m.Name(), p.Attributes(), point{count: uint64(p.IntValue()), ended: p.Flags().NoRecordedValue()})
		}
	}
}

func (s *metricsSink) note(metric string, attributes pcommon.Map, p point) {
	key, port := metric, ""
	for name, value := range attributes.All() {
		if name == "server.port" {
			port = value.AsString()
		} else {
			key += fmt.Sprintf(" %s=%s", name, value.AsString())
		}
	}
	if s.latest[key] == nil {
		s.latest[key] = map[string]point{}
	}
	p.exemplars = append(s.latest[key][port].exemplars, p.exemplars...)
	s.latest[key][port] = p
}

// get is the latest point of a series, of all ports.
func (s *metricsSink) get(key string) (all point) {
	s.points.Lock()
	defer s.points.Unlock()
	for _, p := range s.latest[key] {
		all.count += p.count
		all.sum += p.sum
		all.exemplars = append(all.exemplars, p.exemplars...)
		all.ratio = p.ratio
		all.ended, all.start = all.ended || p.ended, p.start
	}
	return all
}

// keys are those of all series of metrics with a prefix.
func (s *metricsSink) keys(prefix string) (keys []string) {
	s.points.Lock()
	defer s.points.Unlock()
	for key := range s.latest {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

// metric is the latest point of all series of a metric.
func (s *metricsSink) metric(name string) (all point) {
	for _, key := range s.keys(name + " ") {
		p := s.get(key)
		all.count += p.count
		all.sum += p.sum
	}
	return all
}
