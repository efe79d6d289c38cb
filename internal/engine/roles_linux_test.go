//go:build amd64 || arm64

package engine_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/testenv"
)

// roleSink keeps the roles of TCP connections, by port, with what has shown them, and the kinds of the spans of requests.
type roleSink struct {
	mu     sync.Mutex
	opened int
	roles  map[string]string
	kinds  map[string]string
}

func (s *roleSink) Deliver(_ context.Context, from *otlp.Builder) {
	logs, traces := from.Take()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				a := record.Attributes()
				switch {
				case text(a, "socketflow.capture") != "joined_midstream":
				case record.EventName() == "socketflow.connection.open":
					s.opened++
				case record.EventName() == "socketflow.connection.close":
					s.roles[text(a, "network.local.port")] = text(a, "socketflow.role.name") + " by " + text(a, "socketflow.role.source")
				}
			}
		}
	}
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				if _, isRequest := span.Attributes().Get("http.request.method"); isRequest {
					s.kinds[text(span.Attributes(), "network.local.port")] += span.Kind().String()
				}
			}
		}
	}
}

func (s *roleSink) End() {}

func portOf(a net.Addr) string { return fmt.Sprint(a.(*net.TCPAddr).Port) }

// Of a connection that is older than the engine, a listener at either end shows the roles. If there is none, or only one at another
// address, the first request does.
func TestRolesOfOlderConnections(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		for name, c := range map[string]struct {
			at    string // where the listener is
			later string // where another one is when the engine starts; empty: the first one is there
			by    string // what shows the roles
		}{
			"listener":                        {at: "127.0.0.1", by: "listener"},
			"listener at any address":         {at: "0.0.0.0", by: "listener"},
			"listener at any address of IPv6": {at: "[::]", by: "listener"},
			"listener is gone":                {at: "127.0.0.1", later: "none", by: "protocol"},
			"listener at another address":     {at: "127.0.0.1", later: "127.0.0.2", by: "protocol"},
		} {
			t.Run(string(mode)+" "+name, func(t *testing.T) {
				listener, err := net.Listen("tcp", c.at+":0")
				require.NoError(t, err)
				client, err := net.Dial("tcp", "127.0.0.1:"+portOf(listener.Addr()))
				require.NoError(t, err)
				server, err := listener.Accept()
				require.NoError(t, err)
				if c.later != "" {
					require.NoError(t, listener.Close())
				}
				if c.later == "127.0.0.2" {
					listener, err = net.Listen("tcp", c.later+":"+portOf(server.LocalAddr()))
					require.NoError(t, err)
				}
				sink := &roleSink{roles: map[string]string{}, kinds: map[string]string{}}
				e := engine.New(optionsOf(t, mode, sink))
				require.NoError(t, e.Start())
				awaitTrue(t, "both ends are found", func() bool {
					sink.mu.Lock()
					defer sink.mu.Unlock()
					return sink.opened >= 2
				})
				exchangeOver(t, client, server)
				pair{client, server}.close(t)
				if c.later != "none" {
					require.NoError(t, listener.Close())
				}
				_, err = e.Drain(t.Context())
				require.NoError(t, err)
				require.NoError(t, e.Close())
				local, remote := portOf(client.LocalAddr()), portOf(client.RemoteAddr())
				assert.Equal(t, map[string]string{local: "client by " + c.by, remote: "server by " + c.by}, sink.roles)
				assert.Equal(t, map[string]string{local: "Client", remote: "Server"}, sink.kinds)
			})
		}
	}
}

func exchangeOver(t *testing.T, client, server net.Conn) {
	t.Helper()
	buffer := make([]byte, 1024)
	_, err := client.Write([]byte("GET /role HTTP/1.1\r\nHost: host.test\r\n\r\n"))
	require.NoError(t, err)
	_, err = server.Read(buffer)
	require.NoError(t, err)
	_, err = server.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
	require.NoError(t, err)
	_, err = client.Read(buffer)
	require.NoError(t, err)
}
