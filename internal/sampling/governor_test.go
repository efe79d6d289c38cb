package sampling

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestGovernorFindsWhatFits: with a load that takes so many processors if all traces are kept, and a part of that if none are.
func TestGovernorFindsWhatFits(t *testing.T) {
	for name, test := range map[string]struct{ all, none, least, most float64 }{
		"all fit":                   {0.3, 0.1, 0.1, 0.5},
		"nearly":                    {0.55, 0.1, 0.4, 0.5},
		"a third fits":              {1.2, 0.2, 0.4, 0.5},
		"a hundredth fits":          {20, 0.3, 0.4, 0.5},
		"what cannot be sampled is": {3, 0.7, 0.7, 0.71},
	} {
		g := NewGovernor(0.5)
		kept, used := 1., 0.
		for range 60 {
			used = test.none + kept*(test.all-test.none)
			kept = g.Govern(used)
		}
		assert.GreaterOrEqual(t, used, test.least, name)
		assert.LessOrEqual(t, used, test.most+1e-9, name)
		assert.Positive(t, kept, name)
		for range 60 { // the load ends
			kept = g.Govern(0.1)
		}
		assert.Equal(t, 1., kept, name)
	}
}

// TestGovernorYieldsBySteps: what one second shows may be a moment's.
func TestGovernorYieldsBySteps(t *testing.T) {
	g := NewGovernor(0.5)
	assert.Equal(t, 1., g.Govern(0.5))
	assert.Equal(t, 0.5, g.Govern(1))
	assert.Equal(t, 0.5, g.Govern(0.45), "neither too much nor little")
	assert.Equal(t, 0.125, g.Govern(100))
	assert.Equal(t, 0.15625, g.Govern(0.3))
	for range 100 {
		g.Govern(100)
	}
	assert.Equal(t, leastKept, g.Govern(100))
}
