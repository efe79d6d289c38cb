//go:build amd64 || arm64

package preflight

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/capability"
)

// use is what the receiver uses a capability for.
type use struct {
	name   string
	number int
	needed bool // nothing works without it
	lost   string
}

// uses of capabilities in the order of their weight. What is lost is measured: docs/privileges.md.
var uses = []use{
	{name: "CAP_BPF", number: unix.CAP_BPF, needed: true, lost: "nothing works"},
	{name: "CAP_PERFMON", number: unix.CAP_PERFMON, needed: true, lost: "nothing works"},
	{name: "CAP_SYS_PTRACE", number: unix.CAP_SYS_PTRACE,
		lost: "of other users' processes that are older than the collector: no executable and no container's name, before " +
			"Linux 6.15 no service name of their own either, and in syscall mode none of their older connections"},
	{name: "CAP_DAC_READ_SEARCH", number: unix.CAP_DAC_READ_SEARCH,
		lost: "of other users' processes on connections older than the collector: no service name of their own; and tracefs " +
			"is for root only: no syscall mode, and a dearer hook in socket mode"},
	{name: "CAP_SYS_ADMIN", number: unix.CAP_SYS_ADMIN,
		lost: "connections that no process holds are found in this network namespace only, if they are older than the collector; " +
			"tracefs has to be mounted"},
}

// privileges returns facts about this process' user and capabilities.
func privileges() (facts []Fact, missing []string) {
	status := readStatus()
	facts = append(facts, Fact{Name: factUser, State: OK, Found: fmt.Sprintf("uid %d", os.Geteuid())})
	set, err := capability.Effective()
	for _, c := range uses {
		fact := Fact{Name: c.name, State: OK}
		switch {
		case err != nil:
			fact.State, fact.Found, fact.Lost = Unknown, err.Error(), c.lost
		case set.Has(c.number):
		case set.Grants(c.number):
			fact.Found = "CAP_SYS_ADMIN stands for it"
		case c.needed:
			fact.State, fact.Lost = Missing, c.lost
			missing = append(missing, c.name)
		default:
			fact.State, fact.Lost = Less, c.lost
		}
		facts = append(facts, fact)
	}
	facts = append(facts, Fact{Name: factNewPrivs, State: OK, Found: map[string]string{"0": "off", "1": "on"}[status["NoNewPrivs"]]})
	return append(facts, seccomp(status["Seccomp"])), missing
}

// seccomp reports whether there is a filter that may refuse calls.
func seccomp(mode string) Fact {
	fact := Fact{Name: factSeccomp, State: OK}
	switch mode {
	case "0":
		fact.Found = noFilter
	case "2":
		fact.Found = "a filter; bpf and perf_event_open have to be allowed by it, " +
			"as container runtimes' default profiles do for those with CAP_BPF and CAP_PERFMON"
	default:
		fact.State, fact.Found = Unknown, "mode "+mode
	}
	return fact
}

// readStatus reads /proc/self/status (proc_pid_status(5)). The value of a missing field is "".
func readStatus() map[string]string {
	values := map[string]string{}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return values
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		values[key] = strings.TrimSpace(value)
	}
	return values
}
