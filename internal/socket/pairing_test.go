package socket

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/trace"
)

// numbered gives an event the sequence numbers of a connection as the end with this role has them, which has followed it from its beginning.
func numbered(e *event.Event, role event.Role) *event.Event {
	e.Flow.Role = role
	switch role {
	case event.RoleClient:
		e.Flow.Initial, e.Sequence = [2]uint32{999, 5000}, [2]uint32{1000, 5000}
	default:
		e.Flow.Initial, e.Sequence = [2]uint32{5000, 1000}, [2]uint32{5000, 1000}
	}
	return e
}

// endAt returns an end of that connection, with the sequence number of where it began to follow it.
func endAt(t *testing.T, role event.Role, sequence [2]uint32, paired func(trace.End)) *connection {
	t.Helper()
	table, _ := newTestTable(t, func(o *Options) { o.Paired = func(end trace.End, _ *process.Info) { paired(end) } })
	e := numbered(clientOpen(1, 10), role)
	if sequence != [2]uint32{} {
		e.Sequence = sequence
	}
	table.Handle(e)
	return table.connections[1]
}

func TestBothEndsKnowAnExchangeByTheSameIDs(t *testing.T) {
	const fromStart, later = 300, 100
	for name, test := range map[string]struct {
		serves    bool // the end that connected serves
		initiator protocol.Direction
	}{
		"who connected asks":   {false, protocol.FromClient},
		"who connected serves": {true, protocol.FromClient},
		"a server's message":   {false, protocol.FromServer},
	} {
		ends := map[trace.End]bool{}
		note := func(e trace.End) { ends[e] = true }
		client, server := endAt(t, event.RoleClient, [2]uint32{}, note), endAt(t, event.RoleServer, [2]uint32{}, note)
		joined := endAt(t, event.RoleServer, [2]uint32{5000 + later, 1000 + later}, note)
		server.table.pair(server)
		joined.table.pair(joined)
		client.table.pair(client)

		ofClient, ofServer := event.RoleClient, event.RoleServer
		if test.serves {
			ofClient, ofServer = ofServer, ofClient
		}
		atClient, atServer := client.layers[plain].idsOf(1, test.initiator, fromStart, ofClient), server.layers[plain].idsOf(2, test.initiator, fromStart, ofServer)
		atJoined := joined.layers[plain].idsOf(3, test.initiator, fromStart-later, ofServer)
		if atClient.Trace != atServer.Trace || atClient.Own != atServer.Other || atClient.Other != atServer.Own || atClient.Asks == atServer.Asks {
			t.Errorf("%s: %v and %v", name, atClient, atServer)
		}
		if atJoined != atServer {
			t.Errorf("%s: joined later, %v, want %v", name, atJoined, atServer)
		}
		if want := test.serves != (test.initiator == protocol.FromServer); atClient.Asks == want {
			t.Errorf("%s: the end that connected asks: %v", name, atClient.Asks)
		}
		if len(ends) != 2 || !ends[client.otherEnd()] || !ends[server.otherEnd()] || client.otherEnd() == server.otherEnd() {
			t.Errorf("%s: of the ends %v, %v and %v are the others", name, ends, client.otherEnd(), server.otherEnd())
		}
	}
}

func TestEndsThatKnowNothingInCommonAreNoPair(t *testing.T) {
	for name, e := range map[string]*event.Event{
		"no sequence numbers":      clientOpen(1, 10),
		"the role is not known":    numbered(clientOpen(1, 10), event.RoleUnknown),
		"where counting began not": {Kind: event.KindOpen, Flow: event.Flow{Cookie: 1, Role: event.RoleClient, Initial: [2]uint32{1, 2}}},
	} {
		table, _ := newTestTable(t, func(o *Options) {
			o.Paired = func(end trace.End, _ *process.Info) { t.Errorf("%s: paired as %v", name, end) }
		})
		table.Handle(e)
		c := table.connections[1]
		table.fill(c)
		if ids := c.layers[plain].idsOf(1, protocol.FromClient, 0, event.RoleClient); ids.Joined || ids.Own == [8]byte{} || c.otherEnd() != 0 {
			t.Errorf("%s: %v, the other end is %v", name, ids, c.otherEnd())
		}
	}
}

