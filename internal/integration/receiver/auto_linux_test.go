package receiver_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/socketflow/socketflow/receiver"
)

// On any host mode auto emits all telemetry. If it does not choose the socket mode, it says why, and the socket mode, if
// configured by name, fails to start with the same reason.
func TestAutoModeEmitsEverything(t *testing.T) {
	o := observe(t, receiver.ModeAuto, roomy)
	run := begin(t, command(t, "connections", "-n", "20"))
	ends := end(t, run)
	require.NotEmpty(t, ends)
	o.awaitEnds(t, ends)
	inSocketMode := o.metric(t, "kernel_programs", "mode", "socket") > 0
	untracked := o.metric(t, "sockets_untracked")
	o.shutdown(t)
	assert.Equal(t, len(ends), o.count(pidsOf(ends), closed))
	assert.Zero(t, untracked)

	logged := o.logged.FilterMessageSnippet("this host does not allow the socket mode").All()
	if inSocketMode {
		assert.Empty(t, logged)
		return
	}
	require.Len(t, logged, 1)
	why, _ := logged[0].ContextMap()["error"].(string)
	t.Log(why)
	factory := receiver.NewFactory()
	cfg := factory.CreateDefaultConfig().(*receiver.Config)
	cfg.Mode = receiver.ModeSocket
	sockets, err := factory.CreateLogs(t.Context(), receivertest.NewNopSettings(factory.Type()), cfg, consumertest.NewNop())
	require.NoError(t, err)
	err = sockets.Start(t.Context(), componenttest.NewNopHost())
	require.NoError(t, sockets.Shutdown(t.Context()))
	require.Error(t, err)
	assert.True(t, strings.Contains(why, err.Error()) || strings.Contains(err.Error(), why), "%s; %v", why, err)
}
