package process

import (
	"strconv"
	"strings"
)

// membership is what a cgroup path says about the processes in the cgroup.
type membership struct {
	engine engine
	id     string // the runtime's id of the container
	name   string // for runtimes whose cgroups have names instead of ids
	podUID string
}

func (m membership) inContainer() bool { return m.id != "" || m.name != "" }

// engine is the software that created a container's cgroup. It determines in which file the container's name is.
type engine uint8

const (
	engineNone    engine = iota
	engineUnknown        // the path has the id of a container, but does not show the engine
	engineDocker
	engineContainerd
	engineNerdctl
	engineCRIO
	enginePodman
	engineECS
	engineGarden
	engineBuildKit
	engineLXC
	engineMachine // systemd-nspawn, libvirt's LXC driver, and all others that register with systemd-machined
)

// runtimes are the names of engines as attributes have them; "" where several may run the container.
var runtimes = [...]string{
	engineNone: "", engineUnknown: "", engineDocker: "docker", engineContainerd: "containerd", engineNerdctl: "containerd",
	engineCRIO: "cri-o", enginePodman: "podman", engineECS: "", engineGarden: "garden", engineBuildKit: "", engineLXC: "lxc",
	engineMachine: "",
}

// form is a pattern of a path element by which a runtime names a container.
type form struct {
	engine engine
	// parent is the element above, "" for any.
	parent         string
	prefix, suffix string
	// read parses what is between prefix and suffix as an id or a name. If both are "", the form does not match.
	read func(string) (id, name string)
	// monitor is the child element of the runtime's own process, which runs on the host and not in the container.
	monitor string
}

// forms are tried in order, and the first match is taken. Matches are exact, so that a systemd service, a session or a slice
// is never taken for a container.
//
// No library is used. Those that have these forms export only a match of "64 hex digits anywhere"
// (DataDog/datadog-agent/pkg/util/cgroups), or depend on the modules of a kubelet (spiffe/spire).
var forms = [...]form{
	// The systemd driver of runc, crun and youki makes "<slice>:<prefix>:<id>" into <slice>/<prefix>-<id>.scope
	// (opencontainers/cgroups, systemd/common.go, getUnitName); the prefixes are the engines':
	// moby/moby daemon/oci_linux.go (WithCgroups, scopePrefix), also under kubelet with cri-dockerd and on ECS.
	{engine: engineDocker, prefix: "docker-", suffix: ".scope", read: hexID},
	// containerd/containerd internal/cri (getCgroupsPath).
	{engine: engineContainerd, prefix: "cri-containerd-", suffix: ".scope", read: hexID},
	// containerd/nerdctl pkg/cmd/container/run_cgroup_linux.go (generateCgroupPath).
	{engine: engineNerdctl, prefix: "nerdctl-", suffix: ".scope", read: hexID},
	// cri-o/cri-o internal/config/cgmgr (CrioPrefix); cgroupfs_linux.go writes no ".scope". The monitor of a
	// container is crio-conmon-<id>, which does not match.
	{engine: engineCRIO, prefix: "crio-", suffix: ".scope", read: hexID},
	{engine: engineCRIO, prefix: "crio-", read: hexID},
	// containers/podman libpod (getOCICgroupPath): systemd, --cgroups=split (every Quadlet unit), cgroupfs under
	// /libpod_parent. The monitor is libpod-conmon-<id>, which does not match either.
	{engine: enginePodman, prefix: "libpod-", suffix: ".scope", read: hexID},
	{engine: enginePodman, prefix: "libpod-payload-", read: hexID},
	{engine: enginePodman, prefix: "libpod-", read: hexID},
	// A pod of podman under cgroupfs, /libpod_parent/<pod id>/libpod-<id>: a group of containers and not a container.
	{engine: engineNone, parent: "libpod_parent", read: hexID},

	// moby/buildkit executor/oci/spec.go: /<cgroup parent>/buildkit/<id>, in dockerd's own under systemd
	// system.slice:docker:<id> (moby/moby cmd/dockerd, newCgroupParent).
	{engine: engineBuildKit, parent: "buildkit", read: buildKitID},
	{engine: engineBuildKit, prefix: "docker-", suffix: ".scope", read: buildKitID},

	// moby/moby with the cgroupfs driver: /docker/<id> or <cgroup parent>/<id>.
	{engine: engineDocker, parent: "docker", read: hexID},
	// Every engine with the cgroupfs driver under kubelet, /kubepods/burstable/pod<uid>/<id>
	// (kubernetes/kubernetes pkg/kubelet/cm/cgroup_manager_linux.go), and Docker tasks of ECS, /ecs/<task>/<id>
	// (aws/amazon-ecs-agent agent/api/task/task_linux.go, BuildCgroupRoot).
	{engine: engineUnknown, read: hexID},
	// Fargate, /ecs/<task>/<task>-<number>: DataDog/datadog-agent pkg/util/cgroups/reader.go (ContainerRegexpStr).
	{engine: engineECS, read: fargateID},
	// Cloud Foundry, /garden/<handle>, the handle is a GUID with a short last group: the same expression, and
	// elastic/apm specs/agents/metadata.md.
	{engine: engineGarden, parent: "garden", read: gardenID},
	{engine: engineGarden, read: shortGUID},

	// lxc/lxc src/lxc/cgroups/cgfsng.c (cgfsng_payload_create): lxc.payload.<name> (LXD and Incus put
	// <project>_<name>), lxc.payload/<name> in 4.0, <pattern>/lxc.payload, and /lxc/<name> before and on Proxmox.
	{engine: engineLXC, prefix: "lxc.payload.", read: anyName},
	{engine: engineLXC, parent: "lxc.payload", read: anyName},
	{engine: engineLXC, parent: "lxc", read: anyName, monitor: "lxc.monitor"},

	// systemd/systemd units/systemd-nspawn@.service.in: --machine=%i, the unescaped instance. src/nspawn/nspawn-cgroup.c
	// puts the payload next to a "supervisor", which is systemd-nspawn itself.
	{engine: engineMachine, prefix: "systemd-nspawn@", suffix: ".service", read: anyName, monitor: "supervisor"},
	// systemd/systemd src/machine/machine.c (machine_start_scope): unit_name_escape of the machine's name.
	{engine: engineMachine, prefix: "machine-", suffix: ".scope", read: machineName, monitor: "supervisor"},
}

