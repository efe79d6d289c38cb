package trace

import (
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/splitmix"
)

// ExchangeKey identifies an exchange at one end of its connection, on this host.
type ExchangeKey struct {
	Socket uint64 // the socket's cookie
	Serial uint64 // of the connection, in its shard
	ID     uint64 // of the exchange, in its connection
}

// Beginning is what is known of an exchange at one end when its request has begun.
type Beginning struct {
	ExchangeKey
	IDs      Exchange
	OtherEnd End    // 0: it is not known
	At       uint64 // CLOCK_MONOTONIC, ns: its first byte was transferred
	Position uint64 // of that byte
	Cause    event.Cause
	Process  uint64 // where the first byte was sent or received
	Thread   uint32
	// Goroutine is of the call that was parsed last then.
	Goroutine event.Goroutine
	// Interleaved: others of the connection may begin before this request has ended, which Requested notes.
	Interleaved bool
	// Immediate: the event loop of the program acts on what it has received before it receives more.
	Immediate bool
	// Gathers: but not on Interleaved requests.
	Gathers bool
	// Content identifies what was asked for, if the program is a proxy that asks for the same. 0: it is none, or that is not known.
	Content uint64
	// Spans says whether a span is emitted of it.
	Spans Spans
}

// Spans says whether a span is emitted of an exchange: not if the process makes one itself.
type Spans uint8

// The choices.
const (
	SpanAlways      Spans = iota
	SpanUnlessNamed       // unless the request carries a trace context, which names the span that the process has made
	SpanNever
)

// Answer is what is known of an exchange when it has ended.
type Answer struct {
	First, End uint64 // positions of the answer's first byte and behind its last one; both 0: there was none
	Began      uint64 // CLOCK_MONOTONIC, ns: when the first byte of the answer was transferred; 0: there was none
	At         uint64 // CLOCK_MONOTONIC, ns: the end
}

// Context is a trace context of the wire: the sender's span, and its trace.
type Context struct {
	Trace [16]byte
	Span  [8]byte
	Flags uint8
	State sampling.State
}

// Carried is what a request carries.
type Carried struct {
	Context
	Tracestate string // of the context, as a whole
	RequestID  uint64 // a hash of it; 0: there is none
}

func (c *Context) valid() bool { return c.Span != [8]byte{} }

// Exchanges are those of this host that are under way or were until lately: the other end or the cause of an exchange is among them. It is
// safe for concurrent use.
type Exchanges struct {
	parts      [parts]exchangesPart // by socket
	asking     [parts]askingPart    // by span id
	readers    [parts]readersPart   // by goroutine
	serving    [parts]servingPart   // by process
	requestIDs *requestIDs          // nil: they are of no interest
	numbers    [parts]numbersPart   // by process
	proxies    proxies
	ends       *Ends
	trusted    Sources
	settled    func(at uint64) bool
	// trustsNames, see TrustNames.
	trustsNames bool
	most        int64
	count       atomic.Int64
	underWay    atomic.Int64 // of them, and not for long
	forgotten   atomic.Uint64
	unsettled   atomic.Uint64
}

// exchangesPart has its exchanges in the order in which they began. Each has a number that counts up from 1.
type exchangesPart struct {
	mu          sync.Mutex
	states      map[ExchangeKey]string // the tracestates of those that have one; in the nodes the garbage collector would look at all of them
	ring        []node                 // a power of two of them
	first, next uint64                 // numbers
	byKey       map[ExchangeKey]uint64
	chains      map[uint64]chain  // by socket
	long        map[uint64][]node // by socket: those that have been under way for so long that they are not in the ring any more
}

// chain is the exchanges of a socket that are in the ring.
type chain struct {
	last     uint64 // number of the one that began last
	underWay int
}

// enough is how many exchanges of one socket that are under way are remembered when half of the room is taken by those that are.
const enough = 64

// askingPart has the ends that asked, by the span ids that both ends know.
type askingPart struct {
	mu    sync.Mutex
	byIDs map[[8]byte]ExchangeKey
	apart *simplelru.LRU[[8]byte, struct{}] // those whose other end was emitted before they had begun
}

