//go:build amd64 || arm64

package engine_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
)

// ask sends the head of a request over a connection, and reads it at its other end.
func (p pair) ask(path, headers string) error {
	if _, err := fmt.Fprintf(p.client, "GET %s HTTP/1.1\r\nHost: host.test\r\n%s\r\n", path, headers); err != nil {
		return err
	}
	_, err := http.ReadRequest(bufio.NewReader(p.server))
	return err
}

// reply answers it.
func (p pair) reply() error {
	if _, err := io.WriteString(p.server, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(p.client), nil)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// spansOfAPool are the spans of requests which are under way at the same time in a service, that hands each over to a thread which has received none of
// them, and calls a backend. A request's headers are those of its call. Paths are /r/0 and /c/0.
func spansOfAPool(t *testing.T, change func(*engine.Options), headers ...string) []ptrace.Span {
	t.Helper()
	sink := &spanSink{}
	opts := optionsOf(t, kernel.ModeSocket, sink)
	change(&opts)
	e := engine.New(opts)
	require.NoError(t, e.Start())
	backend, fronts := newPair(t), make([]pair, len(headers))
	begin, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // which ends with it
		<-begin
		for i, of := range headers {
			assert.NoError(t, errors.Join(backend.ask(fmt.Sprint("/c/", i), of), backend.reply()))
		}
	}()
	for i, of := range headers {
		fronts[i] = newPair(t)
		require.NoError(t, fronts[i].ask(fmt.Sprint("/r/", i), of))
	}
	close(begin)
	<-done
	for i := range fronts {
		require.NoError(t, fronts[i].reply())
	}
	awaitTrue(t, "all requests", func() bool { return e.Snapshot().Exchanges["http"] == uint64(4*len(headers)) })
	_, err := e.Drain(t.Context())
	require.NoError(t, err)
	require.NoError(t, e.Close())
	return sink.spans
}

// requestsAndCalls are the SERVER spans of the requests that a service was sent, and the CLIENT spans of its calls, by their number.
func requestsAndCalls(all []ptrace.Span) (requests, calls map[string]ptrace.Span) {
	requests, calls = map[string]ptrace.Span{}, map[string]ptrace.Span{}
	for _, s := range all {
		if _, call, isCall := strings.Cut(text(s.Attributes(), "url.full"), "/c/"); isCall && s.Kind() == ptrace.SpanKindClient {
			calls[call] = s
		}
		if request, isRequest := strings.CutPrefix(text(s.Attributes(), "url.path"), "/r/"); isRequest && s.Kind() == ptrace.SpanKindServer {
			requests[request] = s
		}
	}
	return requests, calls
}

func TestCallOfAPoolLinksToTheRequestsThatItMayBeAbout(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	for _, n := range []int{2, 6} {
		requests, calls := requestsAndCalls(spansOfAPool(t, func(*engine.Options) {}, make([]string, n)...))
		require.Len(t, requests, n)
		require.Len(t, calls, n)
		served := map[pcommon.SpanID]pcommon.TraceID{}
		for _, s := range requests {
			served[s.SpanID()] = s.TraceID()
		}
		for _, call := range calls {
			require.Zero(t, call.ParentSpanID(), "%v", call.Attributes().AsRaw())
			assert.Equal(t, min(n, 4), call.Links().Len())
			assert.EqualValues(t, max(0, n-4), call.DroppedLinksCount())
			linked := map[pcommon.SpanID]bool{}
			for _, l := range call.Links().All() {
				assert.Equal(t, served[l.SpanID()], l.TraceID())
				assert.Equal(t, "only", text(l.Attributes(), "socketflow.parent.source"))
				linked[l.SpanID()] = true
			}
			assert.Len(t, linked, min(n, 4))
		}
	}
}

// The headers of a request may say which one it is about, whatever thread sends it.
func TestCallOfAPoolIsTheChildOfTheRequestWithItsID(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	id := func(name string, i int) string { return fmt.Sprintf("%s: 4711-0815-%d\r\n", name, i) }
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) {
			requests, calls := requestsAndCalls(spansOfAPool(t, func(o *engine.Options) { o.Mode = mode },
				id("X-Request-ID", 0), id("x-correlation-id", 1), id("X-Request-Id", 2), id("X-Request-Id", 2), ""))
			for _, call := range []string{"0", "1"} {
				got := calls[call]
				require.Equal(t, requests[call].SpanID(), got.ParentSpanID(), call)
				assert.Equal(t, requests[call].TraceID(), got.TraceID())
				assert.Equal(t, "request_id", text(got.Attributes(), "socketflow.parent.source"))
				assert.Zero(t, got.Links().Len())
			}
			for _, call := range []string{"2", "3", "4"} {
				got := calls[call]
				require.Zero(t, got.ParentSpanID(), call)
				assert.Empty(t, text(got.Attributes(), "socketflow.parent.source"))
				assert.NotZero(t, got.Links().Len())
			}
		})
	}
}
