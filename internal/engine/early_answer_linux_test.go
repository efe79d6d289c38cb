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
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/testenv"
)

// lookupSink keeps what is emitted of one local port: the kind of each span, its question and its error, whether one ends before it
// begins, and the role of each connection that ended.
type lookupSink struct {
	port string

	mu        sync.Mutex
	spans     []string
	backwards bool
	closed    []string
}

func (s *lookupSink) Deliver(_ context.Context, from *otlp.Builder) {
	logs, traces := from.Take()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				if a := span.Attributes(); text(a, "network.local.port") == s.port && text(a, "dns.question.name") != "" {
					s.spans = append(s.spans, fmt.Sprintf("%s %s %s", span.Kind(), text(a, "dns.question.name"), text(a, "error.type")))
					s.backwards = s.backwards || span.EndTimestamp() < span.StartTimestamp()
				}
			}
		}
	}
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				if a := record.Attributes(); record.EventName() == "socketflow.connection.close" && text(a, "network.local.port") == s.port {
					s.closed = append(s.closed, fmt.Sprintf("%s by %s", text(a, "socketflow.role.name"), text(a, "socketflow.role.source")))
				}
			}
		}
	}
}

func (s *lookupSink) End() {}

// One thread asks, and another one has received the answer before the call that asks has returned: the flow is a client's all the same.
func TestAnswerBeforeTheCallThatAsksReturns(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) {
			server, err := net.ListenPacket("udp", "127.0.0.1:0")
			require.NoError(t, err)
			defer server.Close() //nolint:errcheck // nothing was written
			sink := &lookupSink{}
			e := engine.New(optionsOf(t, mode, sink))
			require.NoError(t, e.Start())
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			require.NoError(t, err)
			defer unix.Close(fd) //nolint:errcheck // nothing was written
			client := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
			require.NoError(t, unix.Bind(fd, client))
			name, err := unix.Getsockname(fd)
			require.NoError(t, err)
			client = name.(*unix.SockaddrInet4)
			sink.mu.Lock()
			sink.port = fmt.Sprint(client.Port)
			sink.mu.Unlock()

			message := dnsmessage.Message{
				Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
				Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("early.test."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
			}
			query, err := message.Pack()
			require.NoError(t, err)
			message.Response = true
			response, err := message.Pack()
			require.NoError(t, err)
			page, asked := testenv.NewLatePage(t), make(chan error)
			at := server.LocalAddr().(*net.UDPAddr)
			go func() {
				asked <- unix.Sendto(fd, page.Bytes[:len(query)], 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: at.Port})
			}()
			page.AwaitReader()
			_, err = server.WriteTo(response, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: client.Port})
			require.NoError(t, err)
			n, _, err := unix.Recvfrom(fd, make([]byte, 512), 0)
			require.NoError(t, err)
			require.Equal(t, len(response), n)
			page.Arrive(string(query))
			require.NoError(t, <-asked)

			awaitTrue(t, "the flow ends", func() bool {
				sink.mu.Lock()
				defer sink.mu.Unlock()
				return len(sink.closed) > 0
			})
			_, err = e.Drain(t.Context())
			require.NoError(t, err)
			require.NoError(t, e.Close())
			assert.Equal(t, []string{"Client early.test "}, sink.spans)
			assert.False(t, sink.backwards)
			assert.Equal(t, []string{"client by protocol"}, sink.closed)
		})
	}
}
