package console

import (
	"context"
	"hash/maphash"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

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

func (c *console) hadRequest(id string) bool { return id != "" && c.requested.has(hashOf(id)) }

func hashOf(text string) uint64 { return maphash.String(seed, text) }
