//go:build e2e && linux

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// item is what log records and spans have in common.
type item struct {
	traceID, spanID string
	process         map[string]any // the resource
	attributes      map[string]any
}

func (i *item) text(key string) string {
	text, _ := i.attributes[key].(string)
	return text
}

// number of an attribute; -1: it is not there.
func (i *item) number(key string) int { return number(i.attributes, key) }

func (i *item) pid() int { return number(i.process, "process.pid") }

// connection is the id that everything that is told of a connection has.
func (i *item) connection() string { return i.text("socketflow.connection.id") }

func number(attributes map[string]any, key string) int {
	if n, ok := attributes[key].(int64); ok {
		return int(n)
	}
	return -1
}

// record is a log record.
type record struct {
	item
	event        string
	body         string
	severity     plog.SeverityNumber
	at, observed time.Time
}

// span is a span.
type span struct {
	item
	name         string
	kind         ptrace.SpanKind
	began, ended time.Time
	status       ptrace.StatusCode
	message      string
}

// readRecords reads what a file exporter has written of logs. A last line that is not whole yet is left out.
func readRecords(t testing.TB, path string) (records []record) {
	t.Helper()
	for line := range wholeLines(readFile(t, path)) {
		logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs([]byte(line))
		require.NoError(t, err, line)
		for _, resource := range logs.ResourceLogs().All() {
			process := resource.Resource().Attributes().AsRaw()
			for _, scope := range resource.ScopeLogs().All() {
				for _, r := range scope.LogRecords().All() {
					records = append(records, record{
						item:  newItem(r.TraceID(), r.SpanID(), process, r.Attributes()),
						event: r.EventName(), body: r.Body().Str(), severity: r.SeverityNumber(),
						at: r.Timestamp().AsTime(), observed: r.ObservedTimestamp().AsTime(),
					})
				}
			}
		}
	}
	return records
}

// readSpans does the same for traces.
func readSpans(t testing.TB, path string) (spans []span) {
	t.Helper()
	for line := range wholeLines(readFile(t, path)) {
		traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces([]byte(line))
		require.NoError(t, err, line)
		for _, resource := range traces.ResourceSpans().All() {
			process := resource.Resource().Attributes().AsRaw()
			for _, scope := range resource.ScopeSpans().All() {
				for _, s := range scope.Spans().All() {
					spans = append(spans, span{
						item: newItem(s.TraceID(), s.SpanID(), process, s.Attributes()),
						name: s.Name(), kind: s.Kind(), began: s.StartTimestamp().AsTime(), ended: s.EndTimestamp().AsTime(),
						status: s.Status().Code(), message: s.Status().Message(),
					})
				}
			}
		}
	}
	return spans
}

func newItem(trace pcommon.TraceID, span pcommon.SpanID, process map[string]any, attributes pcommon.Map) item {
	return item{traceID: trace.String(), spanID: span.String(), process: process, attributes: attributes.AsRaw()}
}

func wholeLines(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			if !strings.HasSuffix(line, "\n") || !yield(line) {
				return
			}
		}
	}
}
