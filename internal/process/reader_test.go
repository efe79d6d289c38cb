package process

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// web is a process, as both the BPF program and /proc show it.
func web() (Snapshot, proc) {
	return Snapshot{
			ID: ID{PID: 4242, Start: 80859}, Comm: "web", Executable: "/srv/web",
			Args: block("/srv/web", "-listen"), ArgsCut: true,
			Environ: block("PATH=/bin", "OTEL_SERVICE_NAME=shop"), EnvironCut: true,
			Cgroup: "/system.slice/web.service",
		}, proc{
			start: 80859, comm: "web", exe: "/srv/web",
			cmdline: []string{"/srv/web", "-listen", ":8080"},
			environ: []string{"PATH=/bin", "OTEL_SERVICE_NAME=shop", "OTEL_RESOURCE_ATTRIBUTES=team=checkout"},
			cgroup:  "0::/system.slice/web.service\n",
		}
}

// webInfo is the complete description of web.
func webInfo() *Info {
	return &Info{
		ID: ID{PID: 4242, Start: 80859}, Comm: "web", Executable: "/srv/web",
		CommandLine: []string{"/srv/web", "-listen", ":8080"},
		ServiceName: "shop", ServiceNameSource: "OTEL_SERVICE_NAME",
		ResourceAttributes: []Attribute{{Key: "team", Value: "checkout"}},
		CgroupPath:         "/system.slice/web.service",
	}
}

// webFromSnapshot is the description of web from its snapshot alone.
func webFromSnapshot() *Info {
	i := webInfo()
	i.CommandLine, i.CommandLineCut = []string{"/srv/web", "-listen"}, true
	i.ResourceAttributes = nil
	return i
}

func TestDescribe(t *testing.T) {
	a := hex64("a")
	cases := []struct {
		about  string
		change func(*Snapshot, *proc, *Info)
		want   *Info // before change; webInfo by default
		stats  Stats
	}{
		{about: "a living process is completed from /proc", stats: Stats{Read: 1}},
		{
			about: "an upgraded package leaves a deleted executable",
			change: func(_ *Snapshot, p *proc, _ *Info) {
				p.exe += " (deleted)"
			},
			stats: Stats{Read: 1},
		},
		{
			about: "the kernel's path lacks the prefix of a mount",
			change: func(s *Snapshot, _ *proc, _ *Info) {
				s.Executable = "/web"
			},
			stats: Stats{Read: 1},
		},
		{
			about: "the snapshot knows nothing but the id",
			change: func(s *Snapshot, _ *proc, _ *Info) {
				*s = Snapshot{ID: s.ID}
			},
			stats: Stats{Read: 1},
		},
		{
			about: "a pid in use again is another process", want: webFromSnapshot(),
			change: func(_ *Snapshot, p *proc, _ *Info) {
				*p = proc{start: 99999, comm: "other", exe: "/bin/other", environ: []string{"OTEL_SERVICE_NAME=other"},
					cgroup: "0::/docker/" + a + "\n"}
			},
			stats: Stats{Changed: 1},
		},
		{
			about: "after an exec the snapshot is of who used the socket", want: webFromSnapshot(),
			change: func(_ *Snapshot, p *proc, _ *Info) {
				p.comm, p.exe, p.cmdline = "other", "/bin/other", []string{"other"}
				p.environ = []string{"OTEL_SERVICE_NAME=other", "OTEL_RESOURCE_ATTRIBUTES=team=other"}
			},
			stats: Stats{Exec: 1},
		},
		{
			about: "an exec does not change the cgroup", want: webFromSnapshot(),
			change: func(s *Snapshot, p *proc, want *Info) {
				s.Cgroup, p.exe = "", "/bin/other"
				p.cgroup = "0::/docker/" + a + "\n"
				want.ContainerID, want.ContainerRuntime, want.CgroupPath = a, "docker", "/docker/"+a
			},
			stats: Stats{Exec: 1},
		},
		{
			about: "with the argument of an execve, another program is not mixed in", want: webFromSnapshot(),
			change: func(s *Snapshot, p *proc, want *Info) {
				s.FromExecve, s.Cgroup = true, ""
				p.comm, p.exe, p.environ, p.cgroup = "other", "/bin/other", []string{"OTEL_SERVICE_NAME=other"}, "0::/docker/"+a+"\n"
				want.CgroupPath = ""
			},
			stats: Stats{Exec: 1},
		},
		{
			about: "the argument of an execve is a link to the program", want: webFromSnapshot(),
			change: func(s *Snapshot, p *proc, want *Info) {
				s.FromExecve, s.Comm = true, "a thread"
				p.exe, p.environ = "/opt/web-2", p.environ[:2]
				p.cmdline = p.cmdline[:2]
				want.Executable, want.CommandLineCut = "/opt/web-2", false
			},
			stats: Stats{Read: 1},
		},
		{
			about: "a zombie has no executable, arguments and environment left", want: webFromSnapshot(),
			change: func(_ *Snapshot, p *proc, _ *Info) {
				p.exe, p.cmdline, p.environ, p.cgroup = "", nil, nil, "1:name=systemd:/\n0::/system.slice/web.service (deleted)\n"
			},
			stats: Stats{Read: 1},
		},
		{
			about: "a title written over arguments and environment",
			change: func(s *Snapshot, p *proc, want *Info) {
				p.cmdline, p.environ = []string{"web: worker process", "", "", ""}, nil
				s.Environ = append(s.Environ, block("OTEL_RESOURCE_ATTRIBUTES=team=checkout")...)
				want.CommandLine = []string{"web: worker process"}
			},
			stats: Stats{Read: 1},
		},
		{
			about: "a kernel thread has only a comm",
			change: func(s *Snapshot, p *proc, want *Info) {
				*s = Snapshot{ID: s.ID, Comm: "kworker/0:1"}
				*p = proc{start: s.Start, comm: "kworker/0:1-events (x)", cgroup: "0::/\n"}
				*want = Info{ID: s.ID, Comm: "kworker/0:1-events (x)", ServiceName: "kworker/0:1-events (x)",
					ServiceNameSource: "comm", CgroupPath: "/"}
			},
			stats: Stats{Read: 1},
		},
	}
	for _, c := range cases {
		t.Run(c.about, func(t *testing.T) {
			s, p := web()
			want := webInfo()
			if c.want != nil {
				want = c.want
			}
			if c.change != nil {
				c.change(&s, &p, want)
			}
			tr := newTree(t)
			tr.add(s.PID, p)
			r := tr.reader()
			same(t, r.Describe(s), want)
			equal(t, "stats", r.Stats(), c.stats)
		})
	}
}

