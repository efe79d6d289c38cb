//go:build amd64 || arm64

package engine_test

import (
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

// leaving is a request on a connection that one end leaves.
type leaving struct {
	// alive is what happens while both ends reach each other, and dead what happens when they do not any more. Both begin behind
	// the request.
	alive, dead func(t *testing.T, c *leaving)
	unsent      bool               // the request is not sent before that
	only        kernel.Mode        // if it differs between the modes
	want        map[string]outcome // by kind of span

	client, server int
	request        string
	begun          time.Time
	left           map[string]time.Time // by kind of span: when its end left, or had all
}

// outcome is the error.type of a span, or its status.
type outcome struct{ err, status string }

var (
	answeredBoth = map[string]outcome{"Client": {status: "200"}, "Server": {status: "200"}}
	leftBoth     = map[string]outcome{"Client": {err: "canceled"}, "Server": {err: "connection_closed"}}
)

func (c *leaving) leave(t *testing.T, kind string) {
	t.Helper()
	c.left[kind] = time.Now()
	if kind == "Client" {
		closeAll(t, c.client)
	} else {
		closeAll(t, c.server)
	}
}

func (c *leaving) leaveBoth(t *testing.T) {
	t.Helper()
	c.leave(t, "Client")
	c.leave(t, "Server")
}

func (c *leaving) answer(t *testing.T) {
	t.Helper()
	writeAll(t, c.server, []byte(getResponse))
	c.left["Server"] = time.Now()
}

func (c *leaving) hear(t *testing.T) {
	t.Helper()
	awaitReadable(t, c.client)
	require.Equal(t, getResponse, string(readAll(t, c.client, len(getResponse))))
	c.left["Client"] = time.Now()
}

var leavings = map[string]leaving{
	"both close on a dead host": {
		dead: func(t *testing.T, c *leaving) { c.leaveBoth(t) },
		want: leftBoth,
	},
	"a request that never leaves": {
		unsent: true,
		dead: func(t *testing.T, c *leaving) {
			writeAll(t, c.client, []byte(c.request))
			c.leave(t, "Client")
		},
		want: map[string]outcome{"Client": {err: "canceled"}},
	},
	"shutdown of both directions": {
		only: kernel.ModeSocket, // the other takes it that what has arrived may still be read
		dead: func(t *testing.T, c *leaving) {
			c.left["Client"] = time.Now()
			require.NoError(t, unix.Shutdown(c.client, unix.SHUT_RDWR))
			c.leave(t, "Server")
			t.Cleanup(func() { closeAll(t, c.client) })
		},
		want: leftBoth,
	},
	"half-close, and close on a dead host": {
		alive: func(t *testing.T, c *leaving) { require.NoError(t, unix.Shutdown(c.client, unix.SHUT_WR)) },
		dead:  func(t *testing.T, c *leaving) { c.leaveBoth(t) },
		want:  leftBoth,
	},
	"half-close on a dead host, and close": {
		dead: func(t *testing.T, c *leaving) {
			require.NoError(t, unix.Shutdown(c.client, unix.SHUT_WR))
			c.leaveBoth(t)
		},
		want: leftBoth,
	},
	"half-close before the answer": {
		alive: func(t *testing.T, c *leaving) {
			require.NoError(t, unix.Shutdown(c.client, unix.SHUT_WR))
			c.answer(t)
			c.hear(t)
			closeAll(t, c.client, c.server)
		},
		want: answeredBoth,
	},
	"half-close with the answer unread": {
		alive: func(t *testing.T, c *leaving) {
			c.answer(t)
			closeAll(t, c.server)
			awaitState(t, c.client, closeWait)
			require.NoError(t, unix.Shutdown(c.client, unix.SHUT_WR))
			c.hear(t)
			closeAll(t, c.client)
		},
		want: answeredBoth,
	},
	"close without reading the answer": {
		alive: func(t *testing.T, c *leaving) {
			c.answer(t)
			awaitReadable(t, c.client)
			c.leave(t, "Client") // with a reset
			closeAll(t, c.server)
		},
		want: map[string]outcome{"Client": {err: "canceled"}, "Server": {status: "200"}},
	},
	"close before the answer": {
		alive: func(t *testing.T, c *leaving) {
			c.leave(t, "Client")
			awaitState(t, c.server, closeWait)
			c.answer(t)
			closeAll(t, c.server)
		},
		want: map[string]outcome{"Client": {err: "canceled"}, "Server": {status: "200"}},
	},
	"half-close, and the server closes without an answer": {
		alive: func(t *testing.T, c *leaving) {
			require.NoError(t, unix.Shutdown(c.client, unix.SHUT_WR))
			c.closeAtServer(t)
		},
		want: map[string]outcome{"Client": {err: "connection_closed"}, "Server": {err: "connection_closed"}},
	},
	"half-close, and the server closes within the answer": {
		only: kernel.ModeSocket, // the other mode does not learn at the server that the client has finished, and says connection_closed
		alive: func(t *testing.T, c *leaving) {
			require.NoError(t, unix.Shutdown(c.client, unix.SHUT_WR))
			const part = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"
			writeAll(t, c.server, []byte(part))
			awaitReadable(t, c.client)
			require.Equal(t, part, string(readAll(t, c.client, len(part))))
			c.closeAtServer(t)
		},
		want: map[string]outcome{"Client": {"connection_closed", "200"}, "Server": {status: "200"}},
	},
	"server closes without an answer": {
		alive: func(t *testing.T, c *leaving) {
			c.closeAtServer(t)
		},
		want: map[string]outcome{"Client": {err: "connection_closed"}, "Server": {err: "connection_closed"}},
	},
}

// closeAtServer closes the server's end, and then the client's.
func (c *leaving) closeAtServer(t *testing.T) {
	t.Helper()
	c.leave(t, "Server")
	n, err := unix.Read(c.client, make([]byte, 1))
	require.NoError(t, err)
	require.Zero(t, n)
	c.leave(t, "Client")
}

const closeWait = 8 // include/net/tcp_states.h

func awaitState(t *testing.T, fd int, state uint8) {
	t.Helper()
	awaitTrue(t, "the state of the socket", func() bool { return stateOf(t, fd) == state })
}

// A request without an answer ends when its own end leaves the connection, however long the kernel goes on with that.
func TestRequestEndsWhenItsOwnEndLeaves(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) { testLeaving(t, mode) })
	}
}

