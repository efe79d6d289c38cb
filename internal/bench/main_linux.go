//go:build amd64 || arm64

// Command bench measures what the receiver costs: the kernel programs, the collector, and the workload that is watched.
// Figures that are compared come from the same run, interleaved, as ratios: the machine may be shared.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/kernel"
)

func main() {
	binary := flag.String("collector", "_build/otelcol-socketflow", "the collector to measure")
	seconds := flag.Int("seconds", 10, "length of each measurement")
	rounds := flag.Int("rounds", 7, "pairs of measurements of the slowdown")
	count := flag.Int("load-count", 0, "run as the load: this many connections")
	rate := flag.Int("load-rate", 0, "run as the load: connections per second, 0: as many as possible")
	flag.Parse()
	var err error
	if *count > 0 {
		err = runLoad(*count, *rate)
	} else {
		err = measure(*binary, *seconds, *rounds)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
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

// usage is what a run of the load took.
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

func measure(binary string, seconds, rounds int) error {
	dir, err := os.MkdirTemp("", "socketflow-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	fmt.Printf("Linux %s, %s\n\n", unix.ByteSliceToString(name.Release[:]), time.Now().UTC().Format(time.DateOnly))
	if err := measureKernel(); err != nil {
		return err
	}
	for _, rate := range []int{1000, 14000} {
		if err := measureCollector(binary, dir, rate, seconds); err != nil {
			return err
		}
	}
	return measureSlowdown(binary, dir, rounds)
}

// measureKernel sums the run time of all kernel programs over many connections.
func measureKernel() (err error) {
	stats, err := kernel.EnableStats()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stats.Close()) }()
	capture, err := kernel.Open(kernel.Options{Shards: 2, RingBytes: 2 << 20, ExcludeSelf: true, Processes: 16384})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, capture.Close()) }()
	for _, r := range capture.Readers() {
		go drain(r)
	}
	const connections = 100_000
	before, err := capture.ProgramStats()
	if err != nil {
		return err
	}
	if _, err := loadProcess(connections, 0); err != nil {
		return err
	}
	after, err := capture.ProgramStats()
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

func drain(r *kernel.Reader) {
	var e event.Event
	for {
		r.SetDeadline(time.Now().Add(100 * time.Millisecond))
		if err := r.Next(&e); err != nil && !errors.Is(err, kernel.ErrIdle) {
			return // closed
		}
	}
}

func measureCollector(binary, dir string, rate, seconds int) (err error) {
	c, err := startCollector(binary, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if _, err := loadProcess(rate, rate); err != nil { // warm: memory and tables as they will be
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

// measureSlowdown compares the load alone, with the kernel programs attached and their events thrown away, and with the
// collector running. The load is not paced. The order of the three rotates.
func measureSlowdown(binary, dir string, rounds int) error {
	const connections = 40_000
	arms := [...]struct {
		name string
		run  func() (usage, error)
	}{
		{"alone", func() (usage, error) { return loadProcess(connections, 0) }},
		{"kernel programs, events thrown away", func() (u usage, err error) {
			capture, err := kernel.Open(kernel.Options{Shards: 2, RingBytes: 2 << 20, ExcludeSelf: true, Processes: 16384})
			if err != nil {
				return usage{}, err
			}
			defer func() { err = errors.Join(err, capture.Close()) }()
			for _, r := range capture.Readers() {
				go drain(r)
			}
			return loadProcess(connections, 0)
		}},
		{"collector", func() (usage, error) {
			c, err := startCollector(binary, dir)
			if err != nil {
				return usage{}, err
			}
			u, err := loadProcess(connections, 0)
			return u, errors.Join(err, c.stop())
		}},
	}
	speed, cpu := make([][]float64, len(arms)), make([][]float64, len(arms))
	for round := range rounds {
		var took [len(arms)]usage
		for i := range arms {
			arm := (i + round) % len(arms)
			var err error
			if took[arm], err = arms[arm].run(); err != nil {
				return fmt.Errorf("%s: %w", arms[arm].name, err)
			}
		}
		for i := range arms {
			speed[i] = append(speed[i], took[0].wall.Seconds()/took[i].wall.Seconds())
			cpu[i] = append(cpu[i], took[i].cpu.Seconds()/took[0].cpu.Seconds())
		}
		if round == 0 {
			fmt.Printf("The load alone, the first time: %.0f connections a second, %.1f µs of CPU each\n\n",
				connections/took[0].wall.Seconds(), float64(took[0].cpu.Microseconds())/connections)
		}
	}
	fmt.Printf("Relative to the load alone, not paced, medians of %d rounds (least to most):\n\n", rounds)
	fmt.Println("| | speed | the load's own CPU time per connection |")
	fmt.Println("|---|---:|---:|")
	for i := range arms {
		slices.Sort(speed[i])
		slices.Sort(cpu[i])
		fmt.Printf("| %s | %.3f (%.3f to %.3f) | %.3f (%.3f to %.3f) |\n", arms[i].name,
			speed[i][rounds/2], speed[i][0], speed[i][rounds-1], cpu[i][rounds/2], cpu[i][0], cpu[i][rounds-1])
	}
	return nil
}
