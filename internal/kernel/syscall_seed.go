//go:build linux && (amd64 || arm64)

package kernel

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/procfs"
)

// seedListeners makes the listening sockets of the host known to the kernel side, so that their first accepted connection is known to be
// theirs. A process that cannot be read is left out; its sockets are found later.
func (c *SyscallTracer) seedListeners(look *procfs.Resolver) error {
	if c.objects.Programs[bpf.SyscallsProgAdopt] == nil {
		return nil // Degraded says so
	}
	type inode struct {
		netns uint32
		inode uint64
	}
	cookies := map[inode]uint64{}
	var failed error
	_ = look.Scan(context.Background(), 0, func(d procfs.Descriptor) error {
		if !d.Socket.Listening() {
			return nil
		}
		key := inode{d.Socket.NetNS, d.Socket.Inode}
		if cookies[key] == 0 {
			cookies[key] = c.NewCookie(len(cookies) & (c.opts.Shards - 1))
		}
		f := event.Flow{
			Cookie: cookies[key], Local: d.Socket.Local, NetNS: d.Socket.NetNS, Transport: event.Transport(d.Socket.Transport),
			Unix: &event.Unix{Local: d.Socket.Name},
		}
		failed = errors.Join(failed, c.Adopt(d.PID, d.FD, 0, &f, true))
		return nil
	})
	return failed
}

// seed makes the processes known to the kernel side that are older than the programs: their start, their network namespace, and
// their executable. Children inherit these in the kernel, because they may be gone before user space can read /proc.
func (c *SyscallTracer) seed() error {
	pids, err := procfs.Processes()
	if err != nil {
		return err
	}
	look, err := procfs.New(procfs.Options{})
	if err != nil {
		return err
	}
	defer look.Close()
	if err := c.seedListeners(look); err != nil {
		return err
	}
	for _, pid := range pids {
		p, err := look.Process(pid)
		if err != nil {
			continue // it has ended, or is another user's
		}
		known := bpf.SyscallsProcess{Start: p.Start * nanosecondsPerTick, Netns: p.NetNS}
		err = c.objects.Maps[bpf.SyscallsMapProcesses].Update(pid, &known, ebpf.UpdateNoExist)
		if errors.Is(err, ebpf.ErrKeyExist) {
			continue
		}
		if err != nil { // full, which the kernel side counts
			return nil
		}
		executable, err := procfs.Executable(pid)
		if err != nil || !strings.HasPrefix(executable, "/") {
			continue // a kernel thread
		}
		var image bpf.SyscallsImage
		for i := 0; i < len(executable) && i < len(image.Path)-1; i++ {
			image.Path[i] = int8(executable[i])
		}
		if err := c.objects.Maps[bpf.SyscallsMapImages].Update(pid, &image, ebpf.UpdateNoExist); err != nil &&
			!errors.Is(err, ebpf.ErrKeyExist) {
			return fmt.Errorf("set the executable of process %d: %w", pid, err)
		}
	}
	return nil
}
