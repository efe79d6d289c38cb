//go:build amd64 || arm64

package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/instrumented"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/libraries"
	"github.com/socketflow/socketflow/internal/monotime"
	"github.com/socketflow/socketflow/internal/peername"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procfs"
	"github.com/socketflow/socketflow/internal/progress"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/self"
	"github.com/socketflow/socketflow/internal/trace"
)

// Engine observes the host, with one goroutine for each ring buffer of its mode.
type Engine struct {
	opts Options

	mode      kernel.Mode // the one that was chosen
	stepDown  error       // why it is not a better one
	tracer    tracer
	calls     *callMode // of the syscall mode
	shards    []*shard
	processes *process.Reader
	progress  progress.Shards
	remaining atomic.Int64    // shards that still handle events
	allRead   chan struct{}   // closed when there are none
	peerNames *peername.Table // nil: no protocol is a name service
	seed      uint64          // see socket.Options
	shared    trace.Seed      // of which seed is a part
	seeds     []trace.Seed    // by shard
	host      process.Host
	now       func() time.Time
	ends      *trace.Ends // those that are observed, here or elsewhere
	meetings  *trace.Meetings
	endpoints *trace.Endpoints
	exchanges *trace.Exchanges
	// instrumented are the processes that export spans; nil: theirs are made here, too.
	instrumented *instrumented.Processes
	libraries    *libraries.Watcher // nil: TLS is not looked into
	older        chan struct{}      // closed once the sockets that are older than the kernel programs have been looked for
	measuring    *measuring         // nil: there are no metrics
	hostID       uint64
	own          *self.Sockets // of this process, if they are left out
	decode       atomic.Uint64 // records that were no events
	detached     atomic.Uint64 // CLOCK_MONOTONIC, ns: when observation ended; 0: it has not
	// kernelMemory is the memory that the kernel holds for the programs, in bytes. It does not change.
	kernelMemory uint64

	// delivering ends when Drain runs out of time. Sinks that honour it return then.
	delivering context.Context
	abandon    context.CancelFunc
	// helping ends with Drain, and ends the helpers: the goroutines beside those of the shards.
	helping context.Context
	dismiss context.CancelFunc
	helpers sync.WaitGroup
	reading sync.WaitGroup
	drained chan struct{} // closed when nothing more is delivered
}

// New returns an engine. It does nothing before Start.
func New(opts Options) *Engine {
	e := &Engine{opts: opts, older: make(chan struct{}), drained: make(chan struct{}), now: time.Now}
	e.delivering, e.abandon = context.WithCancel(context.Background())
	e.helping, e.dismiss = context.WithCancel(context.Background())
	return e
}

// Start opens the mode and begins to observe. It returns quickly, and is called once. If it fails, it has undone what it did, and no other
// method may be called. An error that wraps kernel.ErrUnsupported means that this host cannot be observed.
func (e *Engine) Start() (err error) {
	if e.hostID, err = hostID(bootIDFile); err != nil {
		return err
	}
	chosen, err := selection.New(e.opts.Rules)
	if err != nil {
		return fmt.Errorf("include, exclude: %w", err)
	}
	e.processes, err = process.NewReader(process.Options{OmitCommandLine: !e.opts.CommandArgs})
	if err != nil {
		return err
	}
	e.host, e.shared = e.processes.Host(), newSeed()
	for range e.opts.Shards {
		e.seeds = append(e.seeds, newSeed())
	}
	if err = e.prepareShared(); err != nil {
		return err
	}
	e.opts.Logger.Info("loading the kernel programs, which takes seconds on a busy machine")
	if err := e.openTracer(e.kernelOptions(chosen)); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.closeTracer())
		}
	}()
	e.prepareLibraries()
	e.prepareMeasuring()
	if e.opts.ExcludeSelf {
		if e.own, err = self.New(e.tracer.Self()); err != nil {
			return err
		}
	}
	if err = e.beginRecording(); err != nil {
		return err
	}
	for i := range e.opts.Shards {
		s, err := newShard(e, i, chosen, e.describer(i))
		if err != nil {
			return err
		}
		s.reader = e.tracer.Readers()[i]
		e.shards = append(e.shards, s)
	}
	if e.kernelMemory, err = e.tracer.Memory(); err != nil {
		return err
	}
	e.opts.Logger.Info("watching sockets", zap.String("mode", string(e.mode)),
		zap.Strings("attached", e.tracer.Attached()), zap.Int("shards", e.opts.Shards),
		zap.String("kernel_memory", humanize.IBytes(e.kernelMemory)))
	noticePIDNamespace(e.opts.Logger, procfs.InInitialPIDNamespace)
	for _, lack := range e.tracer.Degraded() {
		e.opts.Logger.Warn("this host lets less be seen", zap.Error(lack))
	}
	for _, s := range e.shards {
		e.reading.Go(s.run)
	}
	if e.measuring != nil {
		e.reading.Go(e.emitMetrics)
	}
	e.helpers.Go(e.settle)
	e.helpers.Go(e.watchLosses)
	if e.opts.CPULimit != 0 && e.opts.Telemetry.Traces {
		e.helpers.Go(e.govern)
	}
	if e.libraries != nil {
		e.helpers.Go(func() { e.libraries.Run(e.helping) })
	}
	return nil
}

