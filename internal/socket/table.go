package socket

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/selection"
)

// Options of a Table.
type Options struct {
	Sockets   int // connections followed at once; the oldest gives way
	Processes int // processes remembered at once
	Selection *selection.Selection
	// Judge tells the kernel which selection rules a process meets. It is only called with a Selection that is not
	// empty.
	Judge func(id process.ID, generation uint32, rules uint64)
}

const (
	// acceptWait is how long a connection waits to be accepted before it is told under its listener's owner. A close
	// waits as long for its accept: accept hands out connections that have already been reset.
	acceptWait = time.Second
	// processGrace is how long an ended process is remembered: its last connections may take their time to close.
	processGrace = 2 * time.Minute
)

// Stats counts what a Table did. It may be read while the table works.
type Stats struct {
	Opened, Closed, Failed atomic.Uint64 // connections told
	Unaccepted             atomic.Uint64 // of these, told under the owner of their listener
	Tracked                atomic.Int64  // connections followed now
	Processes              atomic.Int64  // processes remembered now
	EvictedFull            atomic.Uint64 // connections forgotten: the table was full
	EvictedLost            atomic.Uint64 // connections forgotten: the kernel's report of their close was lost
	EvictedExited          atomic.Uint64 // ended processes forgotten early: the table was full
	EvictedLive            atomic.Uint64 // living processes forgotten: the table was full
}

// Table follows the connections of one shard. It is for one goroutine.
type Table struct {
	opts      Options
	sink      Sink
	reader    *process.Reader
	processes *process.Table
	clock     Clock
	now       time.Time // of the last Tick
	stats     *Stats

	connections map[uint64]*connection // by cookie
	oldest      list
	free        *connection
	waiting     queue
	refused     refusals
	unnamed     uint64 // attempts that failed before their socket had a cookie
	matches     map[*process.Info]uint64

	out Connection // reused for every report
}

// connection is what is remembered of an open one.
type connection struct {
	flow       event.Flow
	id         uint64
	owner      *process.Info
	started    uint64 // CLOCK_MONOTONIC, ns
	startedAt  int64  // Unix, ns
	openedAt   int64  // Unix, ns
	seen       uint64 // CLOCK_MONOTONIC, ns: when it was last known to exist
	existing   bool
	gap        bool
	opened     bool // its open has been told
	waiting    bool // for its accept
	ignored    bool // by the selection
	closed     bool // while it waited
	closedAt   uint64
	ending     event.Ending
	prev, next *connection // by age
}

// NewTable returns an empty table that tells sink.
func NewTable(opts Options, reader *process.Reader, sink Sink) (*Table, error) {
	if opts.Sockets < 1 {
		return nil, fmt.Errorf("socket table: capacity %d", opts.Sockets)
	}
	processes, err := process.NewTable(opts.Processes, processGrace)
	if err != nil {
		return nil, err
	}
	return &Table{
		opts: opts, sink: sink, reader: reader, processes: processes, stats: &Stats{},
		connections: make(map[uint64]*connection),
		matches:     make(map[*process.Info]uint64),
	}, nil
}

// Stats of this table; safe to read at any time.
func (t *Table) Stats() *Stats { return t.stats }

// Tick passes time: it corrects the clock, and tells of what has waited long enough. monotonic and wall are one
// reading of both clocks.
func (t *Table) Tick(monotonic uint64, wall time.Time) {
	t.clock.Sync(monotonic, wall)
	t.now = wall
	t.expire(monotonic - min(monotonic, uint64(acceptWait)))
	t.processes.Expire(wall)
	t.stats.Tracked.Store(int64(len(t.connections)))
	t.stats.Processes.Store(int64(t.processes.Len()))
	exited, live := t.processes.Evicted()
	t.stats.EvictedExited.Store(exited)
	t.stats.EvictedLive.Store(live)
}

// Flush tells of everything that waits, for nothing more will come.
func (t *Table) Flush() { t.expire(^uint64(0)) }

// Handle takes in one event. Events of one socket come in the order in which they happened, except that the accept of a
// connection may come after its close.
func (t *Table) Handle(e *event.Event) {
	switch e.Kind {
	case event.KindProcess:
		t.describe(e)
	case event.KindExit:
		t.processes.Exited(e.Owner, t.now)
	case event.KindOpen:
		t.open(e)
	case event.KindAccept:
		t.accept(e)
	case event.KindClose:
		t.close(e)
	case event.KindFail:
		t.fail(e)
	case event.KindConnectError:
		t.connectError(e)
	case event.KindExisting:
		t.adopt(e)
	case event.KindLive:
		if c := t.connections[e.Flow.Cookie]; c != nil {
			c.seen = e.Time
		}
	}
}

