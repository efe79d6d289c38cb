//go:build amd64 || arm64

package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/testenv"
)

// ids gathers the ids that several engines, one after the other, emit.
type ids struct {
	mu     sync.Mutex
	traces map[pcommon.TraceID]int
	spans  map[pcommon.SpanID]int
	upper  map[string]int            // first digits of trace ids
	of     map[string]map[string]int // connection ids by end of a connection
	total  int
	older  int // TCP connections that an engine has found
}

// endOf names an end of a connection by its addresses.
func endOf(attributes pcommon.Map) string {
	raw := attributes.AsRaw()
	return fmt.Sprint(raw["network.local.address"], raw["network.local.port"], raw["network.peer.address"], raw["network.peer.port"])
}

func (i *ids) Deliver(_ context.Context, from *otlp.Builder) {
	logs, traces := from.Take()
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				if aspectOfRecord(record) == olderOpens {
					i.older++
				}
			}
		}
	}
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				if _, isRequest := span.Attributes().Get("http.request.method"); !isRequest {
					continue
				}
				i.total++
				i.traces[span.TraceID()]++
				i.spans[span.SpanID()]++
				i.upper[span.TraceID().String()[:7]]++
				end := endOf(span.Attributes())
				if i.of[end] == nil {
					i.of[end] = map[string]int{}
				}
				i.of[end][text(span.Attributes(), "socketflow.connection.id")]++
			}
		}
	}
}

func (i *ids) count(what *int) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return *what
}

func (i *ids) await(t *testing.T, what *int, want int) {
	t.Helper()
	require.Eventually(t, func() bool { return i.count(what) == want }, 20*time.Second, 10*time.Millisecond,
		"%d, want %d", i.count(what), want)
}

// dialogue is an HTTP connection of this process with itself.
type dialogue struct {
	pair
	client, server *bufio.Reader
}

func newDialogue(p pair) *dialogue {
	return &dialogue{p, bufio.NewReader(p.client), bufio.NewReader(p.server)}
}

func (d *dialogue) exchange(t *testing.T) {
	t.Helper()
	_, err := d.pair.client.Write([]byte("GET /x HTTP/1.1\r\nHost: host.test\r\n\r\n"))
	require.NoError(t, err)
	_, err = http.ReadRequest(d.server)
	require.NoError(t, err)
	_, err = d.pair.server.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
	require.NoError(t, err)
	response, err := http.ReadResponse(d.client, nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
}

func newUnixPair(t *testing.T) pair {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	defer func() { assert.NoError(t, listener.Close()) }()
	client, err := net.Dial("unix", listener.Addr().String())
	require.NoError(t, err)
	server, err := listener.Accept()
	require.NoError(t, err)
	return pair{client, server}
}

// The connections are opened under the first of four engines, and are older than the others, which run in both modes.
func TestIDsOverRestarts(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	seen := &ids{traces: map[pcommon.TraceID]int{}, spans: map[pcommon.SpanID]int{}, upper: map[string]int{}, of: map[string]map[string]int{}}
	var dialogues []*dialogue
	const perConnection, tcp = 3, 4
	expect, traces, older := 0, 0, 0
	ends := map[kernel.Mode]map[string]map[string]int{}
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSocket, kernel.ModeSyscall, kernel.ModeSyscall, kernel.ModeSocket} {
		options := optionsOf(t, mode, seen)
		options.Shards, options.UDP = 2, false
		options.Telemetry.Bounds = otlp.Bounds{}
		e := engine.New(options)
		require.NoError(t, e.Start())
		if older += 2 * tcp; dialogues == nil {
			older = 0
			for range tcp {
				dialogues = append(dialogues, newDialogue(newPair(t)))
			}
			dialogues = append(dialogues, newDialogue(newUnixPair(t)))
		}
		seen.await(t, &seen.older, older)
		seen.mu.Lock()
		seen.of = map[string]map[string]int{}
		if ends[mode] != nil {
			seen.of = ends[mode]
		}
		ends[mode] = seen.of
		seen.mu.Unlock()
		for range perConnection {
			for _, d := range dialogues {
				d.exchange(t)
			}
		}
		expect += perConnection * len(dialogues) * 2
		traces += perConnection * len(dialogues) * 2
		if mode == kernel.ModeSocket { // both ends of a request over TCP are in one
			traces -= perConnection * tcp
		}
		if older == 0 { // and over a Unix socket that is not older
			traces -= perConnection
		}
		seen.await(t, &seen.total, expect)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		whole, err := e.Drain(ctx)
		assert.True(t, whole)
		assert.NoError(t, err)
		cancel()
		assert.NoError(t, e.Close())
	}
	assert.Len(t, seen.traces, traces)
	assert.Len(t, seen.spans, seen.total)
	assert.GreaterOrEqual(t, len(seen.upper), traces-1, "traces that look alike")
	assert.NotEmpty(t, ends[kernel.ModeSocket])
	for end, connections := range ends[kernel.ModeSocket] {
		assert.Len(t, connections, 1, "connection ids of %s", end)
	}
	for _, d := range dialogues {
		d.close(t)
	}
}
