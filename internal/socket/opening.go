package socket

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
)

func (t *Table) open(e *event.Event) {
	if t.isDescribed(e) || t.establish(e) {
		return
	}
	c := t.add(e)
	c.started = e.Started
	c.startedAt = t.clock.Unix(e.Started)
	c.openedAt = c.startedAt + t.clock.Between(e.Started, e.Time)
	c.existing = e.Existing
	c.question = t.questionOf(e)
	if e.Flow.Role == event.RoleServer && transports[e.Flow.Transport].acceptFollows {
		c.waiting, c.queued = true, e.Time
		t.waiting.push(waiter{e.Flow.Cookie, e.Time})
		return
	}
	if c.early = e.Early; !c.early {
		t.emitOpened(c)
	}
}

// establish reports whether e is about a connection that was followed before the end of its handshake.
func (t *Table) establish(e *event.Event) bool {
	c := t.connections[e.Flow.Cookie]
	if c == nil || c.closed || c.started != e.Started {
		return false
	}
	if c.early && !e.Early {
		c.early, c.flow, c.id, c.sequence = false, e.Flow, t.connectionID(e), e.Sequence
		c.openedAt = c.startedAt + t.clock.Between(e.Started, e.Time)
		t.emitOpened(c)
	}
	return true
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
	// In the syscall mode the call that accepts is what opens it: how long it has waited for that is not known.
	if c.queued != 0 && e.Time > c.queued {
		c.acceptedAt = t.clock.Unix(e.Time)
	}
	t.accepted(c, e.Owner)
}

func (t *Table) accepted(c *connection, owner process.ID) {
	c.owner = t.owner(owner)
	c.waiting = false
	c.ignored = c.own || !t.observes(c.owner, &c.flow)
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
	if t.isDescribed(e) {
		return
	}
	c := t.add(e)
	c.existing = true
	c.carried.begin(e.Ending.Position)
	c.segments.older = true
	c.startedAt = t.clock.Unix(e.Time)
	c.openedAt = c.startedAt
	t.emitOpened(c)
}

// isDescribed reports whether e describes a connection that is known by now: more than one of its data events asked for that.
func (t *Table) isDescribed(e *event.Event) bool {
	c := t.connections[e.Flow.Cookie]
	return e.Existing && c != nil && !c.closed
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
	transport := e.Flow.Transport
	if int(t.stats.TrackedBy[transport].Load()) >= t.opts.Sockets {
		t.evict(t.byUse[transport].First(), e.Time)
	}
	c := t.free.Take()
	if c == nil {
		c = &connection{}
	}
	owner := t.owner(e.Owner)
	t.serial++
	earlier := c.layers // their memory is reused
	*c = connection{
		table: t, flow: e.Flow, owner: owner, id: t.connectionID(e), serial: t.serial, seen: e.Time, used: e.Time,
		sequence: e.Sequence,
		ignored:  !t.observes(owner, &e.Flow),
	}
	for i := range c.layers {
		c.layers[i].conv = earlier[i].conv
	}
	c.layers[plain].begin(c, e.Flow.Cookie, e.Existing, e.Ending.Position)
	t.connections[e.Flow.Cookie] = c
	t.ended.remove(e.Flow.Cookie)
	t.stats.TrackedBy[transport].Add(1)
	t.byUse[transport].Append(&c.links, c)
	return c
}
