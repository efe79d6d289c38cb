package preflight

import (
	"strings"

	"github.com/socketflow/socketflow/internal/kernel"
)

// remedies say what helps, by the fact that is not OK. Those that matter most come first.
var remedies = []struct{ fact, advice string }{
	{factUsers, "run it in the host's user namespace: no rootless container, and of a systemd unit PrivateUsers=no"},
	{factLockdown, "boot with lockdown=integrity, or without"},
	{factBTF, "run a kernel built with CONFIG_DEBUG_INFO_BTF=y for the socket mode"},
	{factTracefs, "have tracefs mounted at /sys/kernel/tracing, in a container too, and give the collector CAP_DAC_READ_SEARCH, " +
		"unless it runs as root: for the syscall mode, and for cheaper hooks in socket mode"},
	{"tp_btf/sock_send_length", "run Linux 6.3 or newer to see requests, Unix sockets and UDP in socket mode"},
	{"uprobe.multi/tls_call", "run Linux 6.6 or newer, or give it CAP_SYS_ADMIN, to see requests within TLS"},
	{"CAP_SYS_PTRACE", "give it CAP_SYS_PTRACE, to name other users' processes"},
	{"CAP_DAC_READ_SEARCH", "give it CAP_DAC_READ_SEARCH, to read other users' processes' environment, and tracefs"},
	{factPIDs, "let it share the host's pid namespace (docker run --pid=host, in Kubernetes hostPID: true)"},
	{factProcfs, "mount /proc without hidepid for it, or give it CAP_SYS_PTRACE"},
}

// advise says what to change. missing are the capabilities without which nothing works.
func (r *Report) advise(missing []string) {
	if len(missing) > 0 {
		r.Advice = append(r.Advice, "give the collector "+strings.Join(missing, " and ")+
			", as packaging/systemd and packaging/kubernetes do, or run it as root, outside a container")
	}
	states := map[string]State{}
	for _, facts := range [][]Fact{r.Host, r.Privileges} {
		for _, f := range facts {
			states[f.Name] = f.State
		}
	}
	for _, a := range r.Attempts {
		for _, f := range a.Hooks {
			states[f.Name] = f.State
		}
	}
	for _, remedy := range remedies {
		if state := states[remedy.fact]; state == Less || state == Missing {
			r.Advice = append(r.Advice, remedy.advice)
		}
	}
	if r.Starts || len(missing) > 0 {
		return
	}
	for _, f := range r.Privileges {
		if f.Name == factSeccomp && f.Found != noFilter {
			r.Advice = append(r.Advice, "allow bpf and perf_event_open in its seccomp filter")
		}
	}
	if r.Asked != kernel.ModeAuto {
		r.Advice = append(r.Advice, "set mode: auto, if the other mode will do")
	}
}

// noFilter is what is found of seccomp where there is none.
const noFilter = "no filter"
