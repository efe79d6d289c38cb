package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const acceptCall = 5 // include/uapi/linux/net.h

// accept does not ask who has connected.
func accept(l int) int {
	arguments := [3]uintptr{uintptr(l)}
	for {
		s, _, errno := unix.Syscall(unix.SYS_SOCKETCALL, acceptCall, uintptr(unsafe.Pointer(&arguments)), 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			check(errno)
		}
		return int(s)
	}
}
