//go:build amd64 || arm64

package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
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

// steadyClient always has so many numbered requests under way over one connection. The status shows which request a response answers.
type steadyClient struct {
	pair
	responses *bufio.Reader

	sent, served, answered int
}

func newSteadyClient(t *testing.T) *steadyClient {
	p := connectOver(t, "tcp", "127.0.0.1:0")
	return &steadyClient{pair: p, responses: bufio.NewReader(p.client)}
}

func statusOf(request int) int { return 400 + request%100 }

// turn answers the oldest request, while window are under way. The server reads a request just before it answers it.
func (c *steadyClient) turn(t *testing.T, window int) {
	t.Helper()
	c.send(t, window)
	c.serve(t)
	c.receive(t)
}

func (c *steadyClient) send(t *testing.T, window int) {
	t.Helper()
	for ; c.sent-c.answered < window; c.sent++ {
		_, err := fmt.Fprintf(c.client, "GET /%09d HTTP/1.1\r\nHost: host.test\r\n\r\n", c.sent)
		require.NoError(t, err)
	}
}

// serve reads a request, and answers it.
func (c *steadyClient) serve(t *testing.T) {
	t.Helper()
	one := make([]byte, len("GET /123456789 HTTP/1.1\r\nHost: host.test\r\n\r\n"))
	_, err := io.ReadFull(c.server, one)
	require.NoError(t, err)
	_, err = fmt.Fprintf(c.server, "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nhi", statusOf(c.served))
	require.NoError(t, err)
	c.served++
}

func (c *steadyClient) receive(t *testing.T) {
	t.Helper()
	response, err := http.ReadResponse(c.responses, nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, statusOf(c.answered), response.StatusCode)
	c.answered++
}

// judge counts the spans of requests from a number on, those that are complete, and those of these that have another one's status.
func (s *endsSink) judge(t *testing.T, kind ptrace.SpanKind, from int) (all, complete, wrong int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for subject, span := range s.spans[kind] {
		request, err := strconv.Atoi(subject)
		require.NoError(t, err)
		if request < from {
			continue
		}
		if all++; text(span.Attributes(), "socketflow.capture") != "complete" {
			continue
		}
		complete++
		if status, _ := span.Attributes().Get("http.response.status_code"); status.Int() != int64(statusOf(request)) {
			wrong++
		}
	}
	return all, complete, wrong
}

// silence is longer than what shows that nothing is under way.
const silence = 700 * time.Millisecond

// TestPipelineOlderThanTheEngineIsInDoubtUntilASilence: a client that always has two requests under way takes turns with the server.
func TestPipelineOlderThanTheEngineIsInDoubtUntilASilence(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	const many = 100
	kinds := []ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer}
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		for _, window := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, %d under way", mode, window), func(t *testing.T) {
				c := newSteadyClient(t)
				for range 10 {
					c.turn(t, window)
				}
				sink := newEndsSink()
				e := engine.New(optionsOf(t, mode, sink))
				require.NoError(t, e.Start())
				t.Cleanup(func() {
					_, err := e.Drain(context.WithoutCancel(t.Context()))
					assert.NoError(t, err)
					assert.NoError(t, e.Close())
				})
				awaitTrue(t, "spans of many requests", func() bool {
					c.turn(t, window)
					return sink.has(many)
				})
				for _, kind := range kinds {
					all, complete, wrong := sink.judge(t, kind, 0)
					t.Logf("%s: %d spans, %d complete", kind, all, complete)
					assert.Zero(t, wrong, "%s: complete spans with another request's status", kind)
				}
				for c.answered < c.sent {
					c.turn(t, 0)
				}
				time.Sleep(silence) // the client has nothing under way
				sink.forget()
				from := c.sent
				for range many {
					c.turn(t, 1)
				}
				for range many {
					c.turn(t, window)
				}
				awaitTrue(t, "spans of the requests after the silence", func() bool {
					client, _, _ := sink.judge(t, ptrace.SpanKindClient, from)
					server, _, _ := sink.judge(t, ptrace.SpanKindServer, from)
					return client >= 2*many && server >= 2*many
				})
				for _, kind := range kinds {
					all, complete, wrong := sink.judge(t, kind, from)
					assert.Equal(t, all, complete, "%s: complete spans after the silence", kind)
					assert.Zero(t, wrong, "%s: spans with another request's status", kind)
				}
			})
		}
	}
}

// TestUnreadResponseIsNoSilence: a client that computes for long between responses, and has asked for the next one ahead of time.
func TestUnreadResponseIsNoSilence(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	const turns = 4
	c := newSteadyClient(t)
	turn := func() {
		c.send(t, 2)
		c.receive(t)
		c.serve(t) // and the client does not receive that yet
	}
	c.send(t, 2)
	c.serve(t)
	turn()
	sink := newEndsSink()
	e := engine.New(optionsOf(t, kernel.ModeSocket, sink))
	require.NoError(t, e.Start())
	t.Cleanup(func() {
		_, err := e.Drain(context.WithoutCancel(t.Context()))
		assert.NoError(t, err)
		assert.NoError(t, e.Close())
	})
	awaitTrue(t, "spans of both ends", func() bool {
		turn()
		return sink.has(2 * turns)
	})
	for range turns {
		time.Sleep(silence)
		turn()
	}
	from := c.answered
	for range turns {
		turn()
	}
	awaitTrue(t, "spans of the last requests", func() bool {
		turn()
		client, _, _ := sink.judge(t, ptrace.SpanKindClient, from)
		return client >= turns
	})
	all, complete, wrong := sink.judge(t, ptrace.SpanKindClient, 0)
	t.Logf("%d spans, %d complete", all, complete)
	assert.Zero(t, wrong, "complete spans with another request's status")
}

// TestUrgentByteIsNoPartOfARequest: the other end does not read it in order (MSG_OOB).
func TestUrgentByteIsNoPartOfARequest(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	sink := newEndsSink()
	e := engine.New(optionsOf(t, kernel.ModeSocket, sink))
	require.NoError(t, e.Start())
	t.Cleanup(func() {
		_, err := e.Drain(context.WithoutCancel(t.Context()))
		assert.NoError(t, err)
		assert.NoError(t, e.Close())
	})
	c := newSteadyClient(t)
	const requests = 6
	for i := range requests {
		if i%2 == 1 {
			raw, err := c.client.(*net.TCPConn).SyscallConn()
			require.NoError(t, err)
			require.NoError(t, raw.Write(func(fd uintptr) bool {
				assert.NoError(t, unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil))
				return true
			}))
		}
		c.turn(t, 1)
	}
	awaitTrue(t, "the spans of all requests", func() bool { return sink.has(requests) })
	sink.mu.Lock()
	defer sink.mu.Unlock()
	for kind, spans := range sink.spans {
		for subject, span := range spans {
			request, err := strconv.Atoi(subject)
			require.NoError(t, err)
			status, _ := span.Attributes().Get("http.response.status_code")
			assert.EqualValues(t, statusOf(request), status.Int(), "%s %s", kind, subject)
			assert.Equal(t, "GET", text(span.Attributes(), "http.request.method"), "%s %s", kind, subject)
			assert.Equal(t, spans[subject].TraceID(), sink.spans[ptrace.SpanKindServer][subject].TraceID(), "the trace of both ends of %s", subject)
		}
	}
}
