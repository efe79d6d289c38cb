package preflight

import (
	"errors"
	"strings"

	"github.com/socketflow/socketflow/internal/kernel"
)

const costOfAnyExit = "some 20 ns for every system call of the host"

// costs of hooks that do the work of others, beside those of the others.
var costs = map[string]string{
	"tp_btf/sys_exit":    "at " + costOfAnyExit, // docs/decisions/0001-syscall-exits.md
	"fexit/inet_sendmsg": "and others of its kind",
}

// stateOf are the states that correspond to those of programs.
var stateOf = map[kernel.ProgramState]State{
	kernel.ProgramAttached: OK, kernel.ProgramReplaced: Replaced, kernel.ProgramAbsent: Missing, kernel.ProgramRefused: Less,
	kernel.ProgramUntried: Untried,
}

// describe says what became of the programs of a mode, once for each hook and program: a hook with two programs (the second serves what
// the first one is skipped for) is told once if the same is to be said of both.
func describe(programs []kernel.ProgramStatus) []Fact {
	said := map[Fact]bool{}
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
		if !said[fact] {
			said[fact] = true
			facts = append(facts, fact)
		}
	}
	return facts
}

// oneLine is what the receiver would say, without line breaks: joined errors have them.
func oneLine(err error) string {
	text := err.Error()
	if errors.Is(err, kernel.ErrUnsupported) {
		text = strings.TrimPrefix(text, kernel.ErrUnsupported.Error()+": ")
	}
	return strings.ReplaceAll(text, "\n", "; ")
}
