package receiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/sampling"
)

func TestSamplingIsPassedOn(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*SamplingConfig)
		want   sampling.Policy
	}{
		"default": {func(*SamplingConfig) {}, sampling.Policy{HonourParent: true, KeepErrors: true}},
		"none":    {func(c *SamplingConfig) { c.Ratio = 0 }, sampling.Policy{Threshold: sampling.KeepNone, HonourParent: true, KeepErrors: true}},
		"a quarter, and slow ones": {
			func(c *SamplingConfig) {
				*c = SamplingConfig{Ratio: 0.25, CPULimit: 1, Keep: KeepConfig{SlowerThan: time.Second}}
			},
			sampling.Policy{Threshold: 3 << 54, KeepSlowerThan: time.Second},
		},
	} {
		cfg := createDefaultConfig().(*Config)
		test.change(&cfg.Sampling)
		options, err := cfg.engineOptions("", &emitter{})
		require.NoError(t, err)
		assert.Equal(t, test.want, options.Telemetry.Sampling, name)
		assert.Equal(t, cfg.Sampling.CPULimit, options.CPULimit, name)
	}
}
