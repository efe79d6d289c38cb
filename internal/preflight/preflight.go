// Package preflight says whether the receiver would start on this host with these privileges, and what it would see. It judges by
// loading and attaching the programs that the receiver uses, and takes them away again.
package preflight

import "fmt"

// State is what was found of one thing that the receiver makes use of.
type State string

// The states.
const (
	OK       State = "ok"        // it is there
	Less     State = "less"      // it is not, and less is seen for it
	Missing  State = "missing"   // it is not, and something that needs it does not work
	Untried  State = "untried"   // it was not come to, for something before it is missing
	Replaced State = "replaced"  // it is not, and another hook does its work
	Unknown  State = "not known" // it cannot be told with these privileges
)

// Fact is what was found of one thing.
type Fact struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	Found string `json:"found,omitempty"` // in a few words
	Lost  string `json:"lost,omitempty"`  // what is lost without it, unless it is there
}

// Attempt is what came of opening a mode.
type Attempt struct {
	Mode     Mode     `json:"mode"`
	Works    bool     `json:"works"`
	Whole    bool     `json:"whole"` // it sees all that the mode can see, transfers too
	Error    string   `json:"error,omitempty"`
	Hooks    []Fact   `json:"hooks"`
	Degraded []string `json:"degraded,omitempty"` // what is lost where it works

	// final says that for want of it auto tries no other mode: what keeps it from working would keep the others too.
	final bool
}

// Report is all that was found.
type Report struct {
	Asked      Mode      `json:"asked"`
	Chosen     Mode      `json:"chosen,omitempty"` // none: the receiver would not start
	Starts     bool      `json:"starts"`           // with its default configuration, but for the mode
	Host       []Fact    `json:"host"`
	Privileges []Fact    `json:"privileges"`
	Attempts   []Attempt `json:"attempts"`
	Advice     []string  `json:"advice,omitempty"` // what to change, the most important first
}

// Mode is how the kernel is watched: a value of the receiver's key of that name.
type Mode string

// The modes.
const (
	Auto    Mode = "auto"
	Socket  Mode = "socket"
	Syscall Mode = "syscall"
)

// ParseMode is for what users write.
func ParseMode(text string) (Mode, error) {
	switch mode := Mode(text); mode {
	case Auto, Socket, Syscall:
		return mode, nil
	default:
		return "", fmt.Errorf("mode: write %q, %q or %q, not %q", Auto, Socket, Syscall, text)
	}
}

// allowed says whether a mode may be chosen where the key has this value.
func (m Mode) allowed(mode Mode) bool { return m == Auto || m == mode }

// choose picks what the receiver would: of auto the first mode that is whole, and a socket mode that sees connections only where
// there is no other.
func (r *Report) choose() {
	for _, whole := range []bool{true, false} {
		for _, a := range r.Attempts {
			if a.Works && (a.Whole || !whole || r.Asked != Auto) {
				r.Chosen, r.Starts = a.Mode, true
				return
			}
			if a.final {
				return
			}
		}
	}
}

// Names of facts.
const (
	factSystem     = "system"
	factBTF        = "BTF"
	factTracefs    = "tracefs"
	factLockdown   = "lockdown"
	factPIDs       = "pid namespace"
	factProcfs     = "/proc"
	factVisibility = "other users' processes"
	factUser       = "user"
	factNewPrivs   = "no_new_privs"
	factSeccomp    = "seccomp"
	factRingBuffer = "ring buffer"
)
