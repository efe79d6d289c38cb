package socket

import (
	"time"
)

const (
	// acceptWait is how long a connection waits for its accept before it is emitted under its listener's owner. A close
	// waits as long, because accept also returns connections that have already been reset.
	acceptWait = time.Second
	// dataWait is how long the end of a conversation waits for earlier data: the hook that reports data runs after the
	// transfer, and another CPU may have closed the connection in between.
	dataWait = 50 * time.Millisecond
)

// waiter is a connection that has waited since time (CLOCK_MONOTONIC, ns).
type waiter struct{ cookie, time uint64 }

// queue holds waiters in order of arrival. A connection is in it at most twice.
type queue struct {
	items []waiter
	head  int
}

func (q *queue) push(w waiter) {
	if q.head > len(q.items)/2 { // at most half of the slice is unused
		q.items = q.items[:copy(q.items, q.items[q.head:])]
		q.head = 0
	}
	q.items = append(q.items, w)
}

func (q *queue) popBefore(monotonic uint64) (waiter, bool) {
	if q.head == len(q.items) || q.items[q.head].time > monotonic {
		return waiter{}, false
	}
	q.head++
	return q.items[q.head-1], true
}

// expireEnding emits the connections that ended before monotonic, and the last exchanges of these and of those whose owner had closed
// its end by then.
func (t *Table) expireEnding(monotonic uint64) {
	for {
		w, ok := t.ending.popBefore(monotonic)
		if !ok {
			return
		}
		c := t.connections[w.cookie]
		switch {
		case c == nil:
		case c.closed && c.closedAt == w.time:
			t.emitClosed(c)
		case !c.closed && c.leftAt == w.time && !c.ignored:
			c.each((*layer).endWithConnection)
		}
	}
}

// expire emits the connections that were opened or closed before monotonic and still wait for their accept. They are
// emitted under their listener's owner.
func (t *Table) expire(monotonic uint64) {
	for {
		w, ok := t.waiting.popBefore(monotonic)
		if !ok {
			return
		}
		c := t.connections[w.cookie]
		if c == nil {
			continue
		}
		if c.waiting && !c.opened {
			t.stats.Unaccepted.Add(1)
			t.emitOpened(c)
		}
		// A connection that was closed after w.time has a second entry in the queue.
		if c.closed && c.closedAt <= w.time {
			t.emitClosed(c)
		}
	}
}
