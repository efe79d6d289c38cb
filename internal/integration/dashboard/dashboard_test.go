package dashboard

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDashboardIsGenerated: the file is what the table makes.
func TestDashboardIsGenerated(t *testing.T) {
	want, err := JSON()
	require.NoError(t, err)
	got, err := os.ReadFile("../../../packaging/grafana/socketflow.json")
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "run: make generate")
}
