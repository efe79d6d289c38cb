// Command guest is the first process of a virtual machine that runs tests. It sets a bare kernel up like a host, runs what
// /plan.json lists, writes the output to the plan's device, and switches the machine off.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/integration/vmtest/plan"
)

func main() {
	err := run()
	if err != nil {
		fmt.Println("guest:", err) // on the console
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Println("guest: power off:", err)
	}
}

func run() error {
	if err := prepare(); err != nil {
		return err
	}
	content, err := os.ReadFile("/" + plan.File)
	if err != nil {
		return err
	}
	var p plan.Plan
	if err := json.Unmarshal(content, &p); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	out, err := os.OpenFile(p.Output, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open what tests print to: %w", err)
	}
	for _, module := range p.Modules {
		if err := load(module); err != nil {
			return fmt.Errorf("load the module %s: %w", module, err)
		}
	}
	for i := range p.Runs {
		if err := perform(&p.Runs[i], out); err != nil {
			return err
		}
	}
	return out.Close()
}

// mounts are mounted in this order. The tests of tracepoints look for tracefs there first.
var mounts = []struct{ kind, at string }{
	{"proc", "/proc"},
	{"sysfs", "/sys"},
	{"devtmpfs", "/dev"},
	{"tmpfs", "/run"},
	{"tmpfs", "/dev/shm"},
	{"tracefs", "/sys/kernel/tracing"},
	{"bpf", "/sys/fs/bpf"},
	{"cgroup2", "/sys/fs/cgroup"},
}

func prepare() error {
	for _, m := range mounts {
		// Below /sys the directory exists or cannot be made; then mounting returns the error.
		if err := os.MkdirAll(m.at, 0o755); err != nil && !errors.Is(err, unix.EPERM) { //nolint:gosec // as on any host
			return fmt.Errorf("make %s: %w", m.at, err)
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s at %s: %w", m.kind, m.at, err)
		}
	}
	// Not a mount: tests make hard links of their own executable, which is on the same file system.
	if err := os.MkdirAll("/tmp", 0o1777); err != nil { //nolint:gosec // as on any host
		return err
	}
	return raiseLoopback()
}

// raiseLoopback brings up the loopback interface.
func raiseLoopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s) //nolint:errcheck // nothing was written
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("raise the loopback interface: %w", err)
	}
	return nil
}

func load(module string) error {
	content, err := os.ReadFile(filepath.Clean(module))
	if err != nil {
		return err
	}
	parameters := []byte{0}
	_, _, errno := unix.Syscall(unix.SYS_INIT_MODULE, uintptr(unsafe.Pointer(&content[0])), uintptr(len(content)),
		uintptr(unsafe.Pointer(&parameters[0])))
	if errno != 0 && errno != unix.EEXIST {
		return errno
	}
	return nil
}

// perform runs a test binary and writes its result. An error means that writing failed.
func perform(r *plan.Run, out io.Writer) error {
	if _, err := fmt.Fprintf(out, "\n%s%s\n", plan.Begin, r.Name); err != nil {
		return err
	}
	cmd := exec.Command(r.Program, r.Args...) //nolint:noctx // the test binary has a limit of its own, and the machine another
	cmd.Dir = "/tmp"
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "TMPDIR=/tmp"}, r.Env...)
	cmd.Stdout, cmd.Stderr = out, out
	began := time.Now()
	result := "ok"
	if err := cmd.Run(); err != nil {
		result = err.Error()
	}
	_, err := fmt.Fprintf(out, "\n%s%s %.1f %s\n", plan.End, r.Name, time.Since(began).Seconds(), result)
	return err
}