// Forget drops the connections that were opened before monotonic and have not been reported alive since: their close
// was lost.
func (t *Table) Forget(monotonic uint64) {
	for c := t.oldest.first; c != nil; {
		next := c.next
		if c.seen < monotonic && !c.closed {
			t.stats.EvictedLost.Add(1)
			t.remove(c)
		}
		c = next
	}
}

func (t *Table) describe(e *event.Event) {
	info := t.reader.Describe(*e.Process)
	t.processes.Add(info)
	t.judge(info, e.Generation)
}

func (t *Table) judge(info *process.Info, generation uint32) {
	if !t.opts.Selection.Empty() {
		t.opts.Judge(info.ID, generation, t.rules(info))
	}
}

// maxMatches bounds the cache of rules: past it everything is matched anew.
const maxMatches = 4096

func (t *Table) rules(info *process.Info) uint64 {
	matches, known := t.matches[info]
	if !known {
		if len(t.matches) >= maxMatches {
			clear(t.matches)
		}
		matches = t.opts.Selection.Process(info)
		t.matches[info] = matches
	}
	return matches
}

func (t *Table) observes(owner *process.Info, f *event.Flow) bool {
	return t.opts.Selection.Empty() || t.opts.Selection.Observes(t.rules(owner), f)
}

// owner finds the process of an event. One that the kernel has not described is older than the capture: /proc knows it.
func (t *Table) owner(id process.ID) *process.Info {
	if info, known := t.processes.Get(id); known {
		return info
	}
	info := t.reader.Describe(process.Snapshot{ID: id})
	t.processes.Add(info)
	if id.PID != 0 {
		t.judge(info, 0)
	}
	return info
}

func (t *Table) open(e *event.Event) {
	c := t.add(e)
	c.started = e.Started
	c.startedAt = t.clock.Unix(e.Started)
	c.openedAt = c.startedAt + int64(e.Time-min(e.Started, e.Time))
	if e.Flow.Role == event.RoleServer {
		c.waiting = true
		t.waiting.push(waiter{e.Flow.Cookie, e.Time})
		return
	}
	t.tellOpened(c)
}

func (t *Table) accept(e *event.Event) {
	c := t.connections[e.Flow.Cookie]
	if c == nil { // its open was lost, or left out because of its listener
		c = t.add(e)
		c.gap = t.opts.Selection.Empty()
		c.started = e.Time
		c.startedAt = t.clock.Unix(e.Time)
		c.openedAt = c.startedAt
	}
	c.owner = t.owner(e.Owner)
	c.waiting = false
	c.ignored = !t.observes(c.owner, &c.flow)
	if !c.opened {
		t.tellOpened(c)
	}
	if c.closed {
		t.tellClosed(c)
	}
}

func (t *Table) adopt(e *event.Event) {
	if e.Ending.LastState == event.StateSynSent {
		return // it will be opened, or fail
	}
	c := t.add(e)
	c.existing = true
	c.startedAt = t.clock.Unix(e.Time)
	c.openedAt = c.startedAt
	t.tellOpened(c)
}

func (t *Table) close(e *event.Event) {
	c := t.connections[e.Flow.Cookie]
	if c == nil { // its open was lost, or it had to give way
		c = t.add(e)
		c.existing = e.Existing
		c.gap = !e.Existing
		c.started = e.Started
		c.startedAt = t.clock.Unix(e.Time)
		if e.Started != 0 {
			c.startedAt = t.clock.Unix(e.Started)
			c.openedAt = c.startedAt + int64(e.Established-min(e.Started, e.Established))
		}
		c.opened = true
		if e.Flow.RoleSource == event.RoleSourceAccept {
			t.stats.Unaccepted.Add(1)
		}
	}
	c.closed = true
	c.closedAt = e.Time
	c.ending = e.Ending
	if c.waiting {
		t.waiting.push(waiter{e.Flow.Cookie, e.Time})
		return
	}
	t.tellClosed(c)
}

// expire tells under their listener's owner of the connections that were opened or closed before monotonic and still
// wait for their accept.
func (t *Table) expire(monotonic uint64) {
	for {
		w, ok := t.waiting.popBefore(monotonic)
		if !ok {
			return
		}
		c := t.connections[w.cookie]
		if c == nil {
			continue
		}
		if c.waiting && !c.opened {
			t.stats.Unaccepted.Add(1)
			t.tellOpened(c)
		}
		// Opened earlier than it was closed: the close has a place of its own in the queue.
		if c.closed && c.closedAt <= w.time {
			t.tellClosed(c)
		}
	}
}

