//go:build amd64 || arm64

package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
)

// Pauses of a slow exchange.
const (
	inQueue       = 50 * time.Millisecond
	withinRequest = 30 * time.Millisecond
	inHandler     = 80 * time.Millisecond
	withinAnswer  = 70 * time.Millisecond
)

// slowExchange makes one request whose parts take as long as the pauses at least.
func slowExchange(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, listener.Close()) }()
	client, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	time.Sleep(inQueue)
	server, err := listener.Accept()
	require.NoError(t, err)
	// A pause begins when the other end has read what came before it: its end would measure less otherwise.
	served, half := make(chan error), make(chan struct{})
	go func() {
		request, err := http.ReadRequest(bufio.NewReader(server))
		half <- struct{}{}
		if err == nil {
			_, err = io.Copy(io.Discard, request.Body)
		}
		time.Sleep(inHandler)
		fmt.Fprint(server, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello") //nolint:errcheck // the client notices
		<-half
		time.Sleep(withinAnswer)
		fmt.Fprint(server, "world") //nolint:errcheck // the client notices
		served <- err
	}()
	_, err = io.WriteString(client, "POST /slow HTTP/1.1\r\nHost: host.test\r\nContent-Length: 4\r\n\r\nbo")
	require.NoError(t, err)
	<-half
	time.Sleep(withinRequest)
	_, err = io.WriteString(client, "dy")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(client), nil)
	half <- struct{}{}
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.NoError(t, <-served)
	require.NoError(t, client.Close())
	require.NoError(t, server.Close())
}

// TestPartsOfAnExchangeTakeWhatTheyTook: none less than the pause in it, and all together no more than the span.
func TestPartsOfAnExchangeTakeWhatTheyTook(t *testing.T) {
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) { partsOfAnExchange(t, mode) })
	}
}

func partsOfAnExchange(t *testing.T, mode kernel.Mode) {
	testenv.NeedRoot(t, "loading eBPF programs")
	sink := newMetricsSink()
	opts := measuringOptions(t, sink)
	opts.Mode, opts.Telemetry.Phases, opts.Metrics.Phases = mode, true, true
	e := engine.New(opts)
	require.NoError(t, e.Start())
	slowExchange(t)
	awaitTrue(t, "the request", func() bool { return e.Snapshot().Exchanges["http"] == 2 })
	_, err := e.Drain(t.Context())
	require.NoError(t, err)
	require.NoError(t, e.Close())

	require.Len(t, sink.spans, 2)
	for _, span := range sink.spans {
		want := map[string]time.Duration{"sending": withinRequest, "waiting": inHandler, "receiving": withinAnswer}
		side, parts := "client", []string{"request.sending", "request.waiting", "response.receiving"}
		if span.Kind() == ptrace.SpanKindServer {
			want = map[string]time.Duration{"receiving": withinRequest, "handling": inHandler, "sending": withinAnswer}
			side, parts = "server", []string{"request.receiving", "request.handling", "response.sending"}
			queued, found := span.Attributes().Get("socketflow.duration.queued")
			require.Equal(t, mode == kernel.ModeSocket, found, "known in the socket mode")
			if found {
				assert.GreaterOrEqual(t, queued.Double(), inQueue.Seconds())
			}
		}
		var all float64
		for name, pause := range want {
			v, found := span.Attributes().Get("socketflow.duration." + name)
			require.True(t, found, name)
			assert.GreaterOrEqual(t, v.Double(), pause.Seconds(), name)
			all += v.Double()
		}
		took := time.Duration(span.EndTimestamp() - span.StartTimestamp()).Seconds()
		assert.LessOrEqual(t, all, took+1e-6)
		var measured float64
		for _, part := range parts {
			measured += sink.metric("socketflow." + side + "." + part + ".duration").sum
		}
		assert.InDelta(t, all, measured, 1e-6, "metrics say the same")
	}
	if mode == kernel.ModeSocket {
		assert.Positive(t, sink.metric("socketflow.connection.accept.duration").sum)
	} else {
		assert.Zero(t, sink.metric("socketflow.connection.accept.duration").count)
	}
}