// parseCgroup parses a cgroup path from the root down. The innermost container counts: a node of kind is a Docker container,
// and a process in it is in the container of a pod. Cgroups that a container creates below its own (a systemd service, init's
// scope) change nothing.
//
// A path starts with "/.." elements if the cgroup is outside the reader's cgroup namespace (cgroup_namespaces(7)). The rest
// of the path is parsed nevertheless.
func parseCgroup(path string) membership {
	var m, outside membership
	if len(path) > maxPath {
		return m
	}
	var parent, monitor string
	visit := func(element string) {
		if monitor != "" && element == monitor {
			m = outside
			parent, monitor = element, ""
			return
		}
		monitor = ""
		if uid := podUID(element); uid != "" {
			m.podUID = uid
		}
		for i := range forms {
			f := &forms[i]
			if f.parent != "" && f.parent != parent {
				continue
			}
			id, name, ok := f.match(element)
			if !ok {
				continue
			}
			if f.engine != engineNone {
				outside, monitor = m, f.monitor
				m.engine, m.id, m.name = f.engine, id, name
			}
			break
		}
		parent = element
	}
	for element := range strings.SplitSeq(strings.TrimSuffix(path, " (deleted)"), "/") {
		if element == "" || element == ".." {
			continue
		}
		// If kubelet uses the systemd driver and runc uses cgroupfs, a common misconfiguration, the three parts of the
		// systemd notation become one directory.
		if parts := strings.Split(element, ":"); len(parts) == 3 && strings.HasSuffix(parts[0], ".slice") {
			visit(parts[0])
			visit(parts[1] + "-" + parts[2] + ".scope")
			continue
		}
		visit(element)
	}
	return m
}

func (f *form) match(element string) (id, name string, ok bool) {
	rest, ok := strings.CutPrefix(element, f.prefix)
	if !ok {
		return "", "", false
	}
	if rest, ok = strings.CutSuffix(rest, f.suffix); !ok {
		return "", "", false
	}
	id, name = f.read(rest)
	return id, name, id != "" || name != ""
}

