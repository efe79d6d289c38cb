package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

// kubernetes is the version that charts are rendered for.
const kubernetes = "v1.34.0"

// render does what helm template does, with Helm's own code: values are checked by the chart's schema, and merged.
func render(chart string, values map[string]any, version string) (string, error) {
	loaded, err := loader.Load(chart)
	if err != nil {
		return "", err
	}
	capabilities := common.DefaultCapabilities.Copy()
	parsed, err := common.ParseKubeVersion(version)
	if err != nil {
		return "", err
	}
	capabilities.KubeVersion = *parsed
	release := common.ReleaseOptions{Name: "socketflow", Namespace: "socketflow", IsInstall: true, Revision: 1}
	merged, err := util.ToRenderValues(loaded, values, release, capabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(loaded, merged)
	if err != nil {
		return "", err
	}
	var manifests []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, ".yaml") && strings.TrimSpace(files[name]) != "" {
			manifests = append(manifests, strings.TrimSpace(files[name]))
		}
	}
	return strings.Join(manifests, "\n---\n"), nil
}

// readValues reads a file of values.
func readValues(file string) (values map[string]any, err error) {
	text, err := os.ReadFile(file) //nolint:gosec // named by who runs this
	if err != nil {
		return nil, err
	}
	return values, yaml.Unmarshal(text, &values)
}

// namespace is what whoever installs the chart has made.
const namespace = `apiVersion: v1
kind: Namespace
metadata:
  name: socketflow
  labels: {pod-security.kubernetes.io/enforce: privileged}
---
`

// chartCases are the values that a chart is tried with: its own, and those in its folder ci. By name, "" are its own.
func chartCases(chart string) (map[string]map[string]any, error) {
	cases := map[string]map[string]any{"": {}}
	files, err := filepath.Glob(filepath.Join(chart, "ci", "*-values.yaml"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		values, err := readValues(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		cases[strings.TrimSuffix(filepath.Base(file), "-values.yaml")] = values
	}
	return cases, nil
}

// checkChart renders a chart with each of its cases, checks what comes out as manifests are, and writes the collector's configurations to a
// folder.
func checkChart(chart string, unit []string, folder string) error {
	cases, err := chartCases(chart)
	if err != nil {
		return err
	}
	for name, values := range cases {
		manifests, err := render(chart, values, kubernetes)
		if err != nil {
			return fmt.Errorf("values %q: %w", name, err)
		}
		var all objects
		if err := all.decode([]byte(namespace + manifests)); err != nil {
			return fmt.Errorf("values %q: %w", name, err)
		}
		if err := all.check(wantedCapabilities(unit, values)); err != nil {
			return fmt.Errorf("values %q: %w", name, err)
		}
		if folder == "" {
			continue
		}
		file := filepath.Join(folder, "chart"+name+".yaml")
		if err := os.WriteFile(file, []byte(all.collectorConfig()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// wantedCapabilities are those of the unit, and those that values add.
func wantedCapabilities(unit []string, values map[string]any) []string {
	wanted := slices.Clone(unit)
	extra, _ := values["extraCapabilities"].([]any)
	for _, name := range extra {
		wanted = append(wanted, "CAP_"+name.(string))
	}
	slices.Sort(wanted)
	return wanted
}