func (t *Table) fail(e *event.Event) {
	t.refused.add(e.Flow.Cookie)
	t.tellFailed(e, e.Flow.Cookie, AddressSourceSock)
}

// connectError is an error that connect returned. If the connection was refused while connect waited, the socket's own
// report has come before.
func (t *Table) connectError(e *event.Event) {
	if e.Flow.Cookie != 0 && t.refused.take(e.Flow.Cookie) {
		return
	}
	cookie := e.Flow.Cookie
	if cookie == 0 {
		t.unnamed++
		cookie = t.unnamed << 32 // cookies count up from 1
	}
	e.Started = e.Time
	t.tellFailed(e, cookie, AddressSourceConnect)
}

// add begins to follow the connection of e. Whatever was known under its cookie is over.
func (t *Table) add(e *event.Event) *connection {
	if old := t.connections[e.Flow.Cookie]; old != nil {
		t.remove(old)
	}
	if len(t.connections) >= t.opts.Sockets {
		t.evict(t.oldest.first)
	}
	c := t.free
	if c == nil {
		c = &connection{}
	} else {
		t.free = c.next
	}
	owner := t.owner(e.Owner)
	*c = connection{
		flow: e.Flow, owner: owner, id: identity(e.Flow.Cookie, e.Started), seen: e.Time,
		ignored: !t.observes(owner, &e.Flow),
	}
	t.connections[e.Flow.Cookie] = c
	t.oldest.append(c)
	return c
}

// evict makes room. Of a connection that waits for its accept, what is known is told.
func (t *Table) evict(c *connection) {
	if c.waiting && !c.opened {
		t.stats.Unaccepted.Add(1)
		t.tellOpened(c)
	}
	if c.closed {
		t.tellClosed(c)
		return
	}
	t.stats.EvictedFull.Add(1)
	t.remove(c)
}

func (t *Table) remove(c *connection) {
	delete(t.connections, c.flow.Cookie)
	t.oldest.remove(c)
	*c = connection{next: t.free}
	t.free = c
}

func (t *Table) tellOpened(c *connection) {
	c.opened = true
	if c.ignored {
		return
	}
	t.stats.Opened.Add(1)
	t.fill(c)
	t.sink.Opened(&t.out)
}

func (t *Table) tellClosed(c *connection) {
	if !c.ignored {
		t.stats.Closed.Add(1)
		t.fill(c)
		t.out.EndedAt = t.clock.Unix(c.closedAt)
		if c.started != 0 && c.closedAt >= c.started {
			t.out.EndedAt = c.startedAt + int64(c.closedAt-c.started)
		}
		t.out.End = endOf(&c.ending)
		t.out.Errno = c.ending.Errno
		t.out.Stats = c.ending
		t.sink.Closed(&t.out)
	}
	t.remove(c)
}

func (t *Table) fill(c *connection) {
	t.out = Connection{
		ID: c.id, Process: c.owner, Local: c.flow.Local, Remote: c.flow.Remote, NetNS: c.flow.NetNS,
		Role: c.flow.Role, RoleSource: c.flow.RoleSource, AddressSource: AddressSourceSock, StartedAt: c.startedAt,
		OpenedAt: c.openedAt,
	}
	switch {
	case c.existing:
		t.out.Capture = CaptureJoinedMidstream
	case c.gap:
		t.out.Capture = CaptureGap
	}
}

func (t *Table) tellFailed(e *event.Event, cookie uint64, source AddressSource) {
	owner := t.owner(e.Owner)
	if !t.observes(owner, &e.Flow) {
		return
	}
	t.stats.Failed.Add(1)
	t.out = Connection{
		ID: identity(cookie, e.Started), Process: owner, Local: e.Flow.Local, Remote: e.Flow.Remote,
		NetNS: e.Flow.NetNS, Role: e.Flow.Role, RoleSource: e.Flow.RoleSource, AddressSource: source,
		EndedAt: t.clock.Unix(e.Time), End: endOfAttempt(&e.Ending), Errno: e.Ending.Errno, Stats: e.Ending,
	}
	t.out.StartedAt = t.out.EndedAt - int64(e.Time-min(e.Started, e.Time))
	t.sink.Failed(&t.out)
}

// identity names a connection: its socket, and when it was begun, for a socket can connect again.
func identity(cookie, started uint64) uint64 {
	// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014) over both,
	// a bijection of each.
	x := cookie ^ mix(started)
	return mix(x)
}

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
