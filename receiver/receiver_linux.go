//go:build amd64 || arm64

package receiver

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/monotime"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/registry"
	"github.com/socketflow/socketflow/internal/selection"
)

// watch is the engine: the kernel programs, and one goroutine for each of their ring buffers.
type watch struct {
	cfg    *Config
	set    receiver.Settings
	outlet *outlet
	logs   bool
	traces bool

	protocols []protocol.Protocol
	mode      Mode  // the one that was chosen
	stepDown  error // why it is not the better one
	capture   capture
	calls     *callMode // of the syscall mode
	shards    []*shard
	processes *process.Reader
	telemetry *telemetry
	host      component.Host
	hostID    uint64
	decode    atomic.Uint64 // records that were no events
	// kernelMemory is what the kernel holds for the programs; it does not change.
	kernelMemory uint64

	// consuming ends when shutdown runs out of time: consumers that honour it let go of the shards.
	consuming context.Context
	abandon   context.CancelFunc
	// helping ends with shutdown, and with it the helpers: what runs beside the shards.
	helping context.Context
	dismiss context.CancelFunc
	helpers sync.WaitGroup
	reading sync.WaitGroup
}

func newEngine(cfg *Config, set receiver.Settings, traces consumer.Traces, logs consumer.Logs) (engine, error) {
	out, err := newOutlet(set, traces, logs)
	if err != nil {
		return nil, err
	}
	w := &watch{cfg: cfg, set: set, outlet: out, logs: logs != nil, traces: traces != nil}
	w.consuming, w.abandon = context.WithCancel(context.Background())
	w.helping, w.dismiss = context.WithCancel(context.Background())
	return w, nil
}

func (w *watch) start(_ context.Context, host component.Host) (err error) {
	w.host = host
	if w.hostID, err = hostID(bootIDFile); err != nil {
		return err
	}
	chosen, err := selection.New(selectionRules(w.cfg))
	if err != nil {
		return fmt.Errorf("include, exclude: %w", err)
	}
	w.processes, err = process.NewReader(process.Options{OmitCommandLine: !w.cfg.ProcessCommandLine})
	if err != nil {
		return err
	}
	if w.traces { // exchanges are spans
		w.protocols = registry.Named(w.cfg.Protocols)
	}
	shards := w.cfg.RingBuffer.shardsOn(runtime.NumCPU())
	if err := w.openCapture(kernel.Options{
		Shards: shards, RingBytes: w.cfg.RingBuffer.sizeOf(shards), ExcludeSelf: w.cfg.ExcludeSelf,
		Rules: kernelRules(chosen), Processes: w.cfg.Limits.Processes, Sockets: w.cfg.Limits.Sockets,
		Data: len(w.protocols) > 0, Attachment: attachments[w.cfg.Attachment],
		Unix: slices.Contains(w.cfg.Transports, TransportUnix), UDP: slices.Contains(w.cfg.Transports, TransportUDP),
		PayloadLimit: int(w.cfg.Payload.CallLimit),
		PayloadRun:   int(min(w.cfg.Payload.RunLimit, unrecognisedRun)), DatagramIdle: w.cfg.UDPIdleTimeout,
		EagerRun: int(w.cfg.Payload.RunLimit), EagerPrefixes: prefixes(w.protocols),
	}); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.closeCapture())
		}
	}()
	for i := range shards {
		s, err := newShard(w, i, shards, chosen)
		if err != nil {
			return err
		}
		w.shards = append(w.shards, s)
	}
	if w.telemetry, err = newTelemetry(w.set, w.snapshot); err != nil {
		return err
	}
	if w.kernelMemory, err = w.capture.Memory(); err != nil {
		return err
	}
	w.set.Logger.Info("watching sockets", zap.String("mode", string(w.mode)),
		zap.Strings("attached", w.capture.Attached()), zap.Int("shards", shards),
		zap.String("kernel_memory", humanize.IBytes(w.kernelMemory)))
	w.reportStatus()
	for _, lack := range w.capture.Degraded() {
		w.set.Logger.Warn("this host lets less be seen", zap.Error(lack))
	}
	for _, s := range w.shards {
		w.reading.Go(s.run)
	}
	w.helpers.Go(w.findExisting)
	w.helpers.Go(w.watchLosses)
	return nil
}

