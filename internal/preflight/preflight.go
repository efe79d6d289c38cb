// Package preflight reports whether the receiver would start on this host with these privileges, and what it would see. To find out, it
// loads and attaches the programs that the receiver uses, and removes them.
package preflight

import (
	"fmt"

	"github.com/socketflow/socketflow/internal/kernel"
)

// State is the state of one thing that the receiver uses.
type State string

// The states.
const (
	OK       State = "ok"        // it is there
	Less     State = "less"      // it is missing, and less is seen without it
	Missing  State = "missing"   // it is missing, and something that needs it does not work
	Untried  State = "untried"   // it was not tried, because something before it is missing
	Replaced State = "replaced"  // it is missing, and another hook does its work
	Unknown  State = "not known" // these privileges do not suffice to find out
)

// Fact is what was found out about one thing.
type Fact struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	Found string `json:"found,omitempty"` // in a few words
	Lost  string `json:"lost,omitempty"`  // what is lost without it, unless it is there
}

// Attempt is the outcome of opening a mode.
type Attempt struct {
	Mode     kernel.Mode `json:"mode"`
	Works    bool        `json:"works"`
	Whole    bool        `json:"whole"` // it sees all that the mode can see, transfers too
	Error    string      `json:"error,omitempty"`
	Hooks    []Fact      `json:"hooks"`
	Degraded []string    `json:"degraded,omitempty"` // what is lost where it works

	// Why the mode does not work, and why it does not work with transfers. The receiver chooses by these errors.
	err, wholeErr error
}

// Report is all that was found.
type Report struct {
	Asked      kernel.Mode `json:"asked"`
	Chosen     kernel.Mode `json:"chosen,omitempty"` // none: the receiver would not start
	Starts     bool        `json:"starts"`           // with its default configuration, but for the mode
	Host       []Fact      `json:"host"`
	Privileges []Fact      `json:"privileges"`
	Attempts   []Attempt   `json:"attempts"`
	Processes  []TLSUse    `json:"processes,omitzero"` // nil: they were not asked for
	Advice     []string    `json:"advice,omitempty"`   // what to change, the most important first
}

// choose sets the mode that the receiver would choose. It uses the receiver's own function.
func (r *Report) choose() {
	_, mode, _, err := kernel.Choose(r.Asked, func(mode kernel.Mode, whole bool) (struct{}, error) {
		for _, a := range r.Attempts {
			if a.Mode == mode && whole {
				return struct{}{}, a.wholeErr
			}
			if a.Mode == mode {
				return struct{}{}, a.err
			}
		}
		return struct{}{}, fmt.Errorf("%w: mode %s was not tried", kernel.ErrUnsupported, mode) // not reached
	})
	r.Chosen, r.Starts = mode, err == nil
	if err != nil {
		r.Chosen = ""
	}
}

// Names of facts.
const (
	factSystem     = "system"
	factBTF        = "BTF"
	factTracefs    = "tracefs"
	factLockdown   = "lockdown"
	factUsers      = "user namespace"
	factPIDs       = "pid namespace"
	factProcfs     = "/proc"
	factVisibility = "other users' processes"
	factSockDiag   = "sock_diag"
	factUser       = "user"
	factNewPrivs   = "no_new_privs"
	factSeccomp    = "seccomp"
	factRingBuffer = "ring buffer"
)
