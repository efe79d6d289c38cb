package socket

import "github.com/socketflow/socketflow/internal/event"

func (t *Table) close(e *event.Event) {
	c := t.connections[e.Flow.Cookie]
	if c == nil && transports[e.Flow.Transport].polled && t.ended.has(e.Flow.Cookie) {
		return // it was missing, and its end has been emitted
	}
	if c == nil { // its open was lost, or it was evicted
		evicted := t.mayHaveEvicted(e)
		c = t.add(e)
		c.existing = e.Existing
		c.gap = !e.Existing
		c.started = e.Started
		c.question = t.questionOf(e)
		c.startedAt = t.clock.Unix(e.Time)
		if e.Started != 0 {
			c.startedAt = t.clock.Unix(e.Started)
			c.openedAt = c.startedAt + t.clock.Between(e.Started, e.Established)
		}
		c.opened = true
		if e.Flow.RoleSource == event.RoleSourceAccept {
			t.stats.Unaccepted.Add(1)
		}
		if evicted {
			c.carried.skip(&e.Ending)
			c.segments.older = true
		}
	}
	c.closed = true
	c.closedAt = e.Time
	c.ending = e.Ending
	if e.Kind == event.KindPeerClose {
		c.end = transports[e.Flow.Transport].peerClosed(&c.ending)
	} else {
		c.end = transports[e.Flow.Transport].closed(&c.ending)
	}
	switch {
	case c.waiting:
		t.waiting.push(waiter{e.Flow.Cookie, e.Time})
	case !t.awaitsData(c):
		t.emitClosed(c)
	case c.ending.Unread > 0:
		t.waiting.push(waiter{e.Flow.Cookie, e.Time})
	default:
		t.ending.push(waiter{e.Flow.Cookie, e.Time})
	}
}

// leave handles that the owner of a connection has closed its end. Data that was transferred before may still come.
func (t *Table) leave(e *event.Event) {
	c := t.connections[e.Flow.Cookie]
	if c == nil || c.closed || !c.isSpeaking() {
		return
	}
	c.leftAt, c.leftFirst = e.Time, !e.Ending.FINReceived
	c.ending.Position, c.ending.LastUnreported = e.Ending.Position, e.Ending.LastUnreported
	t.ending.push(waiter{e.Flow.Cookie, e.Time})
}

// peerClose handles the end of a connection within the host that the other end reported.
func (t *Table) peerClose(e *event.Event) {
	c := t.connections[e.Flow.Cookie]
	if c == nil || c.closed {
		return // this end was never used, or has reported the close itself
	}
	t.close(e)
}

// awaitsData says whether data of a closed connection may still come.
func (t *Table) awaitsData(c *connection) bool {
	if !c.isSpeaking() || c.ignored || (c.ending.BytesSent == 0 && c.ending.BytesReceived == 0) {
		return false
	}
	// This side reset the connection: what it has not read by then it never reads.
	if c.end == (End{WayRST, SideLocal}) {
		c.ending.Unread = 0
	}
	return true
}
