package socket

import (
	"net/netip"
	"testing"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/trace"
)

// meeter is an end of a flow or a connection that has an exchange.
type meeter struct {
	flow     event.Flow
	existing bool
	kernel   bool // cookies are those of the kernel
	within   bool // TLS
	joined   bool // its TLS is older than what is known of it
	exchange protocol.Exchange
}

// join returns the connection as its exchange is emitted.
func (m *meeter) join(t *testing.T, meetings *trace.Meetings) *Connection {
	t.Helper()
	table, _ := newTestTable(t, func(o *Options) { o.Meetings, o.KernelCookies = meetings, m.kernel })
	e := clientOpen(1, 10)
	e.Flow, e.Existing = m.flow, m.existing
	e.Flow.Cookie = 1
	table.Handle(e)
	c := table.connections[1]
	table.fill(c)
	l := &c.layers[plain]
	if m.within {
		l = &c.layers[within]
		*l = layer{connection: c, cookie: 1 | event.LayerTLS, joined: m.joined}
	}
	table.out.Exchange, _ = l.endExchange(1, &m.exchange, m.flow.Role)
	return &table.out
}

// meeters are both ends of an exchange over a transport.
func meeters(over event.Transport) (asks, hears *meeter) {
	client, server := netip.MustParseAddrPort("10.0.0.1:5000"), netip.MustParseAddrPort("10.0.0.2:53")
	x := protocol.Exchange{Initiator: protocol.FromClient, Start: protocol.Stamp{Position: 4, Time: 50, Began: 50}, End: protocol.Stamp{Time: 90}}
	if over == event.UDP {
		x.Token, x.ResponseStart.Time = 77, 80
	}
	return &meeter{exchange: x, flow: event.Flow{Transport: over, NetNS: 3, Role: event.RoleClient, Local: client, Remote: server}},
		&meeter{exchange: x, flow: event.Flow{Transport: over, NetNS: 3, Role: event.RoleServer, Local: server, Remote: client}}
}

