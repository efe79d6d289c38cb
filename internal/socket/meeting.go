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

// meet sets the ids of an exchange that its ends know by when and where it was.
func (l *layer) meet(b *trace.Beginning, x *protocol.Exchange, inProtocol event.Role) {
	c := l.connection
	t := c.table
	if t.opts.Meetings == nil || inProtocol == event.RoleUnknown {
		return
	}
	s := trace.Sighting{Asks: b.IDs.Asks, Start: x.Start.Began, End: x.End.Time}
	asker, asked := c.flow.Local, c.flow.Remote
	if !s.Asks {
		asker, asked = asked, asker
	}
	switch {
	case l.encrypted() && (l.joined || t.opts.KernelCookies):
	case x.Token != 0 && !l.encrypted():
		s.Key = c.datagramKey(x, asker, asked)
	case c.flow.Transport == event.TCP && !t.opts.KernelCookies:
		s.Key = c.streamKey(x.Start.Position|l.bits(), asker, asked)
	}
	if s.Key == 0 {
		return
	}
	s.Asker, s.Asked = trace.AddressOf(asker.Addr()), trace.AddressOf(asked.Addr())
	pair := t.opts.Meetings.Meet(&s)
	b.IDs = pair.Of(0, event.RoleClient, s.Asks)
	t.out.JoinedAt = x.End.Time + askerDelay
}

// datagramKey is what both ends know of an exchange over datagrams. A socket need not know its own address. An exchange without a response is not joined:
// the query may be the first of several that are alike.
func (c *connection) datagramKey(x *protocol.Exchange, asker, asked netip.AddrPort) trace.Key {
	if x.ResponseStart.Time == 0 {
		return 0
	}
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
