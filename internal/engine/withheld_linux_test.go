//go:build amd64 || arm64

package engine

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestWithheldDescriptionsAreLoggedOnce(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	logger := zap.New(core)
	var n withheldNotice
	n.update(logger, 0)
	assert.Zero(t, logged.Len(), "nothing is withheld")
	n.update(logger, 2)
	n.update(logger, 5)
	require.Equal(t, 1, logged.Len())
	assert.EqualValues(t, 2, logged.All()[0].ContextMap()["processes"])
}
