// Package fdtrack turns what system calls tell of sockets into what sockets themselves would tell: flows with both
// addresses, owned by processes, with one end each.
//
// A Tracker stands between the reader of a shard and its socket table. Events of a socket of which an address is missing
// wait, and go on in the order in which they came once it is told, found, or given up.
package fdtrack

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/list"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procnet"
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

// Resolver finds what calls do not tell. *procnet.Resolver is one. It is safe for concurrent use.
type Resolver interface {
	Process(pid uint32) (procnet.Process, error)
	Ask(pid, fd uint32) *procnet.Query
	Source(pid, netns uint32, remote netip.Addr) (netip.Addr, bool)
}

// Limits bound what waits. A zero means the default.
type Limits struct {
	Timeout     time.Duration // how long events wait for an address, 1 s by default
	LookupAfter time.Duration // how long before procfs is asked, 20 ms by default; not below Timeout: it never is
	SocketItems int           // events of one socket that wait, 1024 by default
	SocketBytes int           // of their payload's memory, 1 MiB by default
	Items       int           // events that wait in all Trackers, 65536 by default
	Bytes       int           // of their payload's memory, 64 MiB by default
}

// OrDefault returns the limits with the defaults in place of zeros.
func (l Limits) OrDefault() Limits {
	return Limits{
		Timeout:     orDefault(l.Timeout, time.Second),
		LookupAfter: orDefault(l.LookupAfter, 20*time.Millisecond),
		SocketItems: orDefault(l.SocketItems, 1024),
		SocketBytes: orDefault(l.SocketBytes, 1<<20),
		Items:       orDefault(l.Items, 65536),
		Bytes:       orDefault(l.Bytes, 64<<20),
	}
}

func (l *Limits) check() error {
	if l.Timeout < 0 || l.LookupAfter < 0 || l.SocketItems < 0 || l.SocketBytes < 0 || l.Items < 0 || l.Bytes < 0 {
		return fmt.Errorf("fdtrack: limits must not be negative: %+v", *l)
	}
	return nil
}

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
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
	now    uint64 // CLOCK_MONOTONIC, ns: of the last Tick or event

	owners   owners
	sockets  map[uint64]*socket // by cookie
	byAge    list.List[socket]
	free     list.Free[socket]
	waiting  waitingList
	freeWait list.Free[waiting]
	memory   memory
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
	return t, t.owners.init(o.Processes, o.Resolver)
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
	return t.stats.Waiting.Load() > 0 || len(t.unknowns) > 0 || len(t.asked) > 0 || t.inbox.filled.Load()
}

// Tick passes time: CLOCK_MONOTONIC, ns. It is to be called every few milliseconds while events wait, and sees to it that they
// do not wait for longer than they may.
func (t *Tracker) Tick(monotonic uint64) {
	if t.inbox.filled.Load() {
		t.drain()
	}
	t.now = max(t.now, monotonic)
	t.pollUnknown()
	t.pollAsked()
	t.askDue()
	t.expire()
}

// Flush passes on everything that waits, for nothing more will come.
func (t *Tracker) Flush() {
	t.drain()
	for w := t.waiting.First(); w != nil; w = t.waiting.First() {
		t.release(w.socket, CauseFlushed)
	}
	t.asked = t.asked[:0]
	t.stats.Unknown[ResultGone].Add(uint64(len(t.unknowns)))
	t.unknowns = t.unknowns[:0]
	clear(t.resolves)
}

