package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/socketflow/socketflow/internal/integration/vmtest/plan"
)

// machine is an emulated machine. It ends by itself, or at its time limit.
type machine struct {
	kernel *kernel
	dir    string // has vmlinuz and modules
	log    string // path prefix of its output files
}

// memory holds the image twice, packed and unpacked, and the ring buffers of the largest test. MiB.
const memory = 2048

// perform boots, runs the tests of a job, and reads their output.
func (m *machine) perform(ctx context.Context, j job, common, work string, limit time.Duration) *result {
	return twiceAtMost(func(suffix string) *result {
		once := machine{kernel: m.kernel, dir: m.dir, log: m.log + suffix}
		return once.attempt(ctx, j, common, work, limit)
	})
}

// twiceAtMost makes an attempt, and another one if it fails: emulated machines suffer from a busy host, and from QEMU
// (docs/kernels.md). Both are printed. The suffix is for the names of files.
func twiceAtMost(attempt func(suffix string) *result) *result {
	first := attempt("")
	if first.passed() {
		return first
	}
	again := attempt("-again")
	again.repeated = first
	again.seconds += first.seconds
	return again
}

func (m *machine) attempt(ctx context.Context, j job, common, work string, limit time.Duration) *result {
	r := &result{job: j, log: m.log + ".log"}
	began := time.Now()
	r.err = m.boot(ctx, j, common, work, limit)
	r.seconds = time.Since(began).Seconds()
	log, err := os.ReadFile(r.log)
	if err != nil && r.err == nil {
		r.err = err
	}
	console, err := os.ReadFile(m.log + ".console")
	if err != nil && r.err == nil {
		r.err = err
	}
	r.read(string(log), string(console))
	return r
}

func (m *machine) boot(ctx context.Context, j job, common, work string, limit time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	image := filepath.Join(work, j.name())
	if err := m.writeImage(image, common, j, limit); err != nil {
		return fmt.Errorf("make the image: %w", err)
	}
	defer os.Remove(image) //nolint:errcheck // the directory is removed at the end
	for _, stale := range []string{".log", ".console"} {
		if err := os.WriteFile(m.log+stale, nil, 0o644); err != nil { //nolint:gosec // build output
			return err
		}
	}
	arch := m.kernel.arch
	args := slices.Concat(arch.machine, m.kernel.emulation.options, []string{
		"-accel", m.kernel.emulation.accelerator, "-cpu", m.kernel.cpu, "-smp", "2", "-m", strconv.Itoa(memory),
		"-nodefaults", "-display", "none", "-nic", "none", "-no-reboot",
		"-serial", "file:" + m.log + ".console", "-chardev", "file,id=" + outputChannel + ",path=" + m.log + ".log",
		"-kernel", filepath.Join(m.dir, "vmlinuz"), "-initrd", image,
		// A panic reboots at once, which ends the machine. Its log shows where the CPUs are; that of a machine that hangs does
		// not.
		"-append", "console=" + arch.console + " quiet panic=-1 softlockup_panic=1 " + arch.options,
	})
	cmd := exec.CommandContext(limited, arch.qemu, args...)
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return fmt.Errorf("did not end within %s: see %s.console", limit, m.log)
	case err != nil:
		return fmt.Errorf("%s: %w: %s (.ci/deps kernels installs it)", arch.qemu, err, out)
	}
	return nil
}

// writeImage adds the kernel's modules and the plan to the shared image.
func (m *machine) writeImage(name, common string, j job, limit time.Duration) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	from, err := os.Open(common)
	if err != nil {
		return err
	}
	defer from.Close() //nolint:errcheck // read only
	if _, err := io.Copy(f, from); err != nil {
		return err
	}
	p := plan.Plan{Output: m.kernel.arch.output, Runs: runsOf(&j, limit)}
	i := newImage(f)
	for _, module := range slices.Concat(modules, m.kernel.modules) {
		file := "/modules/" + module + ".ko"
		i.copy(file, filepath.Join(m.dir, file))
		p.Modules = append(p.Modules, file)
	}
	content, err := json.Marshal(p)
	if err != nil {
		return err
	}
	i.add(plan.File, content)
	if err := i.close(); err != nil {
		return err
	}
	return f.Close()
}

// modules are needed by tests of network namespaces, in the order in which they need each other; .ci/kernels gets the same.
var modules = []string{"llc", "stp", "bridge", "veth"}

// runsOf makes a run of each package's tests.
func runsOf(j *job, limit time.Duration) []plan.Run {
	var runs []plan.Run
	patterns := map[string][]string{}
	for _, t := range j.tests {
		if patterns[t.pkg] == nil {
			runs = append(runs, plan.Run{Name: t.pkg})
		}
		patterns[t.pkg] = append(patterns[t.pkg], t.pattern())
	}
	for i := range runs {
		r := &runs[i]
		r.Program = testBinary(r.Name)
		r.Args = []string{
			"-test.v", "-test.count=1", "-test.timeout=" + limit.String(), "-test.run=" + strings.Join(patterns[r.Name], "|"),
		}
		// With CI=true no test skips. receiver/harness_linux_test.go reads the others.
		r.Env = []string{"CI=true", "SOCKETFLOW_TEST_EMULATED=true", "SOCKETFLOW_TEST_MODE=" + j.mode}
		r.Name = path.Base(r.Name)
	}
	return runs
}
