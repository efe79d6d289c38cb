//go:build linux

// Package capability reads the capabilities of the current thread (capabilities(7)).
package capability

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Set is a set of capabilities, numbered as in linux/capability.h.
type Set [2]uint32

// Effective returns the effective capabilities of the current thread, which the kernel checks.
func Effective() (Set, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return Set{}, fmt.Errorf("read this thread's capabilities: %w", err)
	}
	return Set{data[0].Effective, data[1].Effective}, nil
}

// Has reports whether a capability is in the set.
func (s Set) Has(number int) bool { return s[number/32]>>(number%32)&1 == 1 }

// Grants reports whether the set permits what a capability permits. CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON, which were
// split off from it.
func (s Set) Grants(number int) bool {
	return s.Has(number) || (number == unix.CAP_BPF || number == unix.CAP_PERFMON) && s.Has(unix.CAP_SYS_ADMIN)
}
