//go:build e2e && linux

package e2e

import (
	"fmt"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/integration/workload"
)

// toFiles writes log records and spans of an instance to files of their own. It appends, so that a reloaded collector keeps its
// output.
const toFiles = `
receivers:
  socketflow:
    connection_records: [open, close, fail]
exporters:
  file/logs:
    path: logs.jsonl
    append: true
    flush_interval: 100ms
  file/traces:
    path: traces.jsonl
    append: true
    flush_interval: 100ms
service:
  pipelines:
    logs:
      receivers: [socketflow]
      exporters: [file/logs]
    traces:
      receivers: [socketflow]
      exporters: [file/traces]
`

// fileCollector is a collector that writes files.
type fileCollector struct {
	*collector
	logs   jsonLines[record]
	traces jsonLines[span]
}

func runFileCollector(t testing.TB, config string) *fileCollector {
	t.Helper()
	c := runCollector(t, config, collectorOptions{})
	return &fileCollector{
		collector: c,
		logs:      jsonLines[record]{path: filepath.Join(c.cmd.Dir, "logs.jsonl"), parse: parseLogs},
		traces:    jsonLines[span]{path: filepath.Join(c.cmd.Dir, "traces.jsonl"), parse: parseTraces},
	}
}

// records are the log records so far, in order.
func (c *fileCollector) records() []record { return c.logs.all(c.t) }

// spans are the spans so far, in order.
func (c *fileCollector) spans() []span { return c.traces.all(c.t) }

const (
	opened = "socketflow.connection.open"
	closed = "socketflow.connection.close"
	failed = "socketflow.connection.fail"
)

// waitForEnds waits until the file has a record for each end. Others check whether they are the right ones.
func (c *fileCollector) waitForEnds(ends []workload.End) {
	c.t.Helper()
	pids := pidsOf(ends)
	eventually(c.t, 30*time.Second, "the file has all ends of sockets", func() error {
		n := 0
		for _, r := range c.records() {
			if pids[r.pid()] && r.event != opened {
				n++
			}
		}
		if n < len(ends) {
			return fmt.Errorf("it has %d of %d", n, len(ends))
		}
		return nil
	})
}

// TestFile compares the content of a file with the truth.
func TestFile(t *testing.T) {
	c := runFileCollector(t, toFiles)
	before := time.Now()
	ends := someOfEverything(t)
	after := time.Now()
	c.waitForEnds(ends)
	metrics, err := c.scrape()
	require.NoError(t, err)
	metrics.requireHealthy(t, "socketflow")
	c.terminate()

	emitted := group(t, c.records(), c.spans(), pidsOf(ends))
	emitted.requireTruth(t, ends)
	emitted.requireSound(t)
	for _, c := range emitted {
		assert.WithinRange(t, c.span.began, before, after)
		assert.WithinRange(t, c.span.ended, before, after.Add(time.Second))
		assert.Equal(t, "complete", c.span.text("socketflow.capture"))
		assert.Equal(t, truthService, c.span.process["service.name"])
	}
}

// emittedConnection is the telemetry of one connection.
type emittedConnection struct {
	open, end record // a failed attempt has no open
	span      span
}

// emittedConnections are connections by their ids.
type emittedConnections map[string]*emittedConnection

// group groups the telemetry of the connections of processes. It fails if a part is missing, or there twice.
func group(t testing.TB, records []record, spans []span, pids map[int]bool) emittedConnections {
	t.Helper()
	s := emittedConnections{}
	for _, r := range records {
		if !pids[r.pid()] {
			continue
		}
		c := s[r.connection()]
		if c == nil {
			c = &emittedConnection{}
			s[r.connection()] = c
		}
		part := &c.end
		if r.event == opened {
			part = &c.open
			require.Empty(t, c.end.event, "the end of %s was emitted before its beginning", r.connection())
		}
		require.Empty(t, part.event, "%s of %s was emitted twice", r.event, r.connection())
		*part = r
	}
	for _, span := range spans {
		if !pids[span.pid()] {
			continue
		}
		c := s[span.connection()]
		require.NotNil(t, c, "a span of %s without a record", span.connection())
		require.Empty(t, c.span.name, "the span of %s is there twice", span.connection())
		c.span = span
	}
	for id, c := range s {
		require.NotEmpty(t, c.end.event, "the end of %s was not emitted", id)
		require.NotEmpty(t, c.span.name, "the span of %s was not emitted", id)
		if c.end.event == closed {
			require.NotEmpty(t, c.open.event, "the beginning of %s was not emitted", id)
		}
	}
	return s
}

