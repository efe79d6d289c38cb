package console

import (
	"context"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func (c *console) consumeTraces(_ context.Context, td ptrace.Traces) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now().UnixNano()
	c.consumed = true
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
	c.consumed = true
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
	c.consumed = true
	c.metrics.add(md, c.now())
	return nil
}
