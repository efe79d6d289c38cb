//go:build amd64 || arm64

package engine_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/testenv"
)

// endsSink gathers the spans of requests by what they are for, which no two requests of a test have in common.
type endsSink struct {
	mu    sync.Mutex
	spans map[ptrace.SpanKind]map[string]ptrace.Span
	ids   map[pcommon.SpanID]int
}

func newEndsSink() *endsSink {
	return &endsSink{spans: map[ptrace.SpanKind]map[string]ptrace.Span{ptrace.SpanKindClient: {}, ptrace.SpanKindServer: {}}, ids: map[pcommon.SpanID]int{}}
}

func (s *endsSink) Deliver(_ context.Context, from *otlp.Builder) {
	_, traces := from.Take()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				if subject := subjectOf(span.Attributes()); subject != "" && s.spans[span.Kind()] != nil {
					s.spans[span.Kind()][subject] = span
					s.ids[span.SpanID()]++
				}
			}
		}
	}
}

// subjectOf is what a request is for: a path, a method or a query. A gRPC call of which much was lost has a path, or no known method.
func subjectOf(a pcommon.Map) string {
	if full, err := url.Parse(text(a, "url.full")); err == nil && full.Path != "" {
		return full.Path[1:]
	}
	return cmp.Or(strings.TrimPrefix(text(a, "url.path"), "/"), text(a, "rpc.method_original"), text(a, "rpc.method"), text(a, "db.query.text"), text(a, "dns.question.name"))
}

// has reports whether both ends of so many requests have come.
func (s *endsSink) has(requests int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.spans[ptrace.SpanKindClient]) >= requests && len(s.spans[ptrace.SpanKindServer]) >= requests
}

// count is how many requests have come at the ends of one kind.
func (s *endsSink) count(kind ptrace.SpanKind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.spans[kind])
}

// joined counts the requests whose two spans are in one trace, those of which the server's is the child of the client's, and those whose server's
// span has any other parent.
func (s *endsSink) joined() (traces, children, wrong int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for subject, server := range s.spans[ptrace.SpanKindServer] {
		client, both := s.spans[ptrace.SpanKindClient][subject]
		same := both && client.TraceID() == server.TraceID()
		if same {
			traces++
		}
		switch {
		case same && server.ParentSpanID() == client.SpanID():
			children++
		case !server.ParentSpanID().IsEmpty():
			wrong++
		}
	}
	return traces, children, wrong
}

// request has requests with these numbers made and served over a connection, all of them before the first response.
func (p pair) request(t *testing.T, from, count int) {
	t.Helper()
	p.send(t, from, count)
	p.answer(t, count)
}

// send has requests with these numbers made.
func (p pair) send(t *testing.T, from, count int) {
	t.Helper()
	for i := range count {
		_, err := fmt.Fprintf(p.client, "GET /%d HTTP/1.1\r\nHost: host.test\r\n\r\n", from+i)
		require.NoError(t, err)
	}
}

// answer has so many requests served that have been sent, and their answers read.
func (p pair) answer(t *testing.T, count int) {
	t.Helper()
	p.serve(t, count)
	p.readAnswers(t, count)
}

