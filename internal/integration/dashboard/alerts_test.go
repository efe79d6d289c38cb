package dashboard

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/socketflow/socketflow/internal/testenv"
)

const root = "../../.."

// runbook is where an alert's annotation leads.
const runbook = "https://github.com/socketflow/socketflow/blob/main/docs/runbook.md#"

type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "packaging", "prometheus", "alerts.yaml"))
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	require.NotEmpty(t, all)
	return all
}

// TestAlertsAreInTheRunbook: each alert leads to its entry, which says what it means and what to do, and there is no other entry.
func TestAlertsAreInTheRunbook(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "runbook.md"))
	require.NoError(t, err)
	entries := map[string]string{}
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		entries[name] = body
	}
	for _, a := range alerts(t) {
		assert.Equal(t, runbook+strings.ToLower(a.Alert), a.Annotations["runbook_url"], a.Alert)
		assert.Contains(t, []string{"info", "warning", "critical"}, a.Labels["severity"], a.Alert)
		entry, found := entries[a.Alert]
		assert.True(t, found, "docs/runbook.md has no entry %s", a.Alert)
		assert.Contains(t, entry, "**Means.**", a.Alert)
		assert.Contains(t, entry, "**Do.**", a.Alert)
		delete(entries, a.Alert)
	}
	assert.Empty(t, entries, "entries without an alert")
}

var (
	ownMetric = regexp.MustCompile(`otelcol_(socketflow_[a-z_]+)`)
	configKey = regexp.MustCompile("`([a-z_]+(?:::[a-z_]+)+)")
)

// TestRunbookNamesWhatThereIs: every metric of the collector's own telemetry that alerts and runbook name is in metadata.yaml, and every key
// of the configuration is one.
func TestRunbookNamesWhatThereIs(t *testing.T) {
	metadata, err := os.ReadFile(filepath.Join(root, "metadata.yaml"))
	require.NoError(t, err)
	keys, err := os.ReadFile(filepath.Join(root, "docs", "configuration.md"))
	require.NoError(t, err)
	document, err := os.ReadFile(filepath.Join(root, "docs", "runbook.md"))
	require.NoError(t, err)
	named := string(document)
	for _, a := range alerts(t) {
		named += "\n" + a.Expr
	}
	metrics := ownMetric.FindAllStringSubmatch(named, -1)
	require.NotEmpty(t, metrics)
	for _, found := range metrics {
		assert.Contains(t, string(metadata), "\n    "+found[1]+":\n")
	}
	for _, found := range configKey.FindAllStringSubmatch(named, -1) {
		assert.True(t, slices.Contains(strings.FieldsFunc(string(keys), func(r rune) bool { return r == '`' }), found[1]), "%s is no key", found[1])
	}
}

// TestAlertRules are what promtool finds them to be.
func TestAlertRules(t *testing.T) {
	promtool := testenv.NeedProgram(t, "prometheus", "promtool")
	for _, arguments := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command(promtool, arguments...)
		cmd.Dir = filepath.Join(root, "packaging", "prometheus")
		text, err := cmd.CombinedOutput()
		assert.NoError(t, err, string(text))
	}
}
