//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// empty holds programs that do nothing, on the hooks of the data path: they show what a run costs before it does anything, and
// what measuring adds.
type empty struct {
	programs []*ebpf.Program
	links    []link.Link
}

func attachEmpty() (*empty, error) {
	e := &empty{}
	for _, hook := range []string{"sock_send_length", "sock_recv_length"} {
		program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: hook, License: "GPL",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("load an empty program: %w", err), e.close())
		}
		e.programs = append(e.programs, program)
		l, err := link.AttachTracing(link.TracingOptions{Program: program})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("attach an empty program: %w", err), e.close())
		}
		e.links = append(e.links, l)
	}
	return e, nil
}

// stats are the sums over both programs.
func (e *empty) stats() (cost, error) {
	var sum cost
	for _, program := range e.programs {
		s, err := program.Stats()
		if err != nil {
			return cost{}, fmt.Errorf("read the statistics of an empty program: %w", err)
		}
		sum.runs += s.RunCount
		sum.time += s.Runtime
	}
	return sum, nil
}

func (e *empty) close() error {
	var errs []error
	for _, l := range e.links {
		errs = append(errs, l.Close())
	}
	for _, program := range e.programs {
		errs = append(errs, program.Close())
	}
	return errors.Join(errs...)
}

// cost is how often programs ran, and for how long.
type cost struct {
	runs uint64
	time time.Duration
}

func (c cost) since(before cost) cost { return cost{c.runs - before.runs, c.time - before.time} }

func (c cost) perRun() float64 { return float64(c.time.Nanoseconds()) / float64(c.runs) }
