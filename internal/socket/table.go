package socket

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/list"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/splitmix"
)

// Options of a Table.
type Options struct {
	Sockets   int // connections followed at once; the oldest gives way
	Processes int // processes remembered at once
	Selection *selection.Selection
	// Judge tells the kernel which selection rules a process meets. It is only called with a Selection that is not
	// empty.
	Judge func(id process.ID, generation uint32, rules uint64)

	// Protocols are looked for in what connections carry, the first that recognises its own is taken. None: data is
	// ignored.
	Protocols []protocol.Protocol
	Settings  protocol.Settings
	// Want tells the kernel what is wanted of a connection's data. It is only called with Protocols.
	Want func(cookie uint64, w event.Want)
	// PayloadLimit and PayloadRun bound how much is captured of a call, and of a run of calls in one direction, once the
	// protocol is known; bytes.
	PayloadLimit, PayloadRun uint32
}

const (
	// acceptWait is how long a connection waits to be accepted before it is told under its listener's owner. A close
	// waits as long for its accept: accept hands out connections that have already been reset.
	acceptWait = time.Second
	// processGrace is how long an ended process is remembered: its last connections may take their time to close.
	processGrace = 2 * time.Minute
	// dataWait is how long the end of a conversation waits for the data that came before it: the hook that tells of data
	// runs behind the transfer, and another CPU may have closed the connection in between.
	dataWait = 50 * time.Millisecond
)

// Stats counts what a Table did. It may be read while the table works.
type Stats struct {
	Opened, Closed, Failed atomic.Uint64 // connections told
	Unaccepted             atomic.Uint64 // of these, told under the owner of their listener
	Tracked                atomic.Int64  // connections followed now
	TrackedBy              [event.Transports]atomic.Int64
	Processes              atomic.Int64  // processes remembered now
	EvictedFull            atomic.Uint64 // connections forgotten: the table was full
	EvictedLost            atomic.Uint64 // connections forgotten: the kernel's report of their close was lost
	EvictedExited          atomic.Uint64 // ended processes forgotten early: the table was full
	EvictedLive            atomic.Uint64 // living processes forgotten: the table was full

	Exchanges    []atomic.Uint64 // told, by the index of their protocol in Options.Protocols
	Troubles     [protocol.Troubles]atomic.Uint64
	Recognised   atomic.Uint64 // conversations whose protocol was found
	Unrecognised atomic.Uint64 // conversations that were given up: they speak nothing that is parsed
	Payload      atomic.Uint64 // bytes captured
	Skipped      atomic.Uint64 // bytes not captured that the parser had no need of
	Truncated    atomic.Uint64 // bytes not captured of what was wanted: a bound bit, or their memory could not be read
	Lost         atomic.Uint64 // bytes lost of what was wanted
	Overlapping  atomic.Uint64 // bytes dropped: threads used one direction at once, their order is not known
	Strays       atomic.Uint64 // data events of connections that are not followed
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
	byAge       list.List[connection]
	free        list.Free[connection]
	waiting     queue // for an accept, or for data that has arrived and has not been received
	ending      queue // for data that was transferred before the end
	refused     refusals
	unnamed     uint64 // attempts that failed before their socket had a cookie
	matches     map[*process.Info]uint64

	out Connection // reused for every report
}

// connection is what is remembered of an open one.
type connection struct {
	flow      event.Flow
	id        uint64
	owner     *process.Info
	started   uint64 // CLOCK_MONOTONIC, ns
	startedAt int64  // Unix, ns
	openedAt  int64  // Unix, ns
	seen      uint64 // CLOCK_MONOTONIC, ns: when it was last known to exist
	existing  bool
	gap       bool
	opened    bool // its open has been told
	waiting   bool // for its accept
	ignored   bool // by the selection
	closed    bool // while it waited
	closedAt  uint64
	ending    event.Ending
	end       End
	talk      *conversation // nil: its data is not followed
	exchanges uint64
	links     list.Links[connection]
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
		opts: opts, sink: sink, reader: reader, processes: processes,
		stats:       &Stats{Exchanges: make([]atomic.Uint64, len(opts.Protocols))},
		connections: make(map[uint64]*connection),
		matches:     make(map[*process.Info]uint64),
	}, nil
}

// Stats of this table; safe to read at any time.
func (t *Table) Stats() *Stats { return t.stats }

// Tick passes time: it corrects the clock, and tells of what has waited long enough. The clocks are read as for Clock.Sync.
func (t *Table) Tick(before uint64, wall time.Time, monotonic uint64) {
	t.clock.Sync(before, wall, monotonic)
	t.now = wall
	t.expire(monotonic - min(monotonic, uint64(acceptWait)))
	t.expireEnding(monotonic - min(monotonic, uint64(dataWait)))
	t.processes.Expire(wall)
	t.stats.Tracked.Store(int64(len(t.connections)))
	t.stats.Processes.Store(int64(t.processes.Len()))
	exited, live := t.processes.Evicted()
	t.stats.EvictedExited.Store(exited)
	t.stats.EvictedLive.Store(live)
}

