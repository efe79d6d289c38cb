package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

func TestExplanationOfACall(t *testing.T) {
	for name, test := range map[string]struct {
		change func(s []span) []span
		want   string
	}{
		"right":           {func(s []span) []span { return s }, ""},
		"no SERVER span":  {func(s []span) []span { return s[1:] }, "the service has no SERVER span"},
		"no CLIENT span":  {func(s []span) []span { return []span{s[0], s[2]} }, "no CLIENT span"},
		"no answer":       {func(s []span) []span { return s[:2] }, "the backend has no SERVER span"},
		"no parent":       {func(s []span) []span { s[1].parent, s[1].links = pcommon.SpanID{}, []pcommon.SpanID{{8}}; return s }, "no parent, 1 links"},
		"not joined":      {func(s []span) []span { s[2].parent = pcommon.SpanID{}; return s }, "the parent of the backend's span is , not 0200000000000000"},
		"another request": {func(s []span) []span { s[1].parent = pcommon.SpanID{8}; return s }, "the parent is request 8 in process 11, by thread"},
		"an unknown parent": {
			func(s []span) []span { s[1].parent = pcommon.SpanID{9}; return s }, "the parent is 0900000000000000, which was not emitted, by thread",
		},
	} {
		t.Run(name, func(t *testing.T) {
			other := span{target: target{8, itself}, pid: otherPID, id: pcommon.SpanID{8}}
			tr := truth{first: 7, requests: 2, calls: 1, backend: backendPID}
			got := tr.explain(map[int][]span{7: test.change(whole()), 8: {other}}, 10)
			if test.want == "" {
				assert.Equal(t, []string{"request 8, call 0: no CLIENT span"}, got)
				return
			}
			assert.Equal(t, []string{"request 7, call 0: " + test.want, "request 8, call 0: no CLIENT span"}, got)
			assert.Len(t, tr.explain(map[int][]span{7: test.change(whole())}, 1), 1)
		})
	}
}
