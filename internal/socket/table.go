// Package socket turns the events of sockets into connections.
package socket

import (
	"fmt"
	"time"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/intrusive"
	"github.com/socketflow/socketflow/internal/peername"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/trace"
)

// Table tracks the connections of one shard. It is for one goroutine.
type Table struct {
	opts      Options
	sink      Sink
	reader    Describer
	processes *process.Table
	clock     Clock
	ended     endedCookies
	now       time.Time // of the last Tick
	stats     *Stats

	connections map[uint64]*connection                       // by cookie
	byUse       [event.Transports]intrusive.List[connection] // the one that was used least recently first, to within useStep
	free        intrusive.Free[connection]
	waiting     queue // for an accept, or for data that has arrived and has not been read
	ending      queue // closed by one end or both, for data events that may still come
	refused     refusals
	serial      uint64 // of the last connection or attempt
	unnamed     uint64 // attempts that failed before their socket had a cookie
	matches     map[*process.Info]uint64
	parsed      bool   // see Parsed
	evictedAt   uint64 // CLOCK_MONOTONIC, ns: when a connection had to make room last; 0: none had

	conversations *conversation.Shard
	databases     []bool // which of their protocols are those of databases

	identity trace.Identity

	out   Connection      // reused for every report
	begun trace.Beginning // reused
}

// connection is the state of one tracked connection.
type connection struct {
	table      *Table
	flow       event.Flow
	id         uint64
	serial     uint64
	pair       trace.Pair               // 0: not known, or not yet
	sequence   [event.Directions]uint32 // of position 0
	owner      *process.Info
	called     peername.Answer   // by DNS
	question   peername.Question // for called; At 0: it is settled
	started    uint64            // CLOCK_MONOTONIC, ns
	startedAt  int64             // Unix, ns
	openedAt   int64             // Unix, ns
	queued     uint64            // CLOCK_MONOTONIC, ns: since when it waits for its server to accept it; 0: not known
	acceptedAt int64             // Unix, ns; 0: not known
	seen       uint64            // CLOCK_MONOTONIC, ns: when it was last reported alive
	used       uint64            // CLOCK_MONOTONIC, ns: when it carried data, to within useStep
	missed     uint8             // how often in a row it was not
	existing   bool
	gap        bool
	opened     bool // the open has been emitted
	early      bool // a client's connection that carries bytes before the end of its handshake
	waiting    bool // for its accept
	ignored    bool // by the selection, or because it is own
	own        bool // its other end is a socket of this process
	settled    bool // whether it is own is sure
	closed     bool // it has ended, and waits to be emitted
	closedAt   uint64
	leftAt     uint64 // CLOCK_MONOTONIC, ns: when its owner closed its end; 0: that is not known
	leftFirst  bool   // before the other end did
	ending     event.Ending
	end        End
	layers     [layers]layer
	finishing  bool // its conversations are ended
	cut        bool // that has ended an exchange which had not been answered
	exchanges  uint64
	last       LastExchange // of them
	peer       owning
	counted    bool      // see Connection
	accounted  [2]uint64 // bytes that were followed, and lost, when it was reported last
	carried    carried
	segments   segments // TCP
	links      intrusive.Links[connection]
}

// Describer describes processes, as process.Reader does.
type Describer interface {
	Describe(process.Snapshot) *process.Info
}

// NewTable returns an empty table that emits to sink.
func NewTable(opts Options, reader Describer, sink Sink) (*Table, error) {
	if opts.Sockets < 1 {
		return nil, fmt.Errorf("socket table: capacity %d", opts.Sockets)
	}
	processes, err := process.NewTable(opts.Processes, processGrace)
	if err != nil {
		return nil, err
	}
	conversations := conversation.NewShard(opts.Conversations)
	return &Table{
		opts: opts, sink: sink, reader: reader, processes: processes,
		stats:         &Stats{Stats: conversations.Stats()},
		conversations: conversations,
		databases:     databases(&opts),
		identity:      trace.NewIdentity(opts.Seed),
		connections:   make(map[uint64]*connection),
		matches:       make(map[*process.Info]uint64),
	}, nil
}

// Stats of this table; safe to read at any time.
func (t *Table) Stats() *Stats { return t.stats }

// Tick corrects the clock and emits what has waited long enough.
func (t *Table) Tick(now Reading) {
	t.clock.Sync(now)
	wall, monotonic := now.Wall, now.After
	t.now = wall
	t.expire(monotonic - min(monotonic, uint64(acceptWait)))
	t.expireEnding(monotonic - min(monotonic, uint64(dataWait)))
	t.conversations.Tick(monotonic)
	t.processes.Expire(wall)
	t.stats.Tracked.Store(int64(len(t.connections)))
	t.stats.Processes.Store(int64(t.processes.Len()))
	exited, live := t.processes.Evicted()
	t.stats.EvictedExited.Store(exited)
	t.stats.EvictedLive.Store(live)
}

// Flush emits everything that waits, and what was under way at a time (CLOCK_MONOTONIC, ns). It is called when no more events will
// come.
func (t *Table) Flush(at uint64) {
	t.expire(^uint64(0))
	t.expireEnding(^uint64(0))
	for transport := range t.byUse {
		for c := t.byUse[transport].First(); c != nil; c = c.links.Next() {
			t.cut(c, at)
		}
	}
}

// Handle processes one event. Events of one socket must come in the order in which they happened, except that the accept
// of a connection may come after its close.
func (t *Table) Handle(e *event.Event) {
	switch e.Kind {
	case event.KindData:
		t.data(e)
	case event.KindProcess:
		t.describe(e)
	case event.KindExit:
		t.processes.Exited(e.Owner, t.now)
		if t.opts.Instrumented != nil {
			t.opts.Instrumented.End(e.Owner)
		}
	case event.KindOpen:
		t.open(e)
	case event.KindAccept:
		t.accept(e)
	case event.KindClose:
		t.close(e)
	case event.KindPeerClose:
		t.peerClose(e)
	case event.KindLocalClose:
		t.leave(e)
	case event.KindFail:
		t.fail(e)
	case event.KindConnectError:
		t.connectError(e)
	case event.KindExisting:
		t.adopt(e)
	case event.KindLive:
		t.alive(e)
	}
}
