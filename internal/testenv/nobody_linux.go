package testenv

import (
	"runtime"
	"syscall"
	"testing"
)

// AsNobody runs f in a thread without root's privileges, which ends with it.
func AsNobody(t testing.TB, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread must not be reused
		// The raw call changes the thread and not the process. It also drops the effective capabilities.
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); errno != 0 {
			done <- errno
			return
		}
		f()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
