//go:build linux && !386

package main

import "golang.org/x/sys/unix"

// accept does not ask who has connected.
func accept(l int) int {
	for {
		s, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(l), 0, 0, 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			check(errno)
		}
		return int(s)
	}
}
