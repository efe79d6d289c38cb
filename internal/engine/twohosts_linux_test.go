//go:build amd64 || arm64

package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/ports"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/registry"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/testenv"
)

// startHost starts an engine that observes this process' end of the connections between the hosts, and nothing else. Engines have nothing in common.
func startHost(t *testing.T, role ptrace.SpanKind, change func(*engine.Options)) (sink *endsSink, stop func()) {
	t.Helper()
	sink = newEndsSink()
	opts := optionsOf(t, kernel.ModeSocket, sink)
	opts.Shards, opts.RingBytes, opts.ParserMemory = 2, 1<<24, 1<<26
	rule := selection.Rule{PID: uint32(os.Getpid())}
	if role == ptrace.SpanKindClient {
		rule.RemotePort = ports.Range{Low: publicPort, High: publicPort}
	} else {
		rule.LocalPort = ports.Range{Low: serverPort, High: serverPort}
	}
	var err error
	opts.Protocols, err = registry.Configured(registry.Configs(), protocol.Limits{HeadBytes: 1 << 14, Outstanding: 4096})
	require.NoError(t, err)
	opts.Rules = []selection.Rule{rule}
	if change != nil {
		change(&opts)
	}
	e := engine.New(opts)
	require.NoError(t, e.Start())
	return sink, func() {
		_, err := e.Drain(context.WithoutCancel(t.Context()))
		assert.NoError(t, err)
		assert.NoError(t, e.Close())
	}
}

// merge puts the spans of two hosts together, as a backend does.
func merge(hosts ...*endsSink) *endsSink {
	all := newEndsSink()
	for _, h := range hosts {
		h.mu.Lock()
		for kind, spans := range h.spans {
			for subject, span := range spans {
				all.spans[kind][subject] = span
				all.ids[span.SpanID()]++
			}
		}
		h.mu.Unlock()
	}
	return all
}

// crossed counts the spans of servers that share a trace with the client's span of another request.
func (s *endsSink) crossed() (crossed int) {
	of := map[pcommon.TraceID]string{}
	for subject, span := range s.spans[ptrace.SpanKindClient] {
		of[span.TraceID()] = subject
	}
	for subject, span := range s.spans[ptrace.SpanKindServer] {
		if asked, shared := of[span.TraceID()]; shared && asked != subject {
			crossed++
		}
	}
	return crossed
}

// services are what a server speaks, by how the client's first bytes begin.
type services struct {
	http  *http.Server
	conns chan net.Conn
}

func (s *services) Accept() (net.Conn, error) {
	c, open := <-s.conns
	if !open {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (s *services) Close() error   { return nil }
func (s *services) Addr() net.Addr { return &net.TCPAddr{} }

// peeked is a connection whose first bytes have been looked at.
type peeked struct {
	net.Conn
	reader *bufio.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.reader.Read(b) }

// serveAll serves HTTP/1, HTTP/2, gRPC and Redis on one port.
func serveAll(t *testing.T, listener net.Listener) {
	t.Helper()
	s := &services{conns: make(chan net.Conn)}
	s.http = &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(answer)}
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetUnencryptedHTTP2(true)
	var all sync.WaitGroup
	all.Go(func() { _ = s.http.Serve(s) }) // ends with the connections
	all.Go(func() {
		defer close(s.conns)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				p := peeked{c, bufio.NewReader(c)}
				if first, err := p.reader.Peek(1); err == nil && first[0] == '*' {
					answerRedis(p)
					return
				}
				s.conns <- p
			})
		}
	})
	t.Cleanup(func() {
		assert.NoError(t, listener.Close())
		_ = s.http.Close()
		all.Wait()
	})
}

