package trace

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/sampling"
)

// Parent is the place of an exchange's span in a trace.
type Parent struct {
	Trace  [16]byte
	Span   [8]byte // zero: it is a root
	Flags  uint8   // of the trace
	Source Source
	Wire   bool           // a trace context of the wire names the trace: it does not begin here
	State  sampling.State // of that trace context
}

// Flags of a trace that begins here (W3C Trace Context Level 2, "trace-flags"): it is recorded, and its id looks random.
const flagsOfRoot = 0x3

// maxDepth bounds the chain from a span to its root.
const maxDepth = 32

// Resolve finds the trace and the parent of an exchange's span. If not all events from before the exchange have been handled, it has no cause: what
// is not known yet may be another one. ok is false if the exchange is not known any more.
func (e *Exchanges) Resolve(k ExchangeKey) (p Parent, ok bool) { return e.resolve(k, maxDepth) }

func (e *Exchanges) resolve(k ExchangeKey, depth int) (Parent, bool) {
	part := e.part(k.Socket)
	part.mu.Lock()
	found := part.find(k)
	if found == nil || depth == 0 {
		part.mu.Unlock()
		return Parent{}, false
	}
	found.fixed = true
	n := *found
	part.mu.Unlock()
	if n.resolved {
		return n.parent, true
	}
	n.parent = e.parentOf(&n, depth)

	part.mu.Lock()
	if found = part.find(k); found != nil {
		if found.resolved {
			n.parent = found.parent // by another shard, which knew the same
		}
		found.resolved, found.parent = true, n.parent
	}
	part.mu.Unlock()
	return n.parent, true
}

func (e *Exchanges) parentOf(n *node, depth int) Parent {
	p := Parent{Trace: n.IDs.Trace, Flags: flagsOfRoot}
	if n.wire.valid() {
		p = Parent{n.wire.Trace, n.wire.Span, n.wire.Flags, SourceWire, true, n.wire.State}
	}
	if n.IDs.Asks {
		if e.isApart(n) {
			return p
		}
		if cause := e.causeOf(n, depth); cause.Source != SourceNone {
			return cause
		}
		return p
	}
	asking, found := e.otherEnd(n)
	switch {
	case found:
		if of, ok := e.resolve(asking, depth-1); ok {
			p = of
		}
		p.Span, p.Source = n.IDs.Other, SourcePeer
	case n.OtherEnd != 0 && e.ends.Has(n.OtherEnd): // its exchange was lost, or its shard is behind
		e.leaveApart(n)
		p.Span, p.Source = n.IDs.Other, SourcePeer
	}
	return p
}

// leaveApart notes that the span of the end that was asked is in the trace that both ends know. The other end's stays there, too.
func (e *Exchanges) leaveApart(n *node) {
	p := e.askingPart(n.IDs.Other)
	p.mu.Lock()
	p.apart.Add(n.IDs.Other, struct{}{})
	p.mu.Unlock()
}

func (e *Exchanges) isApart(n *node) bool {
	if !n.IDs.Joined {
		return false
	}
	p := e.askingPart(n.IDs.Own)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.apart.Contains(n.IDs.Own)
}

// otherEnd is the exchange at the end that asked.
func (e *Exchanges) otherEnd(n *node) (k ExchangeKey, found bool) {
	if !n.IDs.Joined {
		return ExchangeKey{}, false
	}
	p := e.askingPart(n.IDs.Other)
	p.mu.Lock()
	k, found = p.byIDs[n.IDs.Other]
	p.mu.Unlock()
	return k, found
}

// causeOf is the parent of a request that was sent because of something that the process had received.
func (e *Exchanges) causeOf(n *node, depth int) Parent {
	if !e.settled(n.At) {
		return Parent{}
	}
	if n.Goroutine != 0 {
		if x, found := e.readBy(n); found {
			return e.asParent(n, &x, SourceGoroutine, depth)
		}
	}
	if n.Cause.Length != 0 {
		if x, found := e.exchangeAt(&n.Cause, n.At); found {
			if p := e.asParent(n, &x, judge(n, &x), depth); p.Source != SourceNone {
				return p
			}
		}
	}
	if owesOne(&n.Cause) { // what it received since is of a protocol that is not parsed
		if x, found := e.readBy(n); found && !x.answeredBefore(n.At) {
			return e.asParent(n, &x, SourceThread, depth)
		}
	}
	if k, found := e.onlyOne(n); found {
		if x, found := e.get(k); found {
			return e.asParent(n, &x, SourceOnly, depth)
		}
	}
	return Parent{}
}

