package socket

import "github.com/socketflow/socketflow/internal/process"

// owning is who has the other end of a connection, as far as that is known.
type owning struct {
	process *process.Info
	askedAt uint64 // CLOCK_MONOTONIC, ns: what is known from before is not enough yet; 0: nobody has asked
	settled bool
}

// findPeer finds out who has the other end of the connection of t.out, at a time (CLOCK_MONOTONIC, ns) at which it has done something.
func (t *Table) findPeer(c *connection, at uint64) {
	if p := &c.peer; !p.settled && t.opts.PeerOf != nil && c.pair != 0 {
		if p.askedAt == 0 {
			p.askedAt = at
		}
		settled := t.opts.Settled(p.askedAt) // before the ends are looked at: a shard may note one meanwhile
		p.process = t.opts.PeerOf(c.otherEnd())
		p.settled = settled || p.process != nil
	}
	t.out.Peer, t.out.PeerSettled = c.peer.process, c.peer.settled || c.pair == 0 || t.opts.PeerOf == nil
	t.out.OtherEnd = c.knownOtherEnd()
}

// EachOpen reports every connection that is open and observed. report returns whether what is known of it will do: it is Counted from then on.
func (t *Table) EachOpen(at uint64, report func(*Connection) bool) {
	for _, c := range t.connections {
		if c.closed || !c.opened {
			continue
		}
		if t.leaveOutOwn(c); c.ignored {
			continue
		}
		t.fill(c)
		t.findPeer(c, at)
		t.account(c)
		t.countInProgress(c)
		t.out.Carried, t.out.Segments = c.carried.since(), c.segments.since()
		if report(&t.out) {
			c.counted = true
			c.carried.report()
			c.segments.report()
		}
	}
}

// countInProgress counts the exchanges that run on a connection, in its innermost layer that has any.
func (t *Table) countInProgress(c *connection) {
	c.each(func(l *layer) {
		if n, keys, system := l.conv.InProgress(); n > 0 && t.out.Speaks == nil {
			t.out.InProgress, t.out.Speaks, t.out.System = n, keys, system
		}
	})
}

// account reports what parsers have followed of a connection, once.
func (t *Table) account(c *connection) {
	var now [2]uint64
	c.each(func(l *layer) {
		followed, lost := l.conv.Account()
		now[0] += followed
		now[1] += lost
	})
	t.out.Followed, t.out.Lost = now[0]-min(now[0], c.accounted[0]), now[1]-min(now[1], c.accounted[1])
	c.accounted = now
}
