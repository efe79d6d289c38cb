package socket

import "time"

// Clock turns the kernel's monotonic time into Unix time.
type Clock struct {
	offset int64
	set    bool
}

// tolerance is how far the offset may be off before it is corrected: reading clocks one after the other is never exact, and times
// of one connection should not jump.
const tolerance = int64(time.Millisecond)

// Sync takes a reading of the wall clock that was made between two of CLOCK_MONOTONIC, nanoseconds. If these are far from each other,
// because the thread had to wait in between, it says too little to correct anything by.
func (c *Clock) Sync(before uint64, wall time.Time, after uint64) {
	doubt := int64(after-before) / 2
	offset := wall.UnixNano() - int64(before) - doubt
	d := offset - c.offset
	if !c.set || doubt < tolerance && (d > tolerance+doubt || d < -tolerance-doubt) {
		c.offset, c.set = offset, true
	}
}

// Unix is a monotonic time as Unix time, nanoseconds.
func (c *Clock) Unix(monotonic uint64) int64 { return int64(monotonic) + c.offset }
