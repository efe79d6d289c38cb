//go:build amd64 || arm64

package engine_test

import (
	"bytes"
	"context"
	"net"
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/testenv"
)

// nameSink keeps the protocols of connections that have ended and of their spans, by the port at the server's side.
type nameSink struct {
	mu    sync.Mutex
	names map[string]map[string]int
}

func (s *nameSink) Deliver(_ context.Context, from *otlp.Builder) {
	logs, traces := from.Take()
	s.mu.Lock()
	defer s.mu.Unlock()
	add := func(what string, a pcommon.Map) {
		port := text(a, "server.port")
		if s.names[port] == nil {
			s.names[port] = map[string]int{}
		}
		s.names[port][what+" "+text(a, "socketflow.role.name")+": "+text(a, "network.protocol.name")+" "+text(a, "network.protocol.version")]++
	}
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				if record.EventName() == "socketflow.connection.close" {
					add("record", record.Attributes())
				}
			}
		}
	}
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				if span.Name() == "tcp.connection" {
					add("span", span.Attributes())
				}
			}
		}
	}
}

func (s *nameSink) End() {}

// TestConnectionsAreNamed in the records and spans of both ends, in both modes: of a real client of git, and where the server speaks first.
func TestConnectionsAreNamed(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	git := testenv.NeedProgram(t, "git", "git")
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) {
			sink := &nameSink{names: map[string]map[string]int{}}
			e := engine.New(optionsOf(t, mode, sink))
			require.NoError(t, e.Start())

			asked, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			var served sync.WaitGroup
			served.Go(func() { refuse(t, asked) })
			_ = exec.CommandContext(t.Context(), git, "ls-remote", "git://"+asked.Addr().String()+"/project").Run() // it is refused
			served.Wait()

			mail := newPair(t)
			greeting := mail.server.LocalAddr()
			mail.say(t, mail.server, mail.client, "220 mail.example ESMTP\r\n")
			mail.say(t, mail.client, mail.server, "EHLO client.example\r\n")
			mail.close(t)

			_, err = e.Drain(t.Context())
			require.NoError(t, err)
			require.NoError(t, e.Close())
			assert.Equal(t, map[string]int{"record server: git ": 1, "span server: git ": 1}, sink.names[portOf(asked.Addr())], "its client is not observed")
			assert.Equal(t, map[string]int{
				"record client: smtp ": 1, "record server: smtp ": 1, "span client: smtp ": 1, "span server: smtp ": 1,
			}, sink.names[portOf(greeting)])
		})
	}
}

// refuse reads a request of git, and refuses it.
func refuse(t *testing.T, listener net.Listener) {
	c, err := listener.Accept()
	if !assert.NoError(t, err) {
		return
	}
	var said []byte // which git may write piece by piece
	for len(said) < 4 || !bytes.HasSuffix(said, []byte{0}) {
		piece := make([]byte, 1024)
		n, err := c.Read(piece)
		if !assert.NoError(t, err) {
			return
		}
		said = append(said, piece[:n]...)
	}
	_, err = c.Write([]byte("000dERR none\n"))
	assert.NoError(t, err)
	assert.NoError(t, c.Close())
	assert.NoError(t, listener.Close())
}

func (pair) say(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	_, err := from.Write([]byte(text))
	require.NoError(t, err)
	_, err = to.Read(make([]byte, len(text)))
	require.NoError(t, err)
}
