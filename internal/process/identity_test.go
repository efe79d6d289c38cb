package process

import (
	"strings"
	"testing"
	"time"
)

const (
	bootID    = "0d0bd5a1-5d0e-4c0f-8ad0-1f6b7ea3a8de"
	machineID = "0123456789abcdef0123456789abcdef"
)

// onHost is a tree with what describes the host.
func onHost(t *testing.T) tree {
	tr := newTree(t)
	tr.write("proc/stat", "cpu 0\nbtime 1700000000\nprocesses 1\n")
	tr.write("proc/sys/kernel/random/boot_id", bootID+"\n")
	tr.write("host/etc/machine-id", machineID+"\n")
	tr.write("host/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/:/bin/false\nsecond:x:33:33::/:\nbroken\n:x:z\n")
	return tr
}

func TestProcessIsCreatedAtItsStart(t *testing.T) {
	s, p := web()
	s.Start, p.start = 12345, 12345
	for name, c := range map[string]struct {
		change func(*Snapshot)
		lives  bool
		want   time.Time
	}{
		"a living process":                  {func(*Snapshot) {}, true, time.Unix(1700000123, 450_000_000).UTC()},
		"one that has ended":                {func(*Snapshot) {}, false, time.Unix(1700000123, 450_000_000).UTC()},
		"first seen at its start, and gone": {func(s *Snapshot) { s.FromExecve = true }, false, time.Time{}},
		"not known":                         {func(s *Snapshot) { s.Start = 0 }, false, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			tr := onHost(t)
			if c.lives {
				tr.add(s.PID, p)
			}
			s := s
			c.change(&s)
			equal(t, "created", tr.reader().Describe(s).CreatedAt, c.want)
		})
	}
}

func TestInstanceIDIsThatOfOneProcess(t *testing.T) {
	of := func(tr tree, id ID) string { return tr.reader().Describe(Snapshot{ID: id}).InstanceID }
	tr, id := onHost(t), ID{PID: 7, Start: 8}
	first := of(tr, id)
	equal(t, "another collector of this host", of(tr, id), first)
	equal(t, "form", len(first) == 36 && first[14] == '5', true)
	rebooted, elsewhere := onHost(t), onHost(t)
	rebooted.write("proc/sys/kernel/random/boot_id", strings.ToUpper(bootID))
	elsewhere.write("host/etc/machine-id", strings.ToUpper(machineID))
	for what, other := range map[string]string{
		"another pid": of(tr, ID{PID: 8, Start: 8}), "the pid again": of(tr, ID{PID: 7, Start: 9}),
		"another boot": of(rebooted, id), "another host": of(elsewhere, id),
	} {
		if other == first || other == "" {
			t.Errorf("%s: %q", what, other)
		}
	}
	equal(t, "nobody", of(tr, ID{}), "")
	declared := Snapshot{ID: id, Environ: block("OTEL_RESOURCE_ATTRIBUTES=service.instance.id=mine")}
	equal(t, "declared", tr.reader().Describe(declared).InstanceID, "mine")
}

func TestOwnerIsNamedByTheHost(t *testing.T) {
	inContainer := "0::/docker/" + hex64("a") + "\n"
	for name, c := range map[string]struct {
		status, cgroup string
		snapshot       UID
		want           string
	}{
		"by name":                 {"Name:\tweb\nUid:\t33\t0\t0\t0\nGid:\t0\n", "", UID{}, "www-data"},
		"without a name":          {"Uid:\t1000\t0\t0\t0\n", "", UID{}, "1000"},
		"of a container":          {"Uid:\t33\t0\t0\t0\n", inContainer, UID{}, "33"},
		"changed since":           {"Uid:\t33\t33\t33\t33\n", "", UserID(0), "www-data"},
		"from the snapshot alone": {"", "", UserID(0), "root"},
		"not known":               {"", "", UID{}, ""},
		"malformed":               {"Uid:\nUid:\tx\n", "", UID{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tr := onHost(t)
			tr.add(7, proc{start: 8, comm: "web", exe: "/srv/web", cgroup: c.cgroup})
			tr.write("proc/7/status", c.status)
			equal(t, "owner", tr.reader().Describe(Snapshot{ID: ID{PID: 7, Start: 8}, UID: c.snapshot}).Owner, c.want)
		})
	}
}

func TestNewUserIsNamedOnceTheFileIsReadAgain(t *testing.T) {
	tr, now := onHost(t), time.Unix(1000, 0)
	r := tr.reader(func(o *Options) { o.Now = func() time.Time { return now } })
	equal(t, "before", r.users.name(UserID(1000), false), "1000")
	tr.write("host/etc/passwd", "new:x:1000:")
	equal(t, "at once", r.users.name(UserID(1000), false), "1000")
	now = now.Add(passwdExpiration)
	equal(t, "later", r.users.name(UserID(1000), false), "new")
}

