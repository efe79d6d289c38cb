//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/cilium/ebpf"

	"github.com/socketflow/socketflow/internal/kernel"
)

// eachProgram calls use for each program of eBPF that is loaded.
func eachProgram(use func(*ebpf.Program) error) (err error) {
	for id := ebpf.ProgramID(0); ; {
		id, err = ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list the programs of eBPF: %w", err)
		}
		program, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has just been unloaded
		}
		if err != nil {
			return fmt.Errorf("look at a program of eBPF: %w", err)
		}
		if err := errors.Join(use(program), program.Close()); err != nil {
			return err
		}
	}
}

// programCosts are what the programs of eBPF of the collector have cost during a load.
type programCosts struct {
	requests float64
	programs map[string]cost // by name
}

// costOfPrograms runs a load of a server beside the collector while the kernel measures the programs, which takes time itself.
func costOfPrograms(s *settings, o *observation, load func() (served, error)) (c programCosts, err error) {
	stats, err := kernel.EnableStats()
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, stats.Close()) }()
	_, err = o.with(s, func(of *collector) ([]float64, error) {
		before, err := of.programs()
		if err != nil {
			return nil, err
		}
		did, err := load()
		if err != nil {
			return nil, err
		}
		after, err := of.programs()
		c = programCosts{did.n, map[string]cost{}}
		for name, now := range after {
			c.programs[name] = now.since(before[name])
		}
		return nil, err
	})
	return c, err
}

// programs are the costs so far of the programs that the collector has loaded, by name.
func (c *collector) programs() (map[string]cost, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", c.cmd.Process.Pid))
	if err != nil {
		return nil, err
	}
	own := map[ebpf.ProgramID]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has been closed
		}
		if err != nil {
			return nil, err
		}
		if m := programID.FindSubmatch(text); m != nil {
			id, err := strconv.ParseUint(string(m[1]), 10, 32)
			if err != nil {
				return nil, err
			}
			own[ebpf.ProgramID(id)] = true
		}
	}
	all := map[string]cost{}
	return all, eachProgram(func(program *ebpf.Program) error {
		info, err := program.Info()
		if err != nil {
			return err
		}
		if id, ok := info.ID(); !ok || !own[id] {
			return nil
		}
		stats, err := program.Stats()
		if err != nil {
			return err
		}
		sum := all[info.Name]
		all[info.Name] = cost{sum.runs + stats.RunCount, sum.time + stats.Runtime}
		return nil
	})
}

// programID is in what the kernel says of a descriptor of a program, or of what attaches one.
var programID = regexp.MustCompile(`(?m)^prog_id:\t(\d+)$`)

// print names the programs that run once in ten requests or more often.
func (c *programCosts) print(scheme string) {
	fmt.Printf("Programs of eBPF of both ends, %s: runs per request, and ns per request (without what leads to them):", scheme)
	var sum float64
	for _, name := range slices.Sorted(maps.Keys(c.programs)) {
		runs, ns := float64(c.programs[name].runs)/c.requests, float64(c.programs[name].time.Nanoseconds())/c.requests
		if sum += ns; runs >= 0.1 {
			fmt.Printf(" `%s` %.1f, %.0f;", name, runs, ns)
		}
	}
	fmt.Printf(" all %.0f ns\n\n", sum)
}
