package socket

import "github.com/socketflow/socketflow/internal/event"

// alive notes that a connection's socket still exists.
func (t *Table) alive(e *event.Event) {
	c := t.connections[e.Flow.Cookie]
	if c == nil {
		return
	}
	c.seen, c.missed = e.Time, 0
	c.carryAll(&e.Ending)
	if c.flow.Transport == event.TCP {
		c.segments.note(&e.Ending)
	}
	if !transports[c.flow.Transport].polled {
		return
	}
	if e.Ending.BytesSent != c.ending.BytesSent || e.Ending.BytesReceived != c.ending.BytesReceived {
		t.used(c, e.Time)
	}
	c.ending = e.Ending
}

// useStep is how exactly the order of use is kept, in nanoseconds. Moving a connection to the end of the list with every event would cost more
// than to find it.
const useStep = 1e9

// used notes that a connection was used at a time (CLOCK_MONOTONIC, ns).
func (t *Table) used(c *connection, at uint64) {
	if at < c.used+useStep {
		return
	}
	c.used = at
	l := &t.byUse[c.flow.Transport]
	l.Remove(&c.links)
	l.Append(&c.links, c)
}

// Forget drops the connections that were opened before monotonic and have not been reported alive since: their close
// was lost. covers says which connections the scan for living sockets covered.
func (t *Table) Forget(monotonic uint64, covers func(transport event.Transport, netns uint32) bool) {
	for transport := range t.byUse {
		for c := t.byUse[transport].First(); c != nil; {
			next := c.links.Next()
			if c.seen < monotonic && !c.closed && covers(c.flow.Transport, c.flow.NetNS) && c.isMissing() {
				t.forget(c)
			}
			c = next
		}
	}
}

// isMissing reports whether a connection that was not reported alive has ended. A walk over the kernel's table of flows may skip one while
// others come and go, so only the second in a row counts.
func (c *connection) isMissing() bool {
	c.missed++
	return c.missed > 1 || !transports[c.flow.Transport].datagrams
}

// forget drops a connection whose close was lost. Where nothing but its silence shows the end of a connection, this is its close.
func (t *Table) forget(c *connection) {
	if transports[c.flow.Transport].polled {
		c.closed, c.closedAt = true, c.seen
		t.emitClosed(c)
		return
	}
	t.stats.EvictedLost.Add(1)
	t.abandon(c)
	t.remove(c)
}

// evict drops a connection at a time, to make room. If it waits for its accept, what is known of it is emitted first. If it speaks again, it is
// taken up again: see data.
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
	t.evictedAt = max(t.evictedAt, at)
	if conv := c.layers[plain].conv; conv != nil && !c.ignored {
		// What it says next is not lost then. Others are asked for when they speak, so that they do not overwrite what is wanted of sockets
		// that share a slot with them.
		if _, recognised := conv.Protocol(); recognised {
			defer t.conversations.Describe(c.flow.Cookie)
		}
	}
	t.cut(c, at)
	t.remove(c)
}

// cut ends the conversations of a connection that is not followed beyond a time.
func (t *Table) cut(c *connection, at uint64) {
	if c.isParsed() {
		c.each(func(l *layer) { l.conv.Cut(at) })
	}
}

// abandon ends the conversations of a connection whose end was lost.
func (t *Table) abandon(c *connection) {
	if c.isParsed() {
		c.each(func(l *layer) { l.conv.Abandon(c.seen) })
	}
}

// isParsed reports whether the connection may have conversations, which have to end: that its other end is the collector's own may become known late.
func (c *connection) isParsed() bool { return !c.ignored || c.own }

func (t *Table) remove(c *connection) {
	if c.closed && t.opts.EndLayer != nil {
		for i := range c.layers {
			if l := &c.layers[i]; l.cookie != 0 && l.encrypted() {
				t.opts.EndLayer(l.cookie)
			}
		}
	}
	if t.opts.Exchanges != nil {
		for i := range c.layers {
			if cookie := c.layers[i].cookie; cookie != 0 {
				t.opts.Exchanges.Leave(cookie)
			}
		}
	}
	if c.pair != 0 && t.opts.Unpaired != nil {
		t.opts.Unpaired(c.pair.End(c.flow.Role))
	}
	delete(t.connections, c.flow.Cookie)
	t.stats.TrackedBy[c.flow.Transport].Add(-1)
	t.byUse[c.flow.Transport].Remove(&c.links)
	earlier := c.layers
	*c = connection{}
	for i := range c.layers {
		c.layers[i].conv = earlier[i].conv // its memory is reused
	}
	if t.free.Len() < spareConnections {
		t.free.Put(&c.links, c)
	}
}

// spareConnections are kept for others. What a flood has taken beyond that is given back.
const spareConnections = 4096
