package selection

import (
	"net/netip"
	"testing"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/ports"
	"github.com/socketflow/socketflow/internal/process"
)

func TestObserves(t *testing.T) {
	nginx := &process.Info{
		ID: process.ID{PID: 10}, Executable: "/usr/sbin/nginx", CgroupPath: "/system.slice/nginx.service",
		ContainerID: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	}
	flow := &event.Flow{
		Local: netip.MustParseAddrPort("[::1]:80"), Remote: netip.MustParseAddrPort("[::1]:40000"),
	}
	for name, test := range map[string]struct {
		rules []Rule
		want  bool
	}{
		"everything without rules":                {nil, true},
		"an included executable":                  {[]Rule{{Executable: "/usr/sbin/nginx"}}, true},
		"an executable below an included folder":  {[]Rule{{Executable: "/usr/**"}}, true},
		"no executable of another folder":         {[]Rule{{Executable: "/usr/*"}}, false},
		"what one of two rules includes":          {[]Rule{{PID: 11}, {PID: 10}}, true},
		"only what meets all criteria of a rule":  {[]Rule{{PID: 10, Executable: "/bin/sh"}}, false},
		"a container by the beginning of its id":  {[]Rule{{ContainerID: "0123456789ab"}}, true},
		"no other container":                      {[]Rule{{ContainerID: "1123456789ab"}}, false},
		"a cgroup by pattern":                     {[]Rule{{CgroupPath: "/system.slice/*.service"}}, true},
		"a local port":                            {[]Rule{{LocalPort: ports.Range{Low: 80, High: 80}}}, true},
		"a port in a range":                       {[]Rule{{RemotePort: ports.Range{Low: 30000, High: 40000}}}, true},
		"no port outside a range":                 {[]Rule{{RemotePort: ports.Range{Low: 30000, High: 39999}}}, false},
		"not what is excluded":                    {[]Rule{{Exclude: true, PID: 10}}, false},
		"what another exclusion does not concern": {[]Rule{{Exclude: true, PID: 11}}, true},
		"not what is excluded, although included": {
			[]Rule{{Executable: "/usr/**"}, {Exclude: true, LocalPort: ports.Range{Low: 80, High: 80}}}, false,
		},
		"not what is excluded first":   {[]Rule{{Exclude: true, PID: 10}, {PID: 10}}, false},
		"nothing but what is included": {[]Rule{{PID: 11}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(test.rules)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Observes(s.Process(nginx), flow); got != test.want {
				t.Errorf("observes: %v, want %v", got, test.want)
			}
		})
	}
}

// Of a path that is cut only the end is known: an exclusion holds if it may be meant, an inclusion if it is meant for certain.
func TestCutPaths(t *testing.T) {
	cut := &process.Info{
		ID: process.ID{PID: 10}, Executable: "/d/d/web", ExecutableCut: true, CgroupPath: "/c/c/x.service", CgroupCut: true,
	}
	for name, test := range map[string]struct {
		rule    Rule
		matches bool
	}{
		"excluded folder":             {Rule{Exclude: true, Executable: "/secret/**"}, true},
		"excluded name":               {Rule{Exclude: true, Executable: "/secret/web"}, true},
		"excluded name anywhere":      {Rule{Exclude: true, Executable: "/**/w*"}, true},
		"excluded alternatives":       {Rule{Exclude: true, Executable: "/{a/b,c}"}, true},
		"another excluded name":       {Rule{Exclude: true, Executable: "/secret/nginx"}, false},
		"excluded cgroup":             {Rule{Exclude: true, CgroupPath: "/secret.slice/**"}, true},
		"another excluded cgroup":     {Rule{Exclude: true, CgroupPath: "/**/y.service"}, false},
		"excluded container":          {Rule{Exclude: true, ContainerID: "0123456789ab"}, true},
		"included folder":             {Rule{Executable: "/opt/**"}, false},
		"the end of an included name": {Rule{Executable: "/d/d/web"}, false},
		"included name anywhere":      {Rule{Executable: "/**/web"}, true},
		"another included name":       {Rule{Executable: "/**/nginx"}, false},
		"everything":                  {Rule{Executable: "/**"}, true},
		"included cgroup":             {Rule{CgroupPath: "/c/**"}, false},
		"included container":          {Rule{ContainerID: "0123456789ab"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New([]Rule{test.rule})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Process(cut) != 0; got != test.matches {
				t.Errorf("matches: %v, want %v", got, test.matches)
			}
		})
	}
	s, err := New([]Rule{{Exclude: true, Executable: "/secret/nginx"}})
	if err != nil {
		t.Fatal(err)
	}
	if s.Process(&process.Info{ExecutableCut: true}) == 0 {
		t.Error("a path of which nothing is known is not excluded")
	}
}

func TestNewRefuses(t *testing.T) {
	for name, rules := range map[string][]Rule{
		"too many rules":      make([]Rule, MaxRules+1),
		"a malformed pattern": {{Executable: "/usr/[a"}},
	} {
		if _, err := New(rules); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
