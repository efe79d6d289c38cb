// Package fdtrack follows descriptors to sockets, so that events of system calls become the events that the sockets themselves would
// report: with both addresses, the process that owns the socket, and one end each.
//
// A Tracker stands between the reader of a shard and its socket table. Events of a socket of which an address is missing wait
// (package pending), and go on in the order in which they came once a call has named it, procfs has, or it is given up.
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

// Kernel is told which descriptors lead to which sockets. Neither may change what the kernel side has found out itself in the
// meantime: a descriptor that it knows by now has been closed and reused since it was asked about. Both are safe for
// concurrent use.
type Kernel interface {
	// Adopt has descriptor fd of process pid lead to the socket f.Cookie, which may be listening. f is valid during the call. It
	// answers the question of an event.KindUnknown; 0: none.
	Adopt(pid, fd uint32, question uint64, f *event.Flow, listening bool) error
	// Locate says in which network namespace a process is, so that its children are known to be there.
	Locate(name process.ID, netns uint32)
	// Known reports whether a call has told that descriptor fd of process pid leads to a socket, so that there is nothing to find.
	Known(pid, fd uint32) bool
	// Asked reports whether the kernel side still waits for the answer to a question about descriptor fd of process pid: another one
	// is about another file of that number.
	Asked(pid, fd uint32, question uint64) bool
	// Reject answers that descriptor fd of process pid leads to nothing that is followed.
	Reject(pid, fd uint32, question uint64) error
}

// Resolver finds what calls do not tell. *procfs.Resolver is one. It is safe for concurrent use.
type Resolver interface {
	Process(pid uint32) (procfs.Process, error)
	Ask(pid, fd uint32) *procfs.Query
	Source(pid, netns uint32, remote netip.Addr) (netip.Addr, bool)
}

// Options of a Tracker.
type Options struct {
	Shared    *Shared // of all Trackers, with the limits
	Sockets   int     // followed at once, 65536 by default; the oldest gives way
	Processes int     // whose start and network namespace are remembered, 4096 by default
	Kernel    Kernel
	Resolver  Resolver
	// Next takes in the events. They are valid during the call.
	Next func(*event.Event)
	// NewCookie gives an id that no socket has had, and whose events come through this shard. It is safe for concurrent use.
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
	byAge    intrusive.List[socket]
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
	if err := t.owners.init(o.Processes, o.Resolver); err != nil {
		return nil, err
	}
	return t, t.initWaiting()
}

// Stats of this tracker; safe to read at any time.
func (t *Tracker) Stats() *Stats { return &t.stats }

// Handle takes in one event, as the capture has it, and changes it. What is complete has been passed on when it returns.
func (t *Tracker) Handle(e *event.Event) {
	if t.inbox.filled.Load() {
		t.drain()
	}
	t.handle(e)
}

// Busy reports whether something waits, for an address or for an answer, so that Tick has something to do.
func (t *Tracker) Busy() bool {
	return t.waiting.Waiting() || len(t.unknowns) > 0 || len(t.asked) > 0 || t.inbox.filled.Load()
}

// Tick passes time: CLOCK_MONOTONIC, ns. It is to be called every few milliseconds while events wait, and sees to it that they
// do not wait for longer than they may.
func (t *Tracker) Tick(monotonic uint64) {
	if t.inbox.filled.Load() {
		t.drain()
	}
	t.waiting.Advance(monotonic)
	t.pollUnknown()
	t.pollAsked()
	t.waiting.Tick(monotonic)
}

// Flush passes on everything that waits, for nothing more will come.
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
