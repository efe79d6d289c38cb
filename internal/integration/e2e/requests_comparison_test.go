//go:build e2e && linux

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// comparison is the result of comparing the spans of a workload with its accounts.
type comparison struct {
	workload                        string
	requests                        int
	client, server                  int  // spans of that kind
	joinable                        bool // the mode sees what both ends have in common
	both, joined                    int  // spans of servers whose client's end has a span too, and those that are its children
	orphans                         int  // spans of servers with a parent that was not emitted
	missing, invented, twice, wrong []string
	lost                            losses
}

// subject identifies requests before anything else is compared.
type subject struct {
	pid  int
	kind ptrace.SpanKind
	what string // path and query, or method of an RPC
}

func (f *requestFact) subject() subject {
	what := f.rpcMethod + f.path
	if f.query != "" {
		what += "?" + f.query
	}
	return subject{f.pid, f.kind, what}
}

func (s subject) String() string { return fmt.Sprintf("pid %d %s %s", s.pid, s.kind, s.what) }

// compareRequests compares spans with accounts. The spans are all those of the processes that have accounts.
func compareRequests(workload string, accounts []account, spans []requestSpan) comparison {
	v := comparison{workload: workload}
	spans = slices.Clone(spans)
	v.both, v.joined, v.orphans, v.wrong = joinEnds(spans)
	v.joinable = slices.ContainsFunc(spans, func(s requestSpan) bool { return s.mode != "syscall" })
	truth, emitted := map[subject][]requestFact{}, map[subject][]requestFact{}
	for i := range accounts {
		if accounts[i].Role == "client" {
			v.requests++
		}
		f := accounts[i].expected()
		truth[f.subject()] = append(truth[f.subject()], f)
	}
	for i := range spans {
		s := &spans[i]
		if !s.request() {
			if s.text("network.transport") == "tcp" { // others, such as the connection between the processes of nginx, have no accounts
				v.invented = append(v.invented, fmt.Sprintf("%s of pid %d: %s", s.name, s.pid(), s.message))
			}
			continue
		}
		switch s.kind {
		case ptrace.SpanKindClient:
			v.client++
		case ptrace.SpanKindServer:
			v.server++
		}
		f := s.fact()
		emitted[f.subject()] = append(emitted[f.subject()], f)
	}
	for which, expected := range truth {
		v.compare(which, expected, emitted[which])
	}
	for which, surplus := range emitted {
		if len(truth[which]) == 0 {
			for _, f := range surplus {
				v.invented = append(v.invented, f.String())
			}
		}
	}
	v.identities(spans)
	return v
}

// compare compares the expected facts of requests with the same subject with the emitted ones.
func (v *comparison) compare(which subject, expected, emitted []requestFact) {
	var open []requestFact
	for _, f := range expected {
		found := false
		for i := range emitted {
			if found = len(f.differences(emitted[i])) == 0; found {
				emitted = append(emitted[:i:i], emitted[i+1:]...)
				break
			}
		}
		if !found {
			open = append(open, f)
		}
	}
	for len(open) > 0 && len(emitted) > 0 {
		v.wrong = append(v.wrong, fmt.Sprintf("%s: %s", which, strings.Join(open[0].differences(emitted[0]), "; ")))
		open, emitted = open[1:], emitted[1:]
	}
	for _, f := range open {
		v.missing = append(v.missing, f.String())
	}
	for _, f := range emitted {
		v.twice = append(v.twice, f.String())
	}
}

// identities checks that socketflow.connection.id names one end of one connection, and always the same.
func (v *comparison) identities(spans []requestSpan) {
	type connection struct {
		netNS int
		ends  string // local first
	}
	ids := map[connection]string{}
	of := map[string]connection{}
	for i := range spans {
		s := &spans[i]
		if !s.request() {
			continue
		}
		f := s.fact()
		if f.local == "" {
			continue
		}
		c := connection{netNS: s.number("socketflow.netns"), ends: fmt.Sprint(f.local, f.peer)}
		id := s.connection()
		if known, ok := ids[c]; ok && known != id || id == "" {
			v.wrong = append(v.wrong, fmt.Sprintf("%v is connection %q and %q", c, id, known))
		}
		if known, ok := of[id]; ok && known != c {
			v.wrong = append(v.wrong, fmt.Sprintf("connection %s is %v and %v", id, c, known))
		}
		ids[c], of[id] = id, c
	}
}

