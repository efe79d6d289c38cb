package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestContainerNamesAreWhereTheRuntimeKeepsThem(t *testing.T) {
	a := hex64("a")
	const (
		criState  = "run/containerd/io.containerd.runtime.v2.task/k8s.io/"
		k3sState  = "run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/"
		defState  = "run/containerd/io.containerd.runtime.v2.task/default/"
		docker    = "var/lib/docker/containers/"
		crioState = "run/containers/storage/overlay-containers/"
		podman    = "var/lib/containers/storage/overlay-containers/"
	)
	cases := []struct {
		about, cgroup, file, content, want string
	}{
		{"docker", "/docker/" + a, docker + a + "/config.v2.json",
			`{"ID":"` + a + `","Name":"/web","Config":{"Labels":{"com.docker.compose.service":"web"}}}`, "web"},
		{"docker, cgroup parent of one's own", "/mine/" + a, docker + a + "/config.v2.json", `{"Name":"/web"}`, "web"},
		{"docker, kubernetes", "/kubepods/pod" + podA + "/" + a, docker + a + "/config.v2.json",
			`{"Name":"/k8s_app_web-7d4b9_default_x_0","Config":{"Labels":{"io.kubernetes.container.name":"app"}}}`, "app"},
		{"docker, kubernetes, the sandbox", "/kubepods/pod" + podA + "/" + a, docker + a + "/config.v2.json",
			`{"Name":"/k8s_POD_web","Config":{"Labels":{"io.kubernetes.container.name":"POD"}}}`, ""},
		{"docker, ECS", "/ecs/34dc0b5e626f2c5c4c5170e34b10e765/" + a, docker + a + "/config.v2.json",
			`{"Name":"/ecs-web-5-app-acc699c0","Config":{"Labels":{"com.amazonaws.ecs.container-name":"app"}}}`, "app"},
		{"containerd", "/kubepods.slice/cri-containerd-" + a + ".scope", criState + a + "/config.json",
			`{"ociVersion":"1.2.0","annotations":{"io.kubernetes.cri.container-name":"app","io.kubernetes.cri.container-type":"container"}}`, "app"},
		{"containerd, cgroupfs", "/kubepods/pod" + podA + "/" + a, criState + a + "/config.json",
			`{"annotations":{"io.kubernetes.cri.container-name":"app"}}`, "app"},
		{"containerd, the sandbox", "/kubepods.slice/cri-containerd-" + a + ".scope", criState + a + "/config.json",
			`{"annotations":{"io.kubernetes.cri.container-type":"sandbox","io.kubernetes.cri.sandbox-name":"web-7d4b9"}}`, ""},
		{"k3s", "/kubepods.slice/cri-containerd-" + a + ".scope", k3sState + a + "/config.json",
			`{"annotations":{"io.kubernetes.cri.container-name":"app"}}`, "app"},
		{"nerdctl", "/system.slice/nerdctl-" + a + ".scope", defState + a + "/config.json",
			`{"annotations":{"nerdctl/name":"web"}}`, "web"},
		{"cri-o", "/kubepods.slice/crio-" + a + ".scope", crioState + a + "/userdata/config.json",
			`{"annotations":{"io.kubernetes.cri-o.ContainerName":"k8s_app_web_default_x_0","io.kubernetes.container.name":"app"}}`, "app"},
		{"cri-o, without kubelet", "/system.slice/crio-" + a + ".scope", crioState + a + "/userdata/config.json",
			`{"annotations":{"io.kubernetes.cri-o.ContainerName":"mine"}}`, "mine"},
		{"cri-o, the sandbox", "/kubepods.slice/crio-" + a + ".scope", crioState + a + "/userdata/config.json",
			`{"annotations":{"io.kubernetes.cri-o.ContainerName":"k8s_POD_web","io.kubernetes.container.name":"POD"}}`, ""},
		{"podman", "/machine.slice/libpod-" + a + ".scope/container", podman + "containers.json",
			`[{"id":"` + hex64("b") + `","names":["db"]},{"id":"` + a + `","names":["web"]}]`, "web"},
		{"podman run --rm", "/machine.slice/libpod-" + a + ".scope", podman + "volatile-containers.json",
			`[{"id":"` + a + `","names":["web"]}]`, "web"},
		{"podman, another's", "/machine.slice/libpod-" + a + ".scope", podman + "containers.json",
			`[{"id":"` + hex64("b") + `","names":["db"]},{"id":"` + a + `"}]`, ""},
		{"another runtime's file is not asked", "/machine.slice/libpod-" + a + ".scope", docker + a + "/config.v2.json",
			`{"Name":"/web"}`, ""},
		{"lxc", "/lxc.payload.web", "unused", "", "web"},
		{"nspawn", "/machine.slice/systemd-nspawn@web.service/payload", "unused", "", "web"},
	}
	for _, c := range cases {
		t.Run(c.about, func(t *testing.T) {
			tr := newTree(t)
			tr.write("host/"+c.file, c.content)
			r := tr.reader()
			info := r.Describe(Snapshot{ID: ID{PID: 1}, Cgroup: c.cgroup})
			equal(t, "name", info.ContainerName, c.want)
			equal(t, "failures", r.Stats().NamesFailed, 0)
		})
	}
}

