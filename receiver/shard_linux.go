//go:build amd64 || arm64

package receiver

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/fdtrack"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/monotime"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

// shard is one ring buffer's way from events to telemetry. Everything in it belongs to one goroutine, but for what is
// atomic.
type shard struct {
	watch   *watch
	reader  *kernel.Reader
	table   *socket.Table
	builder *otlp.Builder
	// tracker stands before the table in the syscall mode; nil in the socket mode.
	tracker *fdtrack.Tracker

	event   event.Event
	handled int       // events since the last look at the clock
	since   time.Time // the oldest item of the batch is not older; zero: the batch is empty
	// forget asks that the sockets be forgotten that have not been reported since (CLOCK_MONOTONIC, ns).
	forget    atomic.Uint64
	forgetNow uint64 // what forget said before the present wait
	broken    bool   // a decode error has been logged
}

func newShard(w *watch, i, of int, chosen *selection.Selection) (*shard, error) {
	s := &shard{watch: w, reader: w.capture.Readers()[i]}
	spans := connectionSpans[w.cfg.ConnectionSpans]
	if spans == otlp.SpansAuto && len(w.protocols) == 0 {
		spans = otlp.SpansAlways // which is the same, and known from the beginning
	}
	s.builder = otlp.NewBuilder(otlp.Options{
		Logs: w.logs, Traces: w.traces,
		Addresses:       addressAttributes[w.cfg.AddressAttributes],
		ConnectionSpans: spans,
		CommandLine:     w.cfg.ProcessCommandLine,
		ScopeName:       metadata.ScopeName,
		ScopeVersion:    w.set.BuildInfo.Version,
		HostID:          w.hostID,
	})
	table, err := socket.NewTable(socket.Options{
		Sockets:   (w.cfg.Limits.Sockets + of - 1) / of,
		Processes: (w.cfg.Limits.Processes + of - 1) / of,
		Selection: chosen,
		Judge:     s.judge,

		Protocols: w.protocols,
		Settings: protocol.Settings{
			RequestHeaders: lower(w.cfg.Headers.Request), ResponseHeaders: lower(w.cfg.Headers.Response),
			HeadBytes: int(w.cfg.Limits.HeadSize), Outstanding: w.cfg.Limits.Requests,
		},
		Want:         w.capture.Want,
		PayloadLimit: uint32(w.cfg.Payload.CallLimit), PayloadRun: uint32(w.cfg.Payload.RunLimit),
		ErrnoName: otlp.ErrnoName,
	}, w.processes, s.builder)
	if err != nil {
		return nil, err
	}
	s.table = table
	if w.calls != nil {
		err = w.calls.track(s, i, of)
	}
	return s, err
}

func lower(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strings.ToLower(name)
	}
	return out
}

var (
	addressAttributes = map[AddressAttributes]otlp.AddressAttributes{
		AddressAttributesBoth:   otlp.AddressBoth,
		AddressAttributesStable: otlp.AddressStable,
		AddressAttributesNet:    otlp.AddressNet,
	}
	connectionSpans = map[ConnectionSpans]otlp.SpanPolicy{
		ConnectionSpansAuto:   otlp.SpansAuto,
		ConnectionSpansAlways: otlp.SpansAlways,
		ConnectionSpansNever:  otlp.SpansNever,
	}
)

// judge tells the kernel; if that fails the kernel goes on reporting the process, and the table leaves it out.
func (s *shard) judge(id process.ID, generation uint32, rules uint64) {
	if err := s.watch.capture.Judge(id, generation, rules); err != nil {
		s.watch.set.Logger.Debug("the kernel cannot be told of a selection", zap.Error(err))
	}
}

// eventsPerTick bounds how many events are handled between two looks at the clock.
const eventsPerTick = 256

func (s *shard) run() {
	s.tick()
	for {
		err := s.reader.Next(&s.event)
		switch {
		case err == nil:
			s.handle(&s.event)
			if s.full() {
				s.deliver()
			}
			if s.handled++; s.handled >= eventsPerTick {
				s.tick()
			}
		case errors.Is(err, kernel.ErrIdle):
			s.forgetGone()
			s.tick()
		case errors.Is(err, kernel.ErrEnd):
			s.flush()
			return
		case s.undecodable(err):
		default:
			s.flush()
			s.watch.set.Logger.Error("reading events failed; nothing more is observed by this shard", zap.Error(err))
			componentstatus.ReportStatus(s.watch.host, componentstatus.NewPermanentErrorEvent(err))
			return
		}
	}
}

