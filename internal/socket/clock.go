package socket

import "time"

// Clock turns the kernel's monotonic time into Unix time.
type Clock struct {
	offset int64
	set    bool
}

// tolerance is how far the offset may be off before it is corrected: reading two clocks one after the other is never
// exact, and times of one connection should not jump.
const tolerance = int64(time.Millisecond)

// Sync takes a reading of both clocks made at once: CLOCK_MONOTONIC in nanoseconds, and the wall clock.
func (c *Clock) Sync(monotonic uint64, wall time.Time) {
	offset := wall.UnixNano() - int64(monotonic)
	if d := offset - c.offset; !c.set || d > tolerance || d < -tolerance {
		c.offset, c.set = offset, true
	}
}

// Unix is a monotonic time as Unix time, nanoseconds.
func (c *Clock) Unix(monotonic uint64) int64 { return int64(monotonic) + c.offset }