// mostApart bounds these.
const mostApart = 4096

// node is one exchange at one end.
type node struct {
	Beginning
	answer    Answer
	end       uint64 // position behind the request's last byte; 0: it has not ended, or is not Interleaved
	wire      Context
	before    uint64 // number of the one of the same socket that began before
	far       uint64 // number of one that began long before, or of before; see link
	depth     uint64 // how many of the socket began before
	requestID uint64 // a hash of it; 0: there is none
	serving   uint64 // its number among the requests that the process has received; 0: it has sent this one
	fixed     bool   // its ids have been given to others, or emitted
	gone      bool   // nothing is emitted of it
	resolved  bool
	parent    Parent
}

// NewExchanges returns a table that remembers so many exchanges, and takes evidence of trusted kinds for a parent. ends are those that are observed.
// settled says whether all that happened before a time (CLOCK_MONOTONIC, ns) has been handled.
func NewExchanges(most int, ends *Ends, trusted Sources, settled func(at uint64) bool) (*Exchanges, error) {
	e := &Exchanges{ends: ends, trusted: trusted, settled: settled, most: int64(most)}
	for i := range e.parts {
		e.parts[i] = exchangesPart{
			ring: make([]node, minRing), first: 1, next: 1, states: make(map[ExchangeKey]string), byKey: make(map[ExchangeKey]uint64), chains: make(map[uint64]chain), long: make(map[uint64][]node),
		}
		e.asking[i].byIDs = make(map[[8]byte]ExchangeKey)
		known, err := simplelru.NewLRU[reader, *readings](most/parts+1, nil)
		if err != nil {
			return nil, err
		}
		e.readers[i].known = known
		if e.asking[i].apart, err = simplelru.NewLRU[[8]byte, struct{}](mostApart/parts, nil); err != nil {
			return nil, err
		}
		if e.numbers[i].known, err = simplelru.NewLRU[uint64, *numbers](mostNumbers/parts, nil); err != nil {
			return nil, err
		}
		if e.serving[i].known, err = simplelru.NewLRU[uint64, *serving](mostServing/parts, nil); err != nil {
			return nil, err
		}
	}
	if trusted.Has(SourceRequestID) {
		e.requestIDs = new(requestIDs)
	}
	var err error
	e.proxies.known, err = simplelru.NewLRU[uint64, *forwards](mostForwards, nil)
	return e, err
}

// TrustNames has a request whose other end is observed, but not known, be the child of what its trace context names: processes that make spans themselves
// have no others, and the other end may be one of them. It is called before all else.
func (e *Exchanges) TrustNames() { e.trustsNames = true }

// Forgotten is how many exchanges were forgotten before their time, because others needed the room.
func (e *Exchanges) Forgotten() uint64 { return e.forgotten.Load() }

// Unsettled is how many exchanges may lack a parent, because it was sought before all that had happened before them was handled.
func (e *Exchanges) Unsettled() uint64 { return e.unsettled.Load() }

func (e *Exchanges) part(socket uint64) *exchangesPart {
	return &e.parts[splitmix.Finalize(socket)%parts]
}

func (e *Exchanges) askingPart(span [8]byte) *askingPart { return &e.asking[span[0]%parts] }

// Begin notes that the request of an exchange has begun. added is false if there is no room: nothing is known of it then until it ends.
func (e *Exchanges) Begin(b *Beginning) (added bool) {
	n := node{Beginning: *b}
	e.noteNumbers(b.Process, &b.Goroutine, b.At)
	e.noteForward(b)
	if !b.IDs.Asks {
		n.serving = e.beginServing(b)
	}
	p := e.part(b.Socket)
	p.mu.Lock()
	added = e.add(p, &n)
	p.mu.Unlock()
	if !added {
		if n.serving != 0 {
			e.endServing(n.Process, n.serving, b.At)
		}
		return false
	}
	e.noteAsking(&b.IDs, b.ExchangeKey)
	if !b.IDs.Asks {
		e.noteReader(b)
	}
	return true
}