func TestAProcessThatIsGoneIsWhatTheSnapshotSays(t *testing.T) {
	tr := newTree(t)
	tr.write("proc/stat", "cpu 0\n")
	r := tr.reader()
	s, _ := web()
	same(t, r.Describe(s), webFromSnapshot())
	equal(t, "stats", r.Stats(), Stats{Gone: 1})
}

func TestAProcessThatCannotBeReadHasOnlyItsID(t *testing.T) {
	id := ID{PID: 7, Start: 8}
	want := &Info{ID: id, ServiceName: "unknown_service", ServiceNameSource: "unknown"}
	same(t, newTree(t).reader().Describe(Snapshot{ID: id}), want)

	hostile := Snapshot{ID: id, Comm: "\xff", Executable: "///", Args: make([]byte, 1<<20),
		Environ: []byte("OTEL_SERVICE_NAME= \x00OTEL_RESOURCE_ATTRIBUTES=,=,%="), Cgroup: "no path"}
	want.Comm, want.Executable = "\uFFFD", "///"
	want.ServiceName, want.ServiceNameSource = "\uFFFD", "comm"
	want.ResourceAttributes = []Attribute{{Key: "%", Value: ""}}
	same(t, newTree(t).reader().Describe(hostile), want)
}

func TestTheServiceNameIsTheFirstThatIsSet(t *testing.T) {
	a := hex64("a")
	sources := []struct {
		source, want string
		unset        func(*proc)
	}{
		{"OTEL_SERVICE_NAME", "by-name", func(p *proc) { p.environ[0] = "OTEL_SERVICE_NAME= " }},
		{"OTEL_RESOURCE_ATTRIBUTES", "by-attribute", func(p *proc) { p.environ[1] = "OTEL_RESOURCE_ATTRIBUTES=team=x" }},
		{"container", "by-container", func(p *proc) { p.cgroup = "0::/docker/" + hex64("b") + "\n" }},
		{"executable", "by-executable", func(p *proc) { p.exe = "/memfd:x (deleted)" }},
		{"comm", "by-comm", func(p *proc) { p.comm = "" }},
		{"unknown", "unknown_service", nil},
	}
	p := proc{
		start: 1, comm: "by-comm", exe: "/bin/by-executable", cgroup: "0::/docker/" + a + "\n",
		environ: []string{"OTEL_SERVICE_NAME=by-name", "OTEL_RESOURCE_ATTRIBUTES=team=x,service.name=by-attribute"},
	}
	for i, s := range sources {
		tr := newTree(t)
		tr.write("host/var/lib/docker/containers/"+a+"/config.v2.json", `{"Name":"/by-container"}`)
		tr.add(1, p)
		info := tr.reader().Describe(Snapshot{ID: ID{PID: 1, Start: 1}})
		equal(t, "name", info.ServiceName, s.want)
		equal(t, "source", info.ServiceNameSource, s.source)
		if i < len(sources)-1 {
			s.unset(&p)
		}
	}
}

