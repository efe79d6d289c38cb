// Package pairing finds the request that a response belongs to.
package pairing

import (
	"github.com/socketflow/socketflow/internal/intrusive"
	"github.com/socketflow/socketflow/internal/protocol"
)

const (
	maxFree  = 128 // items that a Pool keeps
	maxEarly = 64  // responses that wait for their request

	// enoughTurns in a row show that the pairing is right if the client does not pipeline: had a response been paired with the
	// request before its own, the next request would have found its own waiting. They do not show that it does not pipeline.
	enoughTurns = 4
	// enoughAlone requests in a row that were sent while none was outstanding show that the client does not pipeline (any more).
	enoughAlone = 32
	// quiet is for how long (ns) nothing is transferred while no request is outstanding: a server answers sooner.
	quiet = 500_000_000
)

// Silent reports whether a request that begins comes after a silence, so that none is outstanding. Last (CLOCK_MONOTONIC, ns) is when
// something was transferred in either direction before; 0: nothing was seen of the conversation before. A response that has arrived and was
// not read is no silence.
func Silent(last uint64, request *protocol.Stamp) bool {
	return last > 0 && !request.Unread && request.Began > last && request.Began-last >= quiet
}

// Item is a request in an Order.
type Item[T any] struct {
	Value T
	links intrusive.Links[Item[T]] // in an Order, or the Pool
	born  uint64                   // how many requests there were before
}

// Pool lends items to the conversations of one goroutine. Their values are reused as they are.
type Pool[T any] struct{ free intrusive.Free[Item[T]] }

// Get returns an item with the value of an earlier one, or the zero value.
func (p *Pool[T]) Get() *Item[T] {
	if x := p.free.Take(); x != nil {
		return x
	}
	return new(Item[T])
}

// Put takes an item back that is in no Order.
func (p *Pool[T]) Put(x *Item[T]) {
	if p.free.Len() < maxFree {
		p.free.Put(&x.links, x)
	}
}

// Owner is who has an Order. It puts the items back into the pool.
type Owner[T any] interface {
	// Unanswered hands over a request whose response was not seen and will not be paired any more.
	Unanswered(*Item[T])
	// Dropped hands over what makes room: a request that is still to be answered, or a response whose request is not known.
	Dropped(*Item[T])
}

// Order pairs requests with responses that come in the same order. While nothing is lost, counting pairs them, whatever the order in
// which the directions are seen.
//
// After a loss it depends on the client. Most do not pipeline: they send a request only after the response to the one before. So
// a new request shows that those before it were answered, and the conversation is only loose until client and server have taken
// turns a few times. If the client pipelines, the number of requests that are outstanding is not known after a loss. With a window of n
// requests it takes turns with the server just like a client that does not pipeline, only that each response is n requests late.
// So the conversation is astray, and nothing is paired, until a request comes after a silence: then nothing is outstanding.
//
// A client may have begun to pipeline during the loss, or before the conversation was joined. No number of turns shows that it has
// not. So what is paired is in doubt until a request comes after a silence.
type Order[T any] struct {
	pool  *Pool[T]
	owner Owner[T]
	sink  protocol.Sink
	limit int

	waiting intrusive.List[Item[T]] // requests without a response
	early   intrusive.List[Item[T]] // responses that were seen before their requests
	missing int                     // requests before those waiting that were dropped because there were too many
	current *Item[T]                // whose response is being read

	requests uint64
	loosened uint64 // requests before it became loose
	active   uint64 // when something was transferred last
	turns    int
	alone    int  // requests in a row that were sent while none was outstanding
	joined   bool // and nothing has been paired so far
	heard    bool // something came from the server after the last request
	pipeline bool // a request was sent before the response to the one before
	loose    bool
	closing  bool // those outstanding are the last that can be paired
	astray   bool
	doubt    protocol.Capture // of requests that begin now
}

// pop removes and returns the first item of a list, which has to have one.
func pop[T any](l *intrusive.List[Item[T]]) *Item[T] {
	x := l.First()
	l.Remove(&x.links)
	return x
}

// NewOrder returns an Order of at most limit requests. Joined: there may be outstanding ones already.
func NewOrder[T any](pool *Pool[T], owner Owner[T], sink protocol.Sink, limit int, joined bool) Order[T] {
	o := Order[T]{pool: pool, owner: owner, sink: sink, limit: max(limit, 1), joined: joined, loose: joined}
	if joined {
		o.doubt = protocol.CaptureJoined
	}
	return o
}

// Request adds a request that begins, and returns its item. It returns nil if the request cannot be paired. If answered is true, the
// item is that of a response that was seen before, which may not be complete. A response for which tooEarly is true cannot be the
// request's: it was complete before the request began to be sent.
func (o *Order[T]) Request(at *protocol.Stamp, tooEarly func(*Item[T]) bool) (x *Item[T], answered bool) {
	o.requests++
	silent := Silent(o.active, at)
	o.Sent(at)
	if silent && o.Outstanding() == 0 {
		o.settle()
	}
	if o.astray || o.closing {
		o.sink.Error(protocol.Unpaired)
		return nil, false
	}
	if o.Outstanding() == 0 {
		if o.alone++; o.alone >= enoughAlone {
			o.pipeline = false
		}
	} else {
		o.alone = 0
		switch {
		case o.pipeline || !o.loose:
			o.pipeline = true
		case o.heard:
			o.turns = 0
			o.abandon()
		default:
			o.pipeline = true
			o.stray()
			o.sink.Error(protocol.Unpaired)
			return nil, false
		}
	}
	o.heard = false
	for o.early.Len() > 0 {
		x := pop(&o.early)
		if !tooEarly(x) {
			return x, true
		}
		o.sink.Error(protocol.Unpaired)
		o.owner.Dropped(x)
		if o.LostRequests(); o.astray { // something has been miscounted
			o.sink.Error(protocol.Unpaired)
			return nil, false
		}
	}
	x = o.pool.Get()
	o.Append(x)
	return x, false
}

