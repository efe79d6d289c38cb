package socket

import (
	"net/netip"
	"slices"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/trace"
)

var otherRole = [...]event.Role{event.RoleClient: event.RoleServer, event.RoleServer: event.RoleClient}

// pair finds out what a connection's two ends have in common. That takes its role, which may become known late, and of TCP the sequence numbers of the
// other end, which a client does not know before the end of the handshake.
func (t *Table) pair(c *connection) {
	if c.pair != 0 || c.early {
		return
	}
	c.pair = t.pairOf(c)
	if c.pair == 0 || t.opts.Paired == nil {
		return
	}
	t.opts.Paired(c.pair.End(c.flow.Role), c.owner)
	if t.opts.Endpoints != nil && c.flow.Role == event.RoleServer && mayBeTranslated(c.flow.Local) {
		t.opts.Endpoints.Add(c.pair.End(c.flow.Role), c.flow.Local)
	}
	if t.isObservedElsewhere(c.flow.Remote.Addr()) {
		t.opts.Paired(c.otherEnd(), nil)
	}
}

// mayBeTranslated reports whether a network may replace an address by another one. Unix sockets have none.
func mayBeTranslated(a netip.AddrPort) bool { return a.IsValid() && !a.Addr().IsLoopback() }

// farEnd is the end of a connection that was opened here, whose address may be another than the one that was connected to; 0: it is not.
func (c *connection) farEnd() trace.End {
	if c.table.opts.Endpoints == nil || c.flow.Role != event.RoleClient || !mayBeTranslated(c.flow.Remote) {
		return 0
	}
	return c.knownOtherEnd()
}

func (t *Table) isObservedElsewhere(address netip.Addr) bool {
	return slices.ContainsFunc(t.opts.ObservedNetworks, func(n netip.Prefix) bool { return n.Contains(address) })
}

func (t *Table) pairOf(c *connection) trace.Pair {
	switch {
	case c.flow.Role == event.RoleUnknown:
	case c.sequence != [event.Directions]uint32{}:
		return trace.PairOf(c.flow.Initial, c.flow.Role)
	case c.flow.Unix != nil:
		return trace.WithinHost(t.opts.SharedSeed, c.flow.Cookie, c.flow.Unix.Peer)
	}
	return 0
}

// idsOf are the ids of an exchange with this initiator, at the end which has a role in the protocol. A program may connect and then serve.
func (l *layer) idsOf(id protocol.ID, initiator protocol.Direction, position uint64, inProtocol event.Role) trace.Exchange {
	c := l.connection
	asks := asks(initiator, inProtocol)
	if c.pair == 0 || inProtocol == event.RoleUnknown || (l.encrypted() && l.joined) {
		own := trace.Exchange{Asks: asks}
		own.Trace, own.Own = c.table.identity.Of(c.serial, uint64(id)|l.bits())
		return own
	}
	sender, direction := c.flow.Role, event.Sent
	if !asks {
		sender, direction = otherRole[sender], event.Received
	}
	return c.pair.Of(trace.Position(c.sequence[direction], position)|l.bits(), sender, asks)
}

// asks reports whether the end with a role in the protocol began an exchange with this initiator.
func asks(initiator protocol.Direction, inProtocol event.Role) bool {
	return (initiator == protocol.FromClient) == (inProtocol == event.RoleClient)
}

// knownOtherEnd is 0 if it is not known.
func (c *connection) knownOtherEnd() trace.End {
	if c.pair == 0 {
		return 0
	}
	return c.otherEnd()
}

func (c *connection) otherEnd() trace.End { return c.pair.End(otherRole[c.flow.Role]) }

