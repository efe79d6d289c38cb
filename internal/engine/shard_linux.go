//go:build amd64 || arm64

package engine

import (
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/fdtrack"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/metrics"
	"github.com/socketflow/socketflow/internal/monotime"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/recording"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/socket"
)

// shard takes the events of one ring buffer all the way to telemetry. All of it but the atomic fields belongs to one goroutine.
type shard struct {
	engine  *Engine
	number  int
	reader  *kernel.Reader
	table   *socket.Table
	builder *otlp.Builder
	// recorder measures; nil: there are no metrics. round is the emission for which it has handed over last.
	recorder *metrics.Recorder
	round    uint64
	// tracker stands before the table in the syscall mode; nil in the socket mode.
	tracker *fdtrack.Tracker

	event    event.Event
	ticks    uint64
	handled  int       // events since the last look at the clock
	idleFrom uint64    // the reader's deadline, CLOCK_MONOTONIC, ns; 0: it has passed
	since    time.Time // the oldest item of the open batch is not older; zero: the batch is empty
	// forget is a request to forget the sockets that have not been reported alive; nil: none.
	forget    atomic.Pointer[unreported]
	forgetNow *unreported // forget as it was before the present wait
	broken    bool        // a decode error has been logged
}

// unreported describes sockets that coverage includes, that were opened before since, and that were not reported alive after it.
type unreported struct {
	coverage kernel.Coverage
	since    uint64 // CLOCK_MONOTONIC, ns
}

func newShard(e *Engine, i int, chosen *selection.Selection, processes socket.Describer) (*shard, error) {
	s, of := &shard{engine: e, number: i}, e.opts.Shards
	telemetry := e.opts.Telemetry
	telemetry.HostID, telemetry.Seed, telemetry.Host = e.hostID, e.seeds[i], e.host
	telemetry.Now = e.now
	telemetry.Full = func() { s.close(e.now()) }
	if telemetry.ConnectionSpans == otlp.SpansAuto && len(e.opts.Protocols) == 0 {
		telemetry.ConnectionSpans = otlp.SpansAlways // which is the same, and known from the beginning
	}
	options := socket.Options{
		Seed: telemetry.Seed, ObservedNetworks: e.opts.ObservedNetworks,

		Sockets:       (e.opts.Sockets + of - 1) / of,
		Processes:     (e.opts.Processes + of - 1) / of,
		Selection:     chosen,
		KernelCookies: e.mode != kernel.ModeSyscall,
		SetRuleMatch:  s.setRuleMatch,
		EndLayer:      e.tracer.EndLayer,

		Conversations: conversation.Options{
			Protocols: e.opts.Protocols, Memory: e.opts.ParserMemory / of, Want: e.tracer.Want,
			PayloadLimit: uint32(e.opts.CallLimit), PayloadBurst: uint32(e.opts.BurstLimit),
			OmitTelemetry: e.opts.ExcludeOTLP,
		},
	}
	options.Unidentified = !telemetry.Traces
	if e.measuring != nil {
		options.SharedSeed, options.Paired = e.seed, e.noteEnd
		options.Unpaired = e.measuring.owners.End
		options.PeerOf, options.Settled = e.measuring.owners.Of, e.progress.Settled
	}
	if telemetry.Traces && len(e.opts.Protocols) > 0 {
		options.SharedSeed, options.Paired, options.Meetings = e.seed, e.noteEnd, e.meetings
		options.Exchanges, telemetry.Resolve = e.exchanges, e.exchanges.Resolve
		options.Endpoints, telemetry.Endpoint = e.endpoints, e.endpoints.Of
		telemetry.Candidates, telemetry.Tracestate = e.exchanges.Candidates, e.exchanges.Tracestate
		options.Instrumented = e.instrumented
	}
	if e.own != nil {
		options.OtherEndIsOwn = e.own.HaveOtherEnd
	}
	if names := e.peerNames; names != nil {
		options.PeerName, telemetry.PeerName, options.Conversations.Resolved = names.Ask, names.Ask, names.Learn
	}
	s.builder = otlp.NewBuilder(telemetry)
	if e.measuring != nil {
		s.recorder = e.measuring.store.Recorder(metrics.Peers{Of: e.measuring.owners.Of, Name: options.PeerName, Settled: e.progress.Settled, Now: monotime.Now})
	}
	table, err := socket.NewTable(options, processes, s)
	if err != nil {
		return nil, err
	}
	s.table = table
	if e.calls != nil {
		err = e.calls.track(s, i, of)
	}
	return s, err
}