// Flush tells of everything that waits, for nothing more will come.
func (t *Table) Flush() {
	t.expire(^uint64(0))
	t.expireEnding(^uint64(0))
	for c := t.byAge.First(); c != nil; c = c.links.Next() {
		t.abandon(c)
	}
}

// Handle takes in one event. Events of one socket come in the order in which they happened, except that the accept of a
// connection may come after its close.
func (t *Table) Handle(e *event.Event) {
	switch e.Kind {
	case event.KindData:
		t.data(e)
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
	case event.KindPeerClose:
		t.peerClose(e)
	case event.KindFail:
		t.fail(e)
	case event.KindConnectError:
		t.connectError(e)
	case event.KindExisting:
		t.adopt(e)
	case event.KindLive:
		if c := t.connections[e.Flow.Cookie]; c != nil {
			c.seen = e.Time
			if c.flow.Transport != event.TCP {
				c.ending = e.Ending
			}
		}
	}
}

// Forget drops the connections that were opened before monotonic and have not been reported alive since: their close
// was lost.
func (t *Table) Forget(monotonic uint64) {
	for c := t.byAge.First(); c != nil; {
		next := c.links.Next()
		switch {
		case c.seen >= monotonic || c.closed:
		case c.flow.Transport != event.TCP: // where neither end waits for the other's, nothing else tells
			c.closed, c.closedAt = true, c.seen
			t.tellClosed(c)
		default:
			t.stats.EvictedLost.Add(1)
			t.abandon(c)
			t.remove(c)
		}
		c = next
	}
}

// data is also the proof of who has accepted a connection, should that not have been seen.
func (t *Table) data(e *event.Event) {
	c := t.connections[e.Flow.Cookie]
	if c == nil {
		t.stats.Strays.Add(1)
		if len(t.opts.Protocols) > 0 {
			t.opts.Want(e.Flow.Cookie, nothing)
		}
		return
	}
	if c.waiting && !c.closed {
		t.accepted(c, e.Owner)
	}
	switch {
	case c.ignored:
		t.opts.Want(e.Flow.Cookie, nothing)
	case c.talk != nil:
		c.talk.data(e)
	}
	if c.closed && !c.waiting && c.ending.Unread > 0 {
		c.ending.Unread -= min(c.ending.Unread, e.Data.Length)
		if c.ending.Unread == 0 {
			t.tellClosed(c)
		}
	}
}

var nothing = event.Want{Until: [event.Directions]uint64{event.Never, event.Never}}

func (t *Table) want(v *conversation) { t.opts.Want(v.connection.flow.Cookie, v.wanted) }

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
	c.existing = e.Existing
	if e.Flow.Role == event.RoleServer && e.Flow.Transport == event.TCP {
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
	t.accepted(c, e.Owner)
}

