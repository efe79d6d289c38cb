package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMatrixOfTheCommandLine(t *testing.T) {
	standard := choices{concurrency: "1,10,100,500", styles: "pooled,new", patterns: "one,delayed,sequential,parallel,background"}
	for name, test := range map[string]struct {
		change func(c *choices)
		cells  int // of all runtimes chosen
		err    string
	}{
		"all of one runtime":        {func(c *choices) { c.runtimes = "go net" }, 4 * 2 * 5, ""},
		"a runtime with one way":    {func(c *choices) { c.runtimes = "haproxy" }, 4 * 2, ""},
		"two words for one":         {func(c *choices) { c.runtimes = "haproxy,HAProxy" }, 4 * 2, ""},
		"some":                      {func(c *choices) { c.runtimes, c.concurrency, c.styles = "node http", "100", "new" }, 4, ""},
		"quick":                     {func(c *choices) { c.runtimes, c.quick = "node http", true }, 6, ""},
		"an unknown runtime":        {func(c *choices) { c.runtimes = "go net,cobol" }, 0, "cobol"},
		"no number":                 {func(c *choices) { c.concurrency = "1,many" }, 0, "many"},
		"no connections":            {func(c *choices) { c.concurrency = "0" }, 0, `"0"`},
		"an unknown pattern":        {func(c *choices) { c.patterns = "two" }, 0, "two"},
		"an unknown connection":     {func(c *choices) { c.styles = "old" }, 0, "old"},
		"patterns it does not have": {func(c *choices) { c.runtimes, c.patterns = "gunicorn sync", "parallel" }, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := standard
			test.change(&c)
			m, err := c.matrix()
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			cells := 0
			for _, r := range m.runtimes {
				cells += len(m.cells(r))
			}
			assert.Equal(t, test.cells, cells)
		})
	}
}

func TestRecallHasNoAimForCallsThatNobodyWaitsFor(t *testing.T) {
	for p, want := range map[pattern]bool{one: true, parallel: true, background: false} {
		x := &result{cell: &cell{runtime: &runtime{least: mostOfGo}, concurrency: 1, pattern: p}, score: &score{calls: 100, asserted: 50, right: 50}}
		assert.Equal(t, want, x.recallIsShort(), p)
	}
}

func TestCellHasEnoughRequests(t *testing.T) {
	assert.Equal(t, 200, (&cell{concurrency: 10}).requests())
	assert.Equal(t, 2000, (&cell{concurrency: 500}).requests())
}

func TestAimIsMissedUpToAConcurrency(t *testing.T) {
	assert.True(t, handed.missed(100, 0.69))
	assert.False(t, handed.missed(100, 0.7))
	assert.False(t, handed.missed(500, 0))
	assert.True(t, nearlyAll.missed(500, 0.98))
	assert.False(t, aim{}.missed(1, 0))
}

func TestMessageIsFramedAndUnframed(t *testing.T) {
	text, err := unframe(frame("/c.C/1-0"))
	require.NoError(t, err)
	assert.Equal(t, "/c.C/1-0", text)
	for _, bad := range []string{"", "\x00\x00\x00\x00\x02a", "\x01\x00\x00\x00\x01a"} {
		_, err := unframe([]byte(bad))
		assert.Error(t, err, "%q", bad)
	}
}