// get returns a copy of an exchange.
func (e *Exchanges) get(k ExchangeKey) (n node, found bool) {
	p := e.part(k.Socket)
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.find(k); f != nil {
		return *f, true
	}
	return node{}, false
}

// asParent is the parent that evidence for an exchange gives: its span, or if it is a request of the same process, that one's parent, which has the
// same cause.
func (e *Exchanges) asParent(n, x *node, source Source, depth int) Parent {
	if source == SourceNone {
		return Parent{}
	}
	p, ok := e.resolve(x.ExchangeKey, depth-1)
	switch {
	case !ok:
		return Parent{}
	case !x.IDs.Asks:
		p.Span = x.IDs.Own
	case p.Source <= SourcePeer:
		return Parent{} // it has none in this process
	case p.Source == SourceOnly: // which says nothing about what comes later
		return Parent{}
	default:
		source = max(source, p.Source)
	}
	if !e.trusted.Has(source) {
		return Parent{}
	}
	if n.wire.valid() && n.wire.Span != x.wire.Span { // the program has named another one
		return Parent{}
	}
	p.Source = source
	return p
}

// judge is the kind of evidence that a request was sent because of another exchange.
func judge(n, x *node) Source {
	c := &n.Cause
	switch {
	case c.Carrier:
		return SourceNone
	case c.Go == event.GoSameTurn && c.Connect: // pools give a new connection to whoever waits for one
		return SourceConnect
	case c.Go == event.GoSameTurn:
		return SourceHandoff
	case c.Go == event.GoOtherTurn:
		return SourceNone
	case c.Polled, c.Connect && x.answeredBefore(n.At): // for something else, or for a timer
		return SourceNone
	case c.Pending == 1 && !x.answeredBefore(n.At):
		return SourceThread
	case c.Deferred: // what it has received before may be what this is about
		return SourceNone
	case n.Immediate:
		return SourceCallback
	case c.Waited, c.Answered: // perhaps for other work
		return SourceNone
	case c.Row <= 1:
		return SourceCallback
	default:
		return SourceLast
	}
}

// owesOne reports whether a thread that keeps to one request at a time has exactly one to answer.
func owesOne(c *event.Cause) bool {
	return c.Pending == 1 && !c.Polled && !c.Carrier && c.Go == event.GoNone
}

// answeredBefore reports whether a request of somebody else had got something before a time.
func (n *node) answeredBefore(at uint64) bool {
	return !n.IDs.Asks && n.answer.Began != 0 && n.answer.Began < at
}

// maxLookBack bounds how many exchanges of a connection are compared with what a call has received.
const maxLookBack = 64

// exchangeAt is the exchange that a call has received bytes of: of a request, its beginning if possible, or of an answer, its end. It began before a
// time, and must be the only one.
func (e *Exchanges) exchangeAt(c *event.Cause, at uint64) (x node, found bool) {
	p := e.part(c.Socket)
	p.mu.Lock()
	defer p.mu.Unlock()
	var best *node
	var kind match
	only := false
	look := func(n *node) {
		switch m := n.match(c, at); {
		case m > kind:
			best, kind, only = n, m, true
		case m == kind:
			only = false
		}
	}
	for i := range p.long[c.Socket] {
		look(&p.long[c.Socket][i])
	}
	i := p.lastBefore(c.Socket, at)
	for steps := 0; i >= p.first && steps < maxLookBack; steps++ {
		n := p.at(i)
		if kind == matchStrong && n.isBefore(c) {
			break
		}
		look(n)
		i = n.before
	}
	if kind == matchNone || !only {
		return node{}, false
	}
	return *best, true
}

type match uint8

const (
	matchNone match = iota
	matchWeak
	matchStrong
)

// match compares an exchange with what a call has received.
func (n *node) match(c *event.Cause, at uint64) match {
	begin, end := c.Position-uint64(c.Length), c.Position
	if n.gone || n.At > at {
		return matchNone
	}
	if !n.IDs.Asks {
		switch {
		case n.Position >= end:
			return matchNone
		case n.Position >= begin:
			return matchStrong
		case n.answer.At == 0 || n.answer.At >= at: // under way
			return matchWeak
		}
		return matchNone
	}
	switch {
	case n.answer.At == 0 || n.answer.End == 0:
		return matchWeak
	case n.answer.End > begin && n.answer.End <= end:
		return matchStrong
	case n.answer.First < end && n.answer.End > begin:
		return matchWeak
	}
	return matchNone
}

// isBefore reports whether all of an exchange that matters was transferred before a call received bytes.
func (n *node) isBefore(c *event.Cause) bool {
	begin := c.Position - uint64(c.Length)
	if n.IDs.Asks {
		return n.answer.End != 0 && n.answer.End <= begin
	}
	return n.Position < begin
}
