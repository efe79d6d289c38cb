package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/exporter/console/internal/metadata"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// bench is a console whose time stands still, and which writes to a buffer.
type bench struct {
	*console
	t       *testing.T
	printed bytes.Buffer
	clock   time.Time
}

func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	config := newDefaultConfig()
	config.Summary = false
	if change != nil {
		change(config)
	}
	require.NoError(t, config.Validate())
	c, err := newConsole(config, componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	b := &bench{console: c, t: t, clock: noon}
	c.now = func() time.Time { return b.clock }
	c.began = noon
	columns := func() int { return max(config.Width, 120) }
	c.out = &output{Writer: &b.printed, columns: columns}
	c.renderer = renderer{columns: columns, color: config.Color == ColorAlways, ids: config.IDs, zone: time.UTC}
	return b
}

// lines prints everything that waits, and returns it.
func (b *bench) lines() []string {
	b.t.Helper()
	b.print(true)
	defer b.printed.Reset()
	return strings.Split(strings.TrimSuffix(b.printed.String(), "\n"), "\n")
}

// after prints what is due after a while.
func (b *bench) after(d time.Duration) string {
	b.clock = b.clock.Add(d)
	b.print(false)
	defer b.printed.Reset()
	return b.printed.String()
}

func at(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

// testSpan is a span of a service.
type testSpan struct {
	service      string
	kind         ptrace.SpanKind
	name         string
	trace        byte
	id, parent   byte
	began, ended int // ms after noon
	failed       bool
	attributes   map[string]any
}

func (b *bench) spans(spans ...testSpan) {
	b.t.Helper()
	td := ptrace.NewTraces()
	for _, from := range spans {
		of := td.ResourceSpans().AppendEmpty()
		of.Resource().Attributes().PutStr("service.name", from.service)
		s := of.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetKind(from.kind)
		s.SetName(from.name)
		s.SetTraceID(pcommon.TraceID{1, 15: from.trace})
		s.SetSpanID(pcommon.SpanID{7: from.id})
		s.SetParentSpanID(pcommon.SpanID{7: from.parent})
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(at(from.began)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(at(from.ended)))
		if from.failed {
			s.Status().SetCode(ptrace.StatusCodeError)
		}
		require.NoError(b.t, s.Attributes().FromRaw(from.attributes))
	}
	require.NoError(b.t, b.consumeTraces(context.Background(), td))
}

func curl(id byte, began, ended int, path string, status int) testSpan {
	return testSpan{service: "curl", kind: ptrace.SpanKindClient, name: "GET", trace: id, id: id, began: began, ended: ended, failed: status >= 400,
		attributes: map[string]any{"http.request.method": "GET", "url.full": "http://127.0.0.1:8765" + path, "http.response.status_code": status,
			"server.address": "127.0.0.1", "server.port": 8765, "socketflow.capture": "complete"}}
}

func python(of testSpan) testSpan {
	return testSpan{service: "python3", kind: ptrace.SpanKindServer, name: "GET", trace: of.trace, id: of.id + 100, parent: of.id,
		began: of.began + 1, ended: of.ended - 1,
		attributes: map[string]any{"http.request.method": "GET", "url.path": "/x.txt", "http.response.status_code": of.attributes["http.response.status_code"],
			"network.local.port": 8765, "client.address": "127.0.0.1", "client.port": 40000}}
}

func TestBothEndsOfARequestAreOneLine(t *testing.T) {
	client := curl(1, 0, 5, "/x.txt", 404)
	for name, order := range map[string][]testSpan{
		"client first": {client, python(client)},
		"server first": {python(client), client},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			for _, s := range order {
				b.spans(s)
			}
			assert.Equal(t, []string{"12:00:00.005 curl → python3:8765  GET /x.txt  404  5.0 ms"}, b.lines())
		})
	}
}

func TestOneEndAloneIsALine(t *testing.T) {
	b := newBench(t, nil)
	client := curl(1, 0, 5, "/x.txt?a=b", 200)
	b.spans(client)
	assert.Equal(t, []string{"12:00:00.005 curl → 127.0.0.1:8765  GET /x.txt?a=b  200  5.0 ms"}, b.lines())
	b.spans(python(client))
	assert.Equal(t, []string{"12:00:00.004 127.0.0.1 → python3:8765  GET /x.txt  200  3.0 ms"}, b.lines())
}

func TestTwoServersOfOneParentAreTwoLines(t *testing.T) {
	b := newBench(t, nil)
	client := curl(1, 0, 5, "/x.txt", 200)
	retried := python(client)
	retried.id++
	b.spans(client, python(client), retried)
	assert.Len(t, b.lines(), 2)
}

