package socket

import (
	"github.com/socketflow/socketflow/internal/event"
)

// data is also the proof of who has accepted a connection, should that not have been seen.
func (t *Table) data(e *event.Event) {
	c := t.connections[e.Flow.Cookie]
	if c == nil {
		t.stats.Strays.Add(1)
		if len(t.opts.Protocols) > 0 {
			t.opts.Want(e.Flow.Cookie, nothing)
		}
		return
	}
	if c.waiting && !c.closed {
		t.accepted(c, e.Owner)
	}
	switch {
	case c.ignored:
		t.opts.Want(e.Flow.Cookie, nothing)
	case c.talk != nil:
		c.talk.data(e)
	}
	if c.closed && !c.waiting && c.ending.Unread > 0 {
		c.ending.Unread -= min(c.ending.Unread, e.Data.Length)
		if c.ending.Unread == 0 {
			t.emitClosed(c)
		}
	}
}

var nothing = event.Want{Until: [event.Directions]uint64{event.Never, event.Never}}

func (t *Table) want(v *conversation) { t.opts.Want(v.connection.flow.Cookie, v.wanted) }