// beginning is what others may need to know of an exchange that has begun.
func (l *layer) beginning(id protocol.ID, initiator protocol.Direction, start *protocol.Stamp, inProtocol event.Role) *trace.Beginning {
	c := l.connection
	b := &c.table.begun
	*b = trace.Beginning{
		ExchangeKey: l.key(id), IDs: l.idsOf(id, initiator, start.Position, inProtocol),
		At: start.Began, Position: start.Position, Cause: causeOf(&start.Cause),
		Process: uint64(start.PID)<<32 ^ start.Start, Goroutine: event.Goroutine(start.Goroutine), Thread: start.TID,
	}
	b.Immediate = (b.Cause.Row > 1 || b.Cause.Waited || b.Cause.Answered) && actsAtOnce(c.owner)
	b.Gathers = b.Cause.Length != 0 && gathers(c.owner)
	b.Spans = l.spans(start, b.IDs.Asks, inProtocol)
	if b.IDs.Joined {
		b.OtherEnd = c.otherEnd()
	}
	return b
}

// Begin notes that an exchange has begun. It implements conversation.Emitter, as the following does.
func (l *layer) Begin(id protocol.ID, r *protocol.Request) {
	c := l.connection
	if t := c.table; t.opts.Exchanges != nil && !c.ignored {
		c.learnRole()
		t.pair(c)
		b := l.beginning(id, r.Initiator, &r.Start, l.conv.Role())
		meets := !b.IDs.Joined && l.meetAsking(b, l.conv.Role())
		b.Interleaved = r.Interleaved
		if forwards(c.owner) {
			b.Content = r.Content
		}
		if !t.opts.Exchanges.Begin(b) && meets {
			l.forgetMeeting(b)
		}
	}
}

// Continue notes what the request of an exchange carries.
func (l *layer) Continue(id protocol.ID, carried *protocol.Carried) {
	c := l.connection
	if t := c.table; t.opts.Exchanges != nil && !c.ignored {
		t.opts.Exchanges.Continue(l.key(id), &trace.Carried{
			Context: contextOf(&carried.Parent), Tracestate: carried.Parent.State, RequestID: carried.RequestID,
		})
	}
}

// Requested notes where an interleaved request has ended.
func (l *layer) Requested(id protocol.ID, last *protocol.Stamp) {
	c := l.connection
	if t := c.table; t.opts.Exchanges != nil && !c.ignored {
		t.opts.Exchanges.Requested(l.key(id), last.Position+1, last.Began)
	}
}

// Forget forgets an exchange.
func (l *layer) Forget(id protocol.ID) {
	c := l.connection
	if t := c.table; t.opts.Exchanges != nil {
		if b, known := t.opts.Exchanges.Beginning(l.key(id)); known && b.IDs.Joined && b.IDs.Asks && l.meetsOverStream(l.conv.Role()) {
			l.forgetMeeting(&b)
		}
		t.opts.Exchanges.Forget(l.key(id))
	}
}

func contextOf(parent *protocol.TraceContext) trace.Context {
	return trace.Context{Trace: parent.TraceID, Span: parent.SpanID, Flags: parent.Flags, State: sampling.StateOf(parent.State)}
}

// endExchange notes the end of an exchange, and returns its ids, if there are any, and whether no span is emitted of it.
func (l *layer) endExchange(id protocol.ID, x *protocol.Exchange, inProtocol event.Role) (ids trace.Exchange, unspanned bool) {
	c := l.connection
	t := c.table
	if t.opts.Unidentified {
		return trace.Exchange{}, false
	}
	b, a := l.beginning(id, x.Initiator, &x.Start, inProtocol), trace.Answer{At: x.End.Time}
	if !b.IDs.Joined {
		l.meet(b, x, inProtocol)
	}
	if t.opts.Exchanges == nil {
		return b.IDs, false
	}
	if x.ResponseStart.Time != 0 {
		a.First, a.End, a.Began = x.ResponseStart.Position, x.End.Position+1, x.ResponseStart.Began
	}
	t.out.Key = b.ExchangeKey
	return t.opts.Exchanges.End(b, contextOf(&x.Parent), &a)
}

func causeOf(c *protocol.Cause) event.Cause {
	return event.Cause{
		Socket: c.Socket, Position: c.Position, Length: c.Length, Pending: c.Pending, Row: c.Row,
		Waited: c.Waited, Polled: c.Polled, Connect: c.Connect, Carrier: c.Carrier, Deferred: c.Deferred, Answered: c.Answered, Loop: c.Loop,
	}
}
