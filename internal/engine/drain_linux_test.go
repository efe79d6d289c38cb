//go:build amd64 || arm64

package engine_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/testenv"
)

// spanSink keeps the spans of requests.
type spanSink struct {
	mu    sync.Mutex
	spans []ptrace.Span
}

func (s *spanSink) Deliver(_ context.Context, from *otlp.Builder) {
	_, traces := from.Take()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				if _, isRequest := span.Attributes().Get("http.request.method"); isRequest {
					s.spans = append(s.spans, span)
				}
			}
		}
	}
}

// muteSink blocks until its context ends.
type muteSink struct{ blocked chan struct{} }

func (s *muteSink) Deliver(ctx context.Context, from *otlp.Builder) {
	from.Take()
	select {
	case s.blocked <- struct{}{}:
	default:
	}
	<-ctx.Done()
}

func awaitTrue(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 20*time.Second, 5*time.Millisecond, what)
}

// A request that waits for its response when the engine stops lasts until then, and is no success and no error.
func TestRequestUnderWayIsCutByDrain(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	const request = "GET /path HTTP/1.1\r\nHost: host.test\r\n\r\n"
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) {
			sink := &spanSink{}
			e := engine.New(optionsOf(t, mode, sink))
			require.NoError(t, e.Start())
			p := newPair(t)
			_, err := p.client.Write([]byte(request))
			require.NoError(t, err)
			_, err = p.server.Read(make([]byte, 2*len(request)))
			require.NoError(t, err)
			awaitTrue(t, "both ends are read", func() bool { return e.Snapshot().PayloadCaptured == uint64(2*len(request)) })
			stopped := time.Now()
			whole, err := e.Drain(t.Context())
			require.NoError(t, err)
			assert.True(t, whole)
			require.NoError(t, e.Close())
			p.close(t)

			require.Len(t, sink.spans, 2)
			for _, span := range sink.spans {
				assert.Equal(t, "cut", text(span.Attributes(), "socketflow.capture"))
				assert.Equal(t, ptrace.StatusCodeUnset, span.Status().Code())
				for _, key := range []string{"error.type", "http.response.status_code"} {
					_, found := span.Attributes().Get(key)
					assert.False(t, found, key)
				}
				assert.WithinRange(t, span.EndTimestamp().AsTime(), stopped.Add(-2*tolerance), time.Now().Add(2*tolerance))
			}
		})
	}
}

// A sink that takes nothing does not keep an engine from ending.
func TestDrainLeavesAMuteSink(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	sink := &muteSink{blocked: make(chan struct{}, 1)}
	e := engine.New(optionsOf(t, kernel.ModeAuto, sink))
	require.NoError(t, e.Start())
	newPair(t).close(t)
	<-sink.blocked
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	whole, err := e.Drain(ctx)
	require.NoError(t, err)
	assert.False(t, whole)
	require.NoError(t, e.Close())
}
