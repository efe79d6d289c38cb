//go:build linux

package monotime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now is the host's CLOCK_MONOTONIC, nanoseconds.
func Now() uint64 { return uint64(read(unix.CLOCK_MONOTONIC) - own.monotonic) }

// Suspended is for how long the host was suspended since it has booted: CLOCK_MONOTONIC stands still meanwhile. It is a little too long
// if the thread is interrupted.
func Suspended() time.Duration {
	monotonic := read(unix.CLOCK_MONOTONIC) - own.monotonic
	return time.Duration(read(unix.CLOCK_BOOTTIME) - own.boot - monotonic)
}

func read(clock int32) int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(clock, &now); err != nil {
		panic(err) // cannot happen: the clocks exist on every Linux and the pointer is valid
	}
	return now.Nano()
}
