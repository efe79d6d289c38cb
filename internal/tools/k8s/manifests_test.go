package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const packaging = "../../../packaging"

// read returns the packaged manifests, one after the other, and the capabilities of the packaged unit.
func read(t *testing.T) (manifests string, unit []string) {
	t.Helper()
	names, err := filepath.Glob(packaging + "/kubernetes/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal("no manifests", err)
	}
	var texts []string
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	text, err := os.ReadFile(packaging + "/systemd/otelcol-socketflow.service")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(texts, "---\n"), capabilities(string(text))
}

func checked(manifests string, unit []string) error {
	var o objects
	if err := o.decode([]byte(manifests)); err != nil {
		return err
	}
	return o.check(unit)
}

func TestPackagedManifests(t *testing.T) {
	manifests, unit := read(t)
	if len(unit) == 0 {
		t.Fatal("the unit has no capabilities")
	}
	if err := checked(manifests, unit); err != nil {
		t.Fatal(err)
	}
}

// TestMistakes: each mistake is found, and named.
func TestMistakes(t *testing.T) {
	manifests, unit := read(t)
	for _, test := range []struct{ right, wrong, message string }{
		{"hostPID: true", "hostPids: true", "hostPids"},
		{"hostPID: true", "hostPID: yes please", "hostPID"},
		{"hostPID: true", "hostPID: true\n      hostPID: true", "already set"},
		{"hostPID: true", "hostPID: true\n      hostNetwork: true", "none of its other namespaces"},
		{"kind: DaemonSet", "kind: Deployment", "Deployment"},
		{"namespace: socketflow", "namespace: other", "not made"},
		{"enforce: privileged", "enforce: baseline", "does not admit"},
		{"serviceAccountName: otelcol-socketflow", "serviceAccountName: default", "service account"},
		{"automountServiceAccountToken: false", "automountServiceAccountToken: true", "token"},
		{"matchLabels:\n      app.kubernetes.io/name: otelcol", "matchLabels:\n      app.kubernetes.io/name: other", "select"},
		{"privileged: false", "privileged: true", "privileged"},
		{"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "allowPrivilegeEscalation"},
		{"readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "readOnlyRootFilesystem"},
		{"type: RuntimeDefault", "type: Unconfined", "seccomp"},
		{"drop: [ALL]", "drop: [NET_RAW]", "drops"},
		{"add: [BPF, PERFMON,", "add: [SYS_ADMIN, BPF, PERFMON,", "SYS_ADMIN"},
		{"memory: 512Mi", "memory: 128Mi", "more memory than its limit"},
		{"memory: 512Mi", "memory: lots", "quantities"},
		{"mountPath: /sys/kernel/tracing\n              readOnly: true", "mountPath: /sys/kernel/tracing", "can be written"},
		{"- name: tracefs\n          hostPath", "- name: debugfs\n          hostPath", "no volume tracefs"},
		{"configMap:\n            name: otelcol-socketflow", "configMap:\n            name: other", "ConfigMap"},
		{"port: health", "port: helth", "probe"},
	} {
		if !strings.Contains(manifests, test.right) {
			t.Errorf("the manifests do not have %q", test.right)
			continue
		}
		err := checked(strings.Replace(manifests, test.right, test.wrong, 1), unit)
		if err == nil || !strings.Contains(err.Error(), test.message) {
			t.Errorf("%q instead of %q: %v; want %q", test.wrong, test.right, err, test.message)
		}
	}
}
