package kernel

import "errors"

// ProgramState is what became of a program.
type ProgramState uint8

// The states.
const (
	ProgramAttached ProgramState = iota // or ready to be run by user space
	ProgramReplaced                     // the kernel refused it, and another one does its work
	ProgramAbsent                       // the kernel does not have its hook
	ProgramRefused                      // the kernel did not load or attach it
	ProgramUntried                      // something before it did not work
)

// String is the state as telemetry names it.
func (s ProgramState) String() string {
	return [...]string{"attached", "replaced", "absent", "refused", "untried"}[s]
}

// ProgramStatus is a program of a mode and what became of it.
type ProgramStatus struct {
	Program string // the name of its C function
	Hook    string // see Programs
	State   ProgramState
	By      string // ProgramReplaced: the hook of the program that does its work
	Without string // ProgramAbsent, ProgramRefused: what is lost
	Err     error  // why it is not attached
}

// Stage is when a program can be refused.
type Stage uint8

// The stages.
const (
	StageLoad Stage = iota
	StageAttach
)

// Fault refuses programs as a kernel would. It is for tests.
type Fault func(stage Stage, program string) error

func (f Fault) at(stage Stage, program string) error {
	if f == nil {
		return nil
	}
	return f(stage, program)
}

// openError is why a mode does not work, with the states of its programs until then.
type openError struct {
	error
	programs []ProgramStatus
}

func (e *openError) Unwrap() error { return e.error }

// ProgramsOf returns the states of the programs of a mode that did not work, as far as they were tried.
func ProgramsOf(err error) []ProgramStatus {
	var opening *openError
	if !errors.As(err, &opening) {
		return nil
	}
	return opening.programs
}
