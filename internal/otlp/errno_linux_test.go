//go:build amd64 || arm64

package otlp

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestErrnosAreThoseOfLinux(t *testing.T) {
	for number, e := range linuxErrnos {
		if e.name == "" {
			continue
		}
		want := errno{name: unix.ErrnoName(syscall.Errno(number)), text: syscall.Errno(number).Error()}
		if e != want {
			t.Errorf("errno %d is %+v, want %+v", number, e, want)
		}
	}
}
