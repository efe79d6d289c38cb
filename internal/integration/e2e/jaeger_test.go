//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

// jaeger is a real Jaeger.
type jaeger struct {
	*program
	grpc, http int    // ports that take OTLP
	query      string // URL
}

func startJaeger(t testing.TB) *jaeger {
	t.Helper()
	build := exec.Command(filepath.Join(root, "internal/tools/jaeger/build.sh"))
	build.Stderr = os.Stderr
	path, err := build.Output()
	if err != nil {
		testenv.Lacking(t, "no Jaeger: internal/tools/jaeger/build.sh: %v", err)
	}
	binary := strings.TrimSpace(string(path))
	query, health := freePort(t), freePort(t)
	j := &jaeger{grpc: freePort(t), http: freePort(t), query: fmt.Sprintf("http://127.0.0.1:%d", query)}
	cmd := exec.Command(binary, "--config", filepath.Join(root, "internal/tools/jaeger/jaeger.yaml"))
	cmd.Env = quiet(t.TempDir(),
		fmt.Sprintf("SOCKETFLOW_JAEGER_OTLP_GRPC_PORT=%d", j.grpc),
		fmt.Sprintf("SOCKETFLOW_JAEGER_OTLP_HTTP_PORT=%d", j.http),
		fmt.Sprintf("SOCKETFLOW_JAEGER_QUERY_PORT=%d", query),
		fmt.Sprintf("SOCKETFLOW_JAEGER_HEALTH_PORT=%d", health),
		"SOCKETFLOW_JAEGER_UI="+filepath.Join(filepath.Dir(binary), "ui"))
	j.program = start(t, cmd)
	eventually(t, 60*time.Second, "Jaeger is ready", func() error {
		status, _, err := get(fmt.Sprintf("http://127.0.0.1:%d/status", health))
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})
	return j
}

type jaegerReference struct{ RefType, TraceID, SpanID string }

// jaegerSpan is a span as a user of Jaeger sees it.
type jaegerSpan struct {
	TraceID   string
	SpanID    string
	Operation string
	Began     time.Time
	Duration  time.Duration
	Parents   []jaegerReference
	Tags      map[string]any
	Warnings  []string
	Process   map[string]any // its tags
	Service   string
}

func (s *jaegerSpan) text(key string) string {
	text, _ := s.Tags[key].(string)
	return text
}

// number is a tag of the span, or else of the process; -1: there is none.
func (s *jaegerSpan) number(key string) int {
	value, ok := s.Tags[key]
	if !ok {
		value, ok = s.Process[key]
	}
	number, isNumber := value.(json.Number)
	if !ok || !isNumber {
		return -1
	}
	n, err := strconv.Atoi(number.String())
	if err != nil {
		return -1
	}
	return n
}

func (s *jaegerSpan) pid() int { return s.number("process.pid") }

// answer is the part of an answer of Jaeger's query API that the tests use.
type answer struct {
	Data []struct {
		Spans []struct {
			TraceID, SpanID, OperationName, ProcessID string
			References                                []jaegerReference
			StartTime, Duration                       int64 // microseconds
			Tags                                      []keyValue
			Warnings                                  []string
		}
		Processes map[string]struct {
			ServiceName string
			Tags        []keyValue
		}
	}
	Errors []struct{ Msg string }
}

type keyValue struct {
	Key   string
	Value any
}

func toMap(pairs []keyValue) map[string]any {
	m := make(map[string]any, len(pairs))
	for _, p := range pairs {
		m[p.Key] = p.Value
	}
	return m
}

func (j *jaeger) ask(path string, into any) error {
	status, body, err := get(j.query + path)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: status %d: %s", path, status, body)
	}
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.UseNumber()
	return decoder.Decode(into)
}

func (j *jaeger) services() ([]string, error) {
	var services struct{ Data []string }
	err := j.ask("/api/services", &services)
	return services.Data, err
}

// spans are the spans of a service that have the tags: name, value, name, value.
func (j *jaeger) spans(service string, tags ...string) ([]jaegerSpan, error) {
	query := url.Values{"service": {service}, "limit": {"20000"}}
	for i := 0; i < len(tags); i += 2 {
		query.Add("tag", tags[i]+":"+tags[i+1])
	}
	var found answer
	if err := j.ask("/api/traces?"+query.Encode(), &found); err != nil {
		return nil, err
	}
	if len(found.Errors) > 0 {
		return nil, fmt.Errorf("%v", found.Errors)
	}
	var spans []jaegerSpan
	for _, trace := range found.Data {
		for _, s := range trace.Spans {
			process := trace.Processes[s.ProcessID]
			if process.ServiceName != service { // Jaeger answers with whole traces
				continue
			}
			spans = append(spans, jaegerSpan{
				TraceID: s.TraceID, SpanID: s.SpanID, Operation: s.OperationName, Parents: s.References,
				Began: time.UnixMicro(s.StartTime), Duration: time.Duration(s.Duration) * time.Microsecond,
				Tags: toMap(s.Tags), Warnings: s.Warnings, Process: toMap(process.Tags), Service: process.ServiceName,
			})
		}
	}
	return spans, nil
}

// one waits for the span of a service that has the tags, and makes sure that there is only one.
func (j *jaeger) one(t testing.TB, service string, tags ...string) jaegerSpan {
	t.Helper()
	var span jaegerSpan
	what := fmt.Sprintf("Jaeger has a span of service %s with %v", service, tags)
	eventually(t, 20*time.Second, what, func() error {
		spans, err := j.spans(service, tags...)
		if err != nil {
			return err
		}
		require.LessOrEqual(t, len(spans), 1, what)
		if len(spans) == 0 {
			return fmt.Errorf("there is none")
		}
		span = spans[0]
		return nil
	})
	return span
}
