//go:build linux

// Package capability reads which capabilities this thread has (capabilities(7)).
package capability

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Set is a set of capabilities, by the numbers of linux/capability.h.
type Set [2]uint32

// Effective are the capabilities that count when this thread asks the kernel for something.
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

// Grants reports whether the set allows what a capability allows: CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, which were
// split off it.
func (s Set) Grants(number int) bool {
	return s.Has(number) || (number == unix.CAP_BPF || number == unix.CAP_PERFMON) && s.Has(unix.CAP_SYS_ADMIN)
}
