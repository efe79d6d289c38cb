//go:build amd64 || arm64

package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/socketflow/socketflow/internal/kernel"
)

// refusal is a set of refused programs and their effect on an engine.
type refusal struct {
	asked    kernel.Mode
	programs []string
	stage    kernel.Stage
	// mode that is chosen; empty: none, so that the engine does not start.
	mode kernel.Mode
	// named are the programs of which the loss of a function is named.
	named []string
	// lost are the aspects that are not emitted.
	lost []string
}

func (r *refusal) String() string {
	return fmt.Sprintf("%s asked, %s refused at %s", r.asked, strings.Join(r.programs, " and "),
		map[kernel.Stage]string{kernel.StageLoad: "load", kernel.StageAttach: "attach"}[r.stage])
}

func (r *refusal) fault(stage kernel.Stage, program string) error {
	if stage == r.stage && slices.Contains(r.programs, program) {
		return syscall.EPERM
	}
	return nil
}

// transfersOfSocketMode is refused in addition to others, so that mode auto chooses the syscall mode.
const transfersOfSocketMode = "socket_sent"

// lostBySocketMode are the aspects that are lost with a program of the socket mode. Without a program that is not listed nothing is lost.
var lostBySocketMode = map[string][]string{
	"existing_descriptors": {olderCloses},
	"flow_pass":            {udpEnds},
}

// essentialToSocketMode are the programs without which mode auto does not choose the socket mode.
var essentialToSocketMode = []string{"sock_state", "socket_sent", "socket_received"}

// lostBySyscallMode are the optional programs of the syscall mode; all others are essential to it.
var lostBySyscallMode = map[string][]string{
	"enter_ioctl":        nil,
	"enter_control_of_5": nil, // getsockopt
	"enter_execve":       nil,
	"enter_execveat":     nil,
	"exit_batch":         nil,
	"look_up":            {olderCloses},
	"adopt":              {olderCloses},
	"reject":             {olderCloses},
	"vanish":             nil,
	"locate":             nil,
	"leave_out":          nil,
	"enter_blocked":      nil,
	"leave_blocked":      nil,
	"ask_datagrams":      {udpEnds},
	"tcp_state":          nil,
	"tcp_receive":        nil,
	"compat_enter":       nil,
	"compat_exit":        nil,
}

var stages = []kernel.Stage{kernel.StageLoad, kernel.StageAttach}

// groups divides programs so that those of a feature, at most n, are in different groups: they are neighbours. The programs of a group
// are refused together, because loading takes most of this test's time: together they lose what each of them loses, and no more.
func groups(programs []string, n int) [][]string {
	all := make([][]string, min(n, len(programs)))
	for i, program := range programs {
		all[i%n] = append(all[i%n], program)
	}
	return all
}

// refusalsOfSocketMode refuses all programs of the mode, at both stages.
func refusalsOfSocketMode(programs []string) (all []*refusal) {
	essential := func(program string) bool { return slices.Contains(essentialToSocketMode, program) }
	const calls = 8 // whose exits are one feature
	optional := groups(slices.DeleteFunc(slices.Clone(programs), essential), calls)
	for _, stage := range stages {
		for _, program := range essentialToSocketMode {
			all = append(all, &refusal{asked: kernel.ModeAuto, programs: []string{program}, stage: stage, mode: kernel.ModeSyscall})
		}
		for _, group := range optional {
			r := &refusal{asked: kernel.ModeAuto, programs: group, stage: stage, mode: kernel.ModeSocket}
			for _, program := range group {
				r.lost = append(r.lost, lostBySocketMode[program]...)
				// any_exit does the work of those of calls, and any_poll.
				if !strings.HasSuffix(program, "_exit") || program == "process_exit" {
					r.named = append(r.named, program)
				}
			}
			all = append(all, r)
		}
	}
	return all
}

// refusalsOfSyscallMode is the same of that mode. Mode auto would load the programs of the socket mode first: of the programs of either
// kind it is asked for once at each stage. It knows no more of them than the mode's error.
func refusalsOfSyscallMode(programs []string) (all []*refusal) {
	isOptional := func(program string) bool { _, is := lostBySyscallMode[program]; return is }
	essential := slices.DeleteFunc(slices.Clone(programs), isOptional)
	const most = 4 // programs of a feature
	optional := groups(slices.DeleteFunc(slices.Clone(programs), func(program string) bool { return !isOptional(program) }), most)
	for _, stage := range stages {
		for i, program := range essential {
			r := &refusal{asked: kernel.ModeSyscall, programs: []string{program}, stage: stage}
			if i == 0 { // connections only, by the socket mode
				r.asked, r.mode, r.programs = kernel.ModeAuto, kernel.ModeSocket, append(r.programs, transfersOfSocketMode)
				r.lost = []string{tcpRequests, unixRequests, udpFlows, udpEnds}
			} else if stage == kernel.StageAttach {
				continue // which one cannot be attached makes no difference: the mode is not taken
			}
			all = append(all, r)
		}
		for i, group := range optional {
			r := &refusal{asked: kernel.ModeSyscall, programs: group, stage: stage, mode: kernel.ModeSyscall, named: group}
			for _, program := range group {
				r.lost = append(r.lost, lostBySyscallMode[program]...)
			}
			if i == 0 {
				r.asked, r.programs = kernel.ModeAuto, append(slices.Clone(group), transfersOfSocketMode)
			}
			all = append(all, r)
		}
	}
	return all
}