func TestExchangesWithoutSequenceNumbersMeet(t *testing.T) {
	loopback := func(m *meeter) {
		for _, a := range []*netip.AddrPort{&m.flow.Local, &m.flow.Remote} {
			*a = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), a.Port())
		}
	}
	for name, test := range map[string]struct {
		over   event.Transport
		change func(asks, hears *meeter)
		joined bool
	}{
		"UDP":                             {event.UDP, func(_, _ *meeter) {}, true},
		"UDP in the socket mode":          {event.UDP, func(a, h *meeter) { a.kernel, h.kernel = true, true }, true},
		"UDP between namespaces":          {event.UDP, func(_, h *meeter) { h.flow.NetNS = 4 }, true},
		"UDP of one namespace":            {event.UDP, func(a, h *meeter) { loopback(a); loopback(h) }, true},
		"UDP, loopback of two namespaces": {event.UDP, func(a, h *meeter) { loopback(a); loopback(h); h.flow.NetNS = 4 }, false},
		"UDP, any address":                {event.UDP, func(_, h *meeter) { h.flow.Local = netip.MustParseAddrPort("0.0.0.0:53") }, true},
		"UDP, flow is older":              {event.UDP, func(a, _ *meeter) { a.existing = true }, true},
		"UDP, another port":               {event.UDP, func(_, h *meeter) { h.flow.Local = netip.MustParseAddrPort("10.0.0.2:54") }, false},
		"UDP, another address":            {event.UDP, func(_, h *meeter) { h.flow.Local = netip.MustParseAddrPort("10.0.0.3:53") }, false},
		"UDP, another query":              {event.UDP, func(_, h *meeter) { h.exchange.Token = 78 }, false},
		"UDP without a token":             {event.UDP, func(a, h *meeter) { a.exchange.Token, h.exchange.Token = 0, 0 }, false},
		"UDP without a response":          {event.UDP, func(a, _ *meeter) { a.exchange.ResponseStart.Time = 0 }, false},
		"TCP":                             {event.TCP, func(_, _ *meeter) {}, true},
		"TCP, message of the server": {event.TCP, func(a, h *meeter) {
			a.exchange.Initiator, h.exchange.Initiator = protocol.FromServer, protocol.FromServer
		}, true},
		"TCP in the socket mode without numbers": {event.TCP, func(a, h *meeter) { a.kernel, h.kernel = true, true }, false},
		"TCP, one end is older":                  {event.TCP, func(_, h *meeter) { h.existing = true }, false},
		"TCP between namespaces":                 {event.TCP, func(_, h *meeter) { h.flow.NetNS = 4 }, false},
		"TCP, namespace is not known":            {event.TCP, func(a, h *meeter) { a.flow.NetNS, h.flow.NetNS = 0, 0 }, false},
		"TCP, address is not known":              {event.TCP, func(_, h *meeter) { h.flow.Remote = netip.AddrPort{} }, false},
		"TCP, port is not known": {event.TCP, func(a, h *meeter) {
			a.flow.Local = netip.AddrPortFrom(a.flow.Local.Addr(), 0)
			h.flow.Remote = a.flow.Local
		}, false},
		"TCP, another position": {event.TCP, func(_, h *meeter) { h.exchange.Start.Position = 5 }, false},
		"TCP, within TLS":       {event.TCP, func(a, h *meeter) { a.within, h.within = true, true }, true},
		"TCP, within TLS in the socket mode": {event.TCP, func(a, h *meeter) {
			a.within, h.within, a.kernel, h.kernel = true, true, true, true
		}, false},
		"TCP, within TLS that one end has joined": {event.TCP, func(a, h *meeter) { a.within, h.within, h.joined = true, true, true }, false},
		"TCP, at one end within TLS":              {event.TCP, func(a, _ *meeter) { a.within = true }, false},
		"Unix":                                    {event.UnixStream, func(_, _ *meeter) {}, false},
		"role is not known":                       {event.TCP, func(_, h *meeter) { h.flow.Role = event.RoleUnknown }, false},
	} {
		meetings := trace.NewMeetings(1)
		asks, hears := meeters(test.over)
		test.change(asks, hears)
		first, second := hears.join(t, meetings), asks.join(t, meetings)
		if asks.exchange.Initiator == protocol.FromServer {
			first, second = second, first
		}
		joined := first.Exchange.Joined && second.Exchange.Joined && first.Exchange.Trace == second.Exchange.Trace
		if joined != test.joined {
			t.Errorf("%s: joined %v: %+v and %+v", name, joined, first.Exchange, second.Exchange)
		}
		if joined && (first.Exchange.Other != second.Exchange.Own || first.Exchange.Asks || !second.Exchange.Asks) {
			t.Errorf("%s: %+v and %+v", name, first.Exchange, second.Exchange)
		}
		if joined && first.JoinedAt <= hears.exchange.End.Time {
			t.Errorf("%s: the other end would have to be known at %d", name, first.JoinedAt)
		}
	}
}

// forgetful gives each request an identity, and forgets it.
type forgetful struct{ transcript }

func (p *forgetful) Data(c *protocol.Chunk) {
	if c.Direction == protocol.FromClient {
		p.sink.Forget(p.sink.Begin(&protocol.Request{Initiator: protocol.FromClient, Start: c.Stamp}))
	}
}

// TestExchangeOfWhichNothingIsEmittedMeetsNobody: the end of a later connection that has the same addresses would find it, whenever that is.
func TestExchangeOfWhichNothingIsEmittedMeetsNobody(t *testing.T) {
	h := newHeard(t)
	h.made = func(s *protocol.Session) protocol.Parser { return &forgetful{transcript{sink: s.Sink}} }
	exchanges, err := trace.NewExchanges(1024, trace.NewEnds(1024), trace.Certain, func(uint64) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	h.table.opts.Meetings, h.table.opts.Exchanges = trace.NewMeetings(1), exchanges
	_, hears := meeters(event.TCP)
	open := clientOpen(1, 10)
	open.Flow.NetNS = 3
	h.table.Handle(open)
	h.table.Handle(sent(0, "ask>a"))
	hears.flow.Local, hears.flow.Remote = open.Flow.Remote, open.Flow.Local
	hears.exchange.Start = protocol.Stamp{Began: 60e9, Time: 60e9}
	hears.exchange.End.Time = 61e9
	later := *hears
	met := later.join(t, h.table.opts.Meetings)
	after := *hears
	after.flow.Role, after.flow.Local, after.flow.Remote = event.RoleClient, open.Flow.Local, open.Flow.Remote
	if asked := after.join(t, h.table.opts.Meetings); asked.Exchange.Trace != met.Exchange.Trace {
		t.Errorf("the end that was asked has met one that is forgotten: %+v and %+v", asked.Exchange, met.Exchange)
	}
}
