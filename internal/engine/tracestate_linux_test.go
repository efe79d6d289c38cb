//go:build amd64 || arm64

package engine_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
)

// A tracestate is that of all spans of the trace, also of requests that a program sends without a header.
func TestTracestateIsInheritedThroughCauses(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	const state = "vendor=t61rcWkgMzE,ot=th:c"
	sink := &spanSink{}
	e := engine.New(optionsOf(t, kernel.ModeSocket, sink))
	require.NoError(t, e.Start())
	front, backend := newPair(t), newPair(t)
	require.NoError(t, front.ask("/r/0", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: "+state+"\r\n"))
	require.NoError(t, backend.ask("/c/0", ""))
	require.NoError(t, backend.reply())
	require.NoError(t, front.reply())
	awaitTrue(t, "all requests", func() bool { return e.Snapshot().Exchanges["http"] == 4 })
	_, err := e.Drain(t.Context())
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.Len(t, sink.spans, 4)
	inherited := 0
	for _, s := range sink.spans {
		assert.Equal(t, state, s.TraceState().AsRaw())
		assert.Equal(t, "0af7651916cd43dd8448eb211c80319c", s.TraceID().String())
		if strings.HasSuffix(text(s.Attributes(), "url.full")+text(s.Attributes(), "url.path"), "/c/0") {
			inherited++
		}
	}
	assert.Equal(t, 2, inherited)
}