func TestHostIsThatOfTheRoot(t *testing.T) {
	h := onHost(t).reader().Host()
	equal(t, "id", h.ID, machineID)
	tr := newTree(t)
	tr.write("host/etc/hostname", "node-7\n")
	tr.write("host/var/lib/dbus/machine-id", machineID)
	tr.write("proc/self/ns/x", "")
	tr.write("proc/1/ns/x", "")
	tr.link("proc/self/ns/uts", "uts:[1]")
	tr.link("proc/1/ns/uts", "uts:[2]")
	equal(t, "name in a container", tr.reader().Host().Name, "node-7")
	equal(t, "id of an old host", tr.reader().Host().ID, machineID)
}

func TestServiceIsNamedAsItWasStarted(t *testing.T) {
	for name, c := range map[string]struct{ exe, comm, argv0, want string }{
		"a link":                        {"/usr/bin/redis-check-rdb", "redis-server", "redis-server", "redis-server"},
		"a link, and a title":           {"/usr/bin/redis-check-rdb", "redis-server", "/usr/bin/redis-server 127.0.0.1:6379", "redis-server"},
		"a title in its usual form":     {"/bin/busybox", "httpd", "httpd: worker", "httpd"},
		"a long link":                   {"/bin/busybox", "a-name-of-sixte", "/x/a-name-of-sixteen", "a-name-of-sixteen"},
		"a version":                     {"/usr/bin/python3.11", "python3", "python3", "python3.11"},
		"a script":                      {"/usr/bin/python3.11", "gunicorn", "/usr/bin/python3", "python3.11"},
		"a login shell":                 {"/usr/bin/bash", "bash", "-bash", "bash"},
		"itself":                        {"/usr/lib/chromium/chromium", "exe", "/proc/self/exe --type=utility", "chromium"},
		"renamed by its parent":         {"/usr/bin/curl", "curl", "nginx", "curl"},
		"a thread's name":               {"/usr/bin/node", "MainThread", "node", "node"},
		"no arguments":                  {"/usr/bin/curl", "curl", "", "curl"},
		"no executable that has a name": {"/memfd:x", "y", "y", "y"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTree(t)
			tr.add(7, proc{start: 8, comm: c.comm, exe: c.exe, cmdline: []string{c.argv0}})
			for _, omit := range []bool{false, true} {
				info := tr.reader(func(o *Options) { o.OmitCommandLine = omit }).Describe(Snapshot{ID: ID{PID: 7, Start: 8}})
				equal(t, "service", info.ServiceName, c.want)
			}
		})
	}
}

// A path that is too deep for the kernel side is read from /proc; where that is gone, it is known not to be whole.
func TestPathThatIsCutIsReadWhole(t *testing.T) {
	deep := strings.Repeat("/d", 70)
	s := Snapshot{ID: ID{PID: 7, Start: 8}, Comm: "web", Executable: "/d/d/web", ExecutableCut: true, Args: block("web"),
		Environ: block("A=1"), Cgroup: "/c/docker-x.scope", CgroupCut: true}
	tr := newTree(t)
	gone := tr.reader().Describe(s)
	equal(t, "cut", gone.ExecutableCut && gone.CgroupCut, true)
	equal(t, "service", gone.ServiceName, "web")
	tr.add(7, proc{start: 8, comm: "web", exe: deep + "/web", cgroup: "0::/docker/" + hex64("a") + "/c/docker-x.scope\n"})
	info := tr.reader().Describe(s)
	equal(t, "cut", info.ExecutableCut || info.CgroupCut, false)
	equal(t, "executable", info.Executable, deep+"/web")
	equal(t, "cgroup", info.CgroupPath, "/docker/"+hex64("a")+"/c/docker-x.scope")
	equal(t, "container", info.ContainerID, hex64("a"))
}

func TestContainerIsDescribedByItsPath(t *testing.T) {
	a, uid := hex64("a"), "5f0c8e3e-2d1b-4c7a-9e6f-0a1b2c3d4e5f"
	tr := newTree(t)
	tr.write("host/run/containerd/io.containerd.runtime.v2.task/k8s.io/"+a+"/config.json",
		`{"annotations":{"io.kubernetes.cri.container-name":"app"}}`)
	for path, want := range map[string][3]string{
		"/kubepods.slice/kubepods-pod" + strings.ReplaceAll(uid, "-", "_") + ".slice/cri-containerd-" + a + ".scope": {"containerd", uid, "app"},
		"/system.slice/docker-" + a + ".scope": {"docker", "", ""},
		"/system.slice/web.service":            {"", "", ""},
	} {
		info := tr.reader().Describe(Snapshot{ID: ID{PID: 7, Start: 8}, Cgroup: path})
		equal(t, path, [3]string{info.ContainerRuntime, info.PodUID, info.PodContainer}, want)
	}
}