// prepareShared makes what the shards share: their progress, the names of peers, and what joins both ends of exchanges.
func (e *Engine) prepareShared() (err error) {
	e.progress, e.allRead = progress.New(e.opts.Shards), make(chan struct{})
	e.remaining.Store(int64(e.opts.Shards))
	if slices.ContainsFunc(e.opts.Protocols, func(p protocol.Configured) bool { return p.Resolves }) {
		if e.peerNames, err = peername.New(e.progress); err != nil {
			return err
		}
	}
	ends := 2 * e.opts.Sockets
	if len(e.opts.ObservedNetworks) > 0 {
		ends *= 2 // those elsewhere
	}
	e.seed = e.shared[0]
	e.meetings = trace.NewMeetings(e.shared[1])
	e.ends, e.endpoints = trace.NewEnds(ends), trace.NewEndpoints(e.opts.Sockets)
	e.exchanges, err = trace.NewExchanges(recentExchanges, e.ends, e.opts.Parents, e.progress.Settled)
	if err == nil && e.opts.SkipInstrumented {
		e.instrumented = instrumented.New(e.opts.Processes)
		e.exchanges.TrustNames()
	}
	return err
}

// prepareLibraries makes what looks into TLS libraries, if the kernel lets it.
func (e *Engine) prepareLibraries() {
	if !e.tracer.SeesLibraries() {
		return
	}
	e.libraries = libraries.New(libraries.Options{
		Kinds: e.opts.TLS, Logger: e.opts.Logger,
		Attach: func(path string, probes []kernel.LibraryProbe) (io.Closer, error) {
			e.awaitOlder()
			return e.tracer.AttachLibrary(path, probes)
		},
	})
}

// awaitOlder waits until the sockets that are older than the kernel programs are known, where plaintext would have to wait for that:
// there is no room for much of it.
func (e *Engine) awaitOlder() {
	if e.calls == nil { // the socket is at hand when it sends
		return
	}
	select {
	case <-e.older:
	case <-e.helping.Done():
	}
}

// looksIntoTLS reports whether the options ask for what TLS libraries encrypt.
func (e *Engine) looksIntoTLS() bool {
	return len(e.opts.TLS) > 0 && parses(e.opts.Protocols, protocol.Streams)
}

func (e *Engine) kernelOptions(chosen *selection.Selection) kernel.Options {
	return kernel.Options{
		Shards: e.opts.Shards, RingBytes: e.opts.RingBytes, ExcludeSelf: e.opts.ExcludeSelf,
		Rules: kernelRules(chosen), Processes: e.opts.Processes, Sockets: e.opts.Sockets,
		Data: parses(e.opts.Protocols, protocol.Streams), DatagramData: parses(e.opts.Protocols, protocol.Datagrams), Causes: e.opts.Parents&^trace.Off != 0, Attachment: e.opts.Attachment, Unix: e.opts.Unix, TLS: e.looksIntoTLS(), UDP: e.opts.UDP,
		PayloadLimit: e.opts.CallLimit, PayloadBurst: min(e.opts.BurstLimit, unrecognisedBurst), DatagramIdle: e.opts.UDPIdleTimeout,
		SignatureBurst: e.opts.BurstLimit, Signatures: signatures(e.opts.Protocols), Fault: e.opts.Fault,
	}
}

