//go:build amd64 || arm64

package receiver

import (
	"context"
	"os"
	"time"

	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/completion"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procnet"
)

// capture is what both modes have in common.
type capture interface {
	Readers() []*kernel.Reader
	Attached() []string
	Degraded() []error
	Programs() []kernel.ProgramStatus
	Memory() (uint64, error)
	Counters() (kernel.Counters, error)
	Want(cookie uint64, w event.Want)
	Judge(id process.ID, generation uint32, rules uint64) error
	Live(ctx context.Context) (kernel.Looked, error)
	Datagrams(ctx context.Context) (bool, error)
	Detach() error
	Close() error
}

var attachments = map[Attachment]kernel.Attachment{
	AttachmentAuto: kernel.AttachAny, AttachmentTracepoint: kernel.AttachTracepoint, AttachmentFunction: kernel.AttachFunction,
}

// reportStatus says in the component's status how the kernel is watched, and why not in a better way.
func (w *watch) reportStatus() {
	attributes := pcommon.NewMap()
	attributes.PutStr("mode", string(w.mode))
	if w.stepDown != nil {
		attributes.PutStr("mode.reason", w.stepDown.Error())
	}
	hooks := attributes.PutEmptySlice("attached")
	for _, hook := range w.capture.Attached() {
		hooks.AppendEmpty().SetStr(hook)
	}
	componentstatus.ReportStatus(w.host, componentstatus.NewEvent(componentstatus.StatusOK,
		componentstatus.WithAttributes(attributes)))
}

// callMode is what the syscall mode has beside the socket mode.
type callMode struct {
	capture    *kernel.Calls
	shared     *completion.Shared
	resolver   *procnet.Resolver
	completers []*completion.Completer // by shard; there before the first event is read
}

// openCapture loads the programs of the mode that is configured, or of the one that kernel.Choose finds.
func (w *watch) openCapture(opts kernel.Options) error {
	_, mode, why, err := kernel.Choose(w.cfg.Mode, func(mode Mode, whole bool) (struct{}, error) {
		opts := opts
		opts.WholeOrNothing = whole
		if mode == ModeSyscall {
			return struct{}{}, w.openCalls(opts)
		}
		return struct{}{}, w.openSockets(opts)
	})
	if err != nil {
		return err
	}
	w.mode, w.stepDown = mode, why
	if why != nil && mode == ModeSyscall {
		w.set.Logger.Warn("this host does not allow the socket mode; sockets are put together from system calls instead, "+
			"which costs more, and says less of how connections end", zap.Error(why))
	}
	return nil
}

func (w *watch) openSockets(opts kernel.Options) error {
	sockets, err := kernel.Open(opts)
	if err != nil {
		return err
	}
	w.capture = sockets
	return nil
}

func (w *watch) openCalls(opts kernel.Options) (err error) {
	bounds := &w.cfg.Completion
	m := &callMode{}
	m.shared, err = completion.NewShared(completion.Limits{
		Timeout: bounds.Timeout, LookupAfter: bounds.LookupAfter, SocketItems: bounds.SocketEvents,
		SocketBytes: int(bounds.SocketBytes), Items: bounds.Events, Bytes: int(bounds.Bytes),
	})
	if err != nil {
		return err
	}
	if m.resolver, err = procnet.New(procnet.Options{}); err != nil {
		return err
	}
	if m.capture, err = kernel.OpenCalls(opts, m.inject); err != nil {
		m.resolver.Close()
		return err
	}
	w.capture, w.calls = m.capture, m
	return nil
}

// inject hands an event that user space made up to the shard of its socket.
func (m *callMode) inject(e event.Event) {
	m.completers[m.capture.ShardOf(e.Flow.Cookie)].Inject(e)
}

// complete puts a completer before the shard's table.
func (m *callMode) complete(s *shard, i, of int) (err error) {
	limits := &s.watch.cfg.Limits
	s.completer, err = completion.New(completion.Options{
		Shared: m.shared, Sockets: max(1, limits.Sockets/of), Processes: max(1, limits.Processes/of),
		Kernel: m.capture, Resolver: m.resolver, Next: s.next,
		NewCookie: func() uint64 { return m.capture.NewCookie(i) },
	})
	m.completers = append(m.completers, s.completer)
	return err
}

func (w *watch) closeCapture() error {
	err := w.capture.Close()
	if w.calls != nil {
		w.calls.resolver.Close()
	}
	return err
}

// existing has the sockets reported that are older than the capture.
func (w *watch) existing() error {
	if sockets, ok := w.capture.(*kernel.Capture); ok {
		return sockets.Existing(w.helping)
	}
	var self uint32
	if w.cfg.ExcludeSelf {
		self = uint32(os.Getpid()) // in the pid namespace of /proc
	}
	return completion.Existing(w.helping, w.calls.resolver, w.calls.completers, self)
}

// countResolver takes over a resolver's statistics.
func (s *snapshot) countResolver(stats *procnet.Stats) {
	for way := range stats.Sources {
		s.addressesRouted[way] = stats.Sources[way].Load()
	}
	s.procTablesRead = stats.Readings.Load()
}

// countCompletion adds a completer's statistics to a snapshot.
func (s *snapshot) countCompletion(stats *completion.Stats) {
	for source := range stats.Completed {
		s.addressesCompleted[source] += stats.Completed[source].Load()
	}
	for cause := range stats.Incomplete {
		s.addressesIncomplete[cause] += stats.Incomplete[cause].Load()
	}
	for lookup := range stats.Lookups {
		s.addressesLookedUp[lookup] += stats.Lookups[lookup].Load()
	}
	for result := range stats.Unknown {
		s.descriptorsUnknown[result] += stats.Unknown[result].Load()
	}
	s.socketsEvictedTableFull += stats.Evicted.Load()
	s.socketsEvictedCloseLost += stats.HoldersLost.Load()
	s.socketsStorageFailed += stats.AdoptsFailed.Load()
	s.addressesWaited += time.Duration(stats.WaitedTime.Load())
	s.addressesWaiting += stats.Waiting.Load()
	s.addressesBytes += stats.Bytes.Load()
}
