package main

import (
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// span is what is compared of a span that has a target.
type span struct {
	target target
	client bool
	pid    int
	trace  pcommon.TraceID
	id     pcommon.SpanID
	parent pcommon.SpanID // empty: none
	source string         // how the parent is known; empty: it does not say so
	links  []pcommon.SpanID
	over   string // connection
}

// ledger holds the spans that were emitted, by the number of their request.
type ledger struct {
	mu       sync.Mutex
	requests map[int][]span
	known    map[pcommon.SpanID]bool // an exporter may send twice
}

func newLedger() *ledger {
	return &ledger{requests: map[int][]span{}, known: map[pcommon.SpanID]bool{}}
}

// emitted notes spans that the backend has got.
func (l *ledger) emitted(traces ptrace.Traces) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, resource := range traces.ResourceSpans().All() {
		pid := 0
		if value, ok := resource.Resource().Attributes().Get("process.pid"); ok {
			pid = int(value.Int())
		}
		for _, scope := range resource.ScopeSpans().All() {
			for _, s := range scope.Spans().All() {
				l.note(pid, s)
			}
		}
	}
}

func (l *ledger) note(pid int, from ptrace.Span) {
	t, ok := targetOf(from.Attributes())
	if !ok || l.known[from.SpanID()] {
		return
	}
	l.known[from.SpanID()] = true
	s := span{
		target: t, client: from.Kind() == ptrace.SpanKindClient, pid: pid,
		trace: from.TraceID(), id: from.SpanID(), parent: from.ParentSpanID(),
	}
	if source, ok := from.Attributes().Get("socketflow.parent.source"); ok {
		s.source = source.Str()
	}
	if connection, ok := from.Attributes().Get("socketflow.connection.id"); ok {
		s.over = connection.Str()
	}
	for _, link := range from.Links().All() {
		s.links = append(s.links, link.SpanID())
	}
	l.requests[t.request] = append(l.requests[t.request], s)
}

// score compares what has come so far with the truth.
func (l *ledger) score(t *truth) *score {
	l.mu.Lock()
	defer l.mu.Unlock()
	return t.score(l.requests)
}

// explain names calls that are not as they should be.
func (l *ledger) explain(t *truth, limit int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return t.explain(l.requests, limit)
}

// forget drops the spans of a cell that is done.
func (l *ledger) forget(t *truth) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := range t.requests {
		delete(l.requests, t.first+n)
	}
	clear(l.known)
}