// requireTruth fails unless records and spans agree with the truth.
func (s emittedConnections) requireTruth(t testing.TB, ends []workload.End) {
	t.Helper()
	var records, spans []fact
	for _, c := range s {
		failure := c.end.event == failed
		records = append(records, factEmitted(t, &c.end, failure))
		spans = append(spans, factEmitted(t, &c.span, failure))
	}
	requireTruth(t, ends, records)
	requireTruth(t, ends, spans)
}

// requireSound fails unless the parts of each connection are complete, and agree with each other.
func (s emittedConnections) requireSound(t testing.TB) {
	t.Helper()
	ids := map[string]bool{}
	for id, c := range s {
		require.Len(t, id, 16)
		for _, id := range []string{id, c.span.traceID, c.span.spanID} {
			require.False(t, ids[id], "%s is the id of two", id)
			ids[id] = true
		}
		parts := []*record{&c.end}
		switch c.end.event {
		case closed:
			parts = append(parts, &c.open)
			// Whether there will be a span depends on what the connection is going to carry.
			require.Empty(t, c.open.traceID)
			require.Empty(t, c.open.spanID)
			require.Equal(t, "tcp.connection", c.span.name)
		case failed:
			require.Equal(t, "tcp.connect", c.span.name)
		default:
			t.Fatalf("event %q", c.end.event)
		}
		for _, r := range parts {
			require.Equal(t, c.span.process, r.process)
			require.Contains(t, r.body, fmt.Sprintf("(pid %d)", r.pid()))
			require.Contains(t, r.body, hostPort(r.text("network.peer.address"), r.number("network.peer.port")))
			require.False(t, r.observed.Before(r.at), "%s: seen at %v, before it happened at %v", r.event, r.observed, r.at)
			require.Less(t, r.observed.Sub(r.at), 20*time.Second, r.event)
		}
		require.Equal(t, c.span.traceID, c.end.traceID)
		require.Equal(t, c.span.spanID, c.end.spanID)
		c.requireTimes(t)
		c.requireKind(t)
		c.requireSeverity(t)

		// The end has all attributes of the beginning, and the span those of the end.
		require.Subset(t, c.end.attributes, c.open.attributes)
		ofSpan := maps.Clone(c.end.attributes)
		delete(ofSpan, "socketflow.duration") // it has its times
		require.Equal(t, ofSpan, c.span.attributes)
	}
}

func (c *emittedConnection) requireTimes(t testing.TB) {
	t.Helper()
	require.Equal(t, c.span.ended, c.end.at)
	if c.end.event == closed {
		require.WithinRange(t, c.open.at, c.span.began, c.span.ended)
	}
	seconds, ok := c.end.attributes["socketflow.duration"].(float64)
	require.True(t, ok)
	require.InDelta(t, c.span.ended.Sub(c.span.began).Seconds(), seconds, 1e-9)
}

func (c *emittedConnection) requireKind(t testing.TB) {
	t.Helper()
	kind, source, peer := ptrace.SpanKindClient, "connect", "server"
	if c.span.text("socketflow.role.name") == "server" {
		kind, source, peer = ptrace.SpanKindServer, "accept", "client"
	}
	require.Equal(t, kind, c.span.kind)
	require.Equal(t, source, c.span.text("socketflow.role.source"))
	require.Equal(t, c.span.text("network.peer.address"), c.span.text(peer+".address"))
	require.Equal(t, c.span.number("network.peer.port"), c.span.number(peer+".port"))
}

func (c *emittedConnection) requireSeverity(t testing.TB) {
	t.Helper()
	if c.open.event != "" {
		require.Equal(t, plog.SeverityNumberInfo, c.open.severity)
		require.NotContains(t, c.open.attributes, "error.type")
	}
	if c.end.text("error.type") == "" {
		require.Equal(t, plog.SeverityNumberInfo, c.end.severity)
		require.Equal(t, ptrace.StatusCodeUnset, c.span.status)
		return
	}
	require.Equal(t, plog.SeverityNumberWarn, c.end.severity)
	require.Equal(t, ptrace.StatusCodeError, c.span.status)
	require.Empty(t, c.span.message, "it would repeat error.type")
}
