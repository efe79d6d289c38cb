// Package monotime reads the clocks of the kernel's event timestamps: those of the host, whatever time namespace this process is in.
package monotime

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// BootOffset is by how much CLOCK_BOOTTIME of this process' time namespace, and with it the start times of processes in /proc, is ahead
// of the host's (time_namespaces(7)).
func BootOffset() time.Duration { return time.Duration(own.boot) }

// offsets of a time namespace, nanoseconds.
type offsets struct{ monotonic, boot int64 }

// own are those of this process, which cannot change: only a process without threads may enter a time namespace.
var own = func() offsets {
	text, err := os.ReadFile("/proc/self/timens_offsets")
	if err != nil {
		return offsets{} // the kernel has no time namespaces, or nothing is mounted there
	}
	return parseOffsets(string(text))
}()

// parseOffsets reads lines such as "monotonic 86400 0": clock, seconds, nanoseconds.
func parseOffsets(text string) (o offsets) {
	for line := range strings.Lines(text) {
		var clock string
		var seconds, nanoseconds int64
		if _, err := fmt.Sscan(line, &clock, &seconds, &nanoseconds); err != nil {
			continue
		}
		switch clock {
		case "monotonic", "1": // numbers until Linux 5.6
			o.monotonic = seconds*int64(time.Second) + nanoseconds
		case "boottime", "7":
			o.boot = seconds*int64(time.Second) + nanoseconds
		}
	}
	return o
}
