package receiver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/featuregate"
)

func TestTheGateOfAddressAttributesGivesTheEarlierDefault(t *testing.T) {
	assert.Equal(t, AddressAttributesStable, createDefaultConfig().(*Config).AddressAttributes)
	id := stableAddressAttributes.ID()
	require.NoError(t, featuregate.GlobalRegistry().Set(id, false))
	defer func() { assert.NoError(t, featuregate.GlobalRegistry().Set(id, true)) }()
	assert.Equal(t, AddressAttributesBoth, createDefaultConfig().(*Config).AddressAttributes)
}
