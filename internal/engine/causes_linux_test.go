//go:build amd64 || arm64

package engine_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
	"github.com/socketflow/socketflow/internal/trace"
)

// caller is a service in Go whose handlers call a backend, each three times: one call after the other, or by net/http, in goroutines that it starts.
type caller struct {
	backend string
	direct  sync.Pool // of connections over which the handler's goroutine itself sends
	client  *http.Client
}

// newCaller starts the service and its backend, and returns the address of the service.
func newCaller(t *testing.T, client *http.Client) string {
	t.Helper()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "answer") //nolint:errcheck // the client checks
	}))
	t.Cleanup(backend.Close)
	c := &caller{backend: backend.Listener.Addr().String(), client: client}
	service := httptest.NewServer(c)
	t.Cleanup(service.Close)
	return service.URL
}

func (c *caller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, "/r/")
	var failures [3]error
	var all sync.WaitGroup
	for k := range failures {
		path := fmt.Sprintf("/c/%s/%d", id, k)
		if c.client == nil {
			failures[k] = c.call(path)
		} else {
			all.Go(func() { failures[k] = c.ask(path) })
		}
	}
	all.Wait()
	if err := errors.Join(failures[:]...); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	io.WriteString(w, "done") //nolint:errcheck // the client checks
}

func (c *caller) ask(path string) error {
	response, err := c.client.Get("http://" + c.backend + path)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return errors.Join(err, response.Body.Close())
}

func (c *caller) call(path string) error {
	conn, _ := c.direct.Get().(net.Conn)
	if conn == nil {
		var err error
		if conn, err = net.Dial("tcp", c.backend); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: backend.test\r\n\r\n", path); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	if _, err = io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	c.direct.Put(conn)
	return response.Body.Close()
}

// ask sends requests, some at the same time.
func ask(t *testing.T, url string, requests, together int) {
	t.Helper()
	var all sync.WaitGroup
	next := make(chan int)
	for range together {
		all.Go(func() {
			for id := range next {
				response, err := http.Get(fmt.Sprintf("%s/r/%d", url, id))
				if !assert.NoError(t, err) {
					return
				}
				_, err = io.Copy(io.Discard, response.Body)
				assert.NoError(t, err)
				assert.Equal(t, http.StatusOK, response.StatusCode)
				assert.NoError(t, response.Body.Close())
			}
		})
	}
	for id := range requests {
		next <- id
	}
	close(next)
	all.Wait()
}

// A request is one trace through three spans of a service and of those around it.
func TestCallsOfAGoroutineAreChildrenOfItsRequest(t *testing.T) {
	testCalls(t, nil, trace.SourceGoroutine, 0.03)
}

// The goroutine that sends is one of net/http. It works for one that the handler has started.
func TestCallsThatAGoroutineWaitsForAreChildrenOfTheRequestOfItsCreator(t *testing.T) {
	testCalls(t, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}, trace.SourceHandoff, 0.1)
}

// testCalls allows for a part of the calls that are roots.
func testCalls(t *testing.T, client *http.Client, source trace.Source, mostRoots float64) {
	t.Helper()
	testenv.NeedRoot(t, "loading eBPF programs")
	const requests, together = 300, 20
	url := newCaller(t, client)
	sink := &spanSink{}
	opts := optionsOf(t, kernel.ModeSocket, sink)
	opts.Shards, opts.RingBytes, opts.ParserMemory = 2, 1<<23, 1<<24
	opts.BatchTimeout = time.Second // one shard waits for the other for so long
	e := engine.New(opts)
	require.NoError(t, e.Start())
	ask(t, url, requests, together)
	awaitTrue(t, "all spans", func() bool {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return len(sink.spans) >= requests*(2+2*3)
	})
	_, err := e.Drain(t.Context())
	require.NoError(t, err)
	require.NoError(t, e.Close())

	served, byID := map[string]ptrace.Span{}, map[[8]byte]ptrace.Span{}
	for _, s := range sink.spans {
		byID[s.SpanID()] = s
		if path := text(s.Attributes(), "url.path"); s.Kind() == ptrace.SpanKindServer {
			served[path] = s
		}
	}
	calls, roots := 0, 0
	for _, s := range sink.spans {
		_, path, isCall := strings.Cut(text(s.Attributes(), "url.full"), "/c/")
		if s.Kind() != ptrace.SpanKindClient || !isCall {
			continue
		}
		calls++
		id, _, _ := strings.Cut(path, "/")
		request, answered := served["/r/"+id], served["/c/"+path]
		if s.ParentSpanID().IsEmpty() { // a shard was behind for longer than the batch waits
			roots++
			continue
		}
		require.Equal(t, request.SpanID(), s.ParentSpanID(), path)
		require.Equal(t, source.String(), text(s.Attributes(), "socketflow.parent.source"), path)
		require.Equal(t, s.SpanID(), answered.ParentSpanID(), path)
		root := byID[request.ParentSpanID()]
		require.Equal(t, ptrace.SpanKindClient, root.Kind(), path)
		for _, other := range []ptrace.Span{request, answered, root} {
			require.Equal(t, s.TraceID(), other.TraceID(), path)
		}
	}
	assert.Equal(t, 3*requests, calls)
	assert.LessOrEqual(t, float64(roots), mostRoots*3*requests)
}
