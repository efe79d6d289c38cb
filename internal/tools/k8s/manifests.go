package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// objects are what manifests hold.
type objects struct {
	namespaces []core.Namespace
	accounts   []core.ServiceAccount
	configs    []core.ConfigMap
	daemons    []apps.DaemonSet
	roles      []rbac.ClusterRole
	bindings   []rbac.ClusterRoleBinding
}

var (
	separator = regexp.MustCompile(`(?m)^---\s*$`)
	// domainLabel is what names are made of (RFC 1123).
	domainLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
)

// decode adds the documents of a manifest. A field that the API does not know is an error, and so is one that is there twice.
func (o *objects) decode(manifest []byte) error {
	for i, document := range separator.Split(string(manifest), -1) {
		var kind meta.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			return fmt.Errorf("document %d: %w", i+1, err)
		}
		var err error
		switch kind.APIVersion + " " + kind.Kind {
		case "v1 Namespace":
			err = add(&o.namespaces, document)
		case "v1 ServiceAccount":
			err = add(&o.accounts, document)
		case "v1 ConfigMap":
			err = add(&o.configs, document)
		case "apps/v1 DaemonSet":
			err = add(&o.daemons, document)
		case "rbac.authorization.k8s.io/v1 ClusterRole":
			err = add(&o.roles, document)
		case "rbac.authorization.k8s.io/v1 ClusterRoleBinding":
			err = add(&o.bindings, document)
		default:
			err = fmt.Errorf("%q of %q is not known here; add it to internal/tools/k8s", kind.Kind, kind.APIVersion)
		}
		if err != nil {
			return fmt.Errorf("document %d: %w", i+1, err)
		}
	}
	return nil
}

func add[T any](all *[]T, document string) error {
	var object T
	if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
		return err
	}
	*all = append(*all, object)
	return nil
}

// check says what is wrong with the objects together. capabilities are those that the pods are to have.
func (o *objects) check(capabilities []string) error {
	var errs []error
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(o.namespaces) != 1 || len(o.accounts) > 1 || len(o.configs) != 1 || len(o.daemons) != 1 {
		return errors.New("there is to be one Namespace, one ConfigMap and one DaemonSet, and at most one ServiceAccount")
	}
	namespace, config, daemon := o.namespaces[0], o.configs[0], o.daemons[0]
	made := []meta.ObjectMeta{config.ObjectMeta, daemon.ObjectMeta}
	for i := range o.accounts {
		made = append(made, o.accounts[i].ObjectMeta)
	}
	for _, object := range made {
		if object.Namespace != namespace.Name {
			problem("%s is in the namespace %q, which is not made", object.Name, object.Namespace)
		}
		if !domainLabel.MatchString(object.Name) {
			problem("%q is no name", object.Name)
		}
	}
	if namespace.Labels["pod-security.kubernetes.io/enforce"] != "privileged" {
		problem("the namespace %s does not admit pods with hostPID", namespace.Name)
	}
	template := daemon.Spec.Template
	selector, err := meta.LabelSelectorAsSelector(daemon.Spec.Selector)
	if err != nil || selector.Empty() || !selector.Matches(labelSet(template.Labels)) {
		problem("the DaemonSet does not select its own pods: %v", err)
	}
	pod := template.Spec
	errs = append(errs, o.checkAccount(&pod))
	if !pod.HostPID || pod.HostNetwork || pod.HostIPC {
		problem("the pods are to have the host's pids, and none of its other namespaces")
	}
	if len(pod.Containers) != 1 || len(pod.InitContainers) != 0 {
		return errors.Join(append(errs, errors.New("there is to be one container"))...)
	}
	errs = append(errs, checkContainer(&pod.Containers[0], capabilities), checkVolumes(&pod, config.Name))
	return errors.Join(errs...)
}

// checkAccount sees to it that the pods' account is made, and has no rights but those of a role that is made with it: a token is mounted only then.
func (o *objects) checkAccount(pod *core.PodSpec) error {
	var errs []error
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for i := range o.accounts {
		if pod.ServiceAccountName != o.accounts[i].Name {
			problem("the pods have the service account %q, which is not made", pod.ServiceAccountName)
		}
		if automount := o.accounts[i].AutomountServiceAccountToken; automount == nil || *automount {
			problem("a token of the service account would be mounted in any pod that has it")
		}
	}
	if len(o.roles) != len(o.bindings) {
		problem("there are %d roles and %d bindings", len(o.roles), len(o.bindings))
	}
	if automount := pod.AutomountServiceAccountToken; automount == nil || *automount != (len(o.roles) > 0) {
		problem("a token of the service account is mounted without a role, or there is a role without it")
	}
	for i := range o.bindings {
		binding := &o.bindings[i]
		if len(binding.Subjects) != 1 || binding.Subjects[0].Name != pod.ServiceAccountName || binding.RoleRef.Name != o.roles[0].Name {
			problem("%s does not bind the role to the pods' service account", binding.Name)
		}
	}
	for i := range o.roles {
		for _, rule := range o.roles[i].Rules {
			for _, verb := range rule.Verbs {
				if !slices.Contains([]string{"get", "list", "watch"}, verb) {
					problem("the role %s may %s %v", o.roles[i].Name, verb, rule.Resources)
				}
			}
		}
	}
	return errors.Join(errs...)
}

