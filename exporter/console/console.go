package console

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/socketflow/socketflow/exporter/console/internal/metadata"
)

const (
	tick        = 50 * time.Millisecond
	lastWrite   = 2 * time.Second // how long the end waits for an output that takes nothing
	writeSilent = time.Minute     // between two warnings of a failing output
)

// Why lines are not printed: the values of the attribute cause of otelcol_console_lines_left_out.
const (
	leftRate      = "rate"
	leftWaiting   = "waiting"
	leftUnwritten = "unwritten"
)

// console is what the pipelines of one configuration share. Consuming never waits for the output: it only puts lines into tables that are
// bounded, and one goroutine writes what has become due.
type console struct {
	config    *Config
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	now       func() time.Time
	forget    func()
	open      func() (*output, error)

	mu        sync.Mutex // of all that follows
	running   int        // pipelines
	waiting   *waiting
	budget    budget
	summary   *summary
	metrics   *metricTable
	include   filter
	exclude   filter
	counted   [2]*recent // requests of which one end was left out, by the span of the end that asks: that end was the one that serves, or asks
	requested *recent    // connections with requests
	failures  *recent    // connections that failed, and were counted
	began     time.Time

	out      *output
	renderer renderer
	stop     chan struct{}
	done     chan struct{}
	warned   time.Time
}

func newConsole(config *Config, set component.TelemetrySettings) (*console, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	return &console{
		config:    config,
		logger:    set.Logger,
		telemetry: telemetry,
		now:       time.Now,
		forget:    func() {},
		open:      func() (*output, error) { return openOutput(config.Path, config.Width) },
		waiting:   newWaiting(config.Window, config.MaxWaiting),
		budget:    budget{most: config.MaxLinesPerSecond},
		summary:   newSummary(),
		metrics:   newMetricTable(),
		include:   newFilter(config.Include.FilterConfig, config.Include.SlowerThan),
		exclude:   newFilter(config.Exclude, 0),
		counted:   [2]*recent{newRecent(), newRecent()},
		requested: newRecent(),
		failures:  newRecent(),
	}, nil
}

// start opens the output when the first pipeline starts.
func (c *console) start(context.Context, component.Host) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running > 0 {
		c.running++
		return nil
	}
	out, err := c.open()
	if err != nil {
		return fmt.Errorf("path: %w", err)
	}
	c.running++
	c.out = out
	c.renderer = renderer{columns: out.columns, color: colored(c.config.Color, out.terminal, os.Getenv), ids: c.config.IDs, zone: time.Local}
	c.began = c.now()
	c.stop, c.done = make(chan struct{}), make(chan struct{})
	go c.run(c.stop, c.done)
	return nil
}

// shutdown prints what waits, and the summary, when the last pipeline ends.
func (c *console) shutdown(ctx context.Context) error {
	c.mu.Lock()
	if c.running > 0 {
		c.running--
	}
	last, stop, done := c.running == 0, c.stop, c.done
	if last {
		c.stop = nil
	}
	c.mu.Unlock()
	if !last {
		return nil
	}
	c.forget()
	defer c.telemetry.Shutdown()
	if stop == nil {
		return nil // it has not started
	}
	close(stop)
	ctx, cancel := context.WithTimeout(ctx, lastWrite)
	defer cancel()
	select {
	case <-done:
		return c.out.close()
	case <-ctx.Done():
		return errors.New("the output takes nothing: the last lines are lost")
	}
}

// run writes what is due, until the end.
func (c *console) run(stop <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	if c.config.Hint {
		c.renderer.text(gray, c.hint())
		c.write()
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			c.print(true)
			return
		case <-ticker.C:
			c.print(false)
		}
	}
}

// hint says what comes. The exporter cannot see when a receiver begins to see anything.
func (c *console) hint() string {
	text := "All requests"
	if !c.include.empty() || !c.exclude.empty() {
		text = "Requests that include and exclude choose"
	}
	switch c.config.Connections {
	case ConnectionsFailed:
		text += ", and connections that fail"
	case ConnectionsWithoutRequests:
		text += ", and connections without requests"
	case ConnectionsAll:
		text += ", and connections"
	}
	text += ": one line each, when it ends. The receiver may take ten seconds to begin. Ctrl-C ends this"
	if c.config.Summary {
		text += " with a summary"
	}
	return text + "."
}