// setRuleMatch passes to the kernel which rules a process matches. If that fails, the kernel goes on reporting the process, and the table
// leaves it out.
func (s *shard) setRuleMatch(id process.ID, generation uint32, rules uint64) {
	if s.tracker != nil {
		name, known := s.tracker.NameOf(id)
		if !known {
			return // the next description of the process sets it
		}
		id = name
	}
	if err := s.engine.tracer.SetRuleMatch(id, generation, rules); err != nil {
		s.engine.opts.Logger.Debug("the kernel did not take a rule match", zap.Error(err))
	}
}

// eventsPerTick bounds how many events are handled between two looks at the clock.
const eventsPerTick = 256

func (s *shard) run() {
	defer s.endMeasuring()
	s.tick()
	for {
		err := s.reader.Next(&s.event)
		switch {
		case err == nil:
			s.handle(&s.event)
			if s.handled++; s.handled >= eventsPerTick {
				s.reach(s.event.Time)
				s.tick()
			}
		case errors.Is(err, kernel.ErrIdle):
			s.reach(s.idleFrom)
			s.idleFrom = 0
			s.forgetGone()
			s.tick()
		case errors.Is(err, kernel.ErrEnd):
			s.flush()
			s.engine.awaitShards()
			s.deliverAll()
			return
		case s.undecodable(err):
		default:
			s.flush()
			s.deliverAll()
			s.engine.opts.Logger.Error("reading events failed; nothing more is observed by this shard", zap.Error(err))
			s.engine.opts.Broken(err)
			return
		}
	}
}

func (s *shard) handle(e *event.Event) {
	if (e.Kind == event.KindProcess || e.Kind == event.KindExec) && s.engine.libraries != nil {
		s.engine.libraries.Look(e.Owner.PID)
	}
	if e.Kind == event.KindExec { // of interest here only
		return
	}
	if s.tracker != nil {
		s.tracker.Handle(e)
		return
	}
	s.take(e)
}

// take handles an event that has all that the table needs.
func (s *shard) take(e *event.Event) {
	if s.engine.opts.Recording == nil {
		s.table.Handle(e)
		return
	}
	s.recordEvent(e)
}

// reach notes that the shard has handled all events before a time (CLOCK_MONOTONIC, ns).
func (s *shard) reach(time uint64) {
	if s.tracker != nil {
		time = s.tracker.Reached(time)
	}
	defer s.recorded(recording.Item{Reached: time})()
	s.engine.progress.Reach(s.number, time)
}

// flush handles what is left when there are no more events.
func (s *shard) flush() {
	if s.tracker != nil {
		s.tracker.Flush()
	}
	s.end(s.engine.endedAt())
}

// end handles what is left when there are no more events, and observation has ended at a time (CLOCK_MONOTONIC, ns).
func (s *shard) end(at uint64) {
	defer s.recorded(recording.Item{Ended: at})()
	s.table.Flush(at)
	s.engine.leave(s.number)
}

// trackInterval is how often the shard checks whether events that wait for an address can go on.
const trackInterval = 5 * time.Millisecond

// tick passes time.
func (s *shard) tick() {
	s.handled = 0
	monotonic, now := monotime.Now(), time.Now()
	wait := s.engine.opts.PollInterval
	if s.tracker != nil {
		s.tracker.Tick(monotonic)
		if s.tracker.Busy() {
			wait = min(wait, trackInterval)
		}
	}
	s.pass(readClocks())
	s.handOver()
	s.forgetNow = s.forget.Load()
	// A deadline that may have passed stays: the reader may already have decided to say so once it has read the ring buffer to its end, which says
	// nothing about a later time.
	if next := monotonic + uint64(wait); s.idleFrom == 0 || next < s.idleFrom {
		s.idleFrom = next
		s.reader.SetDeadline(now.Add(wait))
	}
}

