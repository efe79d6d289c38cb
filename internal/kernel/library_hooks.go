//go:build linux && (amd64 || arm64)

package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
)

// How a program is attached to a library.
const (
	libraryHook = "uprobe.multi" // to all addresses of a file by one link: Linux 6.6
	probeHook   = "uprobe"       // to each by an event of perf: Linux 5.15
)

// maxProbes bounds the addresses that the program is attached to one by one: two descriptors each, and some 60 ms until a process ends that has not
// detached from them.
const maxProbes = 256

// seekLibraries finds out how the kernel attaches programs to libraries, and takes TLS from the options if it does not.
func (c *programs) seekLibraries(opts *Options) {
	ways := []struct {
		hook  string
		prove func() error
	}{{libraryHook, proveLibraries}, {probeHook, proveProbes}}
	var errs []error
	for _, way := range ways {
		err := cmp.Or(opts.Fault.at(StageLoad, bpf.SocketflowProgTlsCall), opts.Fault.at(StageAttach, way.hook))
		if err == nil {
			err = way.prove()
		}
		if err == nil {
			c.libraryHook = way.hook
			break
		}
		errs = append(errs, fmt.Errorf("%s: %w", way.hook, err))
	}
	status := ProgramStatus{Program: bpf.SocketflowProgTlsCall, Hook: libraryHook, Err: errors.Join(errs...)}
	switch {
	case len(errs) == 0:
		return
	case len(errs) == len(ways):
		status.State, status.Without = ProgramRefused, withoutTLS
		opts.TLS = false
		c.degraded = append(c.degraded, fmt.Errorf("%s: %w", withoutTLS, status.Err))
	default:
		status.State, status.By = ProgramReplaced, c.libraryHook
	}
	c.status = append(c.status, status)
}

// proveLibraries finds out whether the kernel attaches a program to many addresses of a file at once: it is asked to do so in a
// process that there is not.
func proveLibraries() error {
	program, err := newProbe(ebpf.AttachTraceUprobeMulti)
	if err != nil {
		return err
	}
	defer program.Close() //nolint:errcheck // it was never attached
	self, err := link.OpenExecutable("/proc/self/exe")
	if err != nil {
		return err
	}
	made, err := self.UprobeMulti(nil, program, &link.UprobeMultiOptions{Addresses: []uint64{1}, PID: math.MaxInt32})
	if errors.Is(err, os.ErrNotExist) { // ESRCH, as the link package has it
		return nil
	}
	if err == nil {
		return made.Close()
	}
	return err
}

// newProbe loads a program that does nothing.
func newProbe(at ebpf.AttachType) (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "sf_probe", Type: ebpf.Kprobe, AttachType: at, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
}

// proveProbes finds out whether the kernel attaches a program to an address by an event of perf, with a cookie: in a file that nobody has
// mapped.
func proveProbes() error {
	program, err := newProbe(ebpf.AttachNone)
	if err != nil {
		return err
	}
	defer program.Close() //nolint:errcheck // it is detached before
	fd, err := unix.MemfdCreate("socketflow", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nobody reads it
	if err := unix.Ftruncate(fd, int64(os.Getpagesize())); err != nil {
		return err
	}
	file, err := link.OpenExecutable(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return err
	}
	made, err := attachProbe(file, program, LibraryProbe{Offset: 16, Kind: ReadEnter})
	if err != nil {
		return err
	}
	return made.Close()
}

// attachEach attaches the program to each address, with a link of its own.
func (c *programs) attachEach(file *link.Executable, program *ebpf.Program, probes []LibraryProbe) (*Library, error) {
	if c.probes.Add(int64(len(probes))) > maxProbes {
		c.probes.Add(-int64(len(probes)))
		return nil, fmt.Errorf("it has %d probes, and with those of the others these are more than %d: Linux 6.6 has no such limit", len(probes), maxProbes)
	}
	l := &Library{probes: &c.probes}
	for _, p := range probes {
		made, err := attachProbe(file, program, p)
		if err != nil {
			c.probes.Add(-int64(len(probes) - len(l.links)))
			return nil, errors.Join(err, l.Close())
		}
		l.links = append(l.links, made)
	}
	return l, nil
}

// attachProbe attaches the program to an address by an event of perf.
func attachProbe(file *link.Executable, program *ebpf.Program, p LibraryProbe) (link.Link, error) {
	// Without it the link package would make an event in tracefs, which stays if this process is killed.
	if _, err := os.Stat("/sys/bus/event_source/devices/uprobe/type"); err != nil {
		return nil, err
	}
	made, err := file.Uprobe("", program, &link.UprobeOptions{Address: p.Offset, Cookie: p.cookie()})
	if errors.Is(err, unix.EACCES) {
		return nil, fmt.Errorf("it takes CAP_SYS_ADMIN: %w", unix.EACCES)
	}
	return made, err
}