func (t *Table) accepted(c *connection, owner process.ID) {
	c.owner = t.owner(owner)
	c.waiting = false
	c.ignored = !t.observes(c.owner, &c.flow)
	if !c.opened {
		t.tellOpened(c)
	}
	if c.closed && !t.awaitsData(c) {
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
	c.end = endOf(&c.ending)
	switch {
	case e.Flow.Transport == event.UDP:
		c.end = End{Way: WayIdle}
	case e.Kind == event.KindPeerClose:
		c.end = End{WayFIN, SideLocal}
	case e.Flow.Transport == event.UnixStream:
		c.end = End{WayFIN, SideRemote}
	}
	switch {
	case c.waiting:
		t.waiting.push(waiter{e.Flow.Cookie, e.Time})
	case !t.awaitsData(c):
		t.tellClosed(c)
	case c.ending.Unread > 0:
		t.waiting.push(waiter{e.Flow.Cookie, e.Time})
	default:
		t.ending.push(waiter{e.Flow.Cookie, e.Time})
	}
}

// peerClose is the end of a connection within the host, as the other end has seen it.
func (t *Table) peerClose(e *event.Event) {
	c := t.connections[e.Flow.Cookie]
	if c == nil || c.closed {
		return // it has not been used, or has seen the end itself
	}
	t.close(e)
}

// awaitsData says whether there may be more data of a connection that has been closed.
func (t *Table) awaitsData(c *connection) bool {
	if c.talk == nil || c.talk.mute || c.ignored || (c.ending.BytesSent == 0 && c.ending.BytesReceived == 0) {
		return false
	}
	// What this side has not received when it resets the connection it never will.
	if c.end == (End{WayRST, SideLocal}) {
		c.ending.Unread = 0
	}
	return true
}

// expireEnding tells of the conversations that ended before monotonic.
func (t *Table) expireEnding(monotonic uint64) {
	for {
		w, ok := t.ending.popBefore(monotonic)
		if !ok {
			return
		}
		if c := t.connections[w.cookie]; c != nil && c.closed && c.closedAt == w.time {
			t.tellClosed(c)
		}
	}
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
	t.tellFailed(e, e.Flow.Cookie)
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
	if e.Started == 0 {
		e.Started = e.Time
	}
	if e.Flow.AddressSource == event.AddressSourceSock { // which does not know any more where it was to go
		e.Flow.AddressSource = event.AddressSourceConnect
	}
	t.tellFailed(e, cookie)
}

// add begins to follow the connection of e. Whatever was known under its cookie is over.
func (t *Table) add(e *event.Event) *connection {
	if old := t.connections[e.Flow.Cookie]; old != nil {
		if old.closed && !old.waiting {
			t.tellClosed(old)
		} else {
			t.abandon(old)
			t.remove(old)
		}
	}
	if len(t.connections) >= t.opts.Sockets {
		t.evict(t.byAge.First())
	}
	c := t.free.Take()
	if c == nil {
		c = &connection{}
	}
	owner := t.owner(e.Owner)
	talk := c.talk // of the connection that was remembered here before: its memory
	*c = connection{
		flow: e.Flow, owner: owner, id: identity(e.Flow.Cookie, e.Started), seen: e.Time,
		ignored: !t.observes(owner, &e.Flow),
	}
	if len(t.opts.Protocols) > 0 && e.Flow.Transport != event.UDP {
		if talk == nil {
			talk = &conversation{}
		}
		*talk = conversation{table: t, connection: c, joined: e.Existing}
		c.talk = talk
	}
	t.connections[e.Flow.Cookie] = c
	t.stats.TrackedBy[e.Flow.Transport].Add(1)
	t.byAge.Append(&c.links, c)
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
	t.abandon(c)
	t.remove(c)
}

// abandon ends the conversation of a connection that is not followed any more.
func (t *Table) abandon(c *connection) {
	if c.talk != nil && !c.ignored {
		c.talk.abandon(c.seen)
	}
}

func (t *Table) remove(c *connection) {
	delete(t.connections, c.flow.Cookie)
	t.stats.TrackedBy[c.flow.Transport].Add(-1)
	t.byAge.Remove(&c.links)
	*c = connection{talk: c.talk}
	t.free.Put(&c.links, c)
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
	if c.talk != nil && !c.ignored {
		c.talk.end(&c.ending, c.closedAt, c.errno())
	}
	if !c.ignored {
		t.stats.Closed.Add(1)
		t.fill(c)
		t.out.EndedAt = t.clock.Unix(c.closedAt)
		if c.started != 0 && c.closedAt >= c.started {
			t.out.EndedAt = c.startedAt + int64(c.closedAt-c.started)
		}
		t.out.End = c.end
		t.out.Errno = c.ending.Errno
		t.out.Stats = c.ending
		t.sink.Closed(&t.out)
	}
	t.remove(c)
}

// errno is the number of the error that ended a connection, 0 if none did.
func (c *connection) errno() uint32 {
	if c.end == (End{WayRST, SideRemote}) {
		return errnoConnReset
	}
	return c.ending.Errno
}

func (t *Table) fill(c *connection) {
	t.out = Connection{
		ID: c.id, Process: c.owner, Local: c.flow.Local, Remote: c.flow.Remote, NetNS: c.flow.NetNS,
		Transport: c.flow.Transport, Unix: c.flow.Unix,
		Role: c.flow.Role, RoleSource: c.flow.RoleSource, AddressSource: c.flow.AddressSource, StartedAt: c.startedAt,
		OpenedAt: c.openedAt, Exchanges: c.exchanges,
	}
	switch {
	case c.existing:
		t.out.Capture = CaptureJoinedMidstream
	case c.gap:
		t.out.Capture = CaptureGap
	}
}

func (t *Table) tellFailed(e *event.Event, cookie uint64) {
	owner := t.owner(e.Owner)
	if !t.observes(owner, &e.Flow) {
		return
	}
	t.stats.Failed.Add(1)
	t.out = Connection{
		ID: identity(cookie, e.Started), Process: owner, Local: e.Flow.Local, Remote: e.Flow.Remote,
		NetNS: e.Flow.NetNS, Role: e.Flow.Role, RoleSource: e.Flow.RoleSource, AddressSource: e.Flow.AddressSource,
		EndedAt: t.clock.Unix(e.Time), End: endOfAttempt(&e.Ending), Errno: e.Ending.Errno, Stats: e.Ending,
	}
	t.out.StartedAt = t.out.EndedAt - int64(e.Time-min(e.Started, e.Time))
	t.sink.Failed(&t.out)
}

// identity names a connection: its socket, and when it was begun, for a socket can connect again.
func identity(cookie, started uint64) uint64 {
	return splitmix.Mix(cookie ^ splitmix.Mix(started)) // a bijection of each
}
