package socket

import "github.com/socketflow/socketflow/internal/event"

// endedCookies remembers the last connections that were emitted as closed: the socket may carry some bytes yet, which the close did not
// wait for.
type endedCookies [4096]uint64

func (c *endedCookies) add(cookie uint64)      { c[cookie%uint64(len(c))] = cookie }
func (c *endedCookies) has(cookie uint64) bool { return c[cookie%uint64(len(c))] == cookie }
func (c *endedCookies) remove(cookie uint64) {
	if c.has(cookie) {
		c[cookie%uint64(len(c))] = 0
	}
}

// data hands an event to the conversation. If the accept was not seen, data also shows which process accepted the connection. Of a
// connection that was evicted, or whose open was lost, the kernel is asked for a description, with which it is joined.
func (t *Table) data(e *event.Event) {
	t.parsed = false
	cookie := e.Flow.Cookie
	if cookie&event.LayerMask != 0 && t.connections[cookie] == nil {
		cookie &^= event.LayerMask
	}
	c := t.connections[cookie]
	if c == nil {
		t.stats.Strays.Add(1)
		if !t.ended.has(cookie) {
			t.conversations.Describe(cookie)
		}
		return
	}
	t.used(c, e.Time)
	c.carry(e)
	if c.waiting && !c.closed {
		t.accepted(c, e.Owner)
	}
	if c.ignored && !c.listens() {
		t.conversations.Refuse(e.Flow.Cookie)
	} else if l := c.layerOf(e); l.conv != nil {
		l.conv.Data(e)
		t.parsed = true
	}
	// When the plaintext of the last records comes is not known: there are fewer bytes of it.
	if c.closed && !c.waiting && c.ending.Unread > 0 && c.layers[within].cookie == 0 {
		c.ending.Unread -= min(c.ending.Unread, e.Data.Length)
		if c.ending.Unread == 0 {
			t.emitClosed(c)
		}
	}
}

// Parsed reports whether the data event that was handled last was handed to a conversation. Others are of connections that are not
// observed, as the kernel reports them until it knows which rules their process meets, or that are not known.
func (t *Table) Parsed() bool { return t.parsed }