func TestLinesComeInOrderOfTimeWithinTheWindow(t *testing.T) {
	b := newBench(t, nil)
	b.clock = at(100)
	b.spans(curl(1, 0, 90, "/second", 200))
	b.spans(curl(2, 0, 80, "/first", 200))
	assert.Empty(t, b.after(400*time.Millisecond), "the window is not over")
	printed := b.after(200 * time.Millisecond)
	assert.Less(t, strings.Index(printed, "/first"), strings.Index(printed, "/second"), printed)
	assert.Contains(t, printed, "/second")
	assert.Empty(t, b.waiting.spans)
	assert.Empty(t, b.waiting.children)
}

func TestOtherEndThatComesTooLateHasALineOfItsOwn(t *testing.T) {
	b := newBench(t, nil)
	client := curl(1, 0, 5, "/x.txt", 200)
	b.spans(client)
	assert.Contains(t, b.after(time.Second), "curl → 127.0.0.1:8765")
	b.spans(python(client))
	assert.Contains(t, b.after(time.Second), "127.0.0.1 → python3:8765")
}

func TestFutureTimesDoNotWaitForEver(t *testing.T) {
	b := newBench(t, nil)
	b.spans(curl(1, 0, 3_600_000, "/tomorrow", 200))
	assert.Contains(t, b.after(500*time.Millisecond), "/tomorrow")
}

func TestChildrenAreBelowTheirParent(t *testing.T) {
	b := newBench(t, nil)
	order := curl(1, 0, 50, "/order", 200)
	served := python(order)
	query := testSpan{service: "python3", kind: ptrace.SpanKindClient, name: "GET", trace: 1, id: 3, parent: served.id, began: 10, ended: 12,
		attributes: map[string]any{"db.system.name": "redis", "db.query.text": "GET stock:?", "server.address": "127.0.0.1", "server.port": 6379}}
	redis := testSpan{service: "redis-server", kind: ptrace.SpanKindServer, name: "GET", trace: 1, id: 4, parent: 3, began: 10, ended: 11,
		attributes: map[string]any{"db.system.name": "redis", "network.local.port": 6379}}
	later := query
	later.id, later.began, later.ended = 5, 20, 21
	b.spans(later, query, redis, served, order)
	assert.Equal(t, []string{
		"12:00:00.050 curl → python3:8765  GET /order  200  50 ms",
		"12:00:00.012 └ python3 → redis-server:6379  redis GET stock:?  ok  2.0 ms",
		"12:00:00.021 └ python3 → 127.0.0.1:6379  redis GET stock:?  ok  1.0 ms",
	}, b.lines())
}

func TestSpansThatAreEachOthersParentsArePrinted(t *testing.T) {
	b := newBench(t, nil)
	one, other := curl(1, 0, 5, "/one", 200), curl(2, 0, 5, "/other", 200)
	one.trace, one.parent, other.trace, other.parent = 7, 2, 7, 1
	own := curl(3, 0, 5, "/own", 200)
	own.parent = 3
	b.spans(one, other, own)
	printed := ""
	for range 10 {
		printed += b.after(time.Second)
	}
	for _, path := range []string{"/one", "/other", "/own"} {
		assert.Equal(t, 1, strings.Count(printed, path+" "), printed)
	}
	assert.Empty(t, b.waiting.spans)
	assert.Empty(t, b.waiting.children)
	assert.Empty(t, b.waiting.queue)
}

func TestVeryDeepTraceIsPrintedInPieces(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxLinesPerSecond = 10_000 })
	for id := byte(1); id <= 200; id++ {
		s := curl(id, int(id), 1000-int(id), "/deep", 200)
		s.trace, s.parent = 9, id-1
		b.spans(s)
	}
	printed := b.after(2 * time.Second)
	assert.Equal(t, 200, strings.Count(printed, "/deep"))
	assert.Contains(t, printed, strings.Repeat("  ", maxDepth-1)+"└ curl")
	assert.NotContains(t, printed, strings.Repeat("  ", maxDepth)+"└ curl")
	assert.Empty(t, b.waiting.spans)
	assert.Empty(t, b.waiting.queue)
}