// lies are the spans that agree with no request at their end. A missing fact is no lie, unless the span says that it is complete.
func lies(accounts []account, spans []requestSpan) []string {
	var truth []requestFact
	for i := range accounts {
		truth = append(truth, accounts[i].expected())
	}
	spans = slices.Clone(spans)
	_, _, _, all := joinEnds(spans)
	for i := range spans {
		emitted := spans[i].fact()
		matches := func(f requestFact) bool {
			f.capture = emitted.capture
			return len(f.differences(emitted)) == 0 || emitted.capture != "complete" && len(f.onlyAs(emitted).differences(emitted)) == 0
		}
		j := slices.IndexFunc(truth, matches)
		if j < 0 || !spans[i].request() {
			all = append(all, emitted.String())
			continue
		}
		truth = slices.Delete(truth, j, j+1) // each request is emitted once
	}
	return all
}

// onlyAs is f without the facts that emitted lacks.
func (f requestFact) onlyAs(emitted requestFact) requestFact {
	if emitted.method == "_OTHER" {
		f.method, f.name = emitted.method, emitted.name
	}
	if emitted.path == "" {
		f.path, f.query, f.secure = "", "", emitted.secure
	}
	if emitted.status == 0 {
		f.status, f.failure = 0, emitted.failure
	}
	if emitted.parent == "" {
		f.trace, f.parent = emitted.trace, ""
	}
	if emitted.rpcStatus == "" {
		f.rpcStatus, f.failure = "", emitted.failure
	}
	return f
}

// requireExact fails unless each request is emitted as one correct span at each end, and nothing else is. What is counted as lost may be missing.
func (v *comparison) requireExact(t testing.TB) {
	t.Helper()
	requireNone(t, "invented", v.invented)
	requireNone(t, "emitted twice", v.twice)
	requireNone(t, "wrong", v.wrong)
	if v.lost.captures > 0 {
		return
	}
	requireNone(t, "missing", v.missing)
	assert.Equal(t, v.requests, v.client, "CLIENT spans for so many requests")
	assert.Equal(t, v.requests, v.server, "SERVER spans for so many requests")
	if v.joinable {
		assert.LessOrEqual(t, v.both-v.joined, v.lost.joins, "SERVER spans that are not children of their CLIENT's, of %d that have one", v.both)
		assert.Zero(t, v.orphans, "SERVER spans with a parent that was not emitted")
	}
}

// requireNone reports an error if there are any, and lists them.
func requireNone(t testing.TB, fault string, found []string) {
	t.Helper()
	const shown = 10
	if len(found) > 0 {
		t.Errorf("%d %s, such as\n%s", len(found), fault, strings.Join(found[:min(shown, len(found))], "\n"))
	}
}

// comparisons is a table of them.
type comparisons []comparison

func (all comparisons) String() string {
	var b strings.Builder
	row := func(cells ...any) { fmt.Fprintf(&b, "%-24v%10v%10v%10v%10v%10v%10v%10v%10v%10v\n", cells...) }
	b.WriteString("\n")
	row("workload", "requests", "CLIENT", "SERVER", "missing", "invented", "twice", "wrong", "ends", "joined")
	var sum [9]int
	for _, v := range all {
		numbers := [9]int{v.requests, v.client, v.server, len(v.missing), len(v.invented), len(v.twice), len(v.wrong), v.both, v.joined}
		cells := []any{v.workload}
		for i, n := range numbers {
			sum[i] += n
			cells = append(cells, n)
		}
		row(cells...)
	}
	cells := []any{"all"}
	for _, n := range sum {
		cells = append(cells, n)
	}
	row(cells...)
	return b.String()
}
