package metrics

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/registry"
)

// TestEveryProtocolIsMeasured: its exchanges have metrics, whose dimensions are none that anybody can choose.
func TestEveryProtocolIsMeasured(t *testing.T) {
	all, err := registry.Configured(registry.Configs(), protocol.Limits{})
	require.NoError(t, err)
	measured := 0
	for _, p := range all {
		if p.Keys == nil { // it has no exchanges
			continue
		}
		measured++
		made := newPlan(p.Settings.Keys, exchangeFamilies(false))
		assert.NotEmpty(t, made.families, p.Name)
		assert.NotEmpty(t, made.dimensions, p.Name)
		for _, d := range made.dimensions {
			assert.NotContains(t, []string{"url.path", "url.full", "url.query", "dns.question.name", "db.query.text", "db.query.summary", "user_agent.original"}, d.key.Name, p.Name)
			assert.Less(t, d.index, endOfDimensions)
		}
	}
	assert.Positive(t, measured)
}

// TestNamesOfInstrumentsAreUnique within the families of one end.
func TestNamesOfInstrumentsAreUnique(t *testing.T) {
	ids := map[byte]bool{}
	families := []*Family{&connections, &failedConnections, &graph, &observed}
	kinds := exchangeFamilies(false)
	for i := range kinds {
		families = append(families, &kinds[i].asked, &kinds[i].asking)
	}
	names := map[string]bool{}
	for _, f := range families {
		assert.False(t, ids[f.id], f.id)
		ids[f.id] = true
		for _, i := range f.Instruments {
			assert.False(t, names[i.Name], i.Name)
			names[i.Name] = true
			assert.NotEmpty(t, i.Description, i.Name)
			assert.IsIncreasing(t, append([]float64{-1}, i.Bounds...), i.Name)
		}
	}
}
