package self

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/monotime"
)

func newSockets(t *testing.T) *Sockets {
	t.Helper()
	s, err := New(4711)
	require.NoError(t, err)
	return s
}

// flow is a connection as its end with the local address sees it.
func (s *Sockets) flow(transport event.Transport, local, remote net.Addr) *event.Flow {
	parse := func(a net.Addr) netip.AddrPort {
		p := netip.MustParseAddrPort(a.String())
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return &event.Flow{Transport: transport, Local: parse(local), Remote: parse(remote), NetNS: s.netns}
}

// ask asks until the answer is sure.
func (s *Sockets) ask(f *event.Flow) bool {
	at := monotime.Now()
	for {
		if yes, sure := s.HaveOtherEnd(f, at); sure {
			return yes
		}
	}
}

func TestOtherEndsOfConnectedSockets(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		listener, err := net.Listen("tcp", address)
		require.NoError(t, err)
		_, port, err := net.SplitHostPort(listener.Addr().String())
		require.NoError(t, err)
		to := listener.Addr().String()
		if address == ":0" {
			to = net.JoinHostPort("127.0.0.1", port)
		}
		client, err := net.Dial("tcp", to)
		require.NoError(t, err)
		server, err := listener.Accept()
		require.NoError(t, err)

		s := newSockets(t)
		fromServer := s.flow(event.TCP, server.LocalAddr(), client.LocalAddr())
		assert.True(t, s.ask(fromServer), "the client is own")
		fromClient := s.flow(event.TCP, client.LocalAddr(), server.LocalAddr())
		assert.True(t, s.ask(fromClient), "the server is own")

		elsewhere := *fromServer
		elsewhere.NetNS++
		assert.False(t, s.ask(&elsewhere), "an address of the loopback of another network namespace")
		other := *fromServer
		other.Transport = event.UDP
		assert.False(t, s.ask(&other))

		require.NoError(t, client.Close())
		require.NoError(t, server.Close())
		assert.True(t, s.ask(fromServer), "a socket that was closed a moment ago is remembered")
		another := *fromClient
		another.Local = netip.AddrPortFrom(another.Local.Addr(), another.Local.Port()^1)
		assert.True(t, s.ask(&another), "whoever connects to an own listener")
		require.NoError(t, listener.Close())
		assert.False(t, newSockets(t).ask(fromServer), "nothing is left of them")
		assert.False(t, newSockets(t).ask(&another))
	}
}

func TestOtherEndsOfOthers(t *testing.T) {
	s := newSockets(t)
	for name, remote := range map[string]string{
		"a port that nobody has": "127.0.0.1:1", "another host": "192.0.2.1:443", "no port": "127.0.0.1:0",
	} {
		yes, sure := s.HaveOtherEnd(&event.Flow{
			Transport: event.TCP, NetNS: s.netns, Local: netip.MustParseAddrPort("127.0.0.1:40000"), Remote: netip.MustParseAddrPort(remote),
		}, 0)
		assert.False(t, yes, name)
		assert.True(t, sure, name)
	}
	yes, _ := s.HaveOtherEnd(&event.Flow{Transport: event.TCP}, 0)
	assert.False(t, yes)
}

func TestOtherEndsOfBoundDatagramSockets(t *testing.T) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = socket.Close() }()
	s := newSockets(t)
	assert.True(t, s.ask(s.flow(event.UDP, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}, socket.LocalAddr())))
	assert.False(t, s.ask(s.flow(event.TCP, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}, socket.LocalAddr())))
}

func TestOtherEndsOfUnixSockets(t *testing.T) {
	s := newSockets(t)
	for pid, want := range map[uint32]bool{4711: true, 4712: false, 0: false} {
		yes, sure := s.HaveOtherEnd(&event.Flow{Transport: event.UnixStream, Unix: &event.Unix{PeerPID: pid}}, monotime.Now())
		assert.Equal(t, want, yes, pid)
		assert.True(t, sure)
	}
	s.pid = 0
	yes, _ := s.HaveOtherEnd(&event.Flow{Transport: event.UnixStream, Unix: &event.Unix{}}, 0)
	assert.False(t, yes, "neither is known")
}

// The sockets are not read for every connection: no is not sure then.
func TestSocketsAreReadNowAndThen(t *testing.T) {
	s := newSockets(t)
	f := s.flow(event.TCP, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2})
	_, sure := s.HaveOtherEnd(f, 0)
	require.True(t, sure)
	s.read = monotime.Now()
	yes, sure := s.HaveOtherEnd(f, s.read)
	assert.False(t, yes || sure, "they were read before the connection was there, and just now")
	_, sure = s.HaveOtherEnd(f, s.read-1)
	assert.True(t, sure)
}