func TestOtherEndInAnObservedNetworkIsNoted(t *testing.T) {
	for name, test := range map[string]struct {
		networks []netip.Prefix
		want     []event.Role
	}{
		"none":            {nil, []event.Role{event.RoleServer}},
		"another network": {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, []event.Role{event.RoleServer}},
		"the peer's":      {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.2/32")}, []event.Role{event.RoleServer, event.RoleClient}},
	} {
		var got []trace.End
		table, _ := newTestTable(t, func(o *Options) {
			o.ObservedNetworks, o.Paired = test.networks, func(end trace.End, _ *process.Info) { got = append(got, end) }
		})
		table.Handle(numbered(clientOpen(1, 10), event.RoleServer))
		c := table.connections[1]
		table.fill(c)
		var want []trace.End
		for _, role := range test.want {
			want = append(want, c.pair.End(role))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: noted %v, want %v", name, got, want)
		}
	}
}

// unixEnd returns one end of a connection within the host, after its role is known to the table.
func unixEnd(t *testing.T, role event.Role, cookie, peer, seed uint64) *connection {
	t.Helper()
	table, _ := newTestTable(t, func(o *Options) { o.SharedSeed = seed })
	e := clientOpen(cookie, 10)
	e.Flow.Transport, e.Flow.Role, e.Flow.Unix = event.UnixStream, role, &event.Unix{Peer: peer}
	table.Handle(e)
	c := table.connections[cookie]
	table.fill(c)
	return c
}

func TestEndsOfAUnixSocketArePairedByTheirCookies(t *testing.T) {
	client, server := unixEnd(t, event.RoleClient, 8, 9, 77), unixEnd(t, event.RoleServer, 9, 8, 77)
	if client.pair == 0 || client.pair != server.pair {
		t.Errorf("pairs %x and %x", client.pair, server.pair)
	}
	if asks, hears := client.layers[plain].idsOf(1, protocol.FromClient, 5, event.RoleClient), server.layers[plain].idsOf(2, protocol.FromClient, 5, event.RoleServer); asks.Trace != hears.Trace || asks.Own != hears.Other {
		t.Errorf("ids %v and %v", asks, hears)
	}
	if later := unixEnd(t, event.RoleClient, 8, 9, 78); later.pair == client.pair {
		t.Error("another start gives the same ids")
	}
	for name, c := range map[string]*connection{
		"the role is not known":      unixEnd(t, event.RoleUnknown, 8, 9, 77),
		"the other end is not known": unixEnd(t, event.RoleClient, 8, 0, 77),
	} {
		if c.pair != 0 {
			t.Errorf("%s: paired as %x", name, c.pair)
		}
	}
}

func TestConnectionThatCarriesBytesEarlyIsPairedWhenItIsEstablished(t *testing.T) {
	table, _ := newTestTable(t, nil)
	early := numbered(clientOpen(1, 10), event.RoleClient)
	early.Early, early.Started = true, 5
	early.Flow.Initial[event.Received], early.Sequence[event.Received] = 0, 0
	table.Handle(early)
	c := table.connections[1]
	if table.fill(c); c.pair != 0 {
		t.Error("paired before the other end's numbers are known")
	}
	established := numbered(clientOpen(1, 20), event.RoleClient)
	established.Started = 5
	table.Handle(established)
	want := trace.PairOf(established.Flow.Initial, event.RoleClient)
	if table.connections[1] != c || c.pair != want || c.sequence != established.Sequence {
		t.Errorf("pair %x with numbers %v, want %x with %v", c.pair, c.sequence, want, established.Sequence)
	}
}