// print writes what is due, or at the end everything.
func (c *console) print(all bool) {
	now := c.now()
	c.mu.Lock()
	c.nextSecond(now.UnixNano())
	if all && c.budget.more > 0 {
		c.addMore(c.budget.more, now.UnixNano(), now.UnixNano())
	}
	lines := c.waiting.release(now.UnixNano(), all)
	var texts []string
	if c.config.MetricsInterval > 0 && now.Sub(c.metrics.since(c.began)) >= c.config.MetricsInterval || all {
		texts = c.metrics.text(now, c.renderer.zone)
	}
	printed := 0
	for _, l := range lines {
		if c.wanted(l) {
			c.renderer.line(l)
			printed++
		}
	}
	for _, text := range texts {
		c.renderer.text("", text)
	}
	c.summary.printed += printed
	if all && c.config.Summary {
		for _, text := range c.summary.text(now.Sub(c.began)) {
			c.renderer.text("", text)
		}
	}
	c.mu.Unlock()
	if c.write() {
		c.telemetry.ConsoleLinesPrinted.Add(context.Background(), int64(printed))
	} else {
		c.mu.Lock()
		c.leftOut(printed, leftUnwritten)
		c.mu.Unlock()
	}
}

// wanted reports whether a line is printed after all, now that both ends may be known.
func (c *console) wanted(l *line) bool {
	if l.kind == connection && c.config.Connections == ConnectionsWithoutRequests && !l.failed {
		if id := l.asks.connection + l.serves.connection; id != "" && (c.hadRequest(l.asks.connection) || c.hadRequest(l.serves.connection)) {
			return false
		}
	}
	return l.kind == more || l.matches && !l.excluded
}

// write hands the buffer to the output.
func (c *console) write() bool {
	if len(c.renderer.buf) == 0 {
		return true
	}
	_, err := c.out.Write(c.renderer.buf)
	c.renderer.buf = c.renderer.buf[:0]
	if err == nil {
		return true
	}
	if now := c.now(); now.Sub(c.warned) >= writeSilent {
		c.warned = now
		c.logger.Warn("lines could not be written", zap.Error(err))
	}
	return false
}

// leftOut counts lines that are not printed.
func (c *console) leftOut(n int, cause string) {
	if n > 0 {
		c.summary.left += n
		c.telemetry.ConsoleLinesLeftOut.Add(context.Background(), int64(n), metric.WithAttributes(attribute.String("cause", cause)))
	}
}

// nextSecond gives the lines that come a new budget once a second, and says how many had no room in the last one.
func (c *console) nextSecond(now int64) {
	if more, ended := c.budget.next(now); more > 0 {
		c.addMore(more, ended, now)
	}
}

func (c *console) addMore(count int, at, now int64) {
	c.waiting.add(&line{kind: more, count: int64(count), at: at, index: -1}, now)
	c.leftOut(count, leftRate)
	c.budget.more = 0
}

func (c *console) consumeTraces(_ context.Context, td ptrace.Traces) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now().UnixNano()
	c.nextSecond(now)
	for _, of := range td.ResourceSpans().All() {
		service := serviceOf(of.Resource())
		counts := c.summary.of(service)
		for _, scope := range of.ScopeSpans().All() {
			for _, s := range scope.Spans().All() {
				c.span(service, counts, s, now)
			}
		}
	}
	return nil
}

func serviceOf(r pcommon.Resource) string {
	if name := first(r.Attributes(), "service.name"); name != "" {
		return name
	}
	return "?"
}

// span counts a span, and has it wait as a line, or as the other end of one. Most of what a busy host sends comes no further than the budget.
func (c *console) span(service string, counts *service, s ptrace.Span, now int64) {
	failed := s.Status().Code() == ptrace.StatusCodeError
	isRequest := !isConnection(s.Name())
	if c.config.Connections == ConnectionsWithoutRequests && isRequest {
		if id := first(s.Attributes(), "socketflow.connection.id"); id != "" {
			c.requested.add(hashOf(id))
		}
	}
	var l *line
	if !isRequest && failed {
		l = spanLine(service, s)
		c.judge(l)
		c.countFailure(l)
	}
	if !isRequest && !c.showsConnection(failed) {
		return
	}
	if l == nil && (!c.include.empty() || !c.exclude.empty()) {
		l = spanLine(service, s)
		c.judge(l)
	}
	if isRequest && (l == nil || l.matches && !l.excluded) {
		c.count(counts, s, failed)
	}
	asks := spanKey{s.TraceID(), s.SpanID()}
	if serving(s.Kind()) {
		asks.span = s.ParentSpanID()
	}
	if c.isCounted(s.Kind(), asks) {
		return
	}
	if l == nil && !c.budget.room(failed) && c.waiting.spans[asks] == nil && len(c.waiting.children[asks]) == 0 {
		c.budget.take(failed)
		c.skip(s.Kind(), asks)
		return
	}
	if l == nil {
		l = spanLine(service, s)
		l.matches = true
	}
	if !c.admit(l, now) {
		c.skip(s.Kind(), asks)
	}
}