// End notes the end of an exchange, and returns its ids: those that it has been given in the meantime if others know them, else what both ends know
// by now; and whether no span is emitted of it. It begins an exchange that has not begun.
func (e *Exchanges) End(b *Beginning, wire Context, a *Answer) (ids Exchange, unspanned bool) {
	p := e.part(b.Socket)
	p.mu.Lock()
	n := p.find(b.ExchangeKey)
	if n == nil {
		if !e.add(p, &node{Beginning: *b}) {
			p.mu.Unlock()
			return b.IDs, (&node{Beginning: *b, wire: wire}).unspanned()
		}
		n = p.find(b.ExchangeKey)
	}
	if !n.fixed {
		e.unnoteAsking(&n.IDs, &b.IDs)
		n.IDs = b.IDs
	}
	e.end(p, n, a)
	n.wire, n.fixed = wire, true
	if n.requestID != 0 && !n.IDs.Asks {
		e.requestIDs.end(n)
	}
	process, serving := n.Process, n.serving
	ids, unspanned = n.IDs, n.unspanned()
	p.mu.Unlock()
	if serving != 0 {
		e.endServing(process, serving, a.At)
	}
	e.noteAsking(&ids, b.ExchangeKey)
	return ids, unspanned
}

// unspanned reports whether no span is emitted of an exchange.
func (n *node) unspanned() bool {
	return n.Spans == SpanNever || n.Spans == SpanUnlessNamed && n.wire.valid()
}

// IDs are those of an exchange that has begun.
func (e *Exchanges) IDs(k ExchangeKey) (ids Exchange, known bool) {
	n, known := e.get(k)
	return n.IDs, known
}

// Beginning is what was known of an exchange when it began, with its ids.
func (e *Exchanges) Beginning(k ExchangeKey) (b Beginning, known bool) {
	n, known := e.get(k)
	return n.Beginning, known
}

// Continue notes what a request carries.
func (e *Exchanges) Continue(k ExchangeKey, c *Carried) {
	p := e.part(k.Socket)
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.find(k)
	if n == nil {
		return
	}
	if n.wire = c.Context; c.valid() {
		n.resolved = false // somebody may have asked before the head was complete
	}
	if c.Tracestate != "" {
		p.states[k] = c.Tracestate
	}
	if e.requestIDs == nil || c.RequestID == 0 {
		return
	}
	n.requestID = c.RequestID
	if !n.IDs.Asks {
		e.requestIDs.begin(n)
	}
}

// Requested notes the position behind the last byte of an interleaved request, and when that was transferred (CLOCK_MONOTONIC, ns).
func (e *Exchanges) Requested(k ExchangeKey, end, at uint64) {
	p := e.part(k.Socket)
	p.mu.Lock()
	n := p.find(k)
	if n == nil {
		p.mu.Unlock()
		return
	}
	n.end = end
	process, serving, inOneCall := n.Process, n.serving, at <= n.At
	p.mu.Unlock()
	if serving != 0 && !inOneCall {
		e.endBody(process, serving, at)
	}
}

// Forget forgets an exchange: nothing can have it as its parent.
func (e *Exchanges) Forget(k ExchangeKey) {
	p := e.part(k.Socket)
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.find(k); n != nil {
		e.abandon(p, n)
	}
}

// Leave forgets the exchanges of a socket that are under way: their conversation was given up, and the socket is not followed any more.
func (e *Exchanges) Leave(socket uint64) {
	p := e.part(socket)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.long[socket] {
		if n := &p.long[socket][i]; n.answer.At == 0 {
			e.abandon(p, n)
		}
	}
	for i := p.chains[socket].last; i >= p.first && p.chains[socket].underWay > 0; i = p.at(i).before {
		if n := p.at(i); n.answer.At == 0 {
			e.abandon(p, n)
		}
	}
}

// abandon ends an exchange of which nothing is emitted.
func (e *Exchanges) abandon(p *exchangesPart, n *node) {
	e.end(p, n, &Answer{At: n.At})
	n.gone = true
	if n.serving != 0 {
		e.endServing(n.Process, n.serving, n.At)
	}
}
