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
