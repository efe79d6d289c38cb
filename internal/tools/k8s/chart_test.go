package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"sigs.k8s.io/yaml"
)

const chart = packaging + "/helm/socketflow"

// TestChartLint is helm lint, with each of the chart's values.
func TestChartLint(t *testing.T) {
	cases, err := chartCases(chart)
	if err != nil || len(cases) < 4 {
		t.Fatal(len(cases), err)
	}
	for name, values := range cases {
		for _, message := range lint.RunAll(chart, values, "socketflow").Messages {
			if message.Severity > support.InfoSev {
				t.Errorf("values %q: %v", name, message)
			}
		}
	}
}

func TestChartManifests(t *testing.T) {
	_, unit := read(t)
	folder := t.TempDir()
	if err := checkChart(chart, unit, folder); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]string{
		"chart.yaml":               {"mode: auto", "insecure: true"},
		"chartsocket.yaml":         {"mode: socket", "ratio: 0.1", "insecure: false"},
		"chartsyscall.yaml":        {"mode: syscall", "verbosity: basic"},
		"chartk8s-attributes.yaml": {"k8s_attributes", "name: k8s.pod.uid", "name: container.id", "tag_name: app"},
	} {
		text, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s does not have %q:\n%s", file, part, text)
			}
		}
	}
}

// TestChartOptions: what values switch on is there, and is not without them.
func TestChartOptions(t *testing.T) {
	for _, test := range []struct {
		values, version, part string
		want                  bool
	}{
		{"{}", kubernetes, "kind: ClusterRole", false},
		{"k8sAttributes: {enabled: true}", kubernetes, "kind: ClusterRole", true},
		{"k8sAttributes: {enabled: true}", kubernetes, "automountServiceAccountToken: true", true},
		{"{}", kubernetes, "appArmorProfile", true},
		{"{}", "v1.29.0", "appArmorProfile", false},
		{"appArmorUnconfined: false", kubernetes, "appArmorProfile", false},
		{"{}", kubernetes, "/sys/kernel/tracing", true},
		{"tracefs: false", kubernetes, "/sys/kernel/tracing", false},
		{"{}", kubernetes, "privileged: true", false},
		{"{}", kubernetes, "hostNetwork: true", false},
		{"config: {processors: {batch: null}}", kubernetes, "send_batch_size", false},
		{"serviceAccount: {create: false}", kubernetes, "kind: ServiceAccount", false},
		{"serviceAccount: {create: false}", kubernetes, "serviceAccountName: default", true},
		{"tolerations: []", kubernetes, "operator: Exists", false},
	} {
		var values map[string]any
		if err := yaml.Unmarshal([]byte(test.values), &values); err != nil {
			t.Fatal(err)
		}
		manifests, err := render(chart, values, test.version)
		if err != nil {
			t.Errorf("%s: %v", test.values, err)
		} else if strings.Contains(manifests, test.part) != test.want {
			t.Errorf("%s on %s: %q: want %v\n%s", test.values, test.version, test.part, test.want, manifests)
		}
	}
}

// TestChartRefuses: values that are wrong are named.
func TestChartRefuses(t *testing.T) {
	for _, test := range []struct{ values, message string }{
		{"mode: kprobe", "mode"},
		{"image: {repo: x}", "repo"},
		{"replicas: 3", "replicas"},
		{"receiver: {mode: socket}", "mode"},
		{"config: {receivers: {socketflow: {}}}", "socketflow"},
		{"extraCapabilities: [CAP_SYS_ADMIN]", "extraCapabilities"},
		{"extraCapabilities: [ALL]", "extraCapabilities"},
		{"goMemLimit: 400", "goMemLimit"},
		{"mode: syscall\ntracefs: false", "syscall needs tracefs"},
	} {
		var values map[string]any
		if err := yaml.Unmarshal([]byte(test.values), &values); err != nil {
			t.Fatal(err)
		}
		if _, err := render(chart, values, kubernetes); err == nil || !strings.Contains(err.Error(), test.message) {
			t.Errorf("%s: %v; want %q", test.values, err, test.message)
		}
	}
}