type labelSet map[string]string

func (l labelSet) Has(key string) bool                       { _, found := l[key]; return found }
func (l labelSet) Get(key string) string                     { return l[key] }
func (l labelSet) Lookup(key string) (value string, ok bool) { value, ok = l[key]; return value, ok }

func checkContainer(c *core.Container, capabilities []string) error {
	var errs []error
	problem := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("container %s: "+format, append([]any{c.Name}, args...)...))
	}
	s := c.SecurityContext
	if s == nil || s.Capabilities == nil || s.SeccompProfile == nil {
		return fmt.Errorf("container %s: it has no security context with capabilities and seccomp profile", c.Name)
	}
	for key, value := range map[string]*bool{
		"privileged": s.Privileged, "allowPrivilegeEscalation": s.AllowPrivilegeEscalation,
	} {
		if value == nil || *value {
			problem("%s is not false", key)
		}
	}
	if s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
		problem("readOnlyRootFilesystem is not true")
	}
	if s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		problem("the seccomp profile is %s, not RuntimeDefault", s.SeccompProfile.Type)
	}
	var added []string
	for _, name := range s.Capabilities.Add {
		added = append(added, "CAP_"+string(name))
	}
	slices.Sort(added)
	if !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) || !slices.Equal(added, capabilities) {
		problem("it drops %v and adds %v; drop ALL, and add those of the unit: %v", s.Capabilities.Drop, added, capabilities)
	}
	for _, list := range []core.ResourceList{c.Resources.Requests, c.Resources.Limits} {
		if memory, found := list[core.ResourceMemory]; !found || memory.Sign() <= 0 {
			problem("it has no request, or no limit, of memory")
		}
	}
	if request, limit := c.Resources.Requests[core.ResourceMemory], c.Resources.Limits[core.ResourceMemory]; request.Cmp(limit) > 0 {
		problem("it requests more memory than its limit")
	}
	for name, probe := range map[string]*core.Probe{
		"liveness": c.LivenessProbe, "readiness": c.ReadinessProbe, "startup": c.StartupProbe,
	} {
		if probe == nil || probe.HTTPGet == nil || !slices.ContainsFunc(c.Ports, func(p core.ContainerPort) bool {
			return p.Name == probe.HTTPGet.Port.StrVal
		}) {
			problem("its %s probe asks no port that it has", name)
		}
	}
	return errors.Join(errs...)
}

// checkVolumes sees to it that every mount has its volume, that every volume is used, and that nothing of the node can be
// written.
func checkVolumes(pod *core.PodSpec, config string) error {
	var errs []error
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	mounts := map[string]core.VolumeMount{}
	for _, m := range pod.Containers[0].VolumeMounts {
		mounts[m.Name] = m
		if !m.ReadOnly {
			problem("the volume %s can be written", m.Name)
		}
	}
	for _, v := range pod.Volumes {
		if _, found := mounts[v.Name]; !found {
			problem("the volume %s is not mounted", v.Name)
		}
		delete(mounts, v.Name)
		if v.ConfigMap != nil && v.ConfigMap.Name != config {
			problem("the volume %s is of the ConfigMap %q, which is not made", v.Name, v.ConfigMap.Name)
		}
	}
	for name := range mounts {
		problem("there is no volume %s", name)
	}
	return errors.Join(errs...)
}

// collectorConfig is what the ConfigMap holds, once it has been checked that there is one.
func (o *objects) collectorConfig() string { return o.configs[0].Data["config.yaml"] }

// capabilities are those that a systemd unit gives its processes, sorted.
func capabilities(unit string) (names []string) {
	for line := range strings.Lines(unit) {
		if value, found := strings.CutPrefix(line, "AmbientCapabilities="); found {
			names = append(names, strings.Fields(value)...)
		}
	}
	slices.Sort(names)
	return names
}
