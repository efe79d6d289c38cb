package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const (
	servicePID = 10
	otherPID   = 11
	backendPID = 20
)

// whole are the spans of request 7 with one call, right and in one trace.
func whole() []span {
	trace := pcommon.TraceID{1}
	return []span{
		{target: target{7, itself}, pid: servicePID, trace: trace, id: pcommon.SpanID{1}},
		{target: target{7, 0}, client: true, pid: servicePID, trace: trace, id: pcommon.SpanID{2}, parent: pcommon.SpanID{1}, source: "thread", over: "a"},
		{target: target{7, 0}, pid: backendPID, trace: trace, id: pcommon.SpanID{3}, parent: pcommon.SpanID{2}},
	}
}

func TestScoreOfOneRequest(t *testing.T) {
	thread := map[string]tally{"thread": {1, 1}}
	wrong := map[string]tally{"thread": {1, 0}}
	for name, test := range map[string]struct {
		change func(s []span) []span
		want   score
		apart  bool // the backend's span is not joined with the call's
	}{
		"right": {
			func(s []span) []span { return s },
			score{servers: 1, found: 1, answers: 1, asserted: 1, right: 1, whole: 1, evidence: thread}, false,
		},
		"another request's parent": {
			func(s []span) []span { s[1].parent = pcommon.SpanID{9}; return s },
			score{servers: 1, found: 1, answers: 1, asserted: 1, whole: 1, evidence: wrong}, false,
		},
		"a parent in another process": {
			func(s []span) []span { s[0].pid = otherPID; return s },
			score{servers: 1, found: 1, answers: 1, asserted: 1, whole: 1, evidence: wrong}, false,
		},
		"no parent": {
			func(s []span) []span {
				s[1].parent, s[1].source, s[1].trace = pcommon.SpanID{}, "", pcommon.TraceID{2}
				return s
			},
			score{servers: 1, found: 1, answers: 1}, true,
		},
		"no parent, but a link": {
			func(s []span) []span {
				s[1].parent, s[1].links = pcommon.SpanID{}, []pcommon.SpanID{{8}, {1}}
				return s
			},
			score{servers: 1, found: 1, answers: 1, linked: 1, whole: 1}, false,
		},
		"a link to another request": {
			func(s []span) []span { s[1].parent, s[1].links = pcommon.SpanID{}, []pcommon.SpanID{{8}}; return s },
			score{servers: 1, found: 1, answers: 1, whole: 1}, false,
		},
		"a parent without evidence": {
			func(s []span) []span { s[1].source = ""; return s },
			score{servers: 1, found: 1, answers: 1, asserted: 1, right: 1, whole: 1, evidence: map[string]tally{"unnamed": {1, 1}}}, false,
		},
		"the backend's span in another trace": {
			func(s []span) []span { s[2].trace = pcommon.TraceID{2}; return s },
			score{servers: 1, found: 1, answers: 1, asserted: 1, right: 1, evidence: thread}, true,
		},
		"the backend's span with another parent": {
			func(s []span) []span { s[2].parent = pcommon.SpanID{9}; return s },
			score{servers: 1, found: 1, answers: 1, asserted: 1, right: 1, whole: 1, evidence: thread}, true,
		},
		"no SERVER span": {
			func(s []span) []span { return s[1:] },
			score{found: 1, answers: 1, unjudged: 1}, false,
		},
		"no CLIENT span": {
			func(s []span) []span { return []span{s[0], s[2]} },
			score{servers: 1, answers: 1}, false,
		},
		"no span of the backend": {
			func(s []span) []span { return s[:2] },
			score{servers: 1, found: 1, asserted: 1, right: 1, evidence: thread}, false,
		},
		"a call made twice": {
			func(s []span) []span { return append(s, s[1]) },
			score{servers: 1, found: 1, answers: 1, extra: 1, asserted: 1, right: 1, whole: 1, evidence: thread}, false,
		},
		"nothing": {func([]span) []span { return nil }, score{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			test.want.requests, test.want.calls, test.want.spans = 1, 1, 3
			if test.want.evidence == nil {
				test.want.evidence = map[string]tally{}
			}
			if test.want.found > 0 {
				test.want.connections = 1
			}
			if test.want.found > 0 && test.want.answers > 0 && !test.apart {
				test.want.joined = 1
			}
			tr := truth{first: 7, requests: 1, calls: 1, backend: backendPID}
			assert.Equal(t, &test.want, tr.score(map[int][]span{7: test.change(whole())}))
		})
	}
}