// Append adds a request at the end. It is for one of which is known only later that it will be answered.
func (o *Order[T]) Append(x *Item[T]) {
	if o.waiting.Len() >= o.limit {
		o.sink.Error(protocol.TooMany)
		o.missing++ // it still owes a response
		o.owner.Dropped(pop(&o.waiting))
	}
	x.born = o.requests
	o.waiting.Append(&x.links, x)
}

// Remove takes a request out that will not be answered. It costs the same however many are outstanding: the client chooses their number.
func (o *Order[T]) Remove(x *Item[T]) {
	switch {
	case o.current == x:
		o.current = nil
	case o.waiting.Has(&x.links): // otherwise its response was seen before it, and it is in no list
		o.waiting.Remove(&x.links)
	}
}

// Heard notes that something came from the server.
func (o *Order[T]) Heard(at *protocol.Stamp) {
	o.heard = true
	o.active = max(o.active, at.Time)
}

// Sent notes that the client has sent something other than the beginning of a request that is known, or has sent what was lost.
func (o *Order[T]) Sent(at *protocol.Stamp) { o.active = max(o.active, at.Time) }

// Next is the request that the next response belongs to; nil: that is not known.
func (o *Order[T]) Next() *Item[T] {
	if o.missing > 0 {
		return nil
	}
	return o.waiting.First()
}

// Response returns the request that a response which begins belongs to. If early is true, it came before its request, and the item is
// new. It returns nil if there is no request, or if it was dropped. Answered follows.
func (o *Order[T]) Response() (x *Item[T], early bool) {
	switch {
	case o.missing > 0:
		o.missing--
		o.drained()
	case o.waiting.Len() > 0:
		x := pop(&o.waiting)
		o.current, o.joined = x, false
		if o.loose && x.born > o.loosened {
			o.turns++
			o.loose = o.turns < enoughTurns
		}
		return x, false
	case o.loose || o.astray:
		o.turns = 0
		if !o.joined { // otherwise this is no error
			o.sink.Error(protocol.Unpaired)
		}
	default:
		if o.early.Len() >= maxEarly {
			o.sink.Error(protocol.Unpaired)
			o.owner.Dropped(pop(&o.early))
		}
		x := o.pool.Get()
		o.early.Append(&x.links, x)
		return x, true
	}
	return nil, false
}

// Answered says that the response which Response has paired is complete.
func (o *Order[T]) Answered() {
	o.current = nil
	o.drained()
}

func (o *Order[T]) drained() {
	if o.closing && o.Outstanding() == 0 {
		o.stray()
	}
}

// Outstanding is how many requests have no complete response.
func (o *Order[T]) Outstanding() int {
	n := o.waiting.Len() + o.missing
	if o.current != nil {
		n++
	}
	return n
}

// Items is how many items there are.
func (o *Order[T]) Items() int { return o.waiting.Len() + o.early.Len() }

// Certain reports whether the next response can be paired only with the next request.
func (o *Order[T]) Certain() bool { return !o.loose && !o.astray && !o.closing }

// Doubt is the capture degree of the request that Request has returned last, because it may be paired wrongly. CaptureComplete: it is
// certain. Losses do not change it for a request that is already waiting: its response comes before those to later requests.
func (o *Order[T]) Doubt() protocol.Capture { return o.doubt }

// settle notes that nothing is outstanding.
func (o *Order[T]) settle() {
	if o.doubt != protocol.CaptureComplete {
		o.dropEarly()
	}
	o.astray, o.loose, o.doubt = false, false, protocol.CaptureComplete
}

// LostRequests says that there may be requests that were not seen.
func (o *Order[T]) LostRequests() {
	o.dropEarly()
	switch {
	case !o.pipeline:
		o.loosen()
		o.doubt = max(o.doubt, protocol.CaptureGap)
	case o.Outstanding() == 0:
		o.stray()
	default:
		o.closing = true
	}
}

// LostResponses says that responses, or a part of one, were not seen. The requests of all of them are handed over as unanswered. If no
// event was lost, the client has been seen not to pipeline meanwhile.
func (o *Order[T]) LostResponses(why protocol.Loss) {
	o.dropEarly()
	if o.pipeline {
		o.stray()
		return
	}
	o.abandon()
	o.loosen()
	if why == protocol.Lost {
		o.doubt = max(o.doubt, protocol.CaptureGap)
	}
}

// End hands over whatever is left at the end of the conversation: requests in their order as unanswered.
func (o *Order[T]) End() {
	o.dropEarly()
	o.abandon()
}

func (o *Order[T]) loosen() { o.loose, o.loosened, o.turns = true, o.requests, 0 }

func (o *Order[T]) stray() {
	o.alone = 0
	o.astray, o.closing, o.loose = true, false, false
	o.abandon()
}

func (o *Order[T]) abandon() {
	o.missing = 0
	if x := o.current; x != nil {
		o.current = nil
		o.owner.Unanswered(x)
	}
	for o.waiting.Len() > 0 {
		o.owner.Unanswered(pop(&o.waiting))
	}
}

func (o *Order[T]) dropEarly() {
	for o.early.Len() > 0 {
		o.sink.Error(protocol.Unpaired)
		o.owner.Dropped(pop(&o.early))
	}
}
