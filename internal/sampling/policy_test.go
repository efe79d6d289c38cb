package sampling

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTracesThatAreKept(t *testing.T) {
	low, high := [16]byte{15: 1}, [16]byte{9: 0xff}
	half := ThresholdOf(0.5)
	for name, test := range map[string]struct {
		policy          Policy
		trace           [16]byte
		sampled, begins bool
		want            Decision
	}{
		"nothing is configured":               {Policy{}, low, true, true, Kept},
		"nothing is configured, not sampled":  {Policy{}, low, false, false, Kept},
		"half, above":                         {Policy{Threshold: half}, high, true, true, Chosen},
		"half, below":                         {Policy{Threshold: half}, low, true, true, OutByRatio},
		"half, begun elsewhere":               {Policy{Threshold: half}, low, true, false, Kept},
		"half, begun elsewhere, not sampled":  {Policy{Threshold: half}, low, false, false, Kept},
		"none":                                {Policy{Threshold: KeepNone}, high, true, true, OutByRatio},
		"none, begun elsewhere":               {Policy{Threshold: KeepNone}, high, true, false, Kept},
		"honoured, sampled":                   {Policy{HonourParent: true}, low, true, false, Kept},
		"honoured, not sampled":               {Policy{HonourParent: true}, low, false, false, OutByParent},
		"honoured, begins here":               {Policy{HonourParent: true}, low, true, true, Kept},
		"honoured, half, sampled, below":      {Policy{HonourParent: true, Threshold: half}, low, true, false, Kept},
		"honoured, half, not sampled, above":  {Policy{HonourParent: true, Threshold: half}, high, false, false, OutByParent},
		"honoured, half, begins here, below":  {Policy{HonourParent: true, Threshold: half}, low, true, true, OutByRatio},
		"honoured, half, begins here, above":  {Policy{HonourParent: true, Threshold: half}, high, true, true, Chosen},
		"honoured, none, not sampled, errors": {Policy{HonourParent: true, Threshold: KeepNone, KeepErrors: true}, low, false, false, OutByParent},
		"limited, above":                      {Policy{Limit: half}, high, true, true, Chosen},
		"limited, below":                      {Policy{Limit: half}, low, true, true, OutByLimit},
		"limited, begun elsewhere":            {Policy{Limit: half}, low, true, false, Kept},
		"limited, but less than by the ratio": {Policy{Limit: half, Threshold: KeepNone}, high, true, true, OutByRatio},
		"limited, more than by the ratio":     {Policy{Limit: KeepNone, Threshold: half}, high, true, true, OutByLimit},
	} {
		got := test.policy.Of(test.trace, test.sampled, test.begins)
		assert.Equal(t, test.want, got, name)
		assert.Equal(t, got == OutByRatio || got == OutByLimit || got == OutByParent, got.IsOut(), name)
	}
}

func TestSpansThatAreKeptForWhatTheyAre(t *testing.T) {
	for name, test := range map[string]struct {
		policy Policy
		failed bool
		took   time.Duration
		want   bool
	}{
		"nothing is configured":       {Policy{}, true, time.Hour, false},
		"an error":                    {Policy{KeepErrors: true}, true, 0, true},
		"no error":                    {Policy{KeepErrors: true}, false, time.Hour, false},
		"slower":                      {Policy{KeepSlowerThan: time.Second}, false, time.Second + 1, true},
		"as slow":                     {Policy{KeepSlowerThan: time.Second}, false, time.Second, false},
		"an error that is not slower": {Policy{KeepSlowerThan: time.Second}, true, 0, false},
	} {
		assert.Equal(t, test.want, test.policy.Exempts(OutByRatio, test.failed, test.took), name)
		assert.Equal(t, test.want, test.policy.Exempts(OutByLimit, test.failed, test.took), name)
		assert.False(t, test.policy.Exempts(OutByParent, test.failed, test.took), name)
	}
}

func TestDecisionsHaveNames(t *testing.T) {
	for d := range Decisions {
		assert.NotEmpty(t, d.String())
		assert.NotEqual(t, "unknown", d.String())
	}
	assert.Equal(t, "unknown", Decisions.String())
}
