package socket

import "github.com/socketflow/socketflow/internal/event"

// alive notes that a connection's socket still exists.
func (t *Table) alive(e *event.Event) {
	c := t.connections[e.Flow.Cookie]
	if c == nil {
		return
	}
	c.seen = e.Time
	if transports[c.flow.Transport].polled {
		c.ending = e.Ending
	}
}

// Forget drops the connections that were opened before monotonic and have not been reported alive since: their close
// was lost. covers says which connections the scan for living sockets covered.
func (t *Table) Forget(monotonic uint64, covers func(transport event.Transport, netns uint32) bool) {
	for c := t.byAge.First(); c != nil; {
		next := c.links.Next()
		switch {
		case c.seen >= monotonic || c.closed || !covers(c.flow.Transport, c.flow.NetNS):
		case transports[c.flow.Transport].polled:
			c.closed, c.closedAt = true, c.seen
			t.emitClosed(c)
		default:
			t.stats.EvictedLost.Add(1)
			t.abandon(c)
			t.remove(c)
		}
		c = next
	}
}

// evict drops a connection at a time, to make room. If it waits for its accept, what is known of it is emitted first.
func (t *Table) evict(c *connection, at uint64) {
	if c.waiting && !c.opened {
		t.stats.Unaccepted.Add(1)
		t.emitOpened(c)
	}
	if c.closed {
		t.emitClosed(c)
		return
	}
	t.stats.EvictedFull.Add(1)
	t.cut(c, at)
	t.remove(c)
}

// cut ends the conversation of a connection that is not followed beyond a time.
func (t *Table) cut(c *connection, at uint64) {
	if c.conv != nil && !c.ignored {
		c.conv.Cut(at)
	}
}

// abandon ends the conversation of a connection whose end was lost.
func (t *Table) abandon(c *connection) {
	if c.conv != nil && !c.ignored {
		c.conv.Abandon(c.seen)
	}
}

func (t *Table) remove(c *connection) {
	delete(t.connections, c.flow.Cookie)
	t.stats.TrackedBy[c.flow.Transport].Add(-1)
	t.byAge.Remove(&c.links)
	*c = connection{conv: c.conv}
	t.free.Put(&c.links, c)
}
