package otlp

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// overUnix makes the connection one between Unix stream sockets.
func overUnix(local, remote string, peer uint32) func(*socket.Connection) {
	return func(c *socket.Connection) {
		c.Transport, c.Unix = event.UnixStream, &event.Unix{Local: local, Remote: remote, PeerPID: peer}
		c.Local, c.Remote = netip.AddrPort{}, netip.AddrPort{}
	}
}

func overUDP(c *socket.Connection) { c.Transport, c.RoleSource = event.UDP, event.RoleSourceFirst }

func withRole(role event.Role, source event.RoleSource) func(*socket.Connection) {
	return func(c *socket.Connection) { c.Role, c.RoleSource = role, source }
}

func joined(c *socket.Connection) { c.Capture = socket.CaptureJoinedMidstream }

// closedByPeer ends a connection that has no segment counts.
func closedByPeer(c *socket.Connection) {
	finByPeer(c)
	c.Stats = event.Ending{BytesSent: 1234, BytesReceived: 4_512_345}
}

// idle ends a flow. Its segment counts are counts of datagrams.
func idle(c *socket.Connection) {
	ended(socket.WayIdle, socket.SideUnknown, 0)(c)
	c.Stats = event.Ending{BytesSent: 60, BytesReceived: 512, SegmentsSent: 2, SegmentsReceived: 1}
}

func TestSentencesOfTransports(t *testing.T) {
	docker := overUnix("", "/run/docker.sock", 812)
	role := func(r event.Role) func(*socket.Connection) { return withRole(r, event.RoleSourceUnknown) }
	const pair, noName, named = "/run/x.sock", "", "@/tmp/client"
	for _, c := range [...]struct {
		name           string
		changes        []func(*socket.Connection)
		ending         func(*socket.Connection)
		opened, closed string // after "curl (pid 4242)"; closed leaves out what all have in common
		failed         string
	}{
		{
			"TCP", nil, finByPeer,
			" opened a TCP connection 127.0.0.1:40000 -> 127.0.0.1:80", "FIN by peer",
			" failed to connect to 127.0.0.1:80",
		},
		{
			"Unix client", []func(*socket.Connection){docker}, closedByPeer,
			" opened a Unix stream connection to /run/docker.sock", "ended by peer",
			" failed to connect to /run/docker.sock",
		},
		{
			"Unix client with a name of its own", []func(*socket.Connection){overUnix(named, pair, 812)}, closedByPeer,
			" opened a Unix stream connection to /run/x.sock", "ended by peer",
			" failed to connect to /run/x.sock",
		},
		{
			"Unix client, only the peer known", []func(*socket.Connection){overUnix(noName, noName, 77)}, closedByPeer,
			" opened a Unix stream connection with pid 77", "ended by peer",
			" failed to connect to (unknown)",
		},
		{
			"Unix server", []func(*socket.Connection){overUnix(pair, noName, 77), role(event.RoleServer)},
			ended(socket.WayFIN, socket.SideLocal, 0),
			" accepted a Unix stream connection on /run/x.sock from pid 77", "ended by this side",
			" failed to accept a connection from (unknown)",
		},
		{
			"Unix server, both named", []func(*socket.Connection){overUnix(pair, named, 77), role(event.RoleServer)},
			ended(socket.WayFIN, socket.SideUnknown, 0),
			" accepted a Unix stream connection on /run/x.sock from @/tmp/client", "ended",
			" failed to accept a connection from @/tmp/client",
		},
		{
			"Unix server, only the client named", []func(*socket.Connection){overUnix(noName, named, 77), role(event.RoleServer)},
			ended(socket.WayUnknown, socket.SideUnknown, 0),
			" accepted a Unix stream connection from @/tmp/client", "end not seen",
			" failed to accept a connection from @/tmp/client",
		},
		{
			"Unix server, peer not known", []func(*socket.Connection){overUnix(pair, noName, 0), role(event.RoleServer)},
			closedByPeer,
			" accepted a Unix stream connection on /run/x.sock", "ended by peer",
			" failed to accept a connection from (unknown)",
		},
		{
			"Unix pair", []func(*socket.Connection){overUnix(noName, noName, 77), role(event.RoleUnknown)},
			ended(socket.WayRST, socket.SideRemote, 0),
			" has a Unix stream connection with pid 77", "reset by peer",
			" failed to connect to (unknown)",
		},
		{
			"Unix, older, role not known", []func(*socket.Connection){overUnix(pair, noName, 77), role(event.RoleUnknown), joined},
			closedByPeer,
			" already had a Unix stream connection on /run/x.sock with pid 77", "ended by peer",
			" failed to connect to (unknown)",
		},
		{
			"Unix, nothing known", []func(*socket.Connection){
				overUnix(noName, noName, 0), role(event.RoleUnknown), func(c *socket.Connection) { c.Unix = nil },
			},
			closedByPeer,
			" has a Unix stream connection", "ended by peer",
			" failed to connect to (unknown)",
		},
		{
			"UDP client", []func(*socket.Connection){overUDP}, idle,
			" opened a UDP flow 127.0.0.1:40000 -> 127.0.0.1:80", "idle",
			" failed to connect to 127.0.0.1:80",
		},
		{
			"UDP server", []func(*socket.Connection){overUDP, between("[::1]:53", "[::1]:5353"), role(event.RoleServer)}, idle,
			" received a UDP flow [::1]:5353 -> [::1]:53", "idle",
			" failed to accept a connection from [::1]:5353",
		},
		{
			"UDP, older", []func(*socket.Connection){overUDP, role(event.RoleUnknown), joined},
			ended(socket.WayFIN, socket.SideLocal, 0),
			" already had a UDP flow 127.0.0.1:40000 <-> 127.0.0.1:80", "ended by this side",
			" failed to connect to 127.0.0.1:80",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBuilder(Options{})
			connection := connect(c.changes...)
			b.Opened(connection)
			c.ending(connection)
			b.Closed(connection)
			connection.End = socket.End{Way: socket.WayTimeout}
			b.Failed(connection)
			logs, _ := b.Take()
			records := recordsOf(logs)
			for i, want := range [...]string{
				"curl (pid 4242)" + c.opened, ", " + c.closed, "curl (pid 4242)" + c.failed + ": ETIMEDOUT (connection timed out)",
			} {
				got := records[i].Body().Str()
				if i == 1 {
					got = got[strings.LastIndexByte(got, ','):]
				}
				if got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}
			// Both sentences name the ends in the same words.
			name := row(transportDefs[:], connection.Transport).name
			_, ends, _ := strings.Cut(c.opened, name)
			want := "curl (pid 4242): " + name + ends + " closed after "
			if got := records[1].Body().Str(); !strings.HasPrefix(got, want) {
				t.Errorf("%q does not begin with %q", got, want)
			}
		})
	}
}