func (t *Tracker) handle(e *event.Event) {
	t.now = max(t.now, e.Time)
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

func (t *Tracker) data(e *event.Event) {
	e.Owner = t.owners.of(e.Owner).id
	if s := t.sockets[e.Flow.Cookie]; s != nil && s.waiting != nil {
		t.enqueue(s, e)
		return
	}
	t.opts.Next(e)
}

// open is also of connections older than the capture.
func (t *Tracker) open(e *event.Event) {
	t.own(e)
	toItself(&e.Flow)
	s := t.sockets[e.Flow.Cookie]
	switch {
	case s == nil:
		s = t.follow(e.Flow.Cookie)
	case s.waiting != nil:
		t.release(s, CauseReopened)
	case !s.opened:
		mergeFlow(&e.Flow, &s.flow)
	}
	s.opened, s.flow, s.owner, s.fd = true, e.Flow, e.Owner, e.FD
	if s.flying {
		t.shared.flights.update(&s.flow)
	}
	if complete(&s.flow) {
		t.opts.Next(e)
		return
	}
	t.wait(s)
	t.enqueue(s, e)
}

// close is the end of one descriptor; that of the last is the socket's.
func (t *Tracker) close(e *event.Event) {
	t.own(e)
	s := t.sockets[e.Flow.Cookie]
	switch {
	case s == nil && neverOpened(e):
		return
	case s == nil: // its open was lost, or it had to give way
		t.stray(e)
		return
	}
	if s.holders--; s.holders > 0 {
		return
	}
	t.end(s, e)
}

// neverOpened reports whether the socket that an event closes was connected at no time, as a listener that processes share.
func neverOpened(e *event.Event) bool {
	if e.Started != 0 || e.Established != 0 {
		return false
	}
	f, n := &e.Flow, &e.Ending
	return !e.Existing || f.Role == event.RoleUnknown && !known(f.Remote.Addr()) && n.BytesSent == 0 && n.BytesReceived == 0
}

// end passes on the end of a socket that no descriptor leads to any more, and forgets it.
func (t *Tracker) end(s *socket, e *event.Event) {
	if !s.opened {
		t.forget(s)
		return
	}
	if s.waiting != nil { // its addresses are all that there will be
		t.release(s, CauseClosed)
	}
	t.pass(s, e)
	t.forget(s)
}

// address takes in what a call has told, if it was not known.
func (t *Tracker) address(e *event.Event) {
	s := t.sockets[e.Flow.Cookie]
	if s == nil || s.opened && s.waiting == nil && complete(&s.flow) {
		return // nobody needs it
	}
	if !mergeFlow(&s.flow, &e.Flow) {
		return
	}
	toItself(&s.flow)
	t.completed(s)
}

// completed releases a socket if it is complete now.
func (t *Tracker) completed(s *socket) {
	if s.flying && s.opened {
		t.shared.flights.update(&s.flow)
	}
	if s.waiting != nil && complete(&s.flow) {
		t.release(s, causeNone)
	}
}

// inFlight as a descriptor stands for a message that carries one.
const inFlight = ^uint32(0)

// hold counts one more descriptor of a socket, which need not be open.
func (t *Tracker) hold(e *event.Event) {
	s := t.sockets[e.Flow.Cookie]
	if s == nil {
		s = t.follow(e.Flow.Cookie)
	}
	s.holders++
	if e.FD == inFlight {
		s.flying = true
		t.shared.flights.add(t, s)
	}
}

// fail completes an attempt with what can be had at once.
func (t *Tracker) fail(e *event.Event) {
	t.own(e)
	toItself(&e.Flow)
	s := t.sockets[e.Flow.Cookie]
	switch {
	case s != nil && s.waiting != nil:
		t.enqueue(s, e)
		return
	case s != nil && !s.opened:
		mergeFlow(&e.Flow, &s.flow)
	}
	t.stray(e)
}

func (t *Tracker) describe(e *event.Event) {
	name := e.Owner
	o := t.owners.refresh(name, e.Flow.NetNS)
	if e.Flow.NetNS == 0 && o.netns != 0 {
		t.opts.Kernel.Locate(name, o.netns)
	}
	e.Owner, e.Flow.NetNS = o.id, o.netns
	if e.Process != nil {
		e.Process.ID = e.Owner
	}
	t.opts.Next(e)
}

// other events go on behind those that wait.
func (t *Tracker) other(e *event.Event) {
	t.own(e)
	s := t.sockets[e.Flow.Cookie]
	switch {
	case s == nil:
		t.stray(e)
	case s.waiting != nil:
		t.enqueue(s, e)
	default:
		t.pass(s, e)
	}
}

// own says who the owner of an event is, and where.
func (t *Tracker) own(e *event.Event) {
	o := t.owners.of(e.Owner)
	e.Owner = o.id
	if e.Flow.NetNS == 0 {
		e.Flow.NetNS = o.netns
	}
}

// stray passes on an event that has to be complete in itself.
func (t *Tracker) stray(e *event.Event) {
	if e.Kind != event.KindLive && !complete(&e.Flow) {
		t.finish(&e.Flow, e.Owner.PID)
	}
	t.opts.Next(e)
}

// pass passes on an event of a socket that does not wait.
func (t *Tracker) pass(s *socket, e *event.Event) {
	if s.opened && e.Kind != event.KindData && e.Kind != event.KindLive {
		e.Flow = s.flow
	}
	t.opts.Next(e)
}

// socket is what is remembered of one that a descriptor leads to.
type socket struct {
	flow    event.Flow
	owner   process.ID // who opened it
	fd      uint32     // its descriptor
	inode   inode      // known only of those that were found by it
	holders int        // descriptors, and messages that carry one
	opened  bool
	flying  bool // a message has carried it
	waiting *waiting
	links   list.Links[socket]
}

// follow begins to follow a socket, to which one descriptor leads.
func (t *Tracker) follow(cookie uint64) *socket {
	if len(t.sockets) >= t.opts.Sockets {
		old := t.byAge.First()
		if old.waiting != nil {
			t.release(old, CauseEvicted)
		}
		t.stats.Evicted.Add(1)
		t.forget(old)
	}
	s := t.free.Take()
	if s == nil {
		s = &socket{}
	}
	*s = socket{holders: 1}
	s.flow.Cookie = cookie
	t.sockets[cookie] = s
	t.byAge.Append(&s.links, s)
	t.stats.Sockets.Add(1)
	return s
}

func (t *Tracker) forget(s *socket) {
	if s.flying {
		t.shared.flights.drop(s.flow.Cookie)
	}
	if s.inode != (inode{}) {
		t.shared.inodes.drop(s.inode, s.flow.Cookie)
	}
	delete(t.sockets, s.flow.Cookie)
	t.byAge.Remove(&s.links)
	t.stats.Sockets.Add(-1)
	*s = socket{}
	t.free.Put(&s.links, s)
}
