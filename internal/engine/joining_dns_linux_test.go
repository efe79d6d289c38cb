//go:build amd64 || arm64

package engine_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
)

// lookUp asks for the address of a name over UDP, and answers itself.
func lookUp(t *testing.T, client, server net.PacketConn, to net.Addr, id uint16, name string) {
	t.Helper()
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	query, err := message.Pack()
	require.NoError(t, err)
	message.Response = true
	response, err := message.Pack()
	require.NoError(t, err)
	if to == nil {
		_, err = client.(*net.UDPConn).Write(query)
	} else {
		_, err = client.WriteTo(query, to)
	}
	require.NoError(t, err)
	buffer := make([]byte, 512)
	_, from, err := server.ReadFrom(buffer)
	require.NoError(t, err)
	_, err = server.WriteTo(response, from)
	require.NoError(t, err)
	_, _, err = client.ReadFrom(buffer)
	require.NoError(t, err)
}

// Both ends of a DNS query over UDP are joined by where, when and what it was, whether or not the sockets know their own addresses.
func TestBothEndsOfDNSQueriesAreJoined(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	const clients, queries = 5, 20
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) {
			sink, _ := startJoining(t, mode, func() pair { return connectOver(t, "tcp", "127.0.0.1:0") }, nil)
			for i, at := range []string{"127.0.0.1", "0.0.0.0", "[::]"} {
				for _, connected := range []bool{true, false} {
					t.Run(fmt.Sprintf("server at %s, client connected: %v", at, connected), func(t *testing.T) {
						sink.forget()
						server, err := net.ListenPacket("udp", at+":0")
						require.NoError(t, err)
						defer server.Close() //nolint:errcheck // nothing was written
						to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: server.LocalAddr().(*net.UDPAddr).Port}
						for c := range clients {
							client, address := udpClient(t, to, connected)
							for q := range queries {
								lookUp(t, client, server, address, uint16(q), fmt.Sprintf("q%d.c%d.s%d%v.test.", q, c, i, connected))
							}
							require.NoError(t, client.Close())
						}
						awaitTrue(t, "all spans", func() bool { return sink.has(clients * queries) })
						traces, children, wrong := sink.joined()
						assert.Equal(t, clients*queries, traces)
						assert.Equal(t, clients*queries, children)
						assert.Zero(t, wrong, "servers' spans with another parent")
						assert.Len(t, sink.ids, 2*clients*queries, "span ids")
					})
				}
			}
		})
	}
}

// udpClient returns a socket, and the address to send to; nil: the socket is connected to it.
func udpClient(t *testing.T, to net.Addr, connected bool) (client net.PacketConn, address net.Addr) {
	t.Helper()
	if connected {
		c, err := net.Dial("udp", to.String())
		require.NoError(t, err)
		return c.(*net.UDPConn), nil
	}
	client, err := net.ListenPacket("udp4", ":0")
	require.NoError(t, err)
	return client, to
}
