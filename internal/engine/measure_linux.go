//go:build amd64 || arm64

package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/socketflow/socketflow/internal/metrics"
	"github.com/socketflow/socketflow/internal/monotime"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// measuring is what the shards share to measure. Each of them hands over what it has measured when a round begins, in its own goroutine.
type measuring struct {
	store   *metrics.Store
	builder *otlp.Measurements
	owners  *metrics.Owners
	round   atomic.Uint64
	handed  chan uint64    // rounds for which a shard has handed over
	shards  sync.WaitGroup // those that measure
}

func (e *Engine) prepareMeasuring() {
	if e.opts.MetricsSink == nil {
		return
	}
	telemetry := e.opts.Telemetry
	telemetry.Host = e.host
	m := &measuring{builder: otlp.NewMeasurements(telemetry, e.opts.Metrics.Delta), handed: make(chan uint64, 2*e.opts.Shards)}
	options := e.opts.Metrics
	options.Alive, options.Text, options.Errno = e.processes.Lives, m.builder.Text, otlp.ErrnoName
	m.store = metrics.NewStore(options, time.Now().UnixNano())
	m.shards.Add(e.opts.Shards)
	e.measuring = m
	m.owners = metrics.NewOwners(2 * e.opts.Sockets)
}

// noteEnd notes that an end of a connection is observed, and which process of this host has it; nil: it is on another one.
func (e *Engine) noteEnd(end trace.End, owner *process.Info) {
	if e.opts.Telemetry.Traces {
		e.ends.Add(end)
	}
	if e.measuring != nil && owner != nil {
		e.measuring.owners.Add(end, owner)
	}
}

// emitMetrics emits metrics at each interval, and once more when all shards have ended.
func (e *Engine) emitMetrics() {
	m := e.measuring
	ticks := time.NewTicker(e.opts.Metrics.Interval)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			m.gather(e.opts.Shards, e.handOverTimeout())
			e.deliverMetrics()
		case <-e.helping.Done():
			m.shards.Wait()
			e.deliverMetrics()
			return
		}
	}
}

// handOverTimeout is how long a shard may take to hand over: one that waits for events does so for the poll interval.
func (e *Engine) handOverTimeout() time.Duration { return e.opts.PollInterval + time.Second }

// gather has the shards hand over what they have measured. One that does not in time is busy with the pipeline, or has ended: what it has comes with the
// next round.
func (m *measuring) gather(shards int, within time.Duration) {
	round := m.round.Add(1)
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	for shards > 0 {
		select {
		case of := <-m.handed:
			if of == round {
				shards--
			}
		case <-timeout.C:
			return
		}
	}
}

func (e *Engine) deliverMetrics() {
	m := e.measuring
	m.builder.Collect(m.store, time.Now().UnixNano())
	e.opts.MetricsSink.DeliverMetrics(e.delivering, m.builder)
}

// handOver hands over what the shard has measured if a round has begun.
func (s *shard) handOver() {
	if s.recorder == nil {
		return
	}
	s.recorder.Settle(s.engine.opts.BatchTimeout)
	m := s.engine.measuring
	round := m.round.Load()
	if round == s.round {
		return
	}
	s.round = round
	at := monotime.Now()
	s.recorder.HandOver(time.Now().UnixNano(), func(report func(*socket.Connection) bool) { s.table.EachOpen(at, report) })
	select {
	case m.handed <- round:
	default: // nobody waits for it any more
	}
}

// endMeasuring hands over what is left.
func (s *shard) endMeasuring() {
	if s.recorder != nil {
		s.recorder.Settle(0)
		s.recorder.HandOver(time.Now().UnixNano(), nil)
		s.engine.measuring.shards.Done()
	}
}
