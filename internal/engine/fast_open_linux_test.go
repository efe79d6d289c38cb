//go:build amd64 || arm64

package engine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
)

const (
	getResponse = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

	// clientAndServer (net.ipv4.tcp_fastopen): both take part, and neither asks for a cookie, so that the first SYN has data.
	clientAndServer = "519"
	tolerance       = time.Millisecond // of the clock
)

// fastOpens are the ways to send a request with the SYN. What they return waits until the call has returned.
var fastOpens = map[string]func(t *testing.T, fd int, to unix.Sockaddr, request string) (returned func()){
	"sendto": func(t *testing.T, fd int, to unix.Sockaddr, request string) func() {
		require.NoError(t, unix.SetNonblock(fd, true))
		require.NoError(t, unix.Sendto(fd, []byte(request), unix.MSG_FASTOPEN, to))
		return func() {}
	},
	"sendmsg": func(t *testing.T, fd int, to unix.Sockaddr, request string) func() {
		require.NoError(t, unix.SetNonblock(fd, true))
		require.NoError(t, unix.Sendmsg(fd, []byte(request), nil, to, unix.MSG_FASTOPEN))
		return func() {}
	},
	"blocking sendto": func(t *testing.T, fd int, to unix.Sockaddr, request string) func() {
		sent := make(chan error, 1)
		go func() { sent <- unix.Sendto(fd, []byte(request), unix.MSG_FASTOPEN, to) }()
		return func() { assert.NoError(t, <-sent) }
	},
	"connect and write": func(t *testing.T, fd int, to unix.Sockaddr, request string) func() {
		require.NoError(t, unix.SetNonblock(fd, true))
		require.NoError(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1))
		require.NoError(t, unix.Connect(fd, to))
		writeAll(t, fd, []byte(request))
		return func() {}
	},
}

// setDeaf has a socket drop what arrives, or not any more.
func setDeaf(t *testing.T, fd int, deaf bool) {
	t.Helper()
	if !deaf {
		require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0))
		return
	}
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	require.NoError(t, unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing}))
}

func stateOf(t *testing.T, fd int) uint8 {
	t.Helper()
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	require.NoError(t, err)
	return info.State
}

// awaitReadable waits until there is something to read.
func awaitReadable(t *testing.T, fd int) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 20_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		require.NoError(t, err)
		require.Equal(t, 1, n)
		return
	}
}

// fastOpen is a connection whose request comes with the SYN.
type fastOpen struct {
	request                                 string
	to                                      unix.Sockaddr
	listener, client, server                int
	sending, sent, reading, answered, heard time.Time
	returned                                func()
}

// begin sends the request, and answers it before the end of the handshake.
func (c *fastOpen) begin(t *testing.T, f family, send func(*testing.T, int, unix.Sockaddr, string) func()) {
	t.Helper()
	c.listener, c.to = f.listen(t)
	require.NoError(t, unix.SetsockoptInt(c.listener, unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 8))
	c.client = f.socket(t)
	setDeaf(t, c.client, true)
	c.sending = time.Now()
	c.returned = send(t, c.client, c.to, c.request)
	var err error
	c.server, _, err = unix.Accept4(c.listener, unix.SOCK_CLOEXEC)
	require.NoError(t, err)
	c.sent = time.Now()
	const synReceived = 3
	require.EqualValues(t, synReceived, stateOf(t, c.server))
	c.reading = time.Now()
	require.Equal(t, c.request, string(readAll(t, c.server, len(c.request))))
	writeAll(t, c.server, []byte(getResponse))
	c.answered = time.Now()
	require.EqualValues(t, synReceived, stateOf(t, c.server), "the handshake has not ended")
	setDeaf(t, c.client, false)
}

func (c *fastOpen) end(t *testing.T) {
	t.Helper()
	c.returned()
	awaitReadable(t, c.client)
	require.Equal(t, getResponse, string(readAll(t, c.client, len(getResponse))))
	c.heard = time.Now()
	closeAll(t, c.client, c.server, c.listener)
}

// A request that comes with the SYN has exact spans at both ends, though it is sent, read and answered before the end of the handshake.
func TestFastOpenRequestIsExactAtBothEnds(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) { testFastOpen(t, mode) })
	}
}