// Mode returns the mode that was chosen, and why no better one was possible; nil: it is the best, or was asked for.
func (e *Engine) Mode() (mode kernel.Mode, why error) { return e.mode, e.stepDown }

// Attached names the hooks that kernel programs are attached to.
func (e *Engine) Attached() []string { return e.tracer.Attached() }

// unrecognisedBurst bounds the bytes that are captured of a burst of calls before the protocol is known. Of a bulk transfer, so much is
// copied before Want has stopped the capture.
const unrecognisedBurst = 1 << 20

// recentExchanges is how many exchanges are remembered among which others find their cause, some 400 bytes each, and its tracestate where
// it has one, 512 bytes at most.
const recentExchanges = 1 << 15

// abandonGrace is how long Drain waits for sinks to return after it has ended their context.
const abandonGrace = 500 * time.Millisecond

// Drain detaches the programs, reads the events that were written, and delivers them, as long as ctx allows. What is not delivered by then
// is offered once more, with a context that has ended, and whole is false. It is called once, before Close.
func (e *Engine) Drain(ctx context.Context) (whole bool, err error) {
	e.dismiss()
	e.helpers.Wait()
	errs := []error{e.tracer.Detach()}
	e.detached.Store(monotime.Now())
	for _, s := range e.shards {
		errs = append(errs, s.reader.Flush())
	}
	go func() {
		e.reading.Wait()
		close(e.drained)
	}()
	select {
	case <-e.drained:
		whole = true
	case <-ctx.Done():
	}
	e.abandon()
	select {
	case <-e.drained:
	case <-time.After(abandonGrace):
	}
	return whole, errors.Join(errs...)
}

// endedAt is when observation ended: a time on CLOCK_MONOTONIC, in ns. It is now if it has not.
func (e *Engine) endedAt() uint64 {
	if at := e.detached.Load(); at != 0 {
		return at
	}
	return monotime.Now()
}

// Close releases what the kernel holds. If shards still deliver, it returns at once, and the release follows when their sinks have
// returned.
func (e *Engine) Close() error {
	select {
	case <-e.drained:
		return e.closeTracer()
	default:
	}
	go func() {
		<-e.drained
		if err := e.closeTracer(); err != nil {
			e.opts.Logger.Error("release the kernel programs", zap.Error(err))
		}
	}()
	return nil
}

// parses reports whether there are protocols over streams, or over datagrams.
func parses(protocols []protocol.Configured, over protocol.Transports) bool {
	return slices.ContainsFunc(protocols, func(p protocol.Configured) bool { return p.Transports&over != 0 })
}

func signatures(protocols []protocol.Configured) (all []kernel.Signature) {
	for _, p := range protocols {
		for i := range p.Signatures {
			s := &p.Signatures[i]
			made := kernel.Signature{Prefix: s.Client[:], Peer: s.Server[:], PeerMask: s.ServerMask[:]}
			if s.Frames != nil {
				form := conversation.FrameForm(s.Frames)
				made.Frames = [2]event.FrameForm{form, form}
			}
			made.First = [2]uint64{uint64(s.FirstFrame[protocol.FromClient]), uint64(s.FirstFrame[protocol.FromServer])}
			all = append(all, made)
		}
	}
	return all
}

// kernelRules returns the parts of the rules that the kernel evaluates.
func kernelRules(s *selection.Selection) []kernel.Rule {
	var rules []kernel.Rule
	for _, r := range s.Rules() {
		rules = append(rules, kernel.Rule{Exclude: r.Exclude, LocalPort: r.LocalPort, RemotePort: r.RemotePort})
	}
	return rules
}
