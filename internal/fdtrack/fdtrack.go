// Package fdtrack follows descriptors to sockets, so that events of system calls become events of sockets, as the socket mode reports
// them: with both addresses, with the process that owns the socket, and with one end for each socket.
//
// A Tracker stands between the reader of a shard and its socket table. If an address of a socket is missing, the socket's events wait
// (package pending). They go on in order as soon as a call or procfs names the address, or the wait is given up.
package fdtrack

import (
	"fmt"
	"net/netip"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/intrusive"
	"github.com/socketflow/socketflow/internal/pending"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procfs"
)

// Kernel is the kernel side's knowledge of which descriptors lead to which sockets. Adopt and Reject must not change what the kernel side
// has found out itself in the meantime: a descriptor that it knows by now was closed and reused after the question. All methods are safe
// for concurrent use.
type Kernel interface {
	// Adopt answers that descriptor fd of process pid leads to the socket f.Cookie, which may be listening. f is valid during the call.
	// question is that of an event.KindUnknown; 0: none.
	Adopt(pid, fd uint32, question uint64, f *event.Flow, listening bool) error
	// Locate sets the network namespace of a process. Its children inherit it.
	Locate(name process.ID, netns uint32)
	// Known reports whether the kernel side knows from a call that descriptor fd of process pid leads to a socket.
	Known(pid, fd uint32) bool
	// Asked reports whether the kernel side still waits for the answer to this question about descriptor fd of process pid. A later
	// question is about another file with that number.
	Asked(pid, fd uint32, question uint64) bool
	// Reject answers that descriptor fd of process pid leads to nothing that is followed.
	Reject(pid, fd uint32, question uint64) error
}

// Resolver finds what calls do not show. *procfs.Resolver is one. It is safe for concurrent use.
type Resolver interface {
	Process(pid uint32) (procfs.Process, error)
	Ask(pid, fd uint32) *procfs.Query
	Source(pid, netns uint32, remote netip.Addr) (netip.Addr, bool)
}

// Options of a Tracker.
type Options struct {
	Shared    *Shared // of all Trackers, with the limits
	Sockets   int     // followed at once, of each transport, 65536 by default; the one that was used least recently gives way
	Processes int     // whose start and network namespace are remembered, 4096 by default
	Kernel    Kernel
	Resolver  Resolver
	// Next takes in the events. They are valid during the call.
	Next func(*event.Event)
	// NewCookie returns an id that no socket has had and that belongs to this shard. It is safe for concurrent use.
	NewCookie func() uint64
}

// Tracker completes the events of one shard. But for Inject and Stats it is for one goroutine.
type Tracker struct {
	opts   Options
	limits Limits
	shared *Shared
	stats  Stats

	owners   owners
	sockets  map[uint64]*socket // by cookie
	byUse    [event.Transports]bounded
	free     intrusive.Free[socket]
	waiting  *pending.Queue[*socket, event.Event]
	asked    []askedSocket
	unknowns []unknown
	resolves map[question]struct{} // those in unknowns
	inbox    inbox
}

// New returns a Tracker that follows no socket yet.
func New(o Options) (*Tracker, error) {
	o.Sockets, o.Processes = orDefault(o.Sockets, 65536), orDefault(o.Processes, 4096)
	switch {
	case o.Shared == nil || o.Kernel == nil || o.Resolver == nil || o.Next == nil || o.NewCookie == nil:
		return nil, fmt.Errorf("fdtrack: an option is missing: %+v", o)
	case o.Sockets < 1:
		return nil, fmt.Errorf("fdtrack: capacity %d", o.Sockets)
	}
	t := &Tracker{
		opts: o, limits: o.Shared.limits, shared: o.Shared,
		sockets: make(map[uint64]*socket), resolves: make(map[question]struct{}),
	}
	if err := t.owners.init(o.Processes, o.Resolver, &o.Shared.starts); err != nil {
		return nil, err
	}
	return t, t.initWaiting()
}

// Stats of this tracker; safe to read at any time.
func (t *Tracker) Stats() *Stats { return &t.stats }

// Handle takes in one event as the kernel side reports it, and changes it. Complete events have been passed on when it returns.
func (t *Tracker) Handle(e *event.Event) {
	if t.inbox.filled.Load() {
		t.drain()
	}
	t.handle(e)
}

// Busy reports whether anything waits for an address or for an answer, so that Tick has work to do.
func (t *Tracker) Busy() bool {
	return t.waiting.Waiting() || len(t.unknowns) > 0 || len(t.asked) > 0 || t.inbox.filled.Load()
}

// Reached is up to when all events have been passed on, if all before a time (CLOCK_MONOTONIC, ns) have been handled.
func (t *Tracker) Reached(monotonic uint64) uint64 {
	if oldest := t.waiting.Oldest(); oldest != nil {
		return min(monotonic, oldest.Time)
	}
	return monotonic
}

// Tick passes time: CLOCK_MONOTONIC, ns. Call it every few milliseconds while Busy. It takes in answers and ends the waits whose time
// is up.
func (t *Tracker) Tick(monotonic uint64) {
	if t.inbox.filled.Load() {
		t.drain()
	}
	t.waiting.Advance(monotonic)
	t.pollUnknown()
	t.pollAsked()
	t.waiting.Tick(monotonic)
}

// Flush passes on everything that waits. It is called when no more events will come.
func (t *Tracker) Flush() {
	t.drain()
	t.waiting.Flush()
	t.asked = t.asked[:0]
	t.stats.Unknown[ResultGone].Add(uint64(len(t.unknowns)))
	t.unknowns = t.unknowns[:0]
	clear(t.resolves)
}

func (t *Tracker) handle(e *event.Event) {
	t.waiting.Advance(e.Time)
	switch e.Kind {
	case event.KindData:
		t.data(e)
	case event.KindOpen, event.KindExisting:
		t.open(e)
	case event.KindClose:
		t.close(e)
	case event.KindAddress:
		t.address(e)
	case event.KindHold:
		t.hold(e)
	case event.KindFail, event.KindConnectError:
		t.fail(e)
	case event.KindUnknown:
		t.unknown(e)
	case event.KindProcess:
		t.describe(e)
	case event.KindExit:
		e.Owner = t.owners.ended(e.Owner)
		t.opts.Next(e)
	default:
		t.other(e)
	}
}
