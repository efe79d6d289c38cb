package socket

import (
	"net/netip"
	"slices"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
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
	t.opts.Paired(c.pair.End(c.flow.Role))
	if t.isObservedElsewhere(c.flow.Remote.Addr()) {
		t.opts.Paired(c.pair.End(otherRole[c.flow.Role]))
	}
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
		return trace.WithinHost(t.opts.Seed, c.flow.Cookie, c.flow.Unix.Peer)
	}
	return 0
}

// join sets the ids of an exchange that both ends know.
func (c *connection) join(x *protocol.Exchange) {
	out := &c.table.out
	if out.Exchange = c.idsOf(x, out.Role); out.Exchange.Own == [8]byte{} {
		c.meet(x, out.Role)
	}
}

// asks reports whether the end with a role in the protocol began an exchange.
func asks(x *protocol.Exchange, inProtocol event.Role) bool {
	return (x.Initiator == protocol.FromClient) == (inProtocol == event.RoleClient)
}

// idsOf are the ids of an exchange that both ends know, at the end which has a role in the protocol. A program may connect and then serve.
func (c *connection) idsOf(x *protocol.Exchange, inProtocol event.Role) trace.Exchange {
	if c.pair == 0 || inProtocol == event.RoleUnknown {
		return trace.Exchange{}
	}
	asks := asks(x, inProtocol)
	sender, direction := c.flow.Role, event.Sent
	if !asks {
		sender, direction = otherRole[sender], event.Received
	}
	return c.pair.Of(trace.Position(c.sequence[direction], x.Start.Position), sender, asks)
}
