//go:build amd64 || arm64

package engine

import (
	"context"
	"os"

	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/fdtrack"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procfs"
)

// tracer is what both modes have in common.
type tracer interface {
	Readers() []*kernel.Reader
	Attached() []string
	Degraded() []error
	Programs() []kernel.ProgramStatus
	Memory() (uint64, error)
	Self() uint32
	Counters() (kernel.Counters, error)
	Want(cookie uint64, w event.Want)
	EndLayer(cookie uint64)
	SetRuleMatch(id process.ID, generation uint32, rules uint64) error
	Live(ctx context.Context) (kernel.Coverage, error)
	Datagrams(ctx context.Context) (bool, error)
	SeesLibraries() bool
	AttachLibrary(path string, probes []kernel.LibraryProbe) (*kernel.Library, error)
	Detach() error
	Close() error
}

// callMode is what the syscall mode needs in addition to the socket mode.
type callMode struct {
	tracer   *kernel.SyscallTracer
	shared   *fdtrack.Shared
	resolver *procfs.Resolver
	trackers []*fdtrack.Tracker // by shard; there before the first event is read
}

// openTracer loads the programs of the configured mode, or of the one that kernel.Choose chooses.
func (e *Engine) openTracer(opts kernel.Options) error {
	_, mode, why, err := kernel.Choose(e.opts.Mode, func(mode kernel.Mode, whole bool) (struct{}, error) {
		opts := opts
		opts.WholeOrNothing = whole
		if mode == kernel.ModeSyscall {
			return struct{}{}, e.openCalls(opts)
		}
		return struct{}{}, e.openSockets(opts)
	})
	if err != nil {
		return err
	}
	e.mode, e.stepDown = mode, why
	switch {
	case why == nil:
	case mode == kernel.ModeSocket:
		e.opts.Logger.Warn("this host allows neither mode as a whole; connections over TCP are observed, and not what they carry",
			zap.Error(why))
	default:
		e.opts.Logger.Warn("this host does not allow the socket mode; sockets are put together from system calls instead, "+
			"which costs more, and says less of how connections end", zap.Error(why))
	}
	return nil
}

func (e *Engine) openSockets(opts kernel.Options) error {
	sockets, err := kernel.OpenSockets(opts)
	if err != nil {
		return err
	}
	e.tracer = sockets
	return nil
}

func (e *Engine) openCalls(opts kernel.Options) (err error) {
	m := &callMode{}
	m.shared, err = fdtrack.NewShared(e.opts.Waiting)
	if err != nil {
		return err
	}
	if m.resolver, err = procfs.New(procfs.Options{}); err != nil {
		return err
	}
	if m.tracer, err = kernel.OpenSyscalls(opts, m.inject); err != nil {
		m.resolver.Close()
		return err
	}
	e.tracer, e.calls = m.tracer, m
	return nil
}

// inject passes an event that user space made to the shard of its socket.
func (m *callMode) inject(e event.Event) {
	m.trackers[m.tracer.ShardOf(e.Flow.Cookie)].Inject(e)
}

// track puts a tracker before the shard's table.
func (m *callMode) track(s *shard, i, of int) (err error) {
	opts := &s.engine.opts
	s.tracker, err = fdtrack.New(fdtrack.Options{
		Shared: m.shared, Sockets: max(1, opts.Sockets/of), Processes: max(1, opts.Processes/of),
		Kernel: m.tracer, Resolver: m.resolver, Next: s.take,
		NewCookie: func() uint64 { return m.tracer.NewCookie(i) },
	})
	m.trackers = append(m.trackers, s.tracker)
	return err
}

func (e *Engine) closeTracer() error {
	err := e.tracer.Close()
	if e.calls != nil {
		e.calls.resolver.Close()
	}
	return err
}

// existing makes the tracer report the sockets that are older than the kernel programs.
func (e *Engine) existing() error {
	if sockets, ok := e.tracer.(*kernel.SocketTracer); ok {
		return sockets.Existing(e.helping)
	}
	var self uint32
	if e.opts.ExcludeSelf {
		self = uint32(os.Getpid()) // in the pid namespace of /proc
	}
	return fdtrack.Existing(e.helping, e.calls.resolver, e.calls.trackers, self)
}