// serve has so many requests served that have been sent.
func (p pair) serve(t *testing.T, count int) {
	t.Helper()
	requests := bufio.NewReader(p.server)
	for range count {
		_, err := http.ReadRequest(requests)
		require.NoError(t, err)
	}
	for range count {
		_, err := io.WriteString(p.server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
		require.NoError(t, err)
	}
}

// readAnswers reads so many answers.
func (p pair) readAnswers(t *testing.T, count int) {
	t.Helper()
	reader := bufio.NewReader(p.client)
	for range count {
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
}

// connectOver returns a connection of this process with itself.
func connectOver(t *testing.T, network, address string) pair {
	t.Helper()
	listener, err := net.Listen(network, address)
	require.NoError(t, err)
	defer func() { assert.NoError(t, listener.Close()) }()
	client, err := net.Dial(network, listener.Addr().String())
	require.NoError(t, err)
	server, err := listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return pair{client, server}
}

// unixPair returns two sockets without names.
func unixPair(t *testing.T) pair {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	var ends [2]net.Conn
	for i, fd := range fds {
		ends[i] = connOf(t, fd)
	}
	t.Cleanup(func() { _, _ = ends[0].Close(), ends[1].Close() })
	return pair{ends[0], ends[1]}
}

const batchOfRequests = 20

// startJoining starts an engine with several shards, and waits until it joins the ends of connections that are made from now on.
func startJoining(t *testing.T, mode kernel.Mode, connect func() pair, change func(*engine.Options)) (sink *endsSink, first int) {
	t.Helper()
	sink = newEndsSink()
	opts := optionsOf(t, mode, sink)
	opts.Shards, opts.RingBytes, opts.BatchTimeout = 4, 1<<22, time.Second // this machine may be busy: a shard waits for the others for so long
	if change != nil {
		change(&opts)
	}
	e := engine.New(opts)
	require.NoError(t, e.Start())
	t.Cleanup(func() {
		_, err := e.Drain(context.WithoutCancel(t.Context()))
		assert.NoError(t, err)
		assert.NoError(t, e.Close())
	})
	awaitTrue(t, "ends are joined", func() bool {
		connect().request(t, first, 1)
		first++
		awaitTrue(t, "both spans", func() bool { return sink.has(first) })
		_, children, _ := sink.joined()
		return children > 0
	})
	return sink, first
}

// Without sequence numbers, both ends of a request over TCP are joined by where and when it was, within a network namespace.
func TestBothEndsOfTCPConnectionsAreJoinedInTheSyscallMode(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	connect := func() pair { return connectOver(t, "tcp", "127.0.0.1:0") }
	older := connect()
	sink, first := startJoining(t, kernel.ModeSyscall, connect, nil)
	_, children, _ := sink.joined()
	roots := first - children
	next := first
	for range 10 {
		p := connect()
		for range 3 {
			p.request(t, 1000+next, batchOfRequests)
			next += batchOfRequests
		}
	}
	awaitTrue(t, "all spans", func() bool { return sink.has(next) })
	traces, children, wrong := sink.joined()
	assert.Equal(t, next-roots, traces)
	assert.Equal(t, next-roots, children)
	assert.Zero(t, wrong, "servers' spans with another parent")

	// A client may read the answers after the server's spans have been emitted.
	sink.forget()
	late := connect()
	late.send(t, 1000+next, batchOfRequests)
	late.serve(t, batchOfRequests)
	awaitTrue(t, "the server's spans", func() bool { return sink.count(ptrace.SpanKindServer) == batchOfRequests })
	require.Zero(t, sink.count(ptrace.SpanKindClient), "the client has read nothing")
	late.readAnswers(t, batchOfRequests)
	next += batchOfRequests
	awaitTrue(t, "the client's spans", func() bool { return sink.has(batchOfRequests) })
	traces, children, wrong = sink.joined()
	assert.Equal(t, batchOfRequests, traces)
	assert.Equal(t, batchOfRequests, children)
	assert.Zero(t, wrong, "servers' spans with another parent")

	sink.forget()
	awaitTrue(t, "spans of the connection that is older than the engine", func() bool {
		older.request(t, 1000+next, 1)
		next++
		return sink.has(1)
	})
	traces, _, wrong = sink.joined()
	assert.Zero(t, traces, "positions of an older connection are not known")
	assert.Zero(t, wrong, "servers' spans with another parent")
}

func TestBothEndsOfUnixSocketsAreJoined(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	dir := t.TempDir()
	n := 0
	for name, connect := range map[string]func() pair{
		"path":     func() pair { n++; return connectOver(t, "unix", filepath.Join(dir, fmt.Sprint(n))) },
		"abstract": func() pair { n++; return connectOver(t, "unix", fmt.Sprintf("@socketflow-joining-%d", n)) },
		"unnamed":  func() pair { return unixPair(t) },
	} {
		t.Run(name, func(t *testing.T) {
			older := connect()
			sink, first := startJoining(t, kernel.ModeSocket, connect, nil)
			_, children, _ := sink.joined()
			roots := first - children
			next := first
			for range 3 {
				p := connect()
				for range 3 { // bursts of requests of the same length
					p.request(t, 1000+next, batchOfRequests)
					next += batchOfRequests
				}
			}
			older.request(t, 1000+next, batchOfRequests)
			awaitTrue(t, "all spans", func() bool { return sink.has(next + batchOfRequests) })
			traces, children, wrong := sink.joined()
			assert.Equal(t, next-roots, traces)
			assert.Equal(t, next-roots, children)
			assert.Zero(t, wrong, "servers' spans with another parent")
			assert.Len(t, sink.ids, 2*(next+batchOfRequests), "span ids")
		})
	}
}
