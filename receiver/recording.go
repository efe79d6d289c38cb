package receiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/recording"
)

// Record observes the host as the receiver does, until ctx ends, for so long if that is not 0, or until there is no room for more, and writes what it is
// given to a recording. Nothing is handed over. It returns how many spans the receiver would have emitted.
func Record(ctx context.Context, cfg *Config, version string, length time.Duration, to *recording.Writer, logger *zap.Logger) (spans int64, err error) {
	counted := &countingSink{}
	broken := make(chan error, maxShards)
	options, err := cfg.engineOptions(version, everything())
	if err != nil {
		return 0, err
	}
	options.Sink, options.Recording, options.Logger = counted, to, logger
	options.Broken = func(err error) { broken <- err }
	e := engine.New(options)
	if err := begin(ctx, e.Start, func() { abandon(e, logger) }); err != nil {
		return 0, err
	}
	if length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, length)
		defer cancel()
	}
	select {
	case <-ctx.Done():
	case <-to.Full():
	case err = <-broken:
	}
	logger.Info("ending; what the kernel has handed over is still recorded", zap.Duration("at_most", cfg.ShutdownTimeout))
	ending, cancel := context.WithTimeout(context.Background(), cfg.ShutdownTimeout)
	defer cancel()
	whole, drained := e.Drain(ending)
	to.Lack(recording.Losses{Dropped: dropped(e), Unhandled: !whole})
	return counted.spans.Load(), errors.Join(err, drained, e.Close())
}

// ErrNotBegun means that there is no recording, because it was ended before anything was watched.
var ErrNotBegun = errors.New("ended while the kernel programs were loaded: nothing was recorded")

// begin waits for start, which cannot be interrupted, and takes seconds. If ctx ends before, abandon follows once start has succeeded.
func begin(ctx context.Context, start func() error, abandon func()) error {
	started := make(chan error, 1)
	go func() { started <- start() }()
	select {
	case err := <-started:
		return err
	case <-ctx.Done():
	}
	go func() {
		if err := <-started; err == nil {
			abandon()
		}
	}()
	return ErrNotBegun
}

func abandon(e *engine.Engine, logger *zap.Logger) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := e.Drain(ended)
	if err = errors.Join(err, e.Close()); err != nil {
		logger.Error("release the kernel programs", zap.Error(err))
	}
}

// dropped is how many events the kernel could not hand over.
func dropped(e *engine.Engine) (n uint64) {
	s := e.Snapshot()
	for _, kind := range s.RingFull {
		n += kind
	}
	return n + s.Missed
}

// Replayed is what there is to say of a replay.
type Replayed struct {
	Cut      bool              // the end of the recording is missing
	Nameless uint64            // items that lack names, because the recording has too many
	Totals   *recording.Totals // what the recording counts itself; nil: nothing
}

// Replay hands over what the receiver makes of a recording. It ends when that fails, or ctx ends.
func Replay(ctx context.Context, cfg *Config, version string, from io.Reader, traces consumer.Traces, logs consumer.Logs) (Replayed, error) {
	reader, err := recording.NewReader(from)
	if err != nil {
		return Replayed{}, err
	}
	options, err := cfg.engineOptions(version, everything())
	if err != nil {
		return Replayed{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	options.Sink, options.Logger = &replaySink{ctx: ctx, fail: cancel, traces: traces, logs: logs}, zap.NewNop()
	cut, err := engine.Replay(ctx, options, reader)
	return Replayed{Cut: cut, Nameless: reader.LeftOut(), Totals: reader.Totals()}, err
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
	fail   context.CancelCauseFunc
	traces consumer.Traces
	logs   consumer.Logs
}

func (s *replaySink) Deliver(_ context.Context, from *otlp.Builder) {
	logs, traces := from.Take()
	if err := s.consume(traces, logs); err != nil {
		s.fail(err)
	}
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
