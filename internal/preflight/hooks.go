package preflight

import (
	"errors"
	"strings"

	"github.com/socketflow/socketflow/internal/kernel"
)

const costOfAnyExit = "some 20 ns for every system call of the host"

// costs of hooks that replace others, compared with those others.
var costs = map[string]string{
	"tp_btf/sys_exit":    "at " + costOfAnyExit, // docs/decisions/0001-syscall-exits.md
	"fexit/inet_sendmsg": "and others of its kind",
}

// stateOf maps the state of a program to that of a fact.
var stateOf = map[kernel.ProgramState]State{
	kernel.ProgramAttached: OK, kernel.ProgramReplaced: Replaced, kernel.ProgramAbsent: Missing, kernel.ProgramRefused: Less,
	kernel.ProgramUntried: Untried,
}

// describe returns a fact for each program of a mode. A program and its backup at the same hook share a fact if their states are the
// same.
func describe(programs []kernel.ProgramStatus) []Fact {
	seen := map[Fact]bool{}
	var facts []Fact
	for _, p := range programs {
		fact := Fact{Name: p.Hook, State: stateOf[p.State], Lost: p.Without}
		if !strings.Contains(p.Hook, "/") {
			fact.Name += "/" + p.Program
		}
		switch p.State {
		case kernel.ProgramReplaced:
			fact.Found = strings.TrimSpace("by " + p.By + " " + costs[p.By])
		case kernel.ProgramAbsent:
			fact.Found = "this kernel does not have it"
		case kernel.ProgramRefused:
			fact.Found = p.Program + ": " + oneLine(p.Err)
		}
		if !seen[fact] {
			seen[fact] = true
			facts = append(facts, fact)
		}
	}
	return facts
}

// oneLine is the receiver's error message on one line: joined errors have line breaks.
func oneLine(err error) string {
	text := err.Error()
	if errors.Is(err, kernel.ErrUnsupported) {
		text = strings.TrimPrefix(text, kernel.ErrUnsupported.Error()+": ")
	}
	return strings.ReplaceAll(text, "\n", "; ")
}
