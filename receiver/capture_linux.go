//go:build amd64 || arm64

package receiver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/fdtrack"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procfs"
)

// capture is what both modes have in common.
type capture interface {
	Readers() []*kernel.Reader
	Attached() []string
	Degraded() []error
	Memory() (uint64, error)
	Counters() (kernel.Counters, error)
	Want(cookie uint64, w event.Want)
	Judge(id process.ID, generation uint32, rules uint64) error
	Live(ctx context.Context) error
	Datagrams(ctx context.Context) error
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
	capture  *kernel.Calls
	shared   *fdtrack.Shared
	resolver *procfs.Resolver
	trackers []*fdtrack.Tracker // by shard; there before the first event is read
}

// openCapture loads the programs of the mode that is configured; of auto the first that this host allows, where a socket mode
// that sees connections only comes last.
func (w *watch) openCapture(opts kernel.Options) error {
	switch w.cfg.Mode {
	case ModeSocket:
		return w.openSockets(opts)
	case ModeSyscall:
		return w.openCalls(opts)
	}
	whole := opts
	whole.WholeOrNothing = true
	err := w.openSockets(whole)
	// Privileges that are missing are missing to the other mode, too.
	if err == nil || !errors.Is(err, kernel.ErrUnsupported) || errors.Is(err, unix.EPERM) {
		return err
	}
	if callErr := w.openCalls(opts); callErr != nil {
		err = fmt.Errorf("%w; and: %w", err, callErr)
		if w.openSockets(opts) == nil { // Degraded says what it does not see
			w.stepDown = err
			return nil
		}
		return err
	}
	w.stepDown = err
	w.set.Logger.Warn("this host does not allow the socket mode; sockets are put together from system calls instead, "+
		"which costs more, and says less of how connections end", zap.Error(err))
	return nil
}

func (w *watch) openSockets(opts kernel.Options) error {
	sockets, err := kernel.Open(opts)
	if err != nil {
		return err
	}
	w.mode, w.capture = ModeSocket, sockets
	return nil
}

func (w *watch) openCalls(opts kernel.Options) (err error) {
	bounds := &w.cfg.Completion
	m := &callMode{}
	m.shared, err = fdtrack.NewShared(fdtrack.Limits{
		Timeout: bounds.Timeout, LookupAfter: bounds.LookupAfter, SocketItems: bounds.SocketEvents,
		SocketBytes: int(bounds.SocketBytes), Items: bounds.Events, Bytes: int(bounds.Bytes),
	})
	if err != nil {
		return err
	}
	if m.resolver, err = procfs.New(procfs.Options{}); err != nil {
		return err
	}
	if m.capture, err = kernel.OpenCalls(opts, m.inject); err != nil {
		m.resolver.Close()
		return err
	}
	w.mode, w.capture, w.calls = ModeSyscall, m.capture, m
	return nil
}

// inject hands an event that user space made up to the shard of its socket.
func (m *callMode) inject(e event.Event) {
	m.trackers[m.capture.ShardOf(e.Flow.Cookie)].Inject(e)
}

// track puts a tracker before the shard's table.
func (m *callMode) track(s *shard, i, of int) (err error) {
	limits := &s.watch.cfg.Limits
	s.tracker, err = fdtrack.New(fdtrack.Options{
		Shared: m.shared, Sockets: max(1, limits.Sockets/of), Processes: max(1, limits.Processes/of),
		Kernel: m.capture, Resolver: m.resolver, Next: s.table.Handle,
		NewCookie: func() uint64 { return m.capture.NewCookie(i) },
	})
	m.trackers = append(m.trackers, s.tracker)
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
	return fdtrack.Existing(w.helping, w.calls.resolver, w.calls.trackers, self)
}

// countResolver takes over a resolver's statistics.
func (s *snapshot) countResolver(stats *procfs.Stats) {
	for way := range stats.Sources {
		s.addressesRouted[way] = stats.Sources[way].Load()
	}
	s.procTablesRead = stats.Readings.Load()
}

// countTracking adds a tracker's statistics to a snapshot.
func (s *snapshot) countTracking(stats *fdtrack.Stats) {
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
	s.addressesWaited += time.Duration(stats.Pending.Waited.Load())
	s.addressesWaiting += stats.Pending.Keys.Load()
	s.addressesBytes += stats.Pending.Bytes.Load()
}
