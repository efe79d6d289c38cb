package socket

import (
	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
)

func (t *Table) open(e *event.Event) {
	c := t.add(e)
	c.started = e.Started
	c.startedAt = t.clock.Unix(e.Started)
	c.openedAt = c.startedAt + int64(e.Time-min(e.Started, e.Time))
	c.existing = e.Existing
	if e.Flow.Role == event.RoleServer && transports[e.Flow.Transport].acceptFollows {
		c.waiting = true
		t.waiting.push(waiter{e.Flow.Cookie, e.Time})
		return
	}
	t.emitOpened(c)
}

func (t *Table) accept(e *event.Event) {
	c := t.connections[e.Flow.Cookie]
	if c == nil { // its open was lost, or the selection excluded its listener
		c = t.add(e)
		c.gap = t.opts.Selection.Empty()
		c.started = e.Time
		c.startedAt = t.clock.Unix(e.Time)
		c.openedAt = c.startedAt
	}
	t.accepted(c, e.Owner)
}

func (t *Table) accepted(c *connection, owner process.ID) {
	c.owner = t.owner(owner)
	c.waiting = false
	c.ignored = !t.observes(c.owner, &c.flow)
	if !c.opened {
		t.emitOpened(c)
	}
	if c.closed && !t.awaitsData(c) {
		t.emitClosed(c)
	}
}

func (t *Table) adopt(e *event.Event) {
	if e.Ending.LastState == event.StateSynSent {
		return // KindOpen or KindFail follows
	}
	c := t.add(e)
	c.existing = true
	c.startedAt = t.clock.Unix(e.Time)
	c.openedAt = c.startedAt
	t.emitOpened(c)
}

// add starts to track the connection of e, and ends what was tracked under the same cookie.
func (t *Table) add(e *event.Event) *connection {
	if old := t.connections[e.Flow.Cookie]; old != nil {
		if old.closed && !old.waiting {
			t.emitClosed(old)
		} else {
			t.abandon(old)
			t.remove(old)
		}
	}
	if len(t.connections) >= t.opts.Sockets {
		t.evict(t.byAge.First())
	}
	c := t.free.Take()
	if c == nil {
		c = &connection{}
	}
	owner := t.owner(e.Owner)
	t.serial++
	conv := c.conv // of an earlier connection: its memory is reused
	*c = connection{
		table: t, flow: e.Flow, owner: owner, id: t.connectionID(e), serial: t.serial, seen: e.Time,
		ignored: !t.observes(owner, &e.Flow),
	}
	c.conv = t.conversations.Begin(conv, conversation.Connection{
		Cookie: e.Flow.Cookie, Role: e.Flow.Role, Local: e.Flow.Local, Remote: e.Flow.Remote, Joined: e.Existing,
		Datagrams: transports[e.Flow.Transport].datagrams,
	}, c)
	t.connections[e.Flow.Cookie] = c
	t.stats.TrackedBy[e.Flow.Transport].Add(1)
	t.byAge.Append(&c.links, c)
	return c
}
