package receiver

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

func TestObservedNetworksAreBounded(t *testing.T) {
	c := TraceConfig{Parents: ParentsOff}
	for i := range maxNetworks + 1 {
		c.ObservedNetworks = append(c.ObservedNetworks, fmt.Sprintf("10.%d.%d.0/24", i/256, i%256))
	}
	require.EqualError(t, c.Validate(), "observed_networks: lists 257 networks; write at most 256")
	c.ObservedNetworks = c.ObservedNetworks[1:]
	require.NoError(t, c.Validate())
}

func TestObservedNetworksReachTheEngine(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Trace.ObservedNetworks = []string{"10.0.0.0/8", "fd00::/8"}
	out, err := newEmitter(receivertest.NewNopSettings(metadata.Type), consumers{logs: consumertest.NewNop()})
	require.NoError(t, err)
	options, err := cfg.engineOptions("", out)
	require.NoError(t, err)
	assert.Empty(t, options.ObservedNetworks, "no spans are wanted")
	out.to.traces = consumertest.NewNop()
	options, err = cfg.engineOptions("", out)
	require.NoError(t, err)
	assert.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}, options.ObservedNetworks)
}