func (s *shard) handle(e *event.Event) {
	if s.tracker != nil {
		s.tracker.Handle(e)
		return
	}
	s.table.Handle(e)
}

func (s *shard) flush() {
	if s.tracker != nil {
		s.tracker.Flush()
	}
	s.table.Flush()
	s.deliver()
}

// trackInterval is how often is looked whether what waits for an address can go on.
const trackInterval = 5 * time.Millisecond

// tick passes time.
func (s *shard) tick() {
	s.handled = 0
	now := time.Now()
	wait := s.watch.cfg.PollInterval
	if s.tracker != nil {
		s.tracker.Tick(monotime.Now())
		if s.tracker.Busy() {
			wait = min(wait, trackInterval)
		}
	}
	s.table.Tick(readClocks())
	switch {
	case s.builder.LogRecords() == 0 && s.builder.Spans() == 0:
		s.since = time.Time{}
	case s.since.IsZero():
		s.since = now
	case now.Sub(s.since) >= s.watch.cfg.Batch.Timeout:
		s.deliver()
	}
	s.forgetNow = s.forget.Load()
	s.reader.SetDeadline(now.Add(wait))
}

func (s *shard) full() bool {
	size := s.watch.cfg.Batch.Size
	return s.builder.LogRecords() >= size || s.builder.Spans() >= size
}

func (s *shard) deliver() {
	s.since = time.Time{}
	logs, traces := s.builder.Take()
	s.watch.outlet.consumeLogs(s.watch.consuming, logs)
	s.watch.outlet.consumeTraces(s.watch.consuming, traces)
}

// forgetGone runs when the ring buffer has been read to its end. What was asked before that reading began is due: all
// reports of live sockets were written before it was asked.
func (s *shard) forgetGone() {
	if s.forgetNow != 0 && s.forget.CompareAndSwap(s.forgetNow, 0) {
		if s.tracker != nil {
			s.tracker.Tick(monotime.Now()) // it has those that were injected
		}
		s.table.Forget(s.forgetNow)
	}
}

// undecodable counts a record that is no event, and logs the first.
func (s *shard) undecodable(err error) bool {
	var decode *kernel.DecodeError
	if !errors.As(err, &decode) {
		return false
	}
	s.watch.decode.Add(1)
	if !s.broken {
		s.broken = true
		s.watch.set.Logger.Error("the kernel programs wrote what this receiver does not understand; "+
			"this is a defect, further ones are only counted", zap.Error(err))
	}
	return true
}

// readClocks reads the wall clock between two readings of the monotonic one, which are close to each other unless this thread has to
// wait each time that it tries.
func readClocks() (before uint64, wall time.Time, after uint64) {
	const near, attempts = uint64(100 * time.Microsecond), 10
	for range attempts {
		before, wall, after = monotime.Now(), time.Now(), monotime.Now()
		if after-before < near {
			break
		}
	}
	return before, wall, after
}

// count adds a table's statistics to a snapshot.
func (s *snapshot) count(stats *socket.Stats, protocols []protocol.Protocol) {
	s.socketsTracked += int(stats.Tracked.Load())
	s.socketsEvictedTableFull += stats.EvictedFull.Load()
	s.socketsEvictedCloseLost += stats.EvictedLost.Load()
	s.processesTracked += int(stats.Processes.Load())
	s.processesEvictedExited += stats.EvictedExited.Load()
	s.processesEvictedLeastUsed += stats.EvictedLive.Load()
	s.connectionsOpened += stats.Opened.Load()
	s.connectionsClosed += stats.Closed.Load()
	s.connectionsFailed += stats.Failed.Load()
	s.connectionsUnaccepted += stats.Unaccepted.Load()
	for i := range stats.Exchanges {
		s.exchanges[protocols[i].Name] += stats.Exchanges[i].Load()
	}
	for i := range stats.Troubles {
		s.troubles[i] += stats.Troubles[i].Load()
	}
	s.conversationsRecognised += stats.Recognised.Load()
	s.conversationsUnrecognised += stats.Unrecognised.Load()
	s.payloadCaptured += stats.Payload.Load()
	s.payloadSkipped += stats.Skipped.Load()
	s.payloadTruncated += stats.Truncated.Load()
	s.payloadLost += stats.Lost.Load()
	s.payloadOverlapping += stats.Overlapping.Load()
	s.dataStrays += stats.Strays.Load()
}
