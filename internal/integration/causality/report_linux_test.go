package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/integration/otelcol"
)

// measured is a cell of which everything was found, and 399 of 400 parents.
func measured() *result {
	return &result{
		cell: &cell{runtime: &runtime{name: "Go", least: aim{recall: 0.99}}, concurrency: 100, style: pooled, pattern: one}, answered: 400,
		score: &score{
			requests: 400, calls: 400, spans: 1200, found: 400, servers: 400, answers: 400, asserted: 399, right: 399, linked: 1, connections: 90, whole: 399, joined: 400,
			evidence: map[string]tally{"only": {2, 2}, "goroutine": {397, 397}},
		},
	}
}

func TestRowOfTheTable(t *testing.T) {
	const good = "| Go | 100 | pooled | 90 | one | 400 | 400 | 400 | 399 | 399 | 100.0 % | 99.8 % | goroutine 397/397, only 2/2, none 1 (linked 1) | 399 | 0 |"
	for name, test := range map[string]struct {
		change func(r *result)
		want   []string // parts
	}{
		"good": {func(*result) {}, []string{good + "  |"}},
		"nothing asserted": {
			func(r *result) { r.asserted, r.right, r.evidence = 0, 0, nil },
			[]string{"| 0 | 0 | - | 0.0 % | none 400 (linked 1) |", "| recall below the aim |"},
		},
		"wrong parents": {func(r *result) { r.right = 394 }, []string{"| 98.7 % | 98.5 % |", "| precision below the aim, recall below the aim |"}},
		"rounded":       {func(r *result) { r.calls, r.right = 10_000, 9_999; r.asserted = 10_000 }, []string{"| 99.9 % | 99.9 % |"}},
		"missing":       {func(r *result) { r.found, r.servers, r.answers = 390, 399, 398 }, []string{"| 1, 10, 2 |"}},
		"counted": {
			func(r *result) {
				r.losses = otelcol.Counters{`socketflow_kernel_events_lost{cause="ring_full",receiver="socketflow"}`: 3}
			},
			[]string{`| counted: socketflow_kernel_events_lost{cause="ring_full"} 3 |`},
		},
		"apart":        {func(r *result) { r.joined = 399 }, []string{"| 1 spans of the backend are not the children of their calls |"}},
		"too many":     {func(r *result) { r.extra = 2 }, []string{"| 2 spans too many |"}},
		"not answered": {func(r *result) { r.answered = 398 }, []string{"| 2 requests not answered |"}},
		"requests unseen": {
			func(r *result) { r.cell.runtime.unseen, r.cell.runtime.least = "why", aim{} },
			[]string{"| 100.0 % | - |", "| why |"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			r := measured()
			test.change(r)
			newReport(&out).add(r)
			for _, part := range test.want {
				assert.Contains(t, out.String(), part)
			}
		})
	}
}

func TestColumnsOfEveryRowAreThoseOfTheHead(t *testing.T) {
	var out strings.Builder
	r := newReport(&out)
	r.add(measured())
	r.absent(&runtime{name: "Java"}, "no JDK")
	r.failed(&runtime{name: "C"}, errors.New("no compiler"))
	r.add(&result{cell: measured().cell})
	columns := 0
	for line := range strings.Lines(out.String()) {
		if columns == 0 {
			columns = strings.Count(line, "|")
		}
		assert.Equal(t, columns, strings.Count(line, "|"), line)
	}
	assert.Equal(t, 17, columns)
}

func TestFaultsOfACell(t *testing.T) {
	for name, test := range map[string]struct {
		change func(r *result)
		want   string // empty: none
	}{
		"good":                       {func(*result) {}, ""},
		"a program failed":           {func(r *result) { r.problem, r.score = errors.New("it has ended"), nil }, "it has ended"},
		"not answered":               {func(r *result) { r.answered = 398 }, "398 of 400 requests were answered"},
		"a span is missing":          {func(r *result) { r.found-- }, "1 spans are missing"},
		"wrong parents are no fault": {func(r *result) { r.right = 0 }, ""},
		"a missing span was counted": {
			func(r *result) { r.found--; r.losses = otelcol.Counters{"socketflow_kernel_events_lost": 1} }, "",
		},
		"fewer were counted than are missing": {
			func(r *result) { r.found -= 3; r.losses = otelcol.Counters{"socketflow_kernel_events_lost": 1} }, "2 spans are missing",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := measured()
			test.change(r)
			if err := r.faults(); test.want != "" {
				require.ErrorContains(t, err, test.want)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func TestSummaryAddsUpEvidence(t *testing.T) {
	var out strings.Builder
	r := newReport(&out)
	worse := measured()
	worse.right, worse.evidence = 300, map[string]tally{"goroutine": {399, 300}}
	r.add(measured())
	r.add(worse)
	r.summary()
	assert.Contains(t, out.String(), "| Go | goroutine | 796 | 697 | 87.6 % |\n| Go | only | 2 | 2 | 100.0 % |\n")
	assert.Contains(t, out.String(), "| calls without a parent | that link to the right request | |\n|---|---:|---:|---:|---:|\n| Go | 100 | 2 | 2 | 100.0 % |\n")
	assert.Contains(t, out.String(), "\nPrecision is at least 99.0 % in 1 of 2 cells that assert a parent; recall reaches its aim in 1 of 2 cells.\n")
}
