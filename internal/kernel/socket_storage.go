//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
)

// proveStorage adds a value to the storage of a socket of this process, and deletes it. If the kernel cannot do that, the programs attach
// all the same, but report next to nothing: user space and programs use the same allocator (kernel/bpf/bpf_local_storage.c,
// bpf_selem_alloc).
func (c *SocketTracer) proveStorage() error {
	sockets := c.objects.Maps[bpf.SocketflowMapSockets]
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket, to have the kernel remember something of it: %w", err)
	}
	err = sockets.Update(uint32(socket), make([]byte, sockets.ValueSize()), ebpf.UpdateNoExist)
	if err == nil {
		err = sockets.Delete(uint32(socket))
	}
	return storageError(errors.Join(err, unix.Close(socket)), runtime.GOARCH == "amd64" && !cpu.X86.HasCX16)
}

// storageError explains why socket storage fails. Newer kernels allocate it with an allocator that may not wait, which fails on a
// CPU that cannot compare and exchange 16 bytes at once (mm/slub.c, kmalloc_nolock).
func storageError(err error, without16 bool) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOMEM) && without16:
		return unsupported(socketMode, "the kernel can remember sockets (socket storage), for which newer kernels need a CPU with cmpxchg16b",
			"let the virtual machine have that instruction (cx16), or use mode syscall", err)
	case errors.Is(err, unix.ENOMEM):
		return unsupported(socketMode, "the kernel can remember sockets (socket storage)", "use mode syscall", err)
	default:
		return fmt.Errorf("have the kernel remember a socket: %w", err)
	}
}