func TestNamesAreFoundBelowTheHostRootThenBelowTheCollectors(t *testing.T) {
	tr := newTree(t)
	r := tr.reader(func(o *Options) { o.HostRoot = "" })
	equal(t, "first root", r.names.roots[0], filepath.Join(tr.procRoot(), "1", "root"))
	equal(t, "second root", r.names.roots[1], "/")

	// The root link of a process in another mount namespace.
	tr.write("host/var/lib/docker/containers/"+hex64("a")+"/config.v2.json", `{"Name":"/web"}`)
	tr.add(1, proc{})
	tr.link("proc/1/root", filepath.Join(tr.root, "host"))
	equal(t, "name", r.Describe(Snapshot{Cgroup: "/docker/" + hex64("a")}).ContainerName, "web")
}

func TestAMissingNameIsLookedForAgainAfterAWhile(t *testing.T) {
	a := hex64("a")
	now := time.Unix(1000, 0)
	tr := newTree(t)
	r := tr.reader(func(o *Options) {
		o.Now = func() time.Time { return now }
		o.NegativeExpiration = 10 * time.Second
	})
	find := func() string { return r.Describe(Snapshot{Cgroup: "/docker/" + a}).ContainerName }
	file := "host/var/lib/docker/containers/" + a + "/config.v2.json"

	equal(t, "before there is a file", find(), "")
	tr.write(file, `{"Name":"/web"}`)
	now = now.Add(9 * time.Second)
	equal(t, "not yet again", find(), "")
	now = now.Add(time.Second)
	equal(t, "again", find(), "web")
	if err := os.RemoveAll(filepath.Join(tr.root, "host")); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	equal(t, "a name that was found is kept", find(), "web")
}

func TestTheCacheOfNamesIsBounded(t *testing.T) {
	r := newTree(t).reader(func(o *Options) { o.ContainerNames = 4 })
	for i := range 100 {
		r.Describe(Snapshot{Cgroup: fmt.Sprintf("/docker/%064x", i)})
	}
	equal(t, "remembered", r.names.cache.Len(), 4)
}

func TestAMalformedNameFileIsAFailure(t *testing.T) {
	a := hex64("a")
	dir := "host/var/lib/docker/containers/" + a + "/config.v2.json"
	cases := []struct {
		about string
		make  func(tree)
	}{
		{"not JSON", func(tr tree) { tr.write(dir, "{") }},
		{"of another shape", func(tr tree) { tr.write(dir, `{"Name":["web"]}`) }},
		{"too long", func(tr tree) { tr.write(dir, `{"Name":"/web"}`+strings.Repeat(" ", 1<<20)) }},
		{"a directory", func(tr tree) { tr.write(dir+"/x", "") }},
	}
	for _, c := range cases {
		t.Run(c.about, func(t *testing.T) {
			tr := newTree(t)
			c.make(tr)
			r := tr.reader()
			equal(t, "name", r.Describe(Snapshot{Cgroup: "/docker/" + a}).ContainerName, "")
			equal(t, "failures", r.Stats().NamesFailed, 1)
		})
	}
}

func TestAnIDThatIsNotANumberNeverBecomesAPath(t *testing.T) {
	tr := newTree(t)
	tr.write("host/var/lib/docker/containers/x/config.v2.json", `{"Name":"/web"}`)
	r := tr.reader()
	for _, id := range []string{"x", "../containers/x", "", "34dc0b5e626f2c5c4c5170e34b10e765-1234567890"} {
		equal(t, id, r.names.find(membership{engine: engineDocker, id: id}), "")
	}
	equal(t, "remembered", r.names.cache.Len(), 0)
}