func TestACommandLineCanBeLeftOut(t *testing.T) {
	s, p := web()
	tr := newTree(t)
	tr.add(s.PID, p)
	want := webInfo()
	want.CommandLine = nil
	same(t, tr.reader(func(o *Options) { o.OmitCommandLine = true }).Describe(s), want)
}

func TestWhatIsReadIsBounded(t *testing.T) {
	s, p := web()
	p.cmdline = slices.Repeat([]string{strings.Repeat("a", 100)}, 200) // 20,200 bytes
	p.environ = []string{"FILLER=" + strings.Repeat("x", 128<<10), "OTEL_SERVICE_NAME=too-far"}
	tr := newTree(t)
	tr.add(s.PID, p)
	info := tr.reader().Describe(Snapshot{ID: s.ID})
	equal(t, "bytes", len(strings.Join(info.CommandLine, " ")), 16<<10)
	equal(t, "bytes are cut", info.CommandLineCut, true)
	equal(t, "service", info.ServiceName, "web")

	p.cmdline, p.environ = slices.Repeat([]string{"a"}, 300), nil
	tr.add(s.PID, p)
	info = tr.reader().Describe(Snapshot{ID: s.ID})
	equal(t, "arguments", len(info.CommandLine), 256)
	equal(t, "arguments are cut", info.CommandLineCut, true)
}

func TestNothingOfAnEnvironmentStaysInMemory(t *testing.T) {
	s, p := web()
	p.environ = append(p.environ, "DB_PASSWORD=hunter2")
	tr := newTree(t)
	tr.add(s.PID, p)
	r := tr.reader()
	scratch := new([maxEnvironBytes + 1]byte)
	r.scratch.New = func() any { return scratch }
	r.Describe(s)
	if i := slices.IndexFunc(scratch[:], func(b byte) bool { return b != 0 }); i >= 0 {
		t.Errorf("byte %d of the buffer is still there", i)
	}
}

func TestAStartTimeIsReadAfterAnyComm(t *testing.T) {
	cases := []struct {
		comm  string
		start uint64
	}{
		{"systemd", 0},
		{"a b", 7},
		{") R 1 2 (", 18446744073709551615},
		{"", 5},
		{"new\nline", 6},
	}
	for _, c := range cases {
		tr := newTree(t)
		id := ID{PID: 1, Start: c.start}
		tr.add(id.PID, proc{start: c.start, comm: c.comm})
		r := tr.reader()
		equal(t, "comm", r.Describe(Snapshot{ID: id}).Comm, c.comm)
		equal(t, c.comm, r.Stats(), Stats{Read: 1})
	}
}

func TestAMalformedStatIsAFailure(t *testing.T) {
	s, p := web()
	notANumber := strings.Replace(statLine(1, "a", 77), " 77 ", " x ", 1)
	for _, line := range []string{"", "1 (a", "1 a) S", ")(", "1 (a) S 1 2 3", notANumber} {
		tr := newTree(t)
		tr.add(s.PID, p)
		tr.write("proc/4242/stat", line)
		r := tr.reader()
		same(t, r.Describe(s), webFromSnapshot())
		equal(t, line, r.Stats(), Stats{Failed: 1})
	}
}

func TestInvalidOptionsAreErrors(t *testing.T) {
	for _, o := range []Options{{ContainerNames: -1}, {NegativeExpiration: -1}} {
		if _, err := NewReader(o); err == nil {
			t.Errorf("%+v: want an error", o)
		}
	}
}

// same compares all but the InstanceID, which has tests of its own.
func same(t *testing.T, got, want *Info) {
	t.Helper()
	got.InstanceID = want.InstanceID
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

func TestACompleteSnapshotNeedsNoProc(t *testing.T) {
	r := newTree(t).reader() // an empty /proc
	s := Snapshot{
		ID: ID{PID: 7, Start: 8}, Comm: "curl", Executable: "/usr/bin/curl", Args: []byte("curl\x00-s\x00"),
		Environ: []byte("OTEL_SERVICE_NAME=shop\x00"), Cgroup: "/system.slice/shop.service",
	}
	info := r.Describe(s)
	if info.ServiceName != "shop" || info.Executable != s.Executable || info.CgroupPath != s.Cgroup || len(info.CommandLine) != 2 {
		t.Errorf("described as %+v", info)
	}
	if stats := r.Stats(); stats != (Stats{Snapshot: 1}) {
		t.Errorf("stats %+v, want one description from the snapshot alone", stats)
	}
	s.EnvironCut = true // the service name may be in the rest
	r.Describe(s)
	if stats := r.Stats(); stats != (Stats{Snapshot: 1, Gone: 1}) {
		t.Errorf("stats %+v, want the second one looked for in /proc", stats)
	}
}
