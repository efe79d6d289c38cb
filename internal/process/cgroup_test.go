package process

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/procfs"
)

const (
	podA = "2c48913c-b29f-11e7-9350-020968147796"
	podB = "d68ea5b1-2a42-4f3a-8d2a-1d9a3d0f5c11"
	// staticPod is the uid of a pod from a manifest file: an MD5 sum.
	staticPod = "64a1d5b4c0e1f2a3948576a1b2c3d4e5"
)

var underscored = strings.NewReplacer("-", "_")

// cgroupCase is a path and the expected membership.
type cgroupCase struct {
	about string
	path  string
	want  membership
}

func cgroupCases() []cgroupCase {
	a, b := hex64("a"), hex64("b")
	sliceA, sliceB := underscored.Replace(podA), underscored.Replace(podB)
	return []cgroupCase{
		{"docker, cgroupfs", "/docker/" + a,
			membership{engine: engineDocker, id: a}},
		{"docker, systemd", "/system.slice/docker-" + a + ".scope",
			membership{engine: engineDocker, id: a}},
		{"docker, rootless", "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + a + ".scope",
			membership{engine: engineDocker, id: a}},
		{"docker, a cgroup parent of one's own", "/mygroup/" + a,
			membership{engine: engineUnknown, id: a}},
		{"docker, systemd inside", "/docker/" + a + "/system.slice/nginx.service",
			membership{engine: engineDocker, id: a}},
		{"docker, init scope inside", "/system.slice/docker-" + a + ".scope/init.scope",
			membership{engine: engineDocker, id: a}},
		{"docker in docker", "/docker/" + a + "/docker/" + b,
			membership{engine: engineDocker, id: b}},

		{"kubelet, containerd, systemd, burstable",
			"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + sliceA + ".slice/cri-containerd-" + a + ".scope",
			membership{engine: engineContainerd, id: a, podUID: podA}},
		{"kubelet, containerd, systemd, guaranteed",
			"/kubepods.slice/kubepods-pod" + sliceA + ".slice/cri-containerd-" + a + ".scope",
			membership{engine: engineContainerd, id: a, podUID: podA}},
		{"kubelet, cgroupfs, burstable", "/kubepods/burstable/pod" + podA + "/" + a,
			membership{engine: engineUnknown, id: a, podUID: podA}},
		{"kubelet, cgroupfs, guaranteed", "/kubepods/pod" + podA + "/" + a,
			membership{engine: engineUnknown, id: a, podUID: podA}},
		{"kubelet, static pod", "/kubepods/besteffort/pod" + staticPod + "/" + a,
			membership{engine: engineUnknown, id: a, podUID: staticPod}},
		{"kubelet, static pod, systemd",
			"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + staticPod + ".slice/crio-" + a + ".scope",
			membership{engine: engineCRIO, id: a, podUID: staticPod}},
		{"kubelet, cri-dockerd",
			"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + sliceA + ".slice/docker-" + a + ".scope",
			membership{engine: engineDocker, id: a, podUID: podA}},
		{"kubelet on systemd, containerd on cgroupfs",
			"/system.slice/containerd.service/kubepods-besteffort-pod" + sliceA + ".slice:cri-containerd:" + a,
			membership{engine: engineContainerd, id: a, podUID: podA}},
		{"a pod, no container", "/kubepods.slice/kubepods-pod" + sliceA + ".slice",
			membership{podUID: podA}},
		{"cri-o, systemd", "/kubepods.slice/kubepods-pod" + sliceA + ".slice/crio-" + a + ".scope/container",
			membership{engine: engineCRIO, id: a, podUID: podA}},
		{"cri-o, cgroupfs", "/kubepods/besteffort/pod" + podA + "/crio-" + a,
			membership{engine: engineCRIO, id: a, podUID: podA}},
		{"cri-o, the monitor", "/kubepods.slice/kubepods-pod" + sliceA + ".slice/crio-conmon-" + a + ".scope",
			membership{podUID: podA}},
		{"cri-o, the monitor, cgroupfs", "/kubepods/pod" + podA + "/crio-conmon-" + a,
			membership{podUID: podA}},
		{"another cgroup namespace", "/../../kubepods-burstable-pod" + sliceA + ".slice/cri-containerd-" + a + ".scope",
			membership{engine: engineContainerd, id: a, podUID: podA}},
		{"a neighbour in the pod", "/../cri-containerd-" + a + ".scope",
			membership{engine: engineContainerd, id: a}},
		{"a removed cgroup", "/system.slice/docker-" + a + ".scope (deleted)",
			membership{engine: engineDocker, id: a}},

		{"kind, the node", "/docker/" + a + "/init.scope",
			membership{engine: engineDocker, id: a}},
		{"kind, the node's kubelet", "/docker/" + a + "/kubelet.slice/kubelet.service",
			membership{engine: engineDocker, id: a}},
		{"kind, a pod, systemd", "/system.slice/docker-" + a + ".scope/kubelet.slice/kubelet-kubepods.slice/" +
			"kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" + sliceA + ".slice/cri-containerd-" + b + ".scope",
			membership{engine: engineContainerd, id: b, podUID: podA}},
		{"kind, a pod, cgroupfs", "/docker/" + a + "/kubelet/kubepods/burstable/pod" + podA + "/" + b,
			membership{engine: engineUnknown, id: b, podUID: podA}},
		{"kind in a pod", "/kubepods/pod" + podA + "/" + a + "/docker/" + b + "/kubelet.slice/kubelet-kubepods.slice/" +
			"kubelet-kubepods-pod" + sliceB + ".slice/cri-containerd-" + hex64("c") + ".scope",
			membership{engine: engineContainerd, id: hex64("c"), podUID: podB}},
		{"docker in a pod", "/kubepods/burstable/pod" + podA + "/" + a + "/docker/" + b,
			membership{engine: engineDocker, id: b, podUID: podA}},

		{"podman, systemd", "/machine.slice/libpod-" + a + ".scope/container",
			membership{engine: enginePodman, id: a}},
		{"podman, rootless", "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + a + ".scope",
			membership{engine: enginePodman, id: a}},
		{"podman, cgroupfs", "/libpod_parent/libpod-" + a,
			membership{engine: enginePodman, id: a}},
		{"podman, a pod under cgroupfs", "/libpod_parent/" + b + "/libpod-" + a,
			membership{engine: enginePodman, id: a}},
		{"podman, a monitor in a pod", "/libpod_parent/" + b + "/conmon", membership{}},
		{"podman, Quadlet", "/system.slice/web.service/libpod-payload-" + a,
			membership{engine: enginePodman, id: a}},
		{"podman, Quadlet's monitor", "/system.slice/web.service/runtime", membership{}},
		{"podman, the monitor", "/machine.slice/libpod-conmon-" + a + ".scope", membership{}},
		{"nerdctl", "/system.slice/nerdctl-" + a + ".scope",
			membership{engine: engineNerdctl, id: a}},
		{"nerdctl and ctr, cgroupfs", "/default/" + a,
			membership{engine: engineUnknown, id: a}},

		{"ECS on EC2", "/ecs/34dc0b5e626f2c5c4c5170e34b10e765/" + a,
			membership{engine: engineUnknown, id: a}},
		{"ECS on EC2, systemd", "/ecstasks.slice/ecstasks-34dc0b5e626f2c5c4c5170e34b10e765.slice/docker-" + a + ".scope",
			membership{engine: engineDocker, id: a}},
		{"ECS on Fargate", "/ecs/34dc0b5e626f2c5c4c5170e34b10e765/34dc0b5e626f2c5c4c5170e34b10e765-1234567890",
			membership{engine: engineECS, id: "34dc0b5e626f2c5c4c5170e34b10e765-1234567890"}},
		{"Cloud Foundry", "/garden/6f265890-5165-7fab-6b52-18d1",
			membership{engine: engineGarden, id: "6f265890-5165-7fab-6b52-18d1"}},
		{"Cloud Foundry, systemd", "/system.slice/garden.service/garden/6f265890-5165-7fab-6b52-18d1",
			membership{engine: engineGarden, id: "6f265890-5165-7fab-6b52-18d1"}},
		{"Cloud Foundry, a whole UUID", "/garden/" + podA,
			membership{engine: engineGarden, id: podA}},
		{"BuildKit", "/buildkit/t8v1x4g5r6n7m8k9j0h1f2d3s",
			membership{engine: engineBuildKit, id: "t8v1x4g5r6n7m8k9j0h1f2d3s"}},
		{"BuildKit in dockerd", "/docker/buildkit/t8v1x4g5r6n7m8k9j0h1f2d3s",
			membership{engine: engineBuildKit, id: "t8v1x4g5r6n7m8k9j0h1f2d3s"}},
		{"BuildKit in dockerd, systemd", "/system.slice/docker-t8v1x4g5r6n7m8k9j0h1f2d3s.scope",
			membership{engine: engineBuildKit, id: "t8v1x4g5r6n7m8k9j0h1f2d3s"}},

		{"lxc", "/lxc.payload.web/init.scope",
			membership{engine: engineLXC, name: "web"}},
		{"lxc, a service inside", "/lxc.payload.web/system.slice/nginx.service",
			membership{engine: engineLXC, name: "web"}},
		{"lxd, a project", "/lxc.payload.staging_web",
			membership{engine: engineLXC, name: "staging_web"}},
		{"lxc 4.0", "/lxc.payload/web",
			membership{engine: engineLXC, name: "web"}},
		{"lxc, before 4.0", "/lxc/web",
			membership{engine: engineLXC, name: "web"}},
		{"proxmox", "/lxc/101/ns/system.slice/nginx.service",
			membership{engine: engineLXC, name: "101"}},
		{"lxc in lxc", "/lxc.payload.outer/lxc.payload.inner",
			membership{engine: engineLXC, name: "inner"}},
		{"docker in lxc", "/lxc/101/ns/docker/" + a,
			membership{engine: engineDocker, id: a}},
		{"lxc, the monitor", "/lxc.monitor.web", membership{}},
		{"proxmox, the monitor", "/lxc.monitor/101", membership{}},
		{"nspawn", "/machine.slice/systemd-nspawn@build-box.service/payload/init.scope",
			membership{engine: engineMachine, name: "build-box"}},
		{"nspawn, cgroup v1", "/machine.slice/systemd-nspawn@build-box.service/system.slice/cron.service",
			membership{engine: engineMachine, name: "build-box"}},
		{"nspawn, the supervisor", "/machine.slice/systemd-nspawn@build-box.service/supervisor", membership{}},
		{"nspawn from a shell", `/machine.slice/machine-build\x2dbox.scope/payload`,
			membership{engine: engineMachine, name: "build-box"}},
		{"nspawn named like a hypervisor", `/machine.slice/machine-qemu\x2dbuilder.scope/payload`,
			membership{engine: engineMachine, name: "qemu-builder"}},
		{"nspawn in docker, the supervisor", "/docker/" + a + "/machine.slice/systemd-nspawn@x.service/supervisor",
			membership{engine: engineDocker, id: a}},
		{"libvirt, lxc", `/machine.slice/machine-lxc\x2d4711\x2dweb\x2d1.scope`,
			membership{engine: engineMachine, name: "web-1"}},
		{"libvirt, a virtual machine", `/machine.slice/machine-qemu\x2d1\x2ddebian12.scope/libvirt/emulator`, membership{}},

		{"nothing", "", membership{}},
		{"the root", "/", membership{}},
		{"init", "/init.scope", membership{}},
		{"a service", "/system.slice/nginx.service", membership{}},
		{"docker itself", "/system.slice/docker.service", membership{}},
		{"containerd itself", "/system.slice/containerd.service", membership{}},
		{"kubelet itself", "/system.slice/kubelet.service", membership{}},
		{"a session", "/user.slice/user-1000.slice/session-3.scope", membership{}},
		{"a desktop application", "/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice", membership{}},
		{"32 hex digits are no container", "/process_api/b138128f68c1c80814acde5997df5744", membership{}},
		{"63 digits are no id", "/docker/" + a[1:], membership{}},
		{"65 digits are no id", "/docker/" + a + "a", membership{}},
		{"upper case is no id", "/docker/" + strings.ToUpper(a), membership{}},
		{"a path in the id", "/system.slice/docker-../../../../etc/shadow.scope", membership{}},
		{"a UUID is no container outside garden", "/job/" + podA, membership{}},
		{"longer than any path", strings.Repeat("/docker/"+a, 100), membership{}},
	}
}

