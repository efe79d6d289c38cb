//go:build linux && (amd64 || arm64)

package kernel

import (
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// mapMemory shares the memory of an array's values with the kernel programs.
func mapMemory(m *ebpf.Map) ([]byte, error) {
	size := int(m.MaxEntries() * m.ValueSize())
	memory, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("share %d bytes of %s: %w", size, m, err)
	}
	return memory, nil
}

// unmapMemory undoes mapMemory. A second call does nothing.
func unmapMemory(memory *[]byte) error {
	if *memory == nil {
		return nil
	}
	err := unix.Munmap(*memory)
	*memory = nil
	if err != nil {
		return fmt.Errorf("share memory no more: %w", err)
	}
	return nil
}