// logRecord is a record of a connection.
func (b *bench) logRecord(service, event string, attributes map[string]any) {
	b.t.Helper()
	ld := plog.NewLogs()
	of := ld.ResourceLogs().AppendEmpty()
	of.Resource().Attributes().PutStr("service.name", service)
	r := of.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	r.SetEventName(event)
	r.Body().SetStr("a sentence")
	r.SetTimestamp(pcommon.NewTimestampFromTime(at(7)))
	require.NoError(b.t, r.Attributes().FromRaw(attributes))
	require.NoError(b.t, b.consumeLogs(context.Background(), ld))
}

func refused() map[string]any {
	return map[string]any{"socketflow.connection.id": "a1", "socketflow.role.name": "client", "network.transport": "tcp",
		"network.local.address": "127.0.0.1", "network.local.port": 40001, "network.peer.address": "127.0.0.1", "network.peer.port": 9,
		"server.address": "127.0.0.1", "server.port": 9, "error.type": "ECONNREFUSED", "socketflow.duration": 0.0001}
}

func TestSpanAndRecordOfAFailureAreOneLine(t *testing.T) {
	b := newBench(t, nil)
	b.logRecord("curl", "socketflow.connection.fail", refused())
	b.spans(testSpan{service: "curl", kind: ptrace.SpanKindClient, name: "tcp.connect", trace: 1, id: 1, began: 6, ended: 7, failed: true, attributes: refused()})
	assert.Equal(t, []string{"12:00:00.007 curl → 127.0.0.1:9  refused"}, b.lines())
	assert.Equal(t, 1, b.summary.failed)
}

func closedRecord(role string, id string) map[string]any {
	a := map[string]any{"socketflow.connection.id": id, "socketflow.role.name": role, "network.transport": "tcp", "socketflow.duration": 0.005,
		"network.local.address": "127.0.0.1", "network.local.port": 40001, "network.peer.address": "127.0.0.1", "network.peer.port": 8765,
		"server.port": 8765, "socketflow.bytes.sent": 100, "socketflow.bytes.received": 520}
	if role == "server" {
		a["network.local.port"], a["network.peer.port"] = a["network.peer.port"], a["network.local.port"]
		a["socketflow.bytes.sent"], a["socketflow.bytes.received"] = a["socketflow.bytes.received"], a["socketflow.bytes.sent"]
	}
	return a
}

func TestBothEndsOfAConnectionAreOneLine(t *testing.T) {
	for _, first := range []string{"client", "server"} {
		b := newBench(t, func(c *Config) { c.Connections = ConnectionsAll })
		second := map[string]string{"client": "server", "server": "client"}[first]
		b.logRecord(first, "socketflow.connection.close", closedRecord(first, first))
		b.logRecord(second, "socketflow.connection.close", closedRecord(second, second))
		assert.Equal(t, []string{"12:00:00.007 client → server:8765  tcp closed  100 B sent, 520 B received  5.0 ms"}, b.lines())
	}
}

func TestConnectionsAreShownAsWanted(t *testing.T) {
	for connections, want := range map[Connections][]string{
		ConnectionsNone:            nil,
		ConnectionsFailed:          {"refused"},
		ConnectionsWithoutRequests: {"silent", "refused"},
		ConnectionsAll:             {"silent", "talking", "refused"},
	} {
		t.Run(string(connections), func(t *testing.T) {
			b := newBench(t, func(c *Config) { c.Connections = connections })
			silent, talking := closedRecord("client", "s"), closedRecord("client", "t")
			talking["network.local.port"] = 40002
			b.logRecord("silent", "socketflow.connection.close", silent)
			b.logRecord("talking", "socketflow.connection.close", talking)
			b.logRecord("curl", "socketflow.connection.fail", refused())
			request := curl(1, 0, 5, "/", 200)
			request.attributes["socketflow.connection.id"] = "t"
			b.spans(request)
			printed := strings.Join(b.lines(), "\n")
			for _, word := range []string{"silent", "talking", "refused"} {
				if len(want) > 0 && contains(want, word) {
					assert.Contains(t, printed, word)
				} else {
					assert.NotContains(t, printed, word)
				}
			}
		})
	}
}

func contains(words []string, word string) bool {
	return strings.Contains(strings.Join(words, " "), word)
}

func TestOtherRecordsAreLines(t *testing.T) {
	b := newBench(t, nil)
	b.logRecord("app", "", nil)
	assert.Equal(t, []string{"12:00:00.007 app  a sentence"}, b.lines())
}

