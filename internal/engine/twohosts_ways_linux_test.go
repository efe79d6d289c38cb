//go:build amd64 || arm64

package engine_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/testenv"
)

const (
	// allListeners (net.ipv4.tcp_fastopen): as clientAndServer, and listeners take part without asking for it.
	allListeners = "1543"
	synData      = 32 // TCPI_OPT_SYN_DATA (include/uapi/linux/tcp.h): data that came with the SYN was acknowledged
)

// connOf makes a net.Conn of a socket.
func connOf(t *testing.T, fd int) net.Conn {
	t.Helper()
	file := os.NewFile(uintptr(fd), "socket")
	c, err := net.FileConn(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return c
}

// acceptAt returns a function that accepts the connection of a client that listen is called before.
func acceptAt(t *testing.T, server host, config net.ListenConfig, address string) (accept func() net.Conn) {
	t.Helper()
	listener := server.listen(t, config, fmt.Sprintf("%s:%d", address, serverPort))
	return func() net.Conn {
		c, err := listener.Accept()
		require.NoError(t, err)
		require.NoError(t, listener.Close())
		return c
	}
}

// waysBetweenHosts are ways to connect two hosts.
var waysBetweenHosts = map[string]func(t *testing.T, client, server host) pair{
	"plain": func(t *testing.T, client, server host) pair {
		accept := acceptAt(t, server, net.ListenConfig{}, serverAddress)
		return pair{client.dial(t, net.Dialer{}), accept()}
	},
	"v4-mapped": func(t *testing.T, client, server host) pair {
		accept := acceptAt(t, server, net.ListenConfig{}, "")
		var fd int
		var err error
		client.do(t, func() {
			if fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
				err = unix.Connect(fd, &unix.SockaddrInet6{Port: publicPort, Addr: netip.MustParseAddr("::ffff:" + publicAddress).As16()})
			}
		})
		require.NoError(t, err)
		return pair{connOf(t, fd), accept()}
	},
	"fast open": func(t *testing.T, client, server host) pair {
		client.do(t, func() { setSysctl(t, "ipv4/tcp_fastopen", allListeners) })
		server.do(t, func() { setSysctl(t, "ipv4/tcp_fastopen", allListeners) })
		accept := acceptAt(t, server, net.ListenConfig{}, serverAddress)
		var fd int
		var err error
		client.do(t, func() {
			if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
				err = unix.Sendto(fd, []byte("GET /0 HTTP/1.1\r\nHost: host.test\r\n\r\n"), unix.MSG_FASTOPEN,
					&unix.SockaddrInet4{Port: publicPort, Addr: netip.MustParseAddr(publicAddress).As4()})
			}
		})
		require.NoError(t, err)
		accepted := accept()
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		require.NoError(t, err)
		require.NotZero(t, info.Options&synData, "no data came with the SYN")
		p := pair{connOf(t, fd), accepted}
		p.answer(t, 1)
		return p
	},
}

// Whatever the way in which two hosts are connected, both ends of each request are in one trace, also if the connection is older than the engines.
func TestTwoHostsAreJoinedByAllWays(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	observed := func(o *engine.Options) {
		o.ObservedNetworks = []netip.Prefix{netip.MustParsePrefix(serversPeer + "/32")}
	}
	for name, connect := range waysBetweenHosts {
		for _, older := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, older: %v", name, older), func(t *testing.T) {
				client, server := newHosts(t)
				var p pair
				if older {
					p = connect(t, client, server)
					p.request(t, 0, batchOfRequests)
				}
				atClient, stopClient := startHost(t, ptrace.SpanKindClient, observed)
				defer stopClient()
				atServer, stopServer := startHost(t, ptrace.SpanKindServer, observed)
				defer stopServer()
				if older {
					p.awaitSpans(t, atClient, atServer)
				} else {
					p = connect(t, client, server)
				}
				t.Cleanup(func() { _, _ = p.client.Close(), p.server.Close() })
				const batches = 3
				for i := range batches {
					p.request(t, 1000+i*batchOfRequests, batchOfRequests)
				}
				requests := batches * batchOfRequests
				if fastOpen := name == "fast open"; fastOpen && !older {
					requests++
				}
				awaitTrue(t, "all spans", func() bool { return merge(atClient, atServer).has(requests) })
				traces, children, wrong := merge(atClient, atServer).joined()
				assert.Equal(t, requests, traces, "requests in one trace")
				assert.Equal(t, requests, children, "servers' spans that are children of their clients'")
				assert.Zero(t, wrong, "servers' spans with another parent")
			})
		}
	}
}

// awaitSpans makes requests until both hosts have found the connection, and forgets them.
func (p pair) awaitSpans(t *testing.T, hosts ...*endsSink) {
	t.Helper()
	number := 10
	awaitTrue(t, "the connection is found", func() bool {
		p.request(t, number, 1)
		number++
		return merge(hosts...).has(1)
	})
	awaitTrue(t, "both spans of the last request", func() bool {
		all, last := merge(hosts...), fmt.Sprint(number-1)
		_, asked := all.spans[ptrace.SpanKindClient][last]
		_, answered := all.spans[ptrace.SpanKindServer][last]
		return asked && answered
	})
	for _, h := range hosts {
		h.forget()
	}
}

// forget forgets all spans.
func (s *endsSink) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, spans := range s.spans {
		clear(spans)
	}
	clear(s.ids)
}