// pass passes time in the table and in the batches.
func (s *shard) pass(at socket.Reading) {
	if s.engine.opts.Recording != nil { // otherwise nothing is allocated
		tick := at
		defer s.recorded(recording.Item{Tick: &tick})()
	}
	s.table.Tick(at)
	s.ticks++
	s.engine.exchanges.Expire(at.After, s.ticks)
	switch now := at.Wall; {
	case s.builder.LogRecords() == 0 && s.builder.Spans() == 0:
		s.since = time.Time{}
	case s.since.IsZero():
		s.since = now
	case now.Sub(s.since) >= s.engine.opts.BatchTimeout:
		s.close(now)
	}
	s.deliverDue(at.Wall)
}

// deliverDue delivers the closed batches that need not wait any longer.
func (s *shard) deliverDue(now time.Time) {
	for s.builder.ClosedBatches() > 0 && s.due(now) {
		s.deliver()
	}
}

// mostClosed is how many closed batches wait at a time. A shard that catches up fills one within a few milliseconds; if it gave way to the next one, its
// questions would be asked before the shards that are as far behind have read what answers them.
const mostClosed = 8

// close closes the batch. If too many wait already, the oldest one is delivered with what is known.
func (s *shard) close(now time.Time) {
	if s.builder.ClosedBatches() >= mostClosed {
		s.deliver()
	}
	s.builder.Close(now)
	s.since = time.Time{}
}

// due reports whether the oldest closed batch is to be delivered: all its questions can be answered, or have waited for as long as a batch may.
func (s *shard) due(now time.Time) bool {
	return s.engine.progress.Settled(s.builder.LatestQuestion()) || now.Sub(s.builder.ClosedAt()) >= s.engine.opts.BatchTimeout
}

var _ socket.Sink = (*shard)(nil)

// Opened implements socket.Sink, as the following do.
func (s *shard) Opened(c *socket.Connection) { s.builder.Opened(c) }

// Closed implements socket.Sink.
func (s *shard) Closed(c *socket.Connection) {
	if s.recorder != nil {
		s.recorder.Closed(c)
	}
	s.builder.Closed(c)
}

// Failed implements socket.Sink.
func (s *shard) Failed(c *socket.Connection) {
	if s.recorder != nil {
		s.recorder.Failed(c)
	}
	s.builder.Failed(c)
}

// Exchanged implements socket.Sink.
func (s *shard) Exchanged(c *socket.Connection, x *protocol.Exchange, start, end int64) {
	var tally *metrics.Tally
	if s.recorder != nil {
		tally = s.recorder.Exchanged(c, x, time.Duration(end-start), end)
	}
	if !c.Unspanned {
		s.builder.Measured(tally, c, x, start, end)
	}
}

func (s *shard) deliver() {
	s.engine.opts.Sink.Deliver(s.engine.delivering, s.builder)
}

func (s *shard) deliverAll() {
	for s.builder.ClosedBatches() > 0 {
		s.deliver()
	}
	s.deliver()
}

// forgetGone runs when the ring buffer has been read to its end. A request from before that reading is due, because all
// reports of live sockets were written before the request was made.
func (s *shard) forgetGone() {
	if s.forgetNow != nil && s.forget.CompareAndSwap(s.forgetNow, nil) {
		if s.tracker != nil {
			s.tracker.Tick(monotime.Now()) // handles the injected reports
		}
		s.forgetUnreported(s.forgetNow)
	}
}

func (s *shard) forgetUnreported(u *unreported) {
	defer s.recorded(recording.Item{Forget: &recording.Forget{Coverage: u.coverage, Since: u.since}})()
	s.table.Forget(u.since, u.coverage.Covers)
}

// undecodable counts a record that is no event, and logs the first.
func (s *shard) undecodable(err error) bool {
	var decode *kernel.DecodeError
	if !errors.As(err, &decode) {
		return false
	}
	s.engine.decode.Add(1)
	if !s.broken {
		s.broken = true
		s.engine.opts.Logger.Error("the kernel programs wrote what this receiver does not understand; "+
			"this is a defect, further ones are only counted", zap.Error(err))
	}
	return true
}

// readClocks tries until the clocks were read at about the same time, or gives up if the thread was interrupted each time.
func readClocks() (r socket.Reading) {
	const near, attempts = uint64(100 * time.Microsecond), 10
	for range attempts {
		r = socket.Reading{Before: monotime.Now(), Wall: time.Now(), Suspended: monotime.Suspended(), After: monotime.Now()}
		if r.After-r.Before < near {
			break
		}
	}
	return r
}
