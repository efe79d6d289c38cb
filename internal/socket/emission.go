package socket

import (
	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

func (t *Table) emitOpened(c *connection) {
	c.opened = true
	t.leaveOutOwn(c)
	if c.ignored {
		return
	}
	t.stats.Opened.Add(1)
	t.fill(c)
	t.sink.Opened(&t.out)
}

func (t *Table) emitClosed(c *connection) {
	t.leaveOutOwn(c)
	if c.isParsed() {
		c.each((*layer).endWithConnection)
	}
	if !c.ignored {
		t.stats.Closed.Add(1)
		t.fill(c)
		t.out.EndedAt = t.clock.Unix(c.closedAt)
		if c.started != 0 && c.closedAt >= c.started {
			t.out.EndedAt = c.startedAt + t.clock.Between(c.started, c.closedAt)
		}
		t.out.End = c.end
		t.out.Errno = c.ending.Errno
		t.out.Answered = c.isAnswered()
		t.out.Stats = c.ending
		t.out.Carried, t.out.Segments = c.carriedAtEnd(), c.segmentsAtEnd()
		if tls := t.out.TLS; tls != nil {
			t.out.Handshake = tls.Handshake
		}
		t.findPeer(c, c.closedAt)
		t.account(c)
		t.sink.Closed(&t.out)
	}
	t.ended.add(c.flow.Cookie)
	t.remove(c)
}

var closers = [...]conversation.Closer{
	SideUnknown: conversation.CloserUnknown, SideLocal: conversation.CloserLocal, SideRemote: conversation.CloserRemote,
}

// endWithConnection ends the conversation of a connection that has ended, or whose owner has closed its end. What becomes of the
// connection after that concerns nobody who took part in the conversation.
func (l *layer) endWithConnection() {
	c := l.connection
	c.finishing = true
	switch {
	case c.leftAt == 0 && l.conv.Role() == event.RoleClient && isHalfClosed(&c.ending): // it was waiting for the answer
		l.end(&c.ending, c.closedAt, c.errno(), conversation.CloserRemote)
	case c.leftAt == 0 && l.conv.Role() == event.RoleClient && c.ending.FINReceived && c.end == (End{WayRST, SideRemote}):
		// The server has said all, and reset what it was sent after that, as the end of TLS (RFC 8446, 6.1).
		l.end(&c.ending, c.closedAt, 0, conversation.CloserRemote)
	case c.leftAt == 0:
		l.end(&c.ending, c.closedAt, c.errno(), closers[c.end.By])
	case c.leftFirst:
		l.end(&c.ending, c.leftAt, 0, conversation.CloserLocal)
	default:
		l.end(&c.ending, c.leftAt, 0, conversation.CloserRemote)
	}
}

// isAnswered reports whether there was nothing left to say on a connection with requests: one end had closed, and all of them were answered.
func (c *connection) isAnswered() bool {
	return c.exchanges > 0 && !c.cut && (c.ending.FINReceived || c.ending.Left || c.leftAt != 0)
}

// errno is the error that ended a connection, 0 if there was none.
func (c *connection) errno() uint32 {
	if c.end == (End{WayRST, SideRemote}) {
		return errnoConnReset
	}
	return c.ending.Errno
}

// Emit emits an exchange on the connection. It implements conversation.Emitter.
func (l *layer) Emit(id protocol.ID, x *protocol.Exchange) {
	c := l.connection
	t := c.table
	l.noteExport(x)
	if t.leaveOutOwn(c); c.own {
		l.Forget(id)
		return
	}
	c.exchanges++
	c.cut = c.cut || c.finishing && (x.Error != "" || x.Errno != 0)
	t.fill(c)
	t.findPeer(c, x.End.Time)
	if role := l.conv.Role(); role != t.out.Role { // a program may connect and then serve
		t.out.Role, t.out.RoleSource = role, event.RoleSourceProtocol
	}
	if x.Start.PID != 0 && x.Start.PID != c.owner.PID {
		t.out.Process = t.owner(c.processOf(&x.Start))
	}
	t.out.TLS = l.tls()
	if l.encrypted() && t.out.AddressSource != event.AddressSourceUnknown { // whose addresses they are is known by that
		t.out.AddressSource = event.AddressSourceTLSRecord
	}
	t.out.FirstWithinTLS, l.spoken = l.encrypted() && !l.joined && !l.spoken, true
	t.out.Exchange, t.out.Unspanned = l.endExchange(id, x, t.out.Role)
	t.out.FarEnd = c.farEnd()
	began := x.Start.Began
	start := t.clock.Unix(began)
	t.sink.Exchanged(&t.out, x, start, start+t.clock.Between(began, x.End.Time))
	if t.out.Unspanned {
		t.stats.Unspanned.Add(1)
	}
	c.last = l.lastExchange(x)
}

// lastExchange identifies what has been emitted, for the record of the connection: its span, or if there is none, that of the trace context.
func (l *layer) lastExchange(x *protocol.Exchange) LastExchange {
	out := &l.connection.table.out
	last := LastExchange{TraceID: out.Exchange.Trace, SpanID: out.Exchange.Own, Key: out.Key}
	if out.Unspanned {
		last = LastExchange{SpanID: x.Parent.SpanID}
	}
	if x.Parent.Valid() {
		last.TraceID = x.Parent.TraceID
	}
	return last
}

// Omit notes an exchange that is left out. It implements conversation.Emitter.
func (l *layer) Omit(x *protocol.Exchange) {
	l.noteExport(x)
	l.spoken = true
	l.connection.exchanges++
}

// leaveOutOwn ignores a connection whose other end is a socket of this process.
func (t *Table) leaveOutOwn(c *connection) {
	if c.settled || c.ignored || t.opts.OtherEndIsOwn == nil {
		return
	}
	c.own, c.settled = t.opts.OtherEndIsOwn(&c.flow, c.seen)
	if c.own {
		c.ignored, c.settled = true, true
		t.stats.OtherEnds.Add(1)
	}
}

// learnRole takes the role from the conversations if nothing else has shown it. Which datagram of a flow is seen first shows less: it may be an
// answer, if the flow is older than the programs, or if one thread asks and another receives.
func (c *connection) learnRole() {
	c.each(func(l *layer) {
		if c.flow.Role != event.RoleUnknown && c.flow.RoleSource != event.RoleSourceFirst {
			return
		}
		if role := l.conv.Role(); role != event.RoleUnknown && role != c.flow.Role {
			c.flow.Role, c.flow.RoleSource = role, event.RoleSourceProtocol
		}
	})
}

// fill fills t.out with what all reports of a connection have in common.
func (t *Table) fill(c *connection) {
	c.learnRole()
	t.pair(c)
	if c.question.At != 0 {
		c.called, c.question = t.namePeer(c.question)
	}
	t.out = Connection{
		ID: c.id, Serial: c.serial, Process: c.owner, Local: c.flow.Local, Remote: c.flow.Remote, NetNS: c.flow.NetNS,
		Transport: c.flow.Transport, Unix: c.flow.Unix,
		Role: c.flow.Role, RoleSource: c.flow.RoleSource, AddressSource: c.flow.AddressSource, StartedAt: c.startedAt,
		OpenedAt: c.openedAt, AcceptedAt: c.acceptedAt, TLS: c.layers[plain].facts(), Exchanges: c.exchanges, Last: c.last,
		PeerName: c.called.Name, PeerLookup: c.called.Lookup, PeerQuestion: c.question,
		Counted: c.counted, Protocol: c.protocol(),
	}
	switch {
	case c.existing:
		t.out.Capture = CaptureJoinedMidstream
	case c.gap:
		t.out.Capture = CaptureGap
	}
}

func (t *Table) emitFailed(e *event.Event, cookie uint64) {
	owner := t.owner(e.Owner)
	if !t.observes(owner, &e.Flow) {
		return
	}
	t.stats.Failed.Add(1)
	t.serial++
	t.out = Connection{
		ID: attemptID(cookie, e.Started), Serial: t.serial, Process: owner, Local: e.Flow.Local, Remote: e.Flow.Remote,
		NetNS: e.Flow.NetNS, Role: e.Flow.Role, RoleSource: e.Flow.RoleSource, AddressSource: e.Flow.AddressSource,
		EndedAt: t.clock.Unix(e.Time), End: endOfAttempt(&e.Ending), Errno: e.Ending.Errno, Stats: e.Ending,
	}
	t.out.StartedAt = t.out.EndedAt - t.clock.Between(e.Started, e.Time)
	called, question := t.namePeer(t.questionOf(e))
	t.out.PeerName, t.out.PeerQuestion = called.Name, question
	t.sink.Failed(&t.out)
}
