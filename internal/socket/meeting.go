package socket

import (
	"net/netip"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/trace"
)

// askerDelay is how much later than the end that was asked the one that asked has its exchange, as a rule: it then has the response, too.
const askerDelay = uint64(10 * time.Millisecond)

// meetAsking sets the ids of an exchange that has begun over a connection whose ends know it by when and where it is. The end that was asked is to find them
// when it has answered: the program that asked may read the answer much later.
func (l *layer) meetAsking(b *trace.Beginning, inProtocol event.Role) (meets bool) {
	if !b.IDs.Asks || !l.meetsOverStream(inProtocol) {
		return false
	}
	s := l.sightingOf(true, b.Position, b.At)
	if s.Key == 0 {
		return false
	}
	b.IDs = l.connection.table.opts.Meetings.Meet(&s).Of(0, event.RoleClient, true)
	return true
}

// forgetMeeting takes back what meetAsking has done: nothing is emitted of the exchange, or its ids are not known when it ends. The other
// end is not to find it, nor one of a later connection that has the same addresses.
func (l *layer) forgetMeeting(b *trace.Beginning) {
	if s := l.sightingOf(true, b.Position, b.At); s.Key != 0 {
		l.connection.table.opts.Meetings.Forget(&s)
	}
}

// meet sets the ids of an exchange that its ends know by when and where it was.
func (l *layer) meet(b *trace.Beginning, x *protocol.Exchange, inProtocol event.Role) {
	c := l.connection
	t := c.table
	s := l.sightingOf(b.IDs.Asks, x.Start.Position, x.Start.Began)
	s.End = x.End.Time
	switch {
	case t.opts.Meetings == nil || inProtocol == event.RoleUnknown:
		return
	case c.flow.Transport == event.UDP && x.Token != 0:
		s.Key = c.datagramKey(x, s.Asks)
	case !l.meetsOverStream(inProtocol):
		return
	}
	if s.Key == 0 {
		return
	}
	t.out.JoinedAt = x.End.Time + askerDelay
	known, has := l.idsBegun(b)
	if !has {
		b.IDs = t.opts.Meetings.Meet(&s).Of(0, event.RoleClient, s.Asks)
		return
	}
	b.IDs = known
	if pair := t.opts.Meetings.End(&s); pair != 0 {
		b.IDs = pair.Of(0, event.RoleClient, s.Asks)
	}
}

// idsBegun are those that meetAsking has set.
func (l *layer) idsBegun(b *trace.Beginning) (trace.Exchange, bool) {
	t := l.connection.table
	if !b.IDs.Asks || t.opts.Exchanges == nil {
		return trace.Exchange{}, false
	}
	ids, _ := t.opts.Exchanges.IDs(b.ExchangeKey)
	return ids, ids.Joined
}

// meetsOverStream reports whether exchanges of a layer have nothing but when and where they are.
func (l *layer) meetsOverStream(inProtocol event.Role) bool {
	c := l.connection
	t := c.table
	return t.opts.Meetings != nil && inProtocol != event.RoleUnknown && c.flow.Transport == event.TCP && !t.opts.KernelCookies && !(l.encrypted() && l.joined)
}

// sightingOf is that of an exchange over a stream, which goes on.
func (l *layer) sightingOf(asks bool, position, start uint64) trace.Sighting {
	c := l.connection
	asker, asked := c.ends(asks)
	return trace.Sighting{
		Key: c.streamKey(position|l.bits(), asker, asked), Asks: asks, Start: start,
		Asker: trace.AddressOf(asker.Addr()), Asked: trace.AddressOf(asked.Addr()),
	}
}

// ends are the addresses of the end that asked and of the one that was asked.
func (c *connection) ends(asks bool) (asker, asked netip.AddrPort) {
	if asks {
		return c.flow.Local, c.flow.Remote
	}
	return c.flow.Remote, c.flow.Local
}

// datagramKey is what both ends know of an exchange over datagrams. A socket need not know its own address. An exchange without a response is not joined:
// the query may be the first of several that are alike.
func (c *connection) datagramKey(x *protocol.Exchange, asks bool) trace.Key {
	if x.ResponseStart.Time == 0 {
		return 0
	}
	asker, asked := c.ends(asks)
	key := trace.Key(x.Token).With(uint64(asker.Port())<<16 | uint64(asked.Port()))
	if asker.Addr().IsLoopback() || asked.Addr().IsLoopback() {
		key = key.With(uint64(c.flow.NetNS)) // each namespace has these addresses
	}
	return key
}

// streamKey is what both ends know of an exchange over a TCP connection without sequence numbers, if they are in one network namespace.
func (c *connection) streamKey(position uint64, asker, asked netip.AddrPort) trace.Key {
	if c.existing || c.flow.NetNS == 0 || asker.Port() == 0 || asked.Port() == 0 || trace.AddressOf(asker.Addr()) == 0 || trace.AddressOf(asked.Addr()) == 0 {
		return 0
	}
	return trace.Key(c.flow.NetNS).WithAddress(asker).WithAddress(asked).With(position)
}
