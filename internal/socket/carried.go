package socket

import "github.com/socketflow/socketflow/internal/event"

// carried is how many bytes a connection has carried each way. While it is open that is known from what transfers them, as far as that is reported, and from
// the passes over all live sockets.
type carried struct {
	known    [event.Directions]uint64
	reported [event.Directions]uint64 // of these; so that none is measured twice
}

// reach notes that a direction has come as far as a position.
func (c *carried) reach(d event.Direction, position uint64) { c.known[d] = max(c.known[d], position) }

// begin notes where a connection is that is older than what is known of it.
func (c *carried) begin(position [event.Directions]uint64) { c.known, c.reported = position, position }

// report notes that all that is known has been reported.
func (c *carried) report() {
	for d := range c.known {
		c.reported[d] = max(c.known[d], c.reported[d])
	}
}

// since is what has not been reported.
func (c *carried) since() (n [event.Directions]uint64) {
	for d := range n {
		n[d] = c.known[d] - min(c.known[d], c.reported[d])
	}
	return n
}

// carry notes how far a transfer has brought a connection.
func (c *connection) carry(e *event.Event) {
	if e.Flow.Cookie&event.LayerMask == 0 {
		c.carried.reach(e.Data.Direction, e.Data.Position+uint64(e.Data.Length))
	}
}

// carryAll notes what a live socket has carried.
func (c *connection) carryAll(e *event.Ending) {
	c.carried.reach(event.Sent, e.BytesSent)
	c.carried.reach(event.Received, e.BytesReceived)
}

// carriedAtEnd is what a connection that has ended has carried beyond what was reported. Positions of one that is older than the receiver may count its SYN,
// too, and the kernel's counts do not.
func (c *connection) carriedAtEnd() [event.Directions]uint64 {
	if transports[c.flow.Transport].polled { // what the last pass has found, if no close was reported
		c.carryAll(&c.ending)
		return c.carried.since()
	}
	c.carried.known = [event.Directions]uint64{c.ending.BytesSent, c.ending.BytesReceived}
	if c.existing && c.ending.Position != [event.Directions]uint64{} {
		c.carried.known = c.ending.Position
	}
	return c.carried.since()
}

// mayHaveEvicted reports whether a connection that ends, and is not tracked, may be one that had to make room for others. What it has carried may have been
// reported then: too little is measured of it, and nothing twice.
func (t *Table) mayHaveEvicted(e *event.Event) bool {
	return t.evictedAt != 0 && e.Started < t.evictedAt
}

// skip notes that all that a connection had carried when it ended counts as reported.
func (c *carried) skip(e *event.Ending) {
	c.begin([event.Directions]uint64{max(e.BytesSent, e.Position[event.Sent]), max(e.BytesReceived, e.Position[event.Received])})
}
