//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/kernel"
)

// tracer is the common part of the tracers of both modes.
type tracer interface {
	Readers() []*kernel.Reader
	Want(cookie uint64, w event.Want)
	Counters() (kernel.Counters, error)
	Close() error
}

// mode is a way to observe the kernel.
type mode struct {
	observation
	open func(kernel.Options) (tracer, error)
}

// modes are compared. The first is without a collector.
var modes = []mode{
	{observation{name: "no collector", off: true}, nil},
	{observation{name: "socket mode", keys: "    mode: socket"}, func(o kernel.Options) (tracer, error) {
		c, err := kernel.OpenSockets(o)
		if err != nil {
			return nil, err
		}
		return c, nil
	}},
	{observation{name: "syscall mode", keys: "    mode: syscall"}, func(o kernel.Options) (tracer, error) {
		c, err := kernel.OpenSyscalls(o, func(event.Event) {})
		if err != nil {
			return nil, err
		}
		return c, nil
	}},
}

// measureModes compares both modes with each other, and with no collector.
func measureModes(s *settings) error {
	for _, measure := range []func(*settings) error{measureCalls, measureModesServed, measureModesPaced, measureModesConnections} {
		if err := measure(s); err != nil {
			return err
		}
	}
	return nil
}

// measureModesServed measures requests over connections that stay open, as fast as they are answered.
func measureModesServed(s *settings) (err error) {
	dir := filepath.Join(s.dir, "modes")
	if err := os.Mkdir(dir, 0o750); err != nil {
		return err
	}
	nginx, port, err := startNginx(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, nginx.stop()) }()
	var ways []observation
	for _, m := range modes {
		ways = append(ways, m.observation)
	}
	for _, place := range workplaces {
		c, err := compareServed(s, ways, nginx, func() (served, error) {
			return loadNginx(port, place.processor, max(1, s.seconds/2))
		})
		if err != nil {
			return err
		}
		c.printServed("Modes: nginx, 600 bytes, wrk over 32 connections, " + place.name)
	}
	return nil
}

// measureModesPaced measures what requests cost a collector that is not fully loaded.
func measureModesPaced(s *settings) error {
	const rate = 20_000
	var arms []arm
	for _, m := range modes[1:] {
		arms = append(arms, arm{m.name, func() ([]float64, error) { return runPaced(s, &m.observation, rate) }})
	}
	c, err := compare(arms, s.rounds)
	if err != nil {
		return err
	}
	fmt.Printf("Modes: the collector under %d requests a second over 64 connections, both ends, medians of %d rounds "+
		"(least to most):\n\n", rate, s.rounds)
	fmt.Println("| | CPU, µs per request | exchanges emitted per request | events lost | resident, MiB |\n|---|---:|---:|---:|---:|")
	for i, a := range c.arms {
		c.printPaced(a.name, i)
	}
	fmt.Printf("| ratio | %s |\n\n", c.ratio(1, pacedCPU).format(2))
	return nil
}

// Figures of connections in a mode.
const (
	opened = iota // a second
	openedCPU
	openedCollectorCPU
	openedEmitted
	openedLost
	openedResident
	openedKernelMemory
	startTime
	stopTime
	openedFigures
)

// openedConnections is how many connections a round opens.
const openedConnections = 40_000

// measureModesConnections measures connections that carry next to nothing, one after the other, and the collector itself.
func measureModesConnections(s *settings) error {
	var arms []arm
	for _, m := range modes {
		arms = append(arms, arm{m.name, func() ([]float64, error) { return openBeside(s, &m.observation) }})
	}
	c, err := compare(arms, s.rounds)
	if err != nil {
		return err
	}
	fmt.Printf("Modes: %d connections, one byte each way, one after the other on one core, medians of %d rounds "+
		"(least to most):\n\n", openedConnections, s.rounds)
	fmt.Println("| | connections a second | ratio | the load's CPU, µs per connection | ratio | the collector's " +
		"| ends emitted per connection | events lost |\n|---|---:|---:|---:|---:|---:|---:|---:|")
	for i, a := range c.arms {
		fmt.Printf("| %s | %.0f | %s | %.1f | %s | %s | %.2f | %.0f |\n", a.name, c.value(i, opened).median,
			c.ratio(i, opened).format(2), c.value(i, openedCPU).median, c.ratio(i, openedCPU).format(2),
			c.value(i, openedCollectorCPU).format(1), c.value(i, openedEmitted).median, c.value(i, openedLost).median)
	}
	fmt.Println("\n| the collector | starts in, s | stops in, s | resident behind that, MiB | the kernel holds for it, MiB |")
	fmt.Println("|---|---:|---:|---:|---:|")
	for i, a := range c.arms[1:] {
		fmt.Printf("| %s | %s | %s | %s | %.1f |\n", a.name, c.value(i+1, startTime).format(2), c.value(i+1, stopTime).format(2),
			c.value(i+1, openedResident).format(0), c.value(i+1, openedKernelMemory).median)
	}
	fmt.Println()
	return nil
}

// openBeside opens connections beside the collector, if there is one.
func openBeside(s *settings, o *observation) ([]float64, error) {
	out := make([]float64, openedFigures)
	began := time.Now()
	var ended time.Time
	_, err := o.with(s, func(c *collector) ([]float64, error) {
		defer func() { ended = time.Now() }()
		load := func() error {
			u, err := loadProcess(openedConnections, 0)
			out[opened], out[openedCPU] = openedConnections/u.wall.Seconds(), u.cpu.Seconds()*1e6/openedConnections
			return err
		}
		if c == nil {
			return out, load()
		}
		out[startTime] = time.Since(began).Seconds()
		return out, c.openBeside(load, out)
	})
	out[stopTime] = time.Since(ended).Seconds()
	return out, err
}

func (c *collector) openBeside(load func() error, out []float64) error {
	before, err := c.own()
	if err != nil {
		return err
	}
	used, err := c.cpu()
	if err != nil {
		return err
	}
	if err := load(); err != nil {
		return err
	}
	after, err := c.settled()
	if err != nil {
		return err
	}
	usedAfter, cpuErr := c.cpu()
	rss, _, rssErr := c.rss()
	out[openedCollectorCPU] = (usedAfter - used).Seconds() * 1e6 / openedConnections
	out[openedEmitted], out[openedLost] = (after.ended-before.ended)/openedConnections, after.lost-before.lost
	out[openedResident], out[openedKernelMemory] = float64(rss)/1024, after.kernelMemory/(1<<20)
	return errors.Join(cpuErr, rssErr)
}

// callTable prints what calls cost in each mode.
func callTable(c *comparison, rows []string) {
	fmt.Printf("| | %s, ns", modes[0].name)
	for _, m := range modes[1:] {
		fmt.Printf(" | %s: more ns | ratio", m.name)
	}
	fmt.Println(" |\n|---|---:|---:|---:|---:|---:|")
	for row, name := range rows {
		fmt.Printf("| %s | %s", name, c.value(0, row).format(0))
		for i := range c.arms[1:] {
			fmt.Printf(" | %s | %.2f", c.added(i+1, row).format(0), c.ratio(i+1, row).median)
		}
		fmt.Println(" |")
	}
	fmt.Println()
}
