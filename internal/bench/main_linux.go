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

// loadProcess runs the load in a process of its own.
func loadProcess(count, rate int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "-load-count", strconv.Itoa(count), "-load-rate", strconv.Itoa(rate))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return time.Duration(ns), err
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
		int(float64(rate*seconds)/took.Seconds()), rate,
		float64((after-before).Microseconds())/float64(rate*seconds), float64(rss)/1024, float64(shared)/1024)
	return nil
}

// measureSlowdown compares the unpaced load with the collector running and without it, in pairs whose order alternates.
func measureSlowdown(binary, dir string, rounds int) error {
	const connections = 40_000
	with := func() (time.Duration, error) {
		c, err := startCollector(binary, dir)
		if err != nil {
			return 0, err
		}
		took, err := loadProcess(connections, 0)
		return took, errors.Join(err, c.stop())
	}
	without := func() (time.Duration, error) { return loadProcess(connections, 0) }
	var ratios, rates []float64
	for i := range rounds {
		order := []func() (time.Duration, error){without, with}
		if i%2 == 1 {
			slices.Reverse(order)
		}
		var took [2]time.Duration
		for j, run := range order {
			var err error
			if took[j], err = run(); err != nil {
				return err
			}
		}
		if i%2 == 1 {
			slices.Reverse(took[:])
		}
		ratios = append(ratios, took[0].Seconds()/took[1].Seconds())
		rates = append(rates, connections/took[0].Seconds())
	}
	slices.Sort(ratios)
	slices.Sort(rates)
	fmt.Printf("Workload with the collector, relative to without: median %.3f, from %.3f to %.3f in %d pairs "+
		"(without: %.0f connections a second)\n", ratios[rounds/2], ratios[0], ratios[rounds-1], rounds, rates[rounds/2])
	return nil
}
