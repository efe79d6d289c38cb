package receiver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

func TestResourceAttributesThatAreNotEnabledAreOmitted(t *testing.T) {
	defaults := metadata.DefaultResourceAttributesConfig()
	assert.Equal(t, []string{"process.command_args"}, omittedOf(&defaults))
	assert.Len(t, omittedOf(&metadata.ResourceAttributesConfig{}), 16)

	cfg := createDefaultConfig().(*Config)
	cfg.ResourceAttributes = resourceAttributes(t, "process.command_args", true, "host.name", false)
	out, err := newEmitter(receivertest.NewNopSettings(metadata.Type), consumers{traces: consumertest.NewNop()})
	require.NoError(t, err)
	options, err := cfg.engineOptions("1", out)
	require.NoError(t, err)
	assert.Equal(t, []string{"host.name"}, options.Telemetry.Omitted)
	assert.True(t, options.CommandArgs)
}
