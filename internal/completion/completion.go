// Package completion turns what system calls tell of sockets into what sockets themselves would tell: flows with both
// addresses, owned by processes, with one end each.
//
// A Completer stands between the reader of a shard and its socket table. Events of a socket of which an address is missing
// wait, and go on in the order in which they came once it is told, found, or given up.
package completion

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
	Items       int           // events that wait in all Completers, 65536 by default
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
		return fmt.Errorf("completion: limits must not be negative: %+v", *l)
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

// Options of a Completer.
type Options struct {
	Shared    *Shared // of all Completers, with the limits
	Sockets   int     // followed at once, 65536 by default; the oldest gives way
	Processes int     // whose start and network namespace are remembered, 4096 by default
	Kernel    Kernel
	Resolver  Resolver
	// Next takes in the events. They are valid during the call.
	Next func(*event.Event)
	// NewCookie gives an id that no socket has had, and whose events come through this shard. It is safe for concurrent use.
	NewCookie func() uint64
}

// Completer completes the events of one shard. But for Inject and Stats it is for one goroutine.
type Completer struct {
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

// New returns a Completer that follows no socket yet.
func New(o Options) (*Completer, error) {
	o.Sockets, o.Processes = orDefault(o.Sockets, 65536), orDefault(o.Processes, 4096)
	switch {
	case o.Shared == nil || o.Kernel == nil || o.Resolver == nil || o.Next == nil || o.NewCookie == nil:
		return nil, fmt.Errorf("completion: an option is missing: %+v", o)
	case o.Sockets < 1:
		return nil, fmt.Errorf("completion: capacity %d", o.Sockets)
	}
	c := &Completer{
		opts: o, limits: o.Shared.limits, shared: o.Shared,
		sockets: make(map[uint64]*socket), resolves: make(map[question]struct{}),
	}
	return c, c.owners.init(o.Processes, o.Resolver)
}

// Stats of this completer; safe to read at any time.
func (c *Completer) Stats() *Stats { return &c.stats }

// Handle takes in one event, as the capture has it, and changes it. What is complete has been passed on when it returns.
func (c *Completer) Handle(e *event.Event) {
	if c.inbox.filled.Load() {
		c.drain()
	}
	c.handle(e)
}

// Busy reports whether something waits, for an address or for an answer, so that Tick has something to do.
func (c *Completer) Busy() bool {
	return c.stats.Waiting.Load() > 0 || len(c.unknowns) > 0 || len(c.asked) > 0 || c.inbox.filled.Load()
}

// Tick passes time: CLOCK_MONOTONIC, ns. It is to be called every few milliseconds while events wait, and sees to it that they
// do not wait for longer than they may.
func (c *Completer) Tick(monotonic uint64) {
	if c.inbox.filled.Load() {
		c.drain()
	}
	c.now = max(c.now, monotonic)
	c.pollUnknown()
	c.pollAsked()
	c.askDue()
	c.expire()
}

// Flush passes on everything that waits, for nothing more will come.
func (c *Completer) Flush() {
	c.drain()
	for w := c.waiting.First(); w != nil; w = c.waiting.First() {
		c.release(w.socket, CauseFlushed)
	}
	c.asked = c.asked[:0]
	c.stats.Unknown[ResultGone].Add(uint64(len(c.unknowns)))
	c.unknowns = c.unknowns[:0]
	clear(c.resolves)
}

func (c *Completer) handle(e *event.Event) {
	c.now = max(c.now, e.Time)
	switch e.Kind {
	case event.KindData:
		c.data(e)
	case event.KindOpen, event.KindExisting:
		c.open(e)
	case event.KindClose:
		c.close(e)
	case event.KindAddress:
		c.address(e)
	case event.KindHold:
		c.hold(e)
	case event.KindFail, event.KindConnectError:
		c.fail(e)
	case event.KindUnknown:
		c.unknown(e)
	case event.KindProcess:
		c.describe(e)
	case event.KindExit:
		e.Owner = c.owners.ended(e.Owner)
		c.opts.Next(e)
	default:
		c.other(e)
	}
}

func (c *Completer) data(e *event.Event) {
	e.Owner = c.owners.of(e.Owner).id
	if s := c.sockets[e.Flow.Cookie]; s != nil && s.waiting != nil {
		c.enqueue(s, e)
		return
	}
	c.opts.Next(e)
}

// open is also of connections older than the capture.
func (c *Completer) open(e *event.Event) {
	c.own(e)
	toItself(&e.Flow)
	s := c.sockets[e.Flow.Cookie]
	switch {
	case s == nil:
		s = c.follow(e.Flow.Cookie)
	case s.waiting != nil:
		c.release(s, CauseReopened)
	case !s.opened:
		mergeFlow(&e.Flow, &s.flow)
	}
	s.opened, s.flow, s.owner, s.fd = true, e.Flow, e.Owner, e.FD
	if s.flying {
		c.shared.flights.update(&s.flow)
	}
	if complete(&s.flow) {
		c.opts.Next(e)
		return
	}
	c.wait(s)
	c.enqueue(s, e)
}

// close is the end of one descriptor; that of the last is the socket's.
func (c *Completer) close(e *event.Event) {
	c.own(e)
	s := c.sockets[e.Flow.Cookie]
	switch {
	case s == nil && neverOpened(e):
		return
	case s == nil: // its open was lost, or it had to give way
		c.stray(e)
		return
	}
	if s.holders--; s.holders > 0 {
		return
	}
	c.end(s, e)
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
func (c *Completer) end(s *socket, e *event.Event) {
	if !s.opened {
		c.forget(s)
		return
	}
	if s.waiting != nil { // its addresses are all that there will be
		c.release(s, CauseClosed)
	}
	c.pass(s, e)
	c.forget(s)
}

// address takes in what a call has told, if it was not known.
func (c *Completer) address(e *event.Event) {
	s := c.sockets[e.Flow.Cookie]
	if s == nil || s.opened && s.waiting == nil && complete(&s.flow) {
		return // nobody needs it
	}
	if !mergeFlow(&s.flow, &e.Flow) {
		return
	}
	toItself(&s.flow)
	c.completed(s)
}

// completed releases a socket if it is complete now.
func (c *Completer) completed(s *socket) {
	if s.flying && s.opened {
		c.shared.flights.update(&s.flow)
	}
	if s.waiting != nil && complete(&s.flow) {
		c.release(s, causeNone)
	}
}

// inFlight as a descriptor stands for a message that carries one.
const inFlight = ^uint32(0)

// hold counts one more descriptor of a socket, which need not be open.
func (c *Completer) hold(e *event.Event) {
	s := c.sockets[e.Flow.Cookie]
	if s == nil {
		s = c.follow(e.Flow.Cookie)
	}
	s.holders++
	if e.FD == inFlight {
		s.flying = true
		c.shared.flights.add(c, s)
	}
}

// fail completes an attempt with what can be had at once.
func (c *Completer) fail(e *event.Event) {
	c.own(e)
	toItself(&e.Flow)
	s := c.sockets[e.Flow.Cookie]
	switch {
	case s != nil && s.waiting != nil:
		c.enqueue(s, e)
		return
	case s != nil && !s.opened:
		mergeFlow(&e.Flow, &s.flow)
	}
	c.stray(e)
}

func (c *Completer) describe(e *event.Event) {
	name := e.Owner
	o := c.owners.refresh(name, e.Flow.NetNS)
	if e.Flow.NetNS == 0 && o.netns != 0 {
		c.opts.Kernel.Locate(name, o.netns)
	}
	e.Owner, e.Flow.NetNS = o.id, o.netns
	if e.Process != nil {
		e.Process.ID = e.Owner
	}
	c.opts.Next(e)
}

// other events go on behind those that wait.
func (c *Completer) other(e *event.Event) {
	c.own(e)
	s := c.sockets[e.Flow.Cookie]
	switch {
	case s == nil:
		c.stray(e)
	case s.waiting != nil:
		c.enqueue(s, e)
	default:
		c.pass(s, e)
	}
}

// own says who the owner of an event is, and where.
func (c *Completer) own(e *event.Event) {
	o := c.owners.of(e.Owner)
	e.Owner = o.id
	if e.Flow.NetNS == 0 {
		e.Flow.NetNS = o.netns
	}
}

// stray passes on an event that has to be complete in itself.
func (c *Completer) stray(e *event.Event) {
	if e.Kind != event.KindLive && !complete(&e.Flow) {
		c.finish(&e.Flow, e.Owner.PID)
	}
	c.opts.Next(e)
}

// pass passes on an event of a socket that does not wait.
func (c *Completer) pass(s *socket, e *event.Event) {
	if s.opened && e.Kind != event.KindData && e.Kind != event.KindLive {
		e.Flow = s.flow
	}
	c.opts.Next(e)
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
func (c *Completer) follow(cookie uint64) *socket {
	if len(c.sockets) >= c.opts.Sockets {
		old := c.byAge.First()
		if old.waiting != nil {
			c.release(old, CauseEvicted)
		}
		c.stats.Evicted.Add(1)
		c.forget(old)
	}
	s := c.free.Take()
	if s == nil {
		s = &socket{}
	}
	*s = socket{holders: 1}
	s.flow.Cookie = cookie
	c.sockets[cookie] = s
	c.byAge.Append(&s.links, s)
	c.stats.Sockets.Add(1)
	return s
}

func (c *Completer) forget(s *socket) {
	if s.flying {
		c.shared.flights.drop(s.flow.Cookie)
	}
	if s.inode != (inode{}) {
		c.shared.inodes.drop(s.inode, s.flow.Cookie)
	}
	delete(c.sockets, s.flow.Cookie)
	c.byAge.Remove(&s.links)
	c.stats.Sockets.Add(-1)
	*s = socket{}
	c.free.Put(&s.links, s)
}
