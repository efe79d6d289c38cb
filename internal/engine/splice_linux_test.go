//go:build amd64 || arm64

package engine_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
)

// socketPair is a connection by its descriptors, in blocking mode.
type socketPair struct{ client, server int }

func newSocketPair(t *testing.T, network string) socketPair {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	listener, err := net.Listen(network, address)
	require.NoError(t, err)
	client, err := net.Dial(network, listener.Addr().String())
	require.NoError(t, err)
	server, err := listener.Accept()
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	p := socketPair{descriptor(t, client), descriptor(t, server)}
	t.Cleanup(func() {
		assert.NoError(t, unix.Close(p.client))
		assert.NoError(t, unix.Close(p.server))
	})
	return p
}

// descriptor is a blocking descriptor of the connection, which it takes over.
func descriptor(t *testing.T, c net.Conn) int {
	t.Helper()
	file, err := c.(interface{ File() (*os.File, error) }).File()
	require.NoError(t, err)
	fd, err := unix.Dup(int(file.Fd()))
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.NoError(t, c.Close())
	require.NoError(t, unix.SetNonblock(fd, false))
	return fd
}

func writeAll(t *testing.T, fd int, b []byte) {
	t.Helper()
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		require.NoError(t, err)
		b = b[n:]
	}
}

func readAll(t *testing.T, fd, n int) []byte {
	t.Helper()
	all := make([]byte, n)
	for b := all; len(b) > 0; {
		n, err := unix.Read(fd, b)
		require.NoError(t, err)
		require.NotZero(t, n, "the other end has closed")
		b = b[n:]
	}
	return all
}

func newPipe(t *testing.T) (read, write int) {
	t.Helper()
	var p [2]int
	require.NoError(t, unix.Pipe2(p[:], unix.O_CLOEXEC))
	t.Cleanup(func() { _, _ = unix.Close(p[0]), unix.Close(p[1]) })
	return p[0], p[1]
}

// senders send a body of at most a pipe's size.
var senders = map[string]func(t *testing.T, fd int, body []byte){
	"write": writeAll,
	"sendfile": func(t *testing.T, fd int, body []byte) {
		file, err := os.CreateTemp(t.TempDir(), "")
		require.NoError(t, err)
		_, err = file.Write(body)
		require.NoError(t, err)
		var at int64
		for at < int64(len(body)) {
			_, err = unix.Sendfile(fd, int(file.Fd()), &at, len(body)-int(at))
			require.NoError(t, err)
		}
		require.NoError(t, file.Close())
	},
	"splice": func(t *testing.T, fd int, body []byte) {
		r, w := newPipe(t)
		writeAll(t, w, body)
		spliceAll(t, r, fd, len(body))
	},
	"vmsplice": func(t *testing.T, fd int, body []byte) {
		r, w := newPipe(t)
		_, err := unix.Vmsplice(w, []unix.Iovec{{Base: unsafe.SliceData(body), Len: uint64(len(body))}}, 0)
		require.NoError(t, err)
		spliceAll(t, r, fd, len(body))
	},
	"tee": func(t *testing.T, fd int, body []byte) {
		r, w := newPipe(t)
		r2, w2 := newPipe(t)
		writeAll(t, w, body)
		n, err := unix.Tee(r, w2, len(body), 0)
		require.NoError(t, err)
		require.EqualValues(t, len(body), n)
		spliceAll(t, r2, fd, len(body))
	},
	"zerocopy": func(t *testing.T, fd int, body []byte) {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1) // Unix sockets have none
		for len(body) > 0 {
			n, err := unix.SendmsgN(fd, body, nil, nil, unix.MSG_ZEROCOPY)
			require.NoError(t, err)
			body = body[n:]
		}
	},
}

func spliceAll(t *testing.T, from, to, n int) {
	t.Helper()
	for n > 0 {
		moved, err := unix.Splice(from, nil, to, nil, n, 0)
		require.NoError(t, err)
		require.Positive(t, moved)
		n -= int(moved)
	}
}

var receivers = map[string]func(t *testing.T, fd, n int){
	"read": func(t *testing.T, fd, n int) { readAll(t, fd, n) },
	"splice": func(t *testing.T, fd, n int) {
		r, w := newPipe(t)
		for n > 0 {
			moved, err := unix.Splice(fd, nil, w, nil, n, 0)
			require.NoError(t, err)
			require.Positive(t, moved)
			readAll(t, r, int(moved))
			n -= int(moved)
		}
	},
}

// say sends a message whose body takes ways of its own.
func (p socketPair) say(t *testing.T, from, to int, head string, body []byte, send, receive string) {
	t.Helper()
	writeAll(t, from, []byte(head))
	readAll(t, to, len(head))
	if len(body) == 0 {
		return
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		senders[send](t, from, body)
	}()
	receivers[receive](t, to, len(body))
	<-sent
}

// Whatever calls transfer the body of a message, it and the next requests of the connection are whole at both ends.
func TestRequestsBehindSplicedBodies(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	body := []byte(strings.Repeat("GET /body HTTP/1.1\r\n\r\n", 2000))
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		sink := &spanSink{}
		e := engine.New(optionsOf(t, mode, sink))
		require.NoError(t, e.Start())
		var paths []string
		for _, network := range []string{"tcp", "unix"} {
			for send := range senders {
				for receive := range receivers {
					for _, from := range []string{"client", "server"} {
						path := fmt.Sprintf("/%s/%s/%s/%s", network, from, send, receive)
						converse(t, newSocketPair(t, network), from, body, send, receive, path)
						paths = append(paths, path)
					}
				}
			}
		}
		_, err := e.Drain(t.Context())
		require.NoError(t, err)
		require.NoError(t, e.Close())
		verifyWhole(t, mode, sink, paths)
	}
}

// converse makes three requests, of which the first has a body in one of the directions.
func converse(t *testing.T, p socketPair, from string, body []byte, send, receive, path string) {
	t.Helper()
	var none []byte
	request, response := none, none
	if from == "client" {
		request = body
	} else {
		response = body
	}
	for i := range 3 {
		p.say(t, p.client, p.server, fmt.Sprintf("POST %s/%d HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", path, i, len(request)),
			request, send, receive)
		p.say(t, p.server, p.client, fmt.Sprintf("HTTP/1.1 20%d Fine\r\nContent-Length: %d\r\n\r\n", i, len(response)),
			response, send, receive)
		request, response = none, none
	}
}

// verifyWhole checks that each request has one span at each end, with its own status.
func verifyWhole(t *testing.T, mode kernel.Mode, sink *spanSink, paths []string) {
	t.Helper()
	seen := map[string]string{}
	for _, span := range sink.spans {
		path := text(span.Attributes(), "url.path")
		if span.Kind() == ptrace.SpanKindClient {
			full := text(span.Attributes(), "url.full")
			path = full[max(0, strings.Index(full, "/tcp/"), strings.Index(full, "/unix/")):]
		}
		seen[fmt.Sprint(span.Kind(), " ", path)] += text(span.Attributes(), "http.response.status_code") + " "
	}
	want := map[string]string{}
	for _, path := range paths {
		for i := range 3 {
			for _, kind := range []ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer} {
				want[fmt.Sprintf("%s %s/%d", kind, path, i)] = fmt.Sprintf("20%d ", i)
			}
		}
	}
	for what, status := range want {
		assert.Equal(t, status, seen[what], "%s: %s", mode, what)
		delete(seen, what)
	}
	assert.Empty(t, seen, mode)
}