// unrecognisedRun bounds what is captured of a run of calls before the protocol is known: so much of a bulk transfer is
// copied until the kernel has been told to leave it alone.
const unrecognisedRun = 1 << 20

// shutdown ends the events, reads out what was written, and hands it over.
func (w *watch) shutdown(ctx context.Context) error {
	w.dismiss()
	w.helpers.Wait()
	errs := []error{w.capture.Detach()}
	for _, s := range w.shards {
		errs = append(errs, s.reader.Flush())
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.reading.Wait()
		w.outlet.shutdown()
	}()
	select {
	case <-done:
		w.abandon()
		// Last, so that the final counts can be collected until nothing is counted any more.
		errs = append(errs, w.telemetry.shutdown(), w.closeCapture())
	case <-ctx.Done():
		w.abandon()
		errs = append(errs, fmt.Errorf("handing over what was captured took too long, some of it is lost: %w", ctx.Err()),
			w.telemetry.shutdown())
		// The shards end when their consumers let go of them; what they use goes with the last one.
		go func() {
			<-done
			if err := w.closeCapture(); err != nil {
				w.set.Logger.Error("release the kernel programs", zap.Error(err))
			}
		}()
	}
	return errors.Join(errs...)
}

// findExisting has the connections reported that are older than the capture.
func (w *watch) findExisting() {
	if err := w.existing(); err != nil && w.helping.Err() == nil {
		w.set.Logger.Warn("connections that are older than the collector may be missing", zap.Error(err))
	}
	sockets, inSocketMode := w.capture.(*kernel.Capture)
	if !inSocketMode { // no call leads to them
		return
	}
	if err := sockets.ExistingUnowned(w.helping); err != nil && w.helping.Err() == nil {
		w.set.Logger.Info("connections in a backlog, or left behind by their process, may be missing if they are older "+
			"than the collector", zap.Error(err))
	}
}

// lossInterval is how often the kernel's losses are looked at.
const lossInterval = 10 * time.Second

// watchLosses says when events were lost, and has the sockets forgotten whose close was.
func (w *watch) watchLosses() {
	ticks := time.NewTicker(min(lossInterval, w.cfg.UDPIdleTimeout/2))
	defer ticks.Stop()
	var known kernel.Counters
	var due bool // sockets are to be forgotten
	looked := time.Now()
	for {
		select {
		case <-w.helping.Done():
			return
		case <-ticks.C:
		}
		now, err := w.capture.Counters()
		if err != nil {
			w.set.Logger.Error("the kernel's losses are not known", zap.Error(err))
			continue
		}
		if lost := total(now.RingFull) - total(known.RingFull); lost > 0 {
			w.set.Logger.Warn("the kernel had to drop events, because they were not read fast enough; "+
				"a larger ring_buffer size or fewer connections (include, exclude) would help", zap.Uint64("events", lost))
		}
		due = due || now.RingFull[event.KindClose] > known.RingFull[event.KindClose] || now.TableFull > known.TableFull ||
			w.follows(event.TCP, event.UnixStream, event.UDP) && time.Since(looked) >= quietInterval
		if w.follows(event.UDP) {
			if err := w.capture.Datagrams(w.helping); err != nil && w.helping.Err() == nil {
				w.set.Logger.Warn("UDP flows that have ended stay in the table for now", zap.Error(err))
			}
		}
		if due {
			due = !w.forgetGone(now.RingFull[event.KindLive])
			looked = time.Now()
		}
		known = now
	}
}

// quietInterval is how often is looked for what has ended without a hook to tell: of Unix and UDP sockets not all ends are
// seen, and of TCP one in some hundred thousand is not (docs/decisions/0006).
const quietInterval = time.Minute

