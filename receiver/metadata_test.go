package receiver

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

// declaredEvent is an event of metadata.yaml.
type declaredEvent struct {
	Enabled    bool     `mapstructure:"enabled"`
	Attributes []string `mapstructure:"attributes"`
}

func declaredEvents(t *testing.T) map[string]declaredEvent {
	t.Helper()
	file, err := confmaptest.LoadConf("metadata.yaml")
	require.NoError(t, err)
	part, err := file.Sub("events")
	require.NoError(t, err)
	events := map[string]declaredEvent{}
	require.NoError(t, part.Unmarshal(&events, confmap.WithIgnoreUnused()))
	return events
}

// emittedEvents are the events of the golden files, and the attributes that they have in some of them.
func emittedEvents(t *testing.T) map[string]map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "testdata", "otlp", "*", "expected_logs.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	events := map[string]map[string]bool{}
	for _, file := range files {
		logs, err := golden.ReadLogs(file)
		require.NoError(t, err)
		for _, resource := range logs.ResourceLogs().All() {
			for _, record := range resource.ScopeLogs().At(0).LogRecords().All() {
				if events[record.EventName()] == nil {
					events[record.EventName()] = map[string]bool{}
				}
				for key := range record.Attributes().All() {
					events[record.EventName()][key] = true
				}
			}
		}
	}
	return events
}

func TestMetadataDeclaresTheEventsThatAreEmitted(t *testing.T) {
	declared, emitted := declaredEvents(t), emittedEvents(t)
	assert.ElementsMatch(t, slices.Collect(maps.Keys(emitted)), slices.Collect(maps.Keys(declared)))
	for name, event := range declared {
		// The golden files have no value that is cut.
		attributes := append(slices.Collect(maps.Keys(emitted[name])), "socketflow.attributes.truncated")
		assert.ElementsMatch(t, attributes, event.Attributes, name)
	}
}

func TestMetadataEnablesTheDefaultRecords(t *testing.T) {
	var enabled []ConnectionRecord
	for name, event := range declaredEvents(t) {
		if event.Enabled {
			enabled = append(enabled, ConnectionRecord(name[len("socketflow.connection."):]))
		}
	}
	assert.ElementsMatch(t, createDefaultConfig().(*Config).ConnectionRecords, enabled)
}
