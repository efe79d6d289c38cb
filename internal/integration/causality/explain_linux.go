package main

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// explain names what is missing, wrong or not joined, up to a limit.
func (t *truth) explain(requests map[int][]span, limit int) (notes []string) {
	servers := map[pcommon.SpanID]span{}
	for n := range t.requests {
		for _, s := range requests[t.first+n] {
			if !s.client {
				servers[s.id] = s
			}
		}
	}
	for n := range t.requests {
		for k := range t.calls {
			note := t.explainCall(requests[t.first+n], t.first+n, k, servers)
			if note != "" && len(notes) < limit {
				notes = append(notes, fmt.Sprintf("request %d, call %d: %s", t.first+n, k, note))
			}
		}
	}
	return notes
}

// explainCall is empty of a call whose spans are as they should be.
func (t *truth) explainCall(all []span, id, k int, servers map[pcommon.SpanID]span) string {
	requests := t.named(all, target{id, itself}, false, false)
	calls, answers := t.named(all, t.call(id, k), true, false), t.named(all, t.call(id, k), false, true)
	switch {
	case len(requests) == 0:
		return "the service has no SERVER span"
	case len(calls) == 0:
		return "no CLIENT span"
	case len(answers) == 0:
		return "the backend has no SERVER span"
	case calls[0].parent.IsEmpty():
		return fmt.Sprintf("no parent, %d links", len(calls[0].links))
	case answers[0].parent != calls[0].id:
		return fmt.Sprintf("the parent of the backend's span is %s, not %s", answers[0].parent, calls[0].id)
	case calls[0].parent == requests[0].id:
		return ""
	}
	if parent, ok := servers[calls[0].parent]; ok {
		return fmt.Sprintf("the parent is request %d in process %d, by %s", parent.target.request, parent.pid, calls[0].source)
	}
	return fmt.Sprintf("the parent is %s, which was not emitted, by %s", calls[0].parent, calls[0].source)
}