func answer(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if r.Header.Get("Content-Type") != "application/grpc" {
		_, _ = io.WriteString(w, "hello")
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	_, _ = w.Write(make([]byte, 5)) // an empty message
	w.Header().Set("Grpc-Status", "0")
}

// answerRedis answers commands until the client closes the connection.
func answerRedis(p peeked) {
	defer p.Close() //nolint:errcheck // the client does
	for {
		for range 5 { // *2 $3 GET $n key
			if _, err := p.reader.ReadString('\n'); err != nil {
				return
			}
		}
		if _, err := io.WriteString(p, "$2\r\nhi\r\n"); err != nil {
			return
		}
	}
}

// http2Client has all requests on one connection.
func http2Client(t *testing.T, from host) *http.Client {
	transport := &http.Transport{
		Protocols:   new(http.Protocols),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return from.dial(t, net.Dialer{}), nil },
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

const streams = 100 // at a time

// askStreams makes requests that have a number each, so many at a time.
func askStreams(t *testing.T, client *http.Client, requests int, request func(number int) *http.Request) {
	t.Helper()
	ask := func(number int) {
		response, err := client.Do(request(number))
		if !assert.NoError(t, err) {
			return
		}
		_, err = io.Copy(io.Discard, response.Body)
		assert.NoError(t, err)
		assert.NoError(t, response.Body.Close())
	}
	ask(0) // on the only connection
	var all sync.WaitGroup
	for stream := range streams {
		all.Go(func() {
			for number := stream + 1; number < requests; number += streams {
				ask(number)
			}
		})
	}
	all.Wait()
}

// protocolsBetweenHosts make so many requests each, over new connections.
var protocolsBetweenHosts = []struct {
	name string
	ask  func(t *testing.T, from host, requests int)
}{
	{"HTTP/1 pipelined", func(t *testing.T, from host, requests int) {
		c := from.dial(t, net.Dialer{})
		defer c.Close() //nolint:errcheck // all was read
		go func() {
			for i := range requests {
				_, _ = fmt.Fprintf(c, "GET /one/%d HTTP/1.1\r\nHost: host.test\r\n\r\n", i)
			}
		}()
		reader := bufio.NewReader(c)
		for range requests {
			response, err := http.ReadResponse(reader, nil)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, response.Body)
			require.NoError(t, err)
		}
	}},
	{"HTTP/2", func(t *testing.T, from host, requests int) {
		askStreams(t, http2Client(t, from), requests, func(number int) *http.Request {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://host.test/two/%d", number), http.NoBody)
			assert.NoError(t, err)
			return r
		})
	}},
	{"gRPC", func(t *testing.T, from host, requests int) {
		askStreams(t, http2Client(t, from), requests, func(number int) *http.Request {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://host.test/shop.Shop/Call%d", number),
				strings.NewReader("\x00\x00\x00\x00\x00"))
			assert.NoError(t, err)
			r.Header.Set("Content-Type", "application/grpc")
			r.Header.Set("Te", "trailers")
			return r
		})
	}},
	{"Redis pipelined", func(t *testing.T, from host, requests int) {
		c := from.dial(t, net.Dialer{})
		defer c.Close() //nolint:errcheck // all was read
		go func() {
			for i := range requests {
				key := fmt.Sprintf("key%d", i)
				_, _ = fmt.Fprintf(c, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len(key), key)
			}
		}()
		reader := bufio.NewReader(c)
		for range 2 * requests {
			_, err := reader.ReadString('\n')
			require.NoError(t, err)
		}
	}},
}

// Two hosts that know nothing of each other give both ends of each request the same trace, although there is NAT between them.
func TestTwoHostsGiveARequestOneTrace(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	client, server := newHosts(t)
	serveAll(t, server.listen(t, net.ListenConfig{}, fmt.Sprintf("%s:%d", serverAddress, serverPort)))
	const each = 2500
	for name, test := range map[string]struct {
		networks []netip.Prefix
		children int
	}{
		"client's host is not known to be observed": {nil, 0},
		"client's host is observed":                 {[]netip.Prefix{netip.MustParsePrefix(serversPeer + "/32")}, 4 * each},
	} {
		t.Run(name, func(t *testing.T) {
			atClient, stopClient := startHost(t, ptrace.SpanKindClient, nil)
			defer stopClient()
			atServer, stopServer := startHost(t, ptrace.SpanKindServer, func(o *engine.Options) { o.ObservedNetworks = test.networks })
			defer stopServer()
			for _, p := range protocolsBetweenHosts {
				p.ask(t, client, each)
			}
			var all *endsSink
			awaitTrue(t, "all spans", func() bool {
				all = merge(atClient, atServer)
				return all.has(4 * each)
			})
			traces, children, wrong := all.joined()
			assert.Equal(t, 4*each, traces, "requests in one trace")
			assert.Equal(t, test.children, children, "servers' spans that are children of their clients'")
			assert.Zero(t, wrong, "servers' spans with another parent")
			assert.Zero(t, all.crossed(), "traces of two requests")
			assert.Len(t, all.ids, 2*4*each, "span ids")
		})
	}
}

// What is joined although much was lost is joined rightly.
func TestTwoHostsJoinRightlyAfterLosses(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	client, server := newHosts(t)
	serveAll(t, server.listen(t, net.ListenConfig{}, fmt.Sprintf("%s:%d", serverAddress, serverPort)))
	tiny := func(o *engine.Options) {
		o.Shards, o.RingBytes = 1, os.Getpagesize()
		o.ObservedNetworks = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/16")}
	}
	atClient, stopClient := startHost(t, ptrace.SpanKindClient, tiny)
	atServer, stopServer := startHost(t, ptrace.SpanKindServer, tiny)
	const each = 2500
	for _, p := range protocolsBetweenHosts {
		p.ask(t, client, each)
	}
	stopClient()
	stopServer()
	all := merge(atClient, atServer)
	traces, children, _ := all.joined()
	t.Logf("of %d requests %d clients' spans and %d servers', %d joined, %d as children", 4*each,
		len(all.spans[ptrace.SpanKindClient]), len(all.spans[ptrace.SpanKindServer]), traces, children)
	assert.Positive(t, traces)
	assert.Less(t, traces, 4*each, "nothing was lost")
	assert.Equal(t, traces, children)
	assert.Zero(t, all.crossed(), "traces of two requests")
}
