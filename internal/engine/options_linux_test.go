//go:build amd64 || arm64

package engine_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/fdtrack"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/registry"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/trace"
)

// optionsOf are options to observe this process, for a sink. Tests change what they are about.
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
		Parents:      trace.Certain,
		BatchTimeout: 10 * time.Millisecond, Sink: sink, Logger: zap.NewNop(), Broken: func(err error) { t.Error(err) },
	}
}
