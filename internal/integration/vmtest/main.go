// Command vmtest boots the supported kernels, and runs tests on each, in every mode that the kernel supports: `make
// test-kernels`, or, for all kernels, `make test-kernels ALL=1`. It prints which tests passed where, and the instruction counts
// of the kernels' verifiers; it fails if any test did not pass.
//
// The machines are emulated (no KVM is needed, nor root), see docs/kernels.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// settings are those of the command line.
type settings struct {
	kernels []string
	whole   bool // all tests of these kernels, not only those of CI
	modes   []string
	jobs    int
	limit   time.Duration
	dir     string
	only    string
}

func main() {
	s := settings{}
	names := flag.String("kernels", "", "which kernels; empty: what CI tests, of "+strings.Join(kernelNames(false), ","))
	all := flag.Bool("all", false, "all tests of "+strings.Join(kernelNames(true), ",")+", unless -kernels says which")
	modes := flag.String("modes", "", "which modes; empty: all that the kernel can do")
	flag.IntVar(&s.jobs, "jobs", 2, "machines at a time, each of which keeps a core busy")
	flag.DurationVar(&s.limit, "timeout", 25*time.Minute, "how long a machine may run")
	flag.StringVar(&s.dir, "dir", "_build/kernels", "where what the machines print is left")
	flag.StringVar(&s.only, "run", "", "only this test, for instance TestSyscallScenarios")
	flag.Parse()
	s.kernels, s.whole = kernelNames(*all), *all
	if *names != "" {
		s.kernels, s.whole = strings.Split(*names, ","), true
	}
	if *modes != "" {
		s.modes = strings.Split(*modes, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, &s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vmtest:", err)
		os.Exit(1)
	}
}

var errFailed = errors.New("not everything passed: see above")

func run(ctx context.Context, s *settings) error {
	began := time.Now()
	jobs, err := jobsOf(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil { //nolint:gosec // build output
		return err
	}
	work, err := os.MkdirTemp(s.dir, "work")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a leftover in _build
	images, dirs, err := provide(ctx, jobs, work)
	if err != nil {
		return err
	}
	fmt.Printf("%d machines, %d at a time\n", len(jobs), s.jobs)
	results := make([]*result, len(jobs))
	slots := make(chan struct{}, max(s.jobs, 1))
	var all sync.WaitGroup
	// Newer kernels, which take the longest, start first.
	for i, j := range slices.Backward(jobs) {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-slots }()
			m := machine{kernel: j.kernel, dir: dirs[j.kernel.name()], log: filepath.Join(s.dir, j.name())}
			results[i] = m.perform(ctx, j, images[j.kernel.arch], work, s.limit)
			fmt.Print(results[i])
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	fmt.Printf("\n%s", table(results))
	for _, mode := range []string{"socket", "syscall"} {
		if counted := instructionTable(results, mode); counted != "" {
			fmt.Printf("\ninstructions that the verifier looked at\n%s", counted)
		}
	}
	fmt.Printf("\n%s\n", time.Since(began).Round(time.Second))
	if slices.ContainsFunc(results, func(r *result) bool { return !r.passed() }) {
		return errFailed
	}
	return nil
}

// provide gets what the jobs need: the image of each architecture, and directories of kernels.
func provide(ctx context.Context, jobs []job, work string) (map[*architecture]string, map[string]string, error) {
	images := map[*architecture]string{}
	var names []string
	for _, j := range jobs {
		names = append(names, j.kernel.name(), j.kernel.arch.tools())
		images[j.kernel.arch] = ""
	}
	slices.Sort(names)
	dirs, err := fetch(ctx, slices.Compact(names))
	if err != nil {
		return nil, nil, err
	}
	for arch := range images {
		if images[arch], err = build(ctx, work, arch, dirs[arch.tools()]); err != nil {
			return nil, nil, err
		}
	}
	return images, dirs, nil
}

// job is a machine: a kernel and a mode to run tests in.
type job struct {
	kernel *kernel
	mode   string
	tests  []test
}

func (j *job) name() string { return j.kernel.name() + "-" + j.mode }

func jobsOf(s *settings) ([]job, error) {
	var jobs []job
	for _, name := range s.kernels {
		i := slices.IndexFunc(kernels, func(k kernel) bool { return k.name() == name })
		if i < 0 {
			return nil, fmt.Errorf("no kernel is called %q", name)
		}
		wanted := kernels[i].inCI
		if s.whole {
			wanted = kernels[i].modes
		}
		for _, m := range wanted {
			if len(s.modes) > 0 && !slices.Contains(s.modes, m.name) {
				continue
			}
			j := job{kernel: &kernels[i], mode: m.name}
			for _, t := range m.tests {
				if s.only == "" || s.only == t.top() {
					j.tests = append(j.tests, t)
				}
			}
			if len(j.tests) > 0 {
				jobs = append(jobs, j)
			}
		}
	}
	if len(jobs) == 0 {
		return nil, errors.New("nothing to run: see -help")
	}
	return jobs, nil
}