// Segment counts and ways to end of TCP do not apply to other transports.
func TestAttributesOfAClosedConnectionByTransport(t *testing.T) {
	ofTCP := []string{segmentsSent, segmentsReceived, tcpRTT, tcpRetransmits}
	ofUDP := []string{datagramsSent, datagramsReceived}
	for _, c := range [...]struct {
		name     string
		change   func(*socket.Connection)
		way      socket.Way
		how      any // nil: absent
		has, not []string
		span     string
	}{
		{"TCP", func(*socket.Connection) {}, socket.WayFIN, "fin", ofTCP, ofUDP, "tcp.connection"},
		{"TCP, reset", func(*socket.Connection) {}, socket.WayRST, "rst", ofTCP, ofUDP, "tcp.connection"},
		{"Unix", overUnix("", "/x", 1), socket.WayFIN, nil, nil, append(ofTCP, ofUDP...), "unix.connection"},
		{"Unix, reset", overUnix("", "/x", 1), socket.WayRST, nil, nil, append(ofTCP, ofUDP...), "unix.connection"},
		{"Unix, error", overUnix("", "/x", 1), socket.WayError, "error", nil, append(ofTCP, ofUDP...), "unix.connection"},
		{"UDP", overUDP, socket.WayIdle, "idle", ofUDP, ofTCP, "udp.flow"},
		{"UDP, closed", overUDP, socket.WayFIN, nil, ofUDP, ofTCP, "udp.flow"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBuilder(Options{})
			b.Closed(connect(c.change, ended(c.way, socket.SideRemote, 0)))
			_, traces := b.Take()
			span := spansOf(traces)[0]
			if span.Name() != c.span {
				t.Errorf("the span is %s, want %s", span.Name(), c.span)
			}
			got := span.Attributes().AsRaw()
			if got[endHow] != c.how || got[endBy] != "remote" || got[bytesSent] != int64(1234) {
				t.Errorf("%s %v by %v, %v bytes", endHow, got[endHow], got[endBy], got[bytesSent])
			}
			for _, key := range c.has {
				if got[key] == nil {
					t.Errorf("no %s", key)
				}
			}
			for _, key := range c.not {
				if got[key] != nil {
					t.Errorf("%s is %v", key, got[key])
				}
			}
		})
	}
}

