//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/kernel"
)

// capture is what the captures of both modes have in common.
type capture interface {
	Readers() []*kernel.Reader
	Want(cookie uint64, w event.Want)
	Counters() (kernel.Counters, error)
	Close() error
}

// mode is a way to watch the kernel.
type mode struct {
	observation
	open func(kernel.Options) (capture, error)
}

// modes are compared. The first is without a collector.
var modes = []mode{
	{observation{name: "no collector", off: true}, nil},
	{observation{name: "socket mode", keys: "    mode: socket"}, func(o kernel.Options) (capture, error) {
		c, err := kernel.Open(o)
		if err != nil {
			return nil, err
		}
		return c, nil
	}},
	{observation{name: "syscall mode", keys: "    mode: syscall"}, func(o kernel.Options) (capture, error) {
		c, err := kernel.OpenCalls(o, func(event.Event) {})
		if err != nil {
			return nil, err
		}
		return c, nil
	}},
}

// measureModes compares both modes with each other, and with no collector.
func measureModes(s *settings) error {
	return errors.Join(measureCalls(s), measureModesServed(s), measureModesConnections(s))
}

// measureModesServed is about requests over connections that are kept, as fast as they are answered.
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

// measureModesConnections is about connections that carry next to nothing, one after the other, and about the collector itself.
func measureModesConnections(s *settings) error {
	const connections = 40_000
	const (
		perSecond = iota
		cpuOfLoad
		cpuOfCollector
		endsTold
		eventsLost
		resident
		starting
		stopping
		figures
	)
	var arms []arm
	for _, m := range modes {
		arms = append(arms, arm{m.name, func() (out []float64, err error) {
			out = make([]float64, figures)
			began := time.Now()
			var stopped time.Time
			out, err = m.with(s, func(c *collector) ([]float64, error) {
				out[starting] = time.Since(began).Seconds()
				defer func() { stopped = time.Now() }()
				var before, after told
				var cpuBefore, cpuAfter time.Duration
				var err error
				if c != nil {
					before, err = c.own()
					if err != nil {
						return nil, err
					}
					if cpuBefore, err = c.cpu(); err != nil {
						return nil, err
					}
				}
				u, err := loadProcess(connections, 0)
				if err != nil {
					return nil, err
				}
				if c != nil {
					if after, err = c.settled(); err != nil {
						return nil, err
					}
					if cpuAfter, err = c.cpu(); err != nil {
						return nil, err
					}
					rss, _, err := c.rss()
					if err != nil {
						return nil, err
					}
					out[resident] = float64(rss) / 1024
				}
				out[perSecond], out[cpuOfLoad] = connections/u.wall.Seconds(), u.cpu.Seconds()*1e6/connections
				out[cpuOfCollector] = (cpuAfter - cpuBefore).Seconds() * 1e6 / connections
				out[endsTold], out[eventsLost] = (after.ended-before.ended)/connections, after.lost-before.lost
				return out, nil
			})
			if err == nil {
				out[stopping] = time.Since(stopped).Seconds()
			}
			return out, err
		}})
	}
	c, err := compare(arms, s.rounds)
	if err != nil {
		return err
	}
	fmt.Printf("Modes: %d connections, one byte each way, one after the other on one core, medians of %d rounds (least to most):\n\n",
		connections, s.rounds)
	fmt.Println("| | connections a second | ratio | the load's CPU, µs per connection | ratio | the collector's " +
		"| ends told per connection | events lost |")
	fmt.Println("|---|---:|---:|---:|---:|---:|---:|---:|")
	for i, a := range c.arms {
		fmt.Printf("| %s | %.0f | %s | %.1f | %s | %.1f | %.2f | %.0f |\n", a.name, c.value(i, perSecond).median,
			c.ratio(i, perSecond).format(2), c.value(i, cpuOfLoad).median, c.ratio(i, cpuOfLoad).format(2),
			c.value(i, cpuOfCollector).median, c.value(i, endsTold).median, c.value(i, eventsLost).median)
	}
	fmt.Println("\n| the collector | starts in, s | stops in, s | resident behind that, MiB |\n|---|---:|---:|---:|")
	for i, a := range c.arms[1:] {
		fmt.Printf("| %s | %s | %s | %s |\n", a.name, c.value(i+1, starting).format(2), c.value(i+1, stopping).format(2),
			c.value(i+1, resident).format(0))
	}
	fmt.Println()
	return nil
}

// callTable prints what calls cost beside each mode.
func callTable(c *comparison, rows []string) {
	fmt.Println("| | " + strings.Join([]string{modes[0].name + ", ns", modes[1].name + ": more ns", "ratio", modes[2].name + ": more ns", "ratio"}, " | ") + " |")
	fmt.Println("|---|---:|---:|---:|---:|---:|")
	for row, name := range rows {
		fmt.Printf("| %s | %s", name, c.value(0, row).format(0))
		for i := range c.arms[1:] {
			fmt.Printf(" | %s | %.2f", c.added(i+1, row).format(0), c.ratio(i+1, row).median)
		}
		fmt.Println(" |")
	}
	fmt.Println()
}