// podUID parses the element that kubelet creates for a pod: pod<uid>, or with the systemd driver
// <parents>-pod<uid>.slice with underscores in place of the uid's dashes (kubernetes/kubernetes
// pkg/kubelet/cm/cgroup_manager_linux.go, escapeSystemdCgroupName, and pod_container_manager_linux.go). The uid of a
// static pod is an MD5 sum without dashes (pkg/kubelet/config/common.go, applyDefaults).
func podUID(element string) string {
	var uid string
	if slice, ok := strings.CutSuffix(element, ".slice"); ok {
		i := strings.LastIndex(slice, "-pod")
		if i < 0 {
			return ""
		}
		uid = strings.ReplaceAll(slice[i+len("-pod"):], "_", "-")
	} else if uid, ok = strings.CutPrefix(element, "pod"); !ok {
		return ""
	}
	if isUUID(uid) || len(uid) == 32 && isHex(uid) {
		return uid
	}
	return ""
}

func hexID(s string) (id, name string) {
	if isContainerID(s) {
		return s, ""
	}
	return "", ""
}

// isContainerID reports whether s is a SHA-256 in hex, which all engines use as container ids. Such an id is safe as part of
// a path.
func isContainerID(s string) bool { return len(s) == 64 && isHex(s) }

// buildKitID parses an id of moby/buildkit identity/randomid.go: 25 digits of base 36.
func buildKitID(s string) (id, name string) {
	if len(s) != 25 {
		return "", ""
	}
	for i := range len(s) {
		if !('0' <= s[i] && s[i] <= '9' || 'a' <= s[i] && s[i] <= 'z') {
			return "", ""
		}
	}
	return s, ""
}

func fargateID(s string) (id, name string) {
	task, number, ok := strings.Cut(s, "-")
	if !ok || len(task) != 32 || !isHex(task) {
		return "", ""
	}
	if _, err := strconv.ParseUint(number, 10, 64); err != nil {
		return "", ""
	}
	return s, ""
}

func gardenID(s string) (id, name string) {
	if isUUID(s) {
		return s, ""
	}
	return shortGUID(s)
}

func shortGUID(s string) (id, name string) {
	if isGrouped(s, 8, 4, 4, 4, 4) {
		return s, ""
	}
	return "", ""
}

func anyName(s string) (id, name string) { return "", label(s) }

// machineName parses the name of a container in a scope of systemd-machined. A virtual machine of libvirt ("qemu-1-web") is
// not a container: the process in that scope is the emulator, on the host. The number in libvirt's names (libvirt
// src/hypervisor/domain_driver.c, virDomainDriverGenerateMachineName) changes with every start and is left out.
func machineName(s string) (id, name string) {
	machine := label(unescapeUnit(s))
	driver, rest, ok := strings.Cut(machine, "-")
	number, domain, numbered := strings.Cut(rest, "-")
	if !ok || !numbered || !isDigits(number) {
		return "", machine
	}
	if driver == "lxc" {
		return "", domain
	}
	for _, hypervisor := range [...]string{"qemu", "xen", "ch", "bhyve"} {
		if driver == hypervisor {
			return "", ""
		}
	}
	return "", machine
}

// unescapeUnit decodes the \xNN of systemd.unit(5). A bare dash stays as it is: it stands for a slash, which a machine's name
// cannot contain.
func unescapeUnit(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		if len(s) >= 4 && s[0] == '\\' && s[1] == 'x' {
			if c, err := strconv.ParseUint(s[2:4], 16, 8); err == nil {
				b.WriteByte(byte(c))
				s = s[4:]
				continue
			}
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	return b.String()
}

func isUUID(s string) bool { return isGrouped(s, 8, 4, 4, 4, 12) }

// isGrouped reports whether s consists of groups of so many hex digits, separated by dashes.
func isGrouped(s string, groups ...int) bool {
	for i, n := range groups {
		if i > 0 {
			if s == "" || s[0] != '-' {
				return false
			}
			s = s[1:]
		}
		if len(s) < n || !isHex(s[:n]) {
			return false
		}
		s = s[n:]
	}
	return s == ""
}

// isHex reports whether s has only lower-case hex digits, as all runtimes write them.
func isHex(s string) bool {
	for i := range len(s) {
		if !('0' <= s[i] && s[i] <= '9' || 'a' <= s[i] && s[i] <= 'f') {
			return false
		}
	}
	return true
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
