package peername

import "time"

// maxPause is how long after an answer the connection begins at the latest that has waited for it.
const maxPause = time.Second

// lookup is a query that has been answered. It belongs to the first connection after the answer: a later one has not waited for it.
type lookup struct {
	asked, answered uint64 // CLOCK_MONOTONIC, ns
	thread          uint32 // that asked
	began           uint64 // when the connection began that it belongs to, CLOCK_MONOTONIC, ns; 0: there was none yet
	// disputed: two threads have asked at the same time, and none of them had connected by the second answer. So it is not known which connection has
	// waited for which answer.
	disputed bool
}

// followedBy is the latest lookup after one more.
func (l lookup) followedBy(next lookup) lookup {
	next.disputed = l.began == 0 && l.thread != next.thread && next.asked < l.answered
	return next
}

// precedes reports whether a connection that began at a time has waited for the answer.
func (l *lookup) precedes(began uint64) bool {
	soon := began >= l.answered && began-l.answered <= uint64(maxPause)
	return soon && !l.disputed && (l.began == 0 || l.began == began)
}

func (l *lookup) took() time.Duration { return time.Duration(l.answered - min(l.asked, l.answered)) }
