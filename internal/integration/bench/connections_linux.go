//go:build amd64 || arm64

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/kernel"
)

// measureConnections measures connections that carry next to nothing.
func measureConnections(s *settings) error {
	if err := measureKernel(); err != nil {
		return err
	}
	for _, rate := range []int{1000, 14000} {
		if err := measureCollector(s, rate); err != nil {
			return err
		}
	}
	return measureSlowdown(s)
}

func runLoad(count, rate int) error {
	l, err := newLoad()
	if err != nil {
		return err
	}
	took, err := l.run(count, rate)
	if err != nil {
		return err
	}
	fmt.Println(took.Nanoseconds())
	return nil
}

// usage is the cost of a run of the load.
type usage struct{ wall, cpu time.Duration }

// loadProcess runs the load in a process of its own.
func loadProcess(count, rate int) (usage, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "-load-count", strconv.Itoa(count), "-load-rate", strconv.Itoa(rate))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return usage{}, fmt.Errorf("load: %w", err)
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return usage{time.Duration(ns), cmd.ProcessState.SystemTime() + cmd.ProcessState.UserTime()}, err
}

// connectionsOnly are the receiver's kernel options when it captures no payload.
var connectionsOnly = kernel.Options{Shards: 2, RingBytes: 2 << 20, ExcludeSelf: true, Processes: 16384}

// measureKernel sums the run time of all kernel programs over many connections.
func measureKernel() (err error) {
	stats, err := kernel.EnableStats()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stats.Close()) }()
	tracer, err := kernel.OpenSockets(connectionsOnly)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tracer.Close()) }()
	for _, r := range tracer.Readers() {
		go drain(r, 100*time.Millisecond)
	}
	const connections = 100_000
	before, err := tracer.ProgramStats()
	if err != nil {
		return err
	}
	if _, err := loadProcess(connections, 0); err != nil {
		return err
	}
	after, err := tracer.ProgramStats()
	if err != nil {
		return err
	}
	fmt.Printf("Kernel programs, %d connections, both ends, by BPF run-time statistics:\n\n", connections)
	fmt.Println("| program | runs per connection | ns per run | ns per connection |")
	fmt.Println("|---|---:|---:|---:|")
	var sum float64
	for i, a := range after {
		runs, ns := a.Runs-before[i].Runs, a.Runtime-before[i].Runtime
		if runs == 0 {
			continue
		}
		per := float64(ns.Nanoseconds()) / connections
		sum += per
		fmt.Printf("| %s | %.2f | %.0f | %.0f |\n",
			a.Name, float64(runs)/connections, float64(ns.Nanoseconds())/float64(runs), per)
	}
	fmt.Printf("| all | | | %.0f |\n\n", sum)
	return nil
}

// drain discards events. It looks for them at this interval, or when the ring buffer fills.
func drain(r *kernel.Reader, interval time.Duration) {
	var e event.Event
	for {
		r.SetDeadline(time.Now().Add(interval))
		if err := r.Next(&e); err != nil && !errors.Is(err, kernel.ErrIdle) {
			return // closed
		}
	}
}

func measureCollector(s *settings, rate int) (err error) {
	seconds := 2 * s.seconds
	c, err := startCollector(s, &observation{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if _, err := loadProcess(rate, rate); err != nil { // warm up: memory and tables reach their final size
		return err
	}
	before, err := c.cpu()
	if err != nil {
		return err
	}
	took, err := loadProcess(rate*seconds, rate)
	if err != nil {
		return err
	}
	after, err := c.cpu()
	if err != nil {
		return err
	}
	rss, shared, err := c.rss()
	if err != nil {
		return err
	}
	fmt.Printf("Collector at %d connections a second (asked for: %d): %.1f µs of CPU per connection (both ends), "+
		"RSS %.1f MiB, of which mapped files and ring buffers %.1f MiB\n\n",
		int(float64(rate*seconds)/took.wall.Seconds()), rate,
		float64((after-before).Microseconds())/float64(rate*seconds), float64(rss)/1024, float64(shared)/1024)
	return nil
}

// measureSlowdown compares the load alone, with the kernel programs attached and their events discarded, and with the collector
// running. The load is not paced.
func measureSlowdown(s *settings) error {
	const connections = 40_000
	load := func() ([]float64, error) {
		u, err := loadProcess(connections, 0)
		return []float64{connections / u.wall.Seconds(), float64(u.cpu.Microseconds()) / connections}, err
	}
	c, err := compare([]arm{
		{"alone", load},
		{"kernel programs, events thrown away", func() (figures []float64, err error) {
			tracer, err := kernel.OpenSockets(connectionsOnly)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, tracer.Close()) }()
			for _, r := range tracer.Readers() {
				go drain(r, 100*time.Millisecond)
			}
			return load()
		}},
		{"collector", func() ([]float64, error) {
			c, err := startCollector(s, &observation{})
			if err != nil {
				return nil, err
			}
			figures, err := load()
			return figures, errors.Join(err, c.stop())
		}},
	}, s.rounds)
	if err != nil {
		return err
	}
	fmt.Printf("The load alone: %.0f connections a second, %.1f µs of CPU each. Relative to that, medians of %d rounds "+
		"(least to most):\n\n", c.value(0, 0).median, c.value(0, 1).median, s.rounds)
	fmt.Println("| | speed | the load's own CPU time per connection |")
	fmt.Println("|---|---:|---:|")
	for i, a := range c.arms {
		fmt.Printf("| %s | %s | %s |\n", a.name, c.ratio(i, 0).format(3), c.ratio(i, 1).format(3))
	}
	fmt.Println()
	return nil
}