func TestFilters(t *testing.T) {
	slow := curl(2, 0, 300, "/slow", 200)
	failed := curl(3, 0, 5, "/failed", 503)
	for name, test := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"service of the other end": {func(c *Config) { c.Include.Service = []string{"pyth*"} }, []string{"/quick"}},
		"service of this end":      {func(c *Config) { c.Include.Service = []string{"curl"} }, []string{"/quick", "/slow", "/failed"}},
		"no such service":          {func(c *Config) { c.Include.Service = []string{"nginx"} }, nil},
		"port":                     {func(c *Config) { c.Include.Port = []any{"8000-8999"} }, []string{"/quick", "/slow", "/failed"}},
		"another port":             {func(c *Config) { c.Include.Port = []any{80} }, nil},
		"status":                   {func(c *Config) { c.Include.Status = []any{503} }, []string{"/failed"}},
		"class of status":          {func(c *Config) { c.Include.Status = []any{"2xx"} }, []string{"/quick", "/slow"}},
		"errors":                   {func(c *Config) { c.Include.Status = []any{"error"} }, []string{"/failed"}},
		"slower than":              {func(c *Config) { c.Include.SlowerThan = 100 * time.Millisecond }, []string{"/slow"}},
		"exclude the other end":    {func(c *Config) { c.Exclude.Service = []string{"python3"} }, []string{"/slow", "/failed"}},
		"exclude status":           {func(c *Config) { c.Exclude.Status = []any{"5xx"} }, []string{"/quick", "/slow"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, test.change)
			quick := curl(1, 0, 5, "/quick", 200)
			b.spans(quick, python(quick), slow, failed)
			printed := strings.Join(b.lines(), "\n")
			for _, path := range []string{"/quick", "/slow", "/failed"} {
				want := 0
				if contains(test.want, path) {
					want = 1
				}
				assert.Equal(t, want, strings.Count(printed, path+" "), "%s in\n%s", path, printed)
			}
		})
	}
}

func TestFloodIsSampled(t *testing.T) {
	b := newBench(t, nil)
	b.clock = noon.Add(100 * time.Millisecond)
	client := curl(1, 0, 5, "/flood", 200)
	ends := []testSpan{client, python(client)}
	td := ptrace.NewTraces()
	for i := range 2 * 2000 {
		from := ends[i%2]
		of := td.ResourceSpans().AppendEmpty()
		of.Resource().Attributes().PutStr("service.name", from.service)
		s := of.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetKind(from.kind)
		n := uint16(i/2 + 1)
		id, other := pcommon.SpanID{6: byte(n >> 8), 7: byte(n)}, pcommon.SpanID{0: 1, 6: byte(n >> 8), 7: byte(n)}
		s.SetTraceID(pcommon.TraceID{15: 1})
		s.SetSpanID(id)
		if i%2 == 1 {
			s.SetSpanID(other)
			s.SetParentSpanID(id)
		}
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(at(50)))
		require.NoError(t, s.Attributes().FromRaw(from.attributes))
	}
	require.NoError(t, b.consumeTraces(context.Background(), td))
	b.spans(testSpan{service: "late", kind: ptrace.SpanKindClient, name: "fails", trace: 77, id: 9, ended: 60, failed: true})
	assert.Empty(t, b.after(0))
	printed := b.after(1500 * time.Millisecond)
	printed += b.after(time.Second)
	lines := strings.Split(strings.TrimSuffix(printed, "\n"), "\n")
	most := 50 - 50/4
	assert.Len(t, lines, most+1+1, "lines, the error for which there was room, and how many more there were")
	assert.Equal(t, most, strings.Count(printed, "curl → python3:8765"), "both ends of what is printed")
	assert.Contains(t, printed, "late  fails")
	assert.Equal(t, fmt.Sprintf("12:00:00.999 … %s more in this second", "1,962"), lines[len(lines)-1])
	assert.Equal(t, 2000, b.summary.services["curl"].made.requests, "the summary counts all")
	assert.Equal(t, 2000, b.summary.services["python3"].served.requests)
}

func TestWaitingLinesAreBounded(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxWaiting, c.MaxLinesPerSecond = minWaiting, maxRate })
	for i := range 250 {
		s := curl(byte(i), 0, 5, "/", 200)
		s.trace = byte(i)
		b.spans(s)
	}
	assert.Len(t, b.waiting.queue, minWaiting)
	assert.Equal(t, 150, b.summary.left)
}

func TestIDs(t *testing.T) {
	b := newBench(t, func(c *Config) { c.IDs = true })
	b.spans(curl(1, 0, 5, "/", 200))
	assert.Contains(t, b.lines()[0], "trace=01000000000000000000000000000001  span=0000000000000001")
}