func TestACgroupPathNamesTheInnermostContainer(t *testing.T) {
	for _, c := range cgroupCases() {
		t.Run(c.about, func(t *testing.T) {
			equal(t, c.path, parseCgroup(c.path), c.want)
		})
	}
}

func TestCgroupFile(t *testing.T) {
	a, b := hex64("a"), hex64("b")
	cases := []struct {
		about    string
		snapshot string // the kernel's own path, if any
		file     string
		want     membership
		path     string
	}{
		{
			about: "v2", file: "0::/system.slice/docker-" + a + ".scope\n",
			want: membership{engine: engineDocker, id: a}, path: "/system.slice/docker-" + a + ".scope",
		},
		{
			about: "v1",
			file: "12:pids:/docker/" + a + "\n11:rdma:/\n5:cpu,cpuacct:/docker/" + a + "\n" +
				"1:name=systemd:/docker/" + a + "\n",
			want: membership{engine: engineDocker, id: a}, path: "/docker/" + a,
		},
		{
			about: "hybrid, the container in v1 only", file: "4:memory:/docker/" + a + "\n0::/\n",
			want: membership{engine: engineDocker, id: a}, path: "/docker/" + a,
		},
		{
			about: "hybrid, a service", file: "1:name=systemd:/system.slice/nginx.service\n0::/system.slice/nginx.service\n",
			path: "/system.slice/nginx.service",
		},
		{about: "the root only", file: "0::/\n", path: "/"},
		{about: "empty"},
		{about: "no lines of its kind", file: "nonsense\n::\n1:2\n0::relative\n"},
		{
			about: "a path with colons", file: "0::/system.slice/containerd.service/kubepods-pod" +
				underscored.Replace(podA) + ".slice:cri-containerd:" + a + "\n",
			want: membership{engine: engineContainerd, id: a, podUID: podA},
			path: "/system.slice/containerd.service/kubepods-pod" + underscored.Replace(podA) + ".slice:cri-containerd:" + a,
		},
		{
			about: "a namespace hides the pod from /proc, not from the kernel",
			snapshot: "/kubepods.slice/kubepods-pod" + underscored.Replace(podA) + ".slice/cri-containerd-" + a +
				".scope",
			file: "0::/../cri-containerd-" + a + ".scope\n",
			want: membership{engine: engineContainerd, id: a, podUID: podA},
			path: "/kubepods.slice/kubepods-pod" + underscored.Replace(podA) + ".slice/cri-containerd-" + a + ".scope",
		},
		{
			about:    "the kernel saw the root of v2, v1 has the container",
			snapshot: "/", file: "3:cpu:/kubepods/pod" + podA + "/" + a + "\n0::/\n",
			want: membership{engine: engineUnknown, id: a, podUID: podA}, path: "/kubepods/pod" + podA + "/" + a,
		},
		{
			about:    "moved to another container since",
			snapshot: "/docker/" + a, file: "0::/kubepods/pod" + podA + "/" + b + "\n",
			want: membership{engine: engineDocker, id: a}, path: "/docker/" + a,
		},
		{
			about: "a zombie in a removed cgroup", file: "0::/system.slice/web.service (deleted)\n",
			path: "/system.slice/web.service",
		},
	}
	for _, c := range cases {
		t.Run(c.about, func(t *testing.T) {
			paths := procfs.CgroupPaths(c.file)
			if c.snapshot != "" {
				paths = append([]string{c.snapshot}, paths...)
			}
			m, path := join(paths)
			equal(t, "membership", m, c.want)
			equal(t, "path", path, c.path)
		})
	}
}