func testLeaving(t *testing.T, mode kernel.Mode) {
	sink := &spanSink{}
	e := engine.New(optionsOf(t, mode, sink))
	require.NoError(t, e.Start())
	all, exchanges := map[string]*leaving{}, 0
	inNetNS(t, func() {
		for name, c := range leavings {
			if c.only != "" && c.only != mode {
				continue
			}
			path := "/" + strings.ReplaceAll(name, " ", "-")
			c.request, c.left = "GET "+path+" HTTP/1.1\r\nHost: host.test\r\n\r\n", map[string]time.Time{}
			c.client, c.server = families["IPv4"].connected(t)
			all[path] = &c
			exchanges += len(c.want)
			c.begun = time.Now()
			if !c.unsent {
				writeAll(t, c.client, []byte(c.request))
				require.Equal(t, c.request, string(readAll(t, c.server, len(c.request))))
			}
			if c.alive != nil {
				c.alive(t, &c)
			}
		}
		require.NoError(t, setLoopback(false))
		for _, c := range all {
			if c.dead != nil {
				c.dead(t, c)
			}
		}
	})
	awaitTrue(t, "all requests have ended", func() bool { return e.Snapshot().Exchanges["http"] >= uint64(exchanges) })
	if mode == kernel.ModeSocket {
		ended := uint64(0)
		for _, c := range all {
			if c.dead == nil {
				ended += 2
			}
		}
		assert.LessOrEqual(t, e.Snapshot().ConnectionsClosed, ended, "the connections to dead hosts have not ended")
	}
	_, err := e.Drain(t.Context())
	require.NoError(t, err)
	require.NoError(t, e.Close())

	require.Len(t, sink.spans, exchanges)
	for _, span := range sink.spans {
		path := text(span.Attributes(), "url.path") + strings.TrimPrefix(text(span.Attributes(), "url.full"), "http://host.test")
		if c := all[path]; assert.NotNil(t, c, path) {
			c.check(t, path, span)
		}
	}
}

func (c *leaving) check(t *testing.T, path string, span ptrace.Span) {
	t.Helper()
	kind := span.Kind().String()
	got := outcome{text(span.Attributes(), "error.type"), text(span.Attributes(), "http.response.status_code")}
	assert.Equal(t, c.want[kind], got, "%s of %s", kind, path)
	assert.Equal(t, "complete", text(span.Attributes(), "socketflow.capture"), path)
	assert.WithinRange(t, span.StartTimestamp().AsTime(), c.begun.Add(-tolerance), c.left[kind], path)
	const enough = 500 * time.Millisecond // for what a test does in between
	assert.WithinRange(t, span.EndTimestamp().AsTime(), c.left[kind].Add(-enough), c.left[kind].Add(enough), "%s of %s", kind, path)
}
