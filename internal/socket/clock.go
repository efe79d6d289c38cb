package socket

import "time"

// Clock turns the kernel's monotonic time, which stands still while the host is suspended, into Unix time.
type Clock struct {
	offset    int64 // of Unix time from the monotonic time and what the host was suspended
	suspended int64 // ns, in all
	suspends  []suspend
	last      uint64 // the monotonic time of the last reading
	set       bool
}

// suspend of the host.
type suspend struct {
	at uint64 // monotonic time, not after it
	by int64  // ns
}

// maxSuspends is how many are remembered: a connection that was open during more of them begins too late.
const maxSuspends = 64

// Reading is one of all clocks, made at about the same time.
type Reading struct {
	Before, After uint64 // CLOCK_MONOTONIC, ns, before and after the wall clock was read
	Wall          time.Time
	Suspended     time.Duration // for how long the host was suspended since it has booted
}

// tolerance is the error of the offset below which it is not corrected. Clocks cannot be read at the same instant, and the times of one
// connection should not jump.
const tolerance = int64(time.Millisecond)

// shortestSuspend is how much longer than before a suspend has to be read, so that it is not a thread that was interrupted between two
// clocks.
const shortestSuspend = int64(100 * time.Millisecond)

// Sync corrects the clock by a reading. If its two monotonic times are far apart, because the thread was descheduled in between, the
// reading is too inexact and changes nothing.
func (c *Clock) Sync(r Reading) {
	doubt := int64(r.After-r.Before) / 2
	if c.set && doubt >= tolerance {
		return
	}
	if by := int64(r.Suspended) - c.suspended; !c.set {
		c.suspended = int64(r.Suspended)
	} else if by > shortestSuspend {
		c.suspended += by
		if len(c.suspends) == maxSuspends {
			c.suspends = append(c.suspends[:0], c.suspends[1:]...)
		}
		c.suspends = append(c.suspends, suspend{c.last, by})
	}
	offset := r.Wall.UnixNano() - int64(r.Before) - doubt - c.suspended
	if d := offset - c.offset; !c.set || d > tolerance+doubt || d < -tolerance-doubt {
		c.offset, c.set = offset, true
	}
	c.last = r.After
}

// Unix converts a monotonic time to Unix time, nanoseconds.
func (c *Clock) Unix(monotonic uint64) int64 {
	return int64(monotonic) + c.suspendedUntil(monotonic) + c.offset
}

// Between is how long it took from one monotonic time to a later one, suspends included, in nanoseconds.
func (c *Clock) Between(from, to uint64) int64 {
	if to < from {
		return 0
	}
	return int64(to-from) + c.suspendedUntil(to) - c.suspendedUntil(from)
}

func (c *Clock) suspendedUntil(monotonic uint64) int64 {
	suspended := c.suspended
	for i := len(c.suspends) - 1; i >= 0 && monotonic <= c.suspends[i].at; i-- {
		suspended -= c.suspends[i].by
	}
	return suspended
}
