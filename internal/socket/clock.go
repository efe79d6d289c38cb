package socket

import "time"

// Clock turns the kernel's monotonic time into Unix time.
type Clock struct {
	offset int64
	set    bool
}

// tolerance is the error of the offset below which it is not corrected. Two clocks cannot be read at the same instant, and the
// times of one connection should not jump.
const tolerance = int64(time.Millisecond)

// Sync corrects the offset by a reading of the wall clock that was made between two readings of CLOCK_MONOTONIC (nanoseconds).
// If these are far apart, because the thread was descheduled in between, the reading is too inexact and changes nothing.
func (c *Clock) Sync(before uint64, wall time.Time, after uint64) {
	doubt := int64(after-before) / 2
	offset := wall.UnixNano() - int64(before) - doubt
	d := offset - c.offset
	if !c.set || doubt < tolerance && (d > tolerance+doubt || d < -tolerance-doubt) {
		c.offset, c.set = offset, true
	}
}

// Unix converts a monotonic time to Unix time, nanoseconds.
func (c *Clock) Unix(monotonic uint64) int64 { return int64(monotonic) + c.offset }