func TestScoreOfAProxyKnowsTheEndsByTheirProcesses(t *testing.T) {
	all := whole()
	all[1].target.call, all[2].target.call = itself, itself
	tr := truth{first: 7, requests: 1, calls: 1, backend: backendPID, forwards: true}
	got := tr.score(map[int][]span{7: all})
	assert.Equal(t, 1, got.right)
	assert.Equal(t, 1, got.whole)
	assert.Zero(t, got.missing())
	assert.Zero(t, got.extra)
}

func TestScoreCountsWhatIsMissing(t *testing.T) {
	tr := truth{first: 7, requests: 2, calls: 3, backend: backendPID}
	got := tr.score(map[int][]span{7: whole()})
	assert.Equal(t, 14, got.spans)
	assert.Equal(t, 11, got.missing())
	assert.InDelta(t, 1.0/6, got.recall(), 1e-9)
	assert.InDelta(t, 1, got.precision(), 1e-9)
}

func TestTargetIsFoundInPathsAndMethods(t *testing.T) {
	for text, want := range map[string]target{
		"/r/12":                      {12, itself},
		"/c/12/0":                    {12, 0},
		"http://127.0.0.1:80/c/3/2":  {3, 2},
		"http://127.0.0.1:80/r/3":    {3, itself},
		"r.R/5":                      {5, itself},
		"c.C/5-1":                    {5, 1},
		"http://127.0.0.1:80/c.C/5-": {},
		"/r/REDACTED":                {},
		"/r/1/2":                     {},
		"/other/r12":                 {},
	} {
		t.Run(text, func(t *testing.T) {
			got, ok := parseTarget(text)
			assert.Equal(t, want, got)
			assert.Equal(t, want != target{}, ok)
		})
	}
}

func TestLedgerKeepsASpanOnce(t *testing.T) {
	traces := ptrace.NewTraces()
	resource := traces.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutInt("process.pid", servicePID)
	spans := resource.ScopeSpans().AppendEmpty().Spans()
	call := spans.AppendEmpty()
	call.SetKind(ptrace.SpanKindClient)
	call.SetSpanID(pcommon.SpanID{2})
	call.SetParentSpanID(pcommon.SpanID{1})
	call.Attributes().PutStr("url.full", "http://127.0.0.1:80/c/7/0")
	call.Attributes().PutStr("socketflow.parent.source", "goroutine")
	call.Attributes().PutStr("socketflow.connection.id", "a")
	call.Links().AppendEmpty().SetSpanID(pcommon.SpanID{4})
	spans.AppendEmpty().Attributes().PutStr("url.path", "/metrics")
	l := newLedger()
	l.emitted(traces)
	l.emitted(traces)
	want := span{
		target: target{7, 0}, client: true, pid: servicePID, id: pcommon.SpanID{2}, parent: pcommon.SpanID{1}, source: "goroutine",
		links: []pcommon.SpanID{{4}}, over: "a",
	}
	assert.Equal(t, map[int][]span{7: {want}}, l.requests)
}

func TestPathIsThatOfItsTarget(t *testing.T) {
	for _, at := range []target{{12, itself}, {3, 2}} {
		for _, grpc := range []bool{false, true} {
			got, ok := parseTarget(at.path(grpc))
			assert.True(t, ok)
			assert.Equal(t, at, got)
		}
	}
}
