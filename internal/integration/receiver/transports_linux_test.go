package receiver_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/receiver"
)

// This process makes a request over a Unix socket and sends datagrams: the opening and the close of each end are emitted.
func TestUnixSocketsAndDatagrams(t *testing.T) {
	o := observe(t, hostMode(), func(cfg *receiver.Config) {
		roomy(cfg)
		cfg.Transports = []receiver.Transport{receiver.TransportTCP, receiver.TransportUDP, receiver.TransportUnix}
		cfg.ExcludeSelf = false
		// The rest of this host, other tests' bulk transfers included, can fill the ring buffers: a request whose bytes were lost
		// is not recognised.
		cfg.Include = []receiver.Selector{{PID: os.Getpid()}}
		cfg.UDPIdleTimeout = time.Second
	})
	path := filepath.Join(t.TempDir(), "socket")
	requestOver(t, path)
	local, remote := datagramsBetween(t)

	of := func(event, transport, localAddress, remoteAddress string) int {
		n := 0
		for _, r := range o.of(os.Getpid()).events(event) {
			a := r.Attributes()
			if text(a, "network.transport") == transport && text(a, "network.local.address") == localAddress &&
				text(a, "network.peer.address") == remoteAddress {
				n++
			}
		}
		return n
	}
	for _, event := range []string{opened, closed} {
		await(t, event+" of both ends of the Unix connection", func() bool {
			return of(event, "unix", path, "") == 1 && of(event, "unix", "", path) == 1
		})
		await(t, event+" of both ends of the UDP flow", func() bool {
			n := 0
			for _, r := range o.of(os.Getpid()).events(event) {
				a := r.Attributes()
				ends := [2]int64{number(a, "network.local.port"), number(a, "network.peer.port")}
				if text(a, "network.transport") == "udp" && (ends == [2]int64{local, remote} || ends == [2]int64{remote, local}) {
					n++
				}
			}
			return n == 2
		})
	}
	require.Zero(t, o.metric(t, "kernel_events_lost"))
	o.shutdown(t)
	kinds := map[string]int{}
	for _, s := range o.of(os.Getpid()).spans {
		if text(s.Attributes(), "network.transport") == "unix" {
			kinds[s.Name()+" "+s.Kind().String()]++
			t.Log(s.Name(), s.Kind(), s.Attributes().AsRaw())
		}
	}
	assert.Equal(t, map[string]int{"GET Client": 1, "GET Server": 1}, kinds)
	for _, s := range o.of(os.Getpid()).spans {
		if s.Name() == "GET" {
			assert.Equal(t, int64(204), get(s.Attributes(), "http.response.status_code"))
		}
	}
}

// requestOver makes an HTTP request over a Unix socket.
func requestOver(t *testing.T, path string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	require.NoError(t, err)
	ended := make(chan struct{})
	server := &http.Server{
		ReadHeaderTimeout: bound,
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(ended)
			}
		},
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
	require.NoError(t, err)
	_, err = conn.Write([]byte("GET /over/unix HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	require.NoError(t, err)
	n, err := conn.Read(make([]byte, 1000))
	require.NoError(t, err)
	require.Positive(t, n)
	require.NoError(t, conn.Close())
	<-ended // it has read the end
	require.NoError(t, server.Shutdown(t.Context()))
	require.ErrorIs(t, <-served, http.ErrServerClosed)
}

// datagramsBetween sends one datagram each way, and returns the ports.
func datagramsBetween(t *testing.T) (client, server int64) {
	t.Helper()
	a, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer a.Close() //nolint:errcheck // nothing is left to be sent
	b, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer b.Close() //nolint:errcheck // nothing is left to be sent
	_, err = a.WriteTo([]byte("question"), b.LocalAddr())
	require.NoError(t, err)
	_, from, err := b.ReadFrom(make([]byte, 100))
	require.NoError(t, err)
	_, err = b.WriteTo([]byte("answer"), from)
	require.NoError(t, err)
	_, _, err = a.ReadFrom(make([]byte, 100))
	require.NoError(t, err)
	port := func(c net.PacketConn) int64 { return int64(c.LocalAddr().(*net.UDPAddr).Port) }
	return port(a), port(b)
}
