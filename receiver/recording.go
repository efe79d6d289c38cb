package receiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/recording"
)

// Record observes the host as the receiver does, until ctx ends or there is no room for more, and writes what it is given to a recording.
// Nothing is handed over. It returns how many spans the receiver would have emitted.
func Record(ctx context.Context, cfg *Config, version string, to *recording.Writer, logger *zap.Logger) (spans int64, err error) {
	counted := &countingSink{}
	broken := make(chan error, maxShards)
	options, err := cfg.engineOptions(version, everything())
	if err != nil {
		return 0, err
	}
	options.Sink, options.Recording, options.Logger = counted, to, logger
	options.Broken = func(err error) { broken <- err }
	e := engine.New(options)
	if err := e.Start(); err != nil {
		return 0, err
	}
	select {
	case <-ctx.Done():
	case <-to.Full():
	case err = <-broken:
	}
	ending, cancel := context.WithTimeout(context.Background(), cfg.ShutdownTimeout)
	defer cancel()
	_, drained := e.Drain(ending)
	return counted.spans.Load(), errors.Join(err, drained, e.Close())
}

// Replay hands over what the receiver makes of a recording. cut reports that the end of the recording is missing.
func Replay(ctx context.Context, cfg *Config, version string, from io.Reader, traces consumer.Traces, logs consumer.Logs) (cut bool, err error) {
	reader, err := recording.NewReader(from)
	if err != nil {
		return false, err
	}
	options, err := cfg.engineOptions(version, everything())
	if err != nil {
		return false, err
	}
	to := &replaySink{ctx: ctx, traces: traces, logs: logs}
	options.Sink, options.Logger = to, zap.NewNop()
	cut, err = engine.Replay(options, reader)
	return cut, errors.Join(err, to.err)
}

// everything is an emitter of which only is used which signals it has.
func everything() *emitter { return &emitter{to: consumers{traces: discard{}, logs: discard{}}} }

type discard struct {
	consumer.Traces
	consumer.Logs
}

func (discard) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// countingSink counts spans, and drops them.
type countingSink struct{ spans atomic.Int64 }

func (s *countingSink) Deliver(_ context.Context, from *otlp.Builder) {
	_, traces := from.Take()
	s.spans.Add(int64(traces.SpanCount()))
}

// replaySink hands over what a replay emits. It is called from one goroutine.
type replaySink struct {
	ctx    context.Context // that of the one call which it serves
	traces consumer.Traces
	logs   consumer.Logs
	err    error
}

func (s *replaySink) Deliver(_ context.Context, from *otlp.Builder) {
	logs, traces := from.Take()
	s.err = errors.Join(s.err, s.consume(traces, logs))
}

func (s *replaySink) consume(traces ptrace.Traces, logs plog.Logs) error {
	if err := s.traces.ConsumeTraces(s.ctx, traces); err != nil {
		return fmt.Errorf("hand over spans: %w", err)
	}
	if err := s.logs.ConsumeLogs(s.ctx, logs); err != nil {
		return fmt.Errorf("hand over records: %w", err)
	}
	return nil
}