// skip remembers a request of which the first end was left out.
func (c *console) skip(kind ptrace.SpanKind, asks spanKey) {
	switch n := numberOf(asks); {
	case n == 0:
	case serving(kind):
		c.counted[0].add(n)
	case asking(kind):
		c.counted[1].add(n)
	}
}

// isCounted reports, once, whether a span is the other end of a request that was counted as left out. Another one may have the same parent.
func (c *console) isCounted(kind ptrace.SpanKind, asks spanKey) bool {
	n := numberOf(asks)
	return asking(kind) && c.counted[0].take(n) || serving(kind) && c.counted[1].take(n)
}

func (c *console) count(counts *service, s ptrace.Span, failed bool) {
	took := time.Duration(s.EndTimestamp() - s.StartTimestamp())
	switch {
	case serving(s.Kind()):
		counts.served.add(took, failed)
	case asking(s.Kind()):
		counts.made.add(took, failed)
	default:
		return
	}
	if capture, ok := s.Attributes().Get("socketflow.capture"); ok {
		c.summary.captured(capture.AsString())
	}
}

// judge says which conditions the end that a line has meets.
func (c *console) judge(l *line) {
	l.matches = c.include.includes(l)
	l.excluded = c.exclude.excludes(l)
}

// countFailure counts a failed connection once, of whose end both a record and a span may come.
func (c *console) countFailure(l *line) {
	id := hashOf(l.asks.connection + l.serves.connection)
	if l.failed && l.matches && !l.excluded && !c.failures.has(id) {
		c.failures.add(id)
		c.summary.failed++
	}
}

func (c *console) showsConnection(failed bool) bool {
	switch c.config.Connections {
	case ConnectionsNone:
		return false
	case ConnectionsFailed:
		return failed
	}
	return true
}

// admit has a line wait, or folds it into the one of its other end. It reports whether there was room.
func (c *console) admit(l *line, now int64) bool {
	into := c.waiting.otherEnd(l)
	if into != nil {
		c.waiting.fold(into, l)
		if into.paid || !into.matches || into.excluded {
			return true
		}
		into.paid = c.budget.take(into.failed)
		if !into.paid {
			c.waiting.remove(into)
		}
		return into.paid
	}
	// What does not match yet waits for its other end, if that may match.
	if l.excluded || !l.matches && (len(c.include.services) == 0 || l.kind == record) {
		return true
	}
	if c.waiting.full() {
		c.leftOut(1, leftWaiting)
		return false
	}
	if l.matches {
		if l.paid = c.budget.take(l.failed); !l.paid {
			return false
		}
	}
	c.waiting.add(l, now)
	return true
}

func (c *console) consumeLogs(_ context.Context, ld plog.Logs) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now().UnixNano()
	c.nextSecond(now)
	for _, of := range ld.ResourceLogs().All() {
		service := serviceOf(of.Resource())
		for _, scope := range of.ScopeLogs().All() {
			for _, r := range scope.LogRecords().All() {
				c.record(service, r, now)
			}
		}
	}
	return nil
}

// record has a record wait as a line. Most are of connections that are not shown.
func (c *console) record(service string, r plog.LogRecord, now int64) {
	event, isConnection := strings.CutPrefix(r.EventName(), connectionEvents)
	_, failed := r.Attributes().Get("error.type")
	if isConnection && !failed && (!c.showsConnection(event == "fail") || event == "open" && c.config.Connections != ConnectionsAll) {
		return
	}
	l := recordLine(service, r)
	c.judge(l)
	if l.kind == connection {
		c.countFailure(l)
		if !c.showsConnection(l.failed) {
			return
		}
	}
	c.admit(l, now)
}

func (c *console) consumeMetrics(_ context.Context, md pmetric.Metrics) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.metrics.add(md)
	return nil
}

func (c *console) hadRequest(id string) bool { return id != "" && c.requested.has(hashOf(id)) }

func hashOf(text string) uint64 { return maphash.String(seed, text) }