func TestAttemptsAreNamedByTransport(t *testing.T) {
	for want, change := range map[string]func(*socket.Connection){
		"tcp.connect": func(*socket.Connection) {}, "unix.connect": overUnix("", "/x", 0), "udp.connect": overUDP,
	} {
		b := newBuilder(Options{})
		b.Failed(connect(change, ended(socket.WayRST, socket.SideRemote, 111)))
		_, traces := b.Take()
		if got := spansOf(traces)[0]; got.Name() != want || got.Attributes().AsRaw()[errorType] != "ECONNREFUSED" {
			t.Errorf("%s with %v, want %s", got.Name(), got.Attributes().AsRaw(), want)
		}
	}
}

// The server of a request that names none is the name of the server's socket.
func TestServerOfAnExchangeOverAUnixSocket(t *testing.T) {
	asServer := withRole(event.RoleServer, event.RoleSourceAccept)
	for _, c := range [...]struct {
		name    string
		x       protocol.Exchange
		changes []func(*socket.Connection)
		want    map[string]any
	}{
		{
			"client", protocol.Exchange{}, []func(*socket.Connection){overUnix("", "/run/x.sock", 9)},
			map[string]any{
				serverAddress: "/run/x.sock", netPeerName: "/run/x.sock", netSockPeerAddr: "/run/x.sock", netHostName: nil,
				serverPort: nil, netPeerPort: nil, netPeerIP: nil, networkType: nil, netSockFamily: nil, peerPID: int64(9),
			},
		},
		{
			"client that names it", protocol.Exchange{Server: "localhost"},
			[]func(*socket.Connection){overUnix("", "/run/x.sock", 9)},
			map[string]any{
				serverAddress: "localhost", netPeerName: "localhost", networkPeerAddress: "/run/x.sock", serverPort: nil,
			},
		},
		{
			"server", protocol.Exchange{}, []func(*socket.Connection){overUnix("/run/x.sock", "", 9), asServer},
			map[string]any{
				serverAddress: "/run/x.sock", netHostName: "/run/x.sock", netSockHostAddr: "/run/x.sock", netPeerName: nil,
				clientAddress: nil, netHostPort: nil, netHostIP: nil, peerPID: int64(9),
			},
		},
		{
			"server of a client with a name", protocol.Exchange{Server: "localhost"},
			[]func(*socket.Connection){overUnix("/run/x.sock", "@c", 0), asServer},
			map[string]any{
				serverAddress: "localhost", netHostName: "localhost", networkLocalAddress: "/run/x.sock",
				clientAddress: "@c", netPeerName: "@c", peerPID: nil,
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBuilder(Options{})
			emitExchange(b, connect(c.changes...), &c.x)
			_, traces := b.Take()
			got := spansOf(traces)[0].Attributes().AsRaw()
			for key, want := range c.want {
				if got[key] != want {
					t.Errorf("%s is %v, want %v", key, got[key], want)
				}
			}
		})
	}
}

func TestSourcesOfARole(t *testing.T) {
	for source, want := range map[event.RoleSource]string{
		event.RoleSourceUnknown: "unknown", event.RoleSourceConnect: "connect", event.RoleSourceAccept: "accept",
		event.RoleSourceListener: "listener", event.RoleSourceFirst: "first", event.RoleSourceProtocol: "protocol",
	} {
		b := newBuilder(Options{})
		b.Opened(connect(withRole(event.RoleServer, source)))
		logs, _ := b.Take()
		if got, _ := recordsOf(logs)[0].Attributes().Get(roleSource); got.Str() != want {
			t.Errorf("%d is %s, want %s", source, got.Str(), want)
		}
	}
}
