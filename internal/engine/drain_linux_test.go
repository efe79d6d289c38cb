//go:build amd64 || arm64

package engine_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/fdtrack"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/registry"
	"github.com/socketflow/socketflow/internal/selection"
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

func (s *spanSink) End() {}

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

func (s *muteSink) End() {}

// optionsOf observe this process with a sink.
func optionsOf(t *testing.T, mode kernel.Mode, sink engine.Sink) engine.Options {
	t.Helper()
	protocols, err := registry.Configured(registry.Configs(), protocol.Limits{HeadBytes: 1 << 14, Outstanding: 64})
	require.NoError(t, err)
	return engine.Options{
		Mode: mode, Rules: []selection.Rule{{PID: uint32(os.Getpid())}}, Unix: true, UDP: true,
		Protocols: protocols, ParserMemory: 1 << 20,
		CallLimit: 1 << 14, BurstLimit: 1 << 20, Shards: 1, RingBytes: 1 << 20, PollInterval: 10 * time.Millisecond,
		UDPIdleTimeout: time.Second, Processes: 1024, Sockets: 16384, Waiting: fdtrack.Limits{}.OrDefault(),
		Telemetry:    otlp.Options{Records: otlp.RecordAll, Traces: true, Bounds: otlp.Bounds{Items: 1000, Bytes: 1 << 20}},
		BatchTimeout: 10 * time.Millisecond, Sink: sink, Logger: zap.NewNop(), Broken: func(err error) { t.Error(err) },
	}
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