func testFastOpen(t *testing.T, mode kernel.Mode) {
	sink := &spanSink{}
	e := engine.New(optionsOf(t, mode, sink))
	require.NoError(t, e.Start())
	all := map[string]*fastOpen{}
	inNetNS(t, func() {
		setSysctl(t, "ipv4/tcp_fastopen", clientAndServer)
		for name, f := range families {
			for how, send := range fastOpens {
				path := "/" + strings.ReplaceAll(name+"/"+how, " ", "-")
				c := &fastOpen{request: "GET " + path + " HTTP/1.1\r\nHost: host.test\r\n\r\n"}
				all[path] = c
				c.begin(t, f, send)
			}
		}
		for _, c := range all {
			c.end(t)
		}
	})
	awaitTrue(t, "both ends are known", func() bool { return e.Snapshot().Exchanges["http"] >= uint64(2*len(all)) })
	_, err := e.Drain(t.Context())
	require.NoError(t, err)
	s := e.Snapshot()
	require.NoError(t, e.Close())

	assert.Zero(t, s.PayloadLost)
	spans := map[string]ptrace.Span{} // by kind and path
	for _, span := range sink.spans {
		_, path, _ := strings.Cut(text(span.Attributes(), "url.path")+text(span.Attributes(), "url.full"), "host.test")
		if path == "" {
			path = text(span.Attributes(), "url.path")
		}
		spans[span.Kind().String()+" "+path] = span
	}
	require.Len(t, sink.spans, 2*len(all))
	for path, c := range all {
		client, server := spans["Client "+path], spans["Server "+path]
		if assert.NotZero(t, client, path) && assert.NotZero(t, server, path) {
			c.check(t, mode, path, client, server)
		}
	}
}

func (c *fastOpen) check(t *testing.T, mode kernel.Mode, path string, client, server ptrace.Span) {
	t.Helper()
	for _, span := range []ptrace.Span{client, server} {
		a := span.Attributes()
		assert.Equal(t, "200", text(a, "http.response.status_code"), path)
		assert.Equal(t, "complete", text(a, "socketflow.capture"), path)
	}
	assert.WithinRange(t, client.StartTimestamp().AsTime(), c.sending.Add(-tolerance), c.sent.Add(tolerance), path)
	assert.WithinRange(t, client.EndTimestamp().AsTime(), c.answered.Add(-tolerance), c.heard.Add(tolerance), path)
	assert.WithinRange(t, server.StartTimestamp().AsTime(), c.reading.Add(-tolerance), c.answered.Add(tolerance), path)
	assert.WithinRange(t, server.EndTimestamp().AsTime(), server.StartTimestamp().AsTime(), c.answered.Add(tolerance), path)
	assert.Equal(t, addressOf(c.to), text(client.Attributes(), "network.peer.address")+" "+text(client.Attributes(), "network.peer.port"), path)
	if mode == kernel.ModeSocket { // the syscall mode may not learn where a client's socket is bound to
		assert.Equal(t, text(client.Attributes(), "network.local.port"), text(server.Attributes(), "network.peer.port"), path)
	}
}

// A connection that is refused after its request was sent is an attempt that failed, and a request that failed.
func TestRefusedFastOpenIsAFailedRequest(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	sink := &spanSink{}
	e := engine.New(optionsOf(t, kernel.ModeSocket, sink))
	require.NoError(t, e.Start())
	inNetNS(t, func() {
		setSysctl(t, "ipv4/tcp_fastopen", clientAndServer)
		f := families["IPv4"]
		listener, to := f.listen(t)
		closeAll(t, listener)
		client := f.socket(t)
		setDeaf(t, client, true) // to the first answer; the second SYN is a second later
		require.NoError(t, unix.SetNonblock(client, true))
		require.NoError(t, unix.Sendto(client, []byte("GET /path HTTP/1.1\r\nHost: host.test\r\n\r\n"), unix.MSG_FASTOPEN, to))
		setDeaf(t, client, false)
		awaitReadable(t, client)
		_, err := unix.Read(client, make([]byte, 1))
		require.ErrorIs(t, err, unix.ECONNREFUSED)
		closeAll(t, client)
	})
	awaitTrue(t, "the request has failed", func() bool { return e.Snapshot().Exchanges["http"] == 1 })
	_, err := e.Drain(t.Context())
	require.NoError(t, err)
	s := e.Snapshot()
	require.NoError(t, e.Close())
	require.Len(t, sink.spans, 1)
	assert.Equal(t, "ECONNREFUSED", text(sink.spans[0].Attributes(), "error.type"))
	assert.Equal(t, []uint64{0, 0, 1}, []uint64{s.ConnectionsOpened, s.ConnectionsClosed, s.ConnectionsFailed})
}
