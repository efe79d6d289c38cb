package receiver_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap/zaptest/observer"

	"github.com/socketflow/socketflow/internal/integration/workload"
	"github.com/socketflow/socketflow/receiver"
)

// record is a log record and the resource it came with.
type record struct {
	plog.LogRecord
	resource pcommon.Map
}

// span is a span and the resource it came with.
type span struct {
	ptrace.Span
	resource pcommon.Map
}

func get(m pcommon.Map, key string) any {
	v, found := m.Get(key)
	if !found {
		return nil
	}
	return v.AsRaw()
}

func text(m pcommon.Map, key string) string {
	s, _ := get(m, key).(string)
	return s
}

func number(m pcommon.Map, key string) int64 {
	n, _ := get(m, key).(int64)
	return n
}

func (r record) id() string { return text(r.Attributes(), "socketflow.connection.id") }

// Event names.
const (
	opened = "socketflow.connection.open"
	closed = "socketflow.connection.close"
	failed = "socketflow.connection.fail"
)

// processTelemetry is all that was emitted for one process.
type processTelemetry struct {
	records []record
	spans   []span
}

func (p processTelemetry) events(name string) []record {
	var those []record
	for _, r := range p.records {
		if r.EventName() == name {
			those = append(those, r)
		}
	}
	return those
}

// observation is a running receiver and its telemetry.
type observation struct {
	*componenttest.Telemetry
	mode       receiver.Mode
	components []component.Component
	logged     *observer.ObservedLogs

	mu    sync.Mutex
	byPID map[int64]*processTelemetry
}

func (o *observation) takeLogs(_ context.Context, logs plog.Logs) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range logs.ResourceLogs().All() {
		p := o.process(r.Resource().Attributes())
		for _, s := range r.ScopeLogs().All() {
			for _, l := range s.LogRecords().All() {
				p.records = append(p.records, record{l, r.Resource().Attributes()})
			}
		}
	}
	return nil
}

func (o *observation) takeTraces(_ context.Context, traces ptrace.Traces) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range traces.ResourceSpans().All() {
		p := o.process(r.Resource().Attributes())
		for _, s := range r.ScopeSpans().All() {
			for _, l := range s.Spans().All() {
				p.spans = append(p.spans, span{l, r.Resource().Attributes()})
			}
		}
	}
	return nil
}

func (o *observation) process(resource pcommon.Map) *processTelemetry {
	pid := number(resource, "process.pid")
	p := o.byPID[pid]
	if p == nil {
		p = &processTelemetry{}
		o.byPID[pid] = p
	}
	return p
}

// of is the telemetry of a process so far.
func (o *observation) of(pid int) processTelemetry {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.byPID[int64(pid)]
	if p == nil {
		return processTelemetry{}
	}
	return processTelemetry{slices.Clone(p.records), slices.Clone(p.spans)}
}

// total is how many records there are of all processes.
func (o *observation) total() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, p := range o.byPID {
		n += len(p.records)
	}
	return n
}

// count is how many records of some events there are of some processes.
func (o *observation) count(pids []int, events ...string) int {
	return o.countThose(pids, func(r record) bool { return slices.Contains(events, r.EventName()) })
}

// countEnds is how many connections and attempts of some processes have ended, over some transports; over any if none is given.
func (o *observation) countEnds(pids []int, over ...workload.Transport) int {
	return o.countThose(pids, func(r record) bool {
		return r.EventName() != opened &&
			(len(over) == 0 || slices.Contains(over, workload.Transport(text(r.Attributes(), "network.transport"))))
	})
}

func (o *observation) countThose(pids []int, meant func(record) bool) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, pid := range pids {
		if p := o.byPID[int64(pid)]; p != nil {
			for _, r := range p.records {
				if meant(r) {
					n++
				}
			}
		}
	}
	return n
}

// pidsOf are the processes that have the ends.
func pidsOf(ends []workload.End) []int {
	var pids []int
	for _, e := range ends {
		if !slices.Contains(pids, e.PID) {
			pids = append(pids, e.PID)
		}
	}
	return pids
}

// flowPIDs are the processes that have the flows, and those that served them for others.
func flowPIDs(flows []workload.Flow) []int {
	var pids []int
	for i := range flows {
		for _, pid := range [...]int{flows[i].PID, flows[i].ServedBy} {
			if pid != 0 && !slices.Contains(pids, pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// metric is the sum of a metric's points that have these attributes (names and values, in turns).
func (o *observation) metric(t *testing.T, name string, attributes ...string) int64 {
	t.Helper()
	n, err := o.readMetric(name, attributes...)
	require.NoError(t, err)
	return n
}

func (o *observation) readMetric(name string, attributes ...string) (int64, error) {
	m, err := o.GetMetric("otelcol_socketflow_" + name)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
		matches := true
		for i := 0; i < len(attributes); i += 2 {
			v, found := point.Attributes.Value(attribute.Key(attributes[i]))
			matches = matches && found && v.AsString() == attributes[i+1]
		}
		if matches {
			sum += point.Value
		}
	}
	return sum, nil
}
