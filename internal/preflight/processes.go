package preflight

import "fmt"

// TLSLibrary is a TLS library that a program has.
type TLSLibrary struct {
	Executable string `json:"executable"`
	Library    string `json:"library"`
	Version    string `json:"version,omitempty"` // as far as it is known
	File       string `json:"file,omitempty"`    // none: the executable
	Covered    bool   `json:"covered"`           // requests in it are seen
	Why        string `json:"why,omitempty"`     // they are not
}

// TLSUse is a TLS library that processes of a program have.
type TLSUse struct {
	TLSLibrary
	PIDs []uint32 `json:"pids"`
}

// libraryFact is about the program that looks into libraries.
const libraryFact = "uprobe.multi/tls_call"

// processes prints what TLS libraries processes have.
func (p *printer) processes(uses []TLSUse) {
	if uses == nil {
		return
	}
	p.line("TLS libraries of running processes")
	for i := range uses {
		u := &uses[i]
		state, text := "covered", u.Executable
		if len(u.PIDs) == 1 {
			text += fmt.Sprintf(" (process %d)", u.PIDs[0])
		} else {
			text += fmt.Sprintf(" (%d processes)", len(u.PIDs))
		}
		if u.File != "" {
			text += " in " + u.File
		}
		if !u.Covered {
			state, text = "no", text+": "+u.Why
		}
		name := u.Library
		if u.Version != "" {
			name += " " + u.Version
		}
		p.wrapped(fmt.Sprintf("  %-9s  %-28s  ", state, name), text)
	}
	if len(uses) == 0 {
		p.line("  none")
	}
	p.line("")
}