func TestColours(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Color = ColorAlways })
	b.spans(curl(1, 0, 5, "/", 404))
	line := b.lines()[0]
	assert.Contains(t, line, red+"404"+reset)

	b = newBench(t, func(c *Config) { c.Color = ColorNever })
	b.spans(curl(1, 0, 5, "/", 404))
	assert.NotContains(t, b.lines()[0], "\x1b")

	env := func(name, value string) func(string) string {
		return func(asked string) string {
			if asked == name {
				return value
			}
			return ""
		}
	}
	assert.True(t, colored(ColorAlways, false, env("NO_COLOR", "1")))
	assert.False(t, colored(ColorAuto, true, env("NO_COLOR", "1")))
	assert.False(t, colored(ColorAuto, true, env("TERM", "dumb")))
	assert.False(t, colored(ColorAuto, false, env("", "")))
	assert.False(t, colored(ColorNever, true, env("", "")))
}

func TestSummary(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Summary = true })
	for i := byte(1); i <= 10; i++ {
		s := curl(i, 0, int(i), "/", 200)
		b.spans(s, python(s))
	}
	b.spans(testSpan{service: "neither", kind: ptrace.SpanKindInternal, name: "works", trace: 60, id: 60, ended: 5})
	cut := curl(50, 0, 100, "/", 500)
	cut.attributes["socketflow.capture"] = "gap"
	b.spans(cut)
	b.logRecord("curl", "socketflow.connection.fail", refused())
	b.clock = noon.Add(time.Minute)
	lines := b.lines()
	printed := strings.Join(lines, "\n")
	assert.Contains(t, printed, "1m0s: requests served: 10 (errors: 0), made: 11 (errors: 1); connections failed: 1")
	assert.Contains(t, printed, "not seen whole (socketflow.capture): 1 gap")
	assert.Regexp(t, `(?m)^curl +- +11 +1 +\d\.\d ms +\d+ ms$`, printed)
	assert.Regexp(t, `(?m)^python3 +10 +0 `, printed)
	assert.NotRegexp(t, `(?m)^neither`, printed, "it has no requests")
}

func TestQuantilesAreOffByLittle(t *testing.T) {
	var t1 tally
	for i := 1; i <= 1000; i++ {
		t1.add(time.Duration(i)*time.Millisecond, false)
	}
	assert.InEpsilon(t, 500*time.Millisecond, t1.quantile(0.5), 0.09)
	assert.InEpsilon(t, 990*time.Millisecond, t1.quantile(0.99), 0.09)
}

// stuck is an output that takes nothing.
type stuck struct{ released chan struct{} }

func (s stuck) Write([]byte) (int, error) { <-s.released; return 0, io.ErrClosedPipe }

func TestOutputThatTakesNothingDoesNotHoldThePipeline(t *testing.T) {
	c, err := newConsole(newDefaultConfig(), componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	s := stuck{make(chan struct{})}
	c.open = func() (*output, error) {
		return &output{Writer: s, columns: func() int { return 80 }, close: func() error { return nil }}, nil
	}
	require.NoError(t, c.start(context.Background(), nil))
	b := &bench{console: c, t: t}
	for i := range 20_000 {
		b.spans(curl(byte(i), 0, 5, "/", 200))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	assert.ErrorContains(t, c.shutdown(ctx), "takes nothing")
	close(s.released)
	<-c.done
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestLinesThatCannotBeWrittenAreCounted(t *testing.T) {
	b := newBench(t, nil)
	b.out.Writer = failing{}
	b.spans(curl(1, 0, 5, "/", 200))
	b.print(true)
	assert.Equal(t, 1, b.summary.left)
}

func TestSignalsShareOneConsole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lines")
	factory := NewFactory()
	cfg := factory.CreateDefaultConfig().(*Config)
	cfg.Path = file
	set := exportertest.NewNopSettings(metadata.Type)
	ctx := context.Background()
	traces, err := factory.CreateTraces(ctx, set, cfg)
	require.NoError(t, err)
	logs, err := factory.CreateLogs(ctx, set, cfg)
	require.NoError(t, err)
	require.NoError(t, traces.Start(ctx, componenttest.NewNopHost()))
	require.NoError(t, logs.Start(ctx, componenttest.NewNopHost()))
	require.NoError(t, logs.ConsumeLogs(ctx, plog.NewLogs()))
	require.NoError(t, traces.Shutdown(ctx))
	require.NoError(t, logs.Shutdown(ctx))
	printed, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(string(printed), "one line each"))
	assert.Equal(t, 1, strings.Count(string(printed), "requests served:"))
}
