//go:build e2e && linux

package e2e

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// item is the common part of log records and spans.
type item struct {
	traceID, spanID string
	process         map[string]any // the resource
	attributes      map[string]any
}

func (i *item) text(key string) string {
	text, _ := i.attributes[key].(string)
	return text
}

// number is the value of an attribute; -1: there is none.
func (i *item) number(key string) int { return number(i.attributes, key) }

func (i *item) pid() int { return number(i.process, "process.pid") }

// connection is the id in all telemetry of a connection.
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

// jsonLines is a file that a file exporter writes. Each line is read once.
type jsonLines[T any] struct {
	path  string
	parse func(line []byte) ([]T, error)
	read  int // bytes
	items []T
}

// all are the items in the file, in order. An incomplete last line is left for the next time.
func (f *jsonLines[T]) all(t testing.TB) []T {
	t.Helper()
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	defer file.Close() //nolint:errcheck // read only
	_, err = file.Seek(int64(f.read), io.SeekStart)
	require.NoError(t, err)
	text, err := io.ReadAll(file)
	require.NoError(t, err)
	for line := range bytes.Lines(text) {
		if line[len(line)-1] != '\n' {
			break
		}
		f.read += len(line)
		items, err := f.parse(line)
		require.NoError(t, err, "%s", line)
		f.items = append(f.items, items...)
	}
	return f.items
}

func parseLogs(line []byte) (records []record, err error) {
	logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
	if err != nil {
		return nil, err
	}
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
	return records, nil
}

func parseTraces(line []byte) (spans []span, err error) {
	traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
	if err != nil {
		return nil, err
	}
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
	return spans, nil
}

func newItem(trace pcommon.TraceID, span pcommon.SpanID, process map[string]any, attributes pcommon.Map) item {
	return item{traceID: trace.String(), spanID: span.String(), process: process, attributes: attributes.AsRaw()}
}
