//go:build amd64 || arm64

package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/testenv"
)

// measuringSink measures batches of spans.
type measuringSink struct {
	mu                     sync.Mutex
	spans, items, encoding int // in all; of the largest batch
}

func (s *measuringSink) Deliver(_ context.Context, from *otlp.Builder) {
	_, traces := from.Take()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spans += traces.SpanCount()
	s.items = max(s.items, traces.SpanCount())
	s.encoding = max(s.encoding, (&ptrace.ProtoMarshaler{}).TracesSize(traces))
}

// One event that ends many requests fills as many batches as it takes, and so does the end of the engine.
func TestBatchesKeepTheirBoundsWhenManyRequestsEndAtOnce(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	const underWay = 60
	for name, c := range map[string]struct {
		bounds otlp.Bounds
		close  bool
	}{
		"items, at the end of their connection": {otlp.Bounds{Items: 7}, true},
		"items, at the end of the engine":       {otlp.Bounds{Items: 7}, false},
		"bytes, at the end of their connection": {otlp.Bounds{Bytes: 16 << 10}, true},
		"bytes, at the end of the engine":       {otlp.Bounds{Bytes: 16 << 10}, false},
	} {
		t.Run(name, func(t *testing.T) {
			sink := &measuringSink{}
			options := optionsOf(t, kernel.ModeAuto, sink)
			options.Telemetry.Records, options.Telemetry.Bounds = 0, c.bounds
			e := engine.New(options)
			require.NoError(t, e.Start())
			p := newPair(t)
			var sent int
			for i := range underWay {
				request := fmt.Sprintf("GET /%d/%s HTTP/1.1\r\nHost: host.test\r\n\r\n", i, strings.Repeat("long", 250))
				n, err := p.client.Write([]byte(request))
				require.NoError(t, err)
				for read := 0; read < n; {
					more, err := p.server.Read(make([]byte, n-read))
					require.NoError(t, err)
					read += more
				}
				sent += n
			}
			awaitTrue(t, "both ends are read", func() bool { return e.Snapshot().PayloadCaptured == uint64(2*sent) })
			if c.close {
				p.close(t)
				awaitTrue(t, "the requests have ended", func() bool { return e.Snapshot().Exchanges["http"] == 2*underWay })
			}
			whole, err := e.Drain(t.Context())
			require.NoError(t, err)
			assert.True(t, whole)
			require.NoError(t, e.Close())
			if !c.close {
				p.close(t)
			}
			assert.Equal(t, 2*underWay, sink.spans)
			if c.bounds.Items != 0 {
				assert.Equal(t, c.bounds.Items, sink.items)
			} else {
				assert.LessOrEqual(t, sink.encoding, c.bounds.Bytes)
				assert.Greater(t, sink.encoding, c.bounds.Bytes/2)
			}
		})
	}
}
