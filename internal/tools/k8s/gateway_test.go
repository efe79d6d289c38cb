package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const gateways = "../../../examples/kubernetes"

// operated is what examples use of the operator's resource (opentelemetry.io/v1beta1).
type operated struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            struct {
		Mode           string                    `json:"mode"`
		Replicas       *int32                    `json:"replicas"`
		Image          string                    `json:"image"`
		ServiceAccount string                    `json:"serviceAccount"`
		Env            []core.EnvVar             `json:"env"`
		Resources      core.ResourceRequirements `json:"resources"`
		Config         map[string]any            `json:"config"`
	} `json:"spec"`
}

// collectors are the configurations of collectors in a file of examples, by name; every field of its objects is known.
func collectors(t *testing.T, file string) map[string]map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(gateways, file))
	if err != nil {
		t.Fatal(err)
	}
	configs := map[string]map[string]any{}
	for _, document := range separator.Split(string(text), -1) {
		var kind meta.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatal(err)
		}
		var object any
		switch kind.Kind {
		case "ServiceAccount":
			object = &core.ServiceAccount{}
		case "ConfigMap":
			object = &core.ConfigMap{}
		case "Service":
			object = &core.Service{}
		case "Deployment":
			object = &apps.Deployment{}
		case "StatefulSet":
			object = &apps.StatefulSet{}
		case "ClusterRole":
			object = &rbac.ClusterRole{}
		case "ClusterRoleBinding":
			object = &rbac.ClusterRoleBinding{}
		case "OpenTelemetryCollector":
			object = &operated{}
		default:
			t.Fatalf("%s: %q is not known here", file, kind.Kind)
		}
		if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
			t.Fatalf("%s: %s: %v", file, kind.Kind, err)
		}
		switch object := object.(type) {
		case *core.ConfigMap:
			var config map[string]any
			if err := yaml.UnmarshalStrict([]byte(object.Data["config.yaml"]), &config); err != nil {
				t.Fatalf("%s: %s: %v", file, object.Name, err)
			}
			configs[object.Name] = config
		case *operated:
			configs[object.Name] = object.Spec.Config
		}
	}
	return configs
}

// TestGateways: the pipelines of gateways name what there is, all that there is, and traces reach one sampler by their ids.
func TestGateways(t *testing.T) {
	for _, file := range []string{"gateway.yaml", "operator.yaml"} {
		configs := collectors(t, file)
		if len(configs) != 2 {
			t.Fatalf("%s: %d collectors", file, len(configs))
		}
		for name, config := range configs {
			checkPipelines(t, file+", "+name, config)
		}
		balancing := configs["socketflow-balancer"]["exporters"].(map[string]any)["load_balancing"].(map[string]any)
		host := balancing["resolver"].(map[string]any)["dns"].(map[string]any)["hostname"].(string)
		if balancing["routing_key"] != "traceID" || !strings.HasPrefix(host, "socketflow-sampler") {
			t.Errorf("%s: %v", file, balancing)
		}
		attributes := configs["socketflow-balancer"]["processors"].(map[string]any)["k8s_attributes"].(map[string]any)
		var by []string
		for _, a := range attributes["pod_association"].([]any) {
			by = append(by, a.(map[string]any)["sources"].([]any)[0].(map[string]any)["name"].(string))
		}
		if !slices.Equal(by, []string{"k8s.pod.uid", "container.id"}) {
			t.Errorf("%s: pods by %v", file, by)
		}
	}
}

func checkPipelines(t *testing.T, where string, config map[string]any) {
	t.Helper()
	used := map[string]bool{}
	for signal, pipeline := range config["service"].(map[string]any)["pipelines"].(map[string]any) {
		for _, part := range []string{"receivers", "processors", "exporters"} {
			made := config[part].(map[string]any)
			for _, name := range pipeline.(map[string]any)[part].([]any) {
				used[part+name.(string)] = true
				if _, found := made[name.(string)]; !found {
					t.Errorf("%s: %s: there is no %v in %s", where, signal, name, part)
				}
			}
		}
	}
	for _, part := range []string{"receivers", "processors", "exporters"} {
		for name := range config[part].(map[string]any) {
			if !used[part+name] {
				t.Errorf("%s: no pipeline uses %s in %s", where, name, part)
			}
		}
	}
}