func (w *watch) follows(transports ...event.Transport) bool {
	for _, s := range w.shards {
		for _, transport := range transports {
			if s.table.Stats().TrackedBy[transport].Load() > 0 {
				return true
			}
		}
	}
	return false
}

// forgetGone has every live socket reported, and the others forgotten; or returns false, for not all could be reported.
func (w *watch) forgetGone(liveLost uint64) bool {
	began := monotime.Now()
	if err := errors.Join(w.capture.Live(w.helping), w.capture.Datagrams(w.helping)); err != nil {
		if w.helping.Err() == nil {
			w.set.Logger.Warn("sockets whose close was lost stay in the table for now", zap.Error(err))
		}
		return false
	}
	after, err := w.capture.Counters()
	if err != nil || after.RingFull[event.KindLive] != liveLost {
		return false
	}
	for _, s := range w.shards {
		s.forget.Store(began)
	}
	return true
}

func total(counts [event.Kinds]uint64) (sum uint64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// snapshot gathers what is counted anywhere.
func (w *watch) snapshot() snapshot {
	s := snapshot{
		mode:         w.mode,
		kernelMemory: w.kernelMemory,
		decodeErrors: w.decode.Load(),
		refusedLogs:  w.outlet.refusedLogs.Load(),
		refusedSpans: w.outlet.refusedSpans.Load(),
		programs:     map[string]int{},
		exchanges:    map[string]uint64{},
	}
	for _, p := range w.protocols {
		s.exchanges[p.Name] = 0
	}
	for _, hook := range w.capture.Attached() {
		attachment, _, _ := strings.Cut(hook, "/")
		s.programs[attachment]++
	}
	counters, err := w.capture.Counters()
	if err != nil {
		w.set.Logger.Error("the kernel's counters are missing from the metrics", zap.Error(err))
	}
	s.described = w.processes.Stats()
	s.events, s.ringFull, s.missed = counters.Events, counters.RingFull, counters.Missed
	s.socketsStorageFailed, s.socketsAcceptUnknown = counters.StorageFailed, counters.AcceptUnknown
	s.socketsIgnored, s.processesMapFull = counters.SelectionIgnored, counters.ProcessMapFull
	s.callsRingFull, s.callsNoBuffer, s.callsFault = counters.PayloadRingFull, counters.PayloadNoBuffer, counters.PayloadFault
	s.descriptorsFull = counters.TableFull
	if w.calls != nil {
		s.countResolver(w.calls.resolver.Stats())
	}
	for _, shard := range w.shards {
		s.count(shard.table.Stats(), w.protocols)
		if shard.tracker != nil {
			s.countTracking(shard.tracker.Stats())
		}
	}
	return s
}

// selectionRules are the selectors of both lists; the order of rules is that of their bits.
func selectionRules(cfg *Config) []selection.Rule {
	var rules []selection.Rule
	for _, part := range []struct {
		selectors []Selector
		exclude   bool
	}{{cfg.Include, false}, {cfg.Exclude, true}} {
		for _, s := range part.selectors {
			rules = append(rules, selection.Rule{
				Exclude: part.exclude, Executable: s.Executable, PID: uint32(s.PID), ContainerID: s.ContainerID,
				CgroupPath: s.CgroupPath, LocalPort: s.LocalPort.bounds, RemotePort: s.RemotePort.bounds,
			})
		}
	}
	return rules
}

func prefixes(protocols []protocol.Protocol) (all [][]byte) {
	for _, p := range protocols {
		if len(p.Prefix) > 0 {
			all = append(all, p.Prefix)
		}
	}
	return all
}

// kernelRules are the parts of the rules that the kernel judges.
func kernelRules(s *selection.Selection) []kernel.Rule {
	var rules []kernel.Rule
	for _, r := range s.Rules() {
		rules = append(rules, kernel.Rule{Exclude: r.Exclude, LocalPort: r.LocalPort, RemotePort: r.RemotePort})
	}
	return rules
}