func FuzzCgroup(f *testing.F) {
	for _, c := range cgroupCases() {
		f.Add("0::" + c.path + "\n")
	}
	f.Add("12:pids:/docker/" + hex64("a") + "\n1:name=systemd:/\n0::/\n")
	f.Add("0::/a.slice:crio:" + hex64("b") + "/..//../\x00\xff")
	f.Add(`0::/machine.slice/machine-\x2d\xzz\x.scope`)
	f.Fuzz(func(t *testing.T, file string) {
		m, path := join(procfs.CgroupPaths(file))
		if m.id != "" && m.name != "" {
			t.Errorf("both an id and a name: %+v", m)
		}
		if (m.engine == engineNone) == m.inContainer() {
			t.Errorf("a container and its runtime come together: %+v", m)
		}
		// An id may become part of a path: it must have only digits, letters and dashes.
		for _, c := range m.id {
			if !strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyz-", c) {
				t.Errorf("id %q", m.id)
			}
		}
		if !strings.Contains(file, m.id) {
			t.Errorf("id %q is not in %q", m.id, file)
		}
		if m.podUID != "" && !isUUID(m.podUID) && !(len(m.podUID) == 32 && isHex(m.podUID)) {
			t.Errorf("pod uid %q", m.podUID)
		}
		if len(m.name) > maxName || len(path) > maxPath {
			t.Errorf("not bounded: name of %d bytes, path of %d", len(m.name), len(path))
		}
	})
}
