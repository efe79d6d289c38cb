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
	Far    bool           // the span is another process's, though the evidence is within this one
	State  sampling.State // of that trace context
	origin ExchangeKey    // the request that carries it
}

// Flags of a trace that begins here (W3C Trace Context Level 2, "trace-flags"): it is recorded, and its id looks random.
const flagsOfRoot = 0x3

// maxDepth bounds the chain from a span to its root.
const maxDepth = 32

// Resolve finds the trace and the parent of an exchange's span, as far as all events from before the exchange have been handled by then. ok is false if
// the exchange is not known any more.
func (e *Exchanges) Resolve(k ExchangeKey) (p Parent, ok bool) { return e.resolve(k, maxDepth) }

// Tracestate is that of the trace context of the wire that names a trace, as it was received.
func (e *Exchanges) Tracestate(p *Parent) string {
	if !p.Wire {
		return ""
	}
	part := e.part(p.origin.Socket)
	part.mu.Lock()
	defer part.mu.Unlock()
	return part.states[p.origin]
}

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
		p = Parent{
			Trace: n.wire.Trace, Span: n.wire.Span, Flags: n.wire.Flags, Source: SourceWire, Wire: true, State: n.wire.State, origin: n.ExchangeKey,
		}
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
		of, ok := e.resolve(asking, depth-1)
		if ok {
			p = of
		}
		if x, known := e.get(asking); ok && known && x.unspanned() { // its parent is that of this one, too
			p.Source, p.Far = min(p.Source, SourcePeer), false
			break
		}
		p.Span, p.Source, p.Far = n.IDs.Other, SourcePeer, false
	case e.trustsNames && n.wire.valid() && e.awaitsOtherEnd(n):
	case e.awaitsOtherEnd(n):
		e.leaveApart(n)
		p.Span, p.Source = n.IDs.Other, SourcePeer
	case n.IDs.Joined:
		e.isSettled(n)
	}
	return p
}

// isSettled reports whether all that may have led to an exchange is known. If not, it counts the exchange.
func (e *Exchanges) isSettled(n *node) bool {
	if e.settled(n.At) {
		return true
	}
	e.unsettled.Add(1)
	return false
}

// awaitsOtherEnd reports whether the other end is observed, and its exchange is not known: it was lost, or its shard is behind.
func (e *Exchanges) awaitsOtherEnd(n *node) bool {
	if n.OtherEnd == 0 || !e.ends.Has(n.OtherEnd) {
		return false
	}
	_, found := e.otherEnd(n)
	return !found
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
	if !e.trusted.withinProcess() || !e.isSettled(n) {
		return Parent{}
	}
	if n.Goroutine.Number != 0 {
		p, decided := e.causeOfGoroutine(n, depth)
		if p.Source == SourceGoroutine {
			return p
		}
		if byID := e.causeByID(n, depth); byID.Source != SourceNone {
			return byID
		}
		if decided {
			return p
		}
	} else if p := e.causeReceived(n, depth); p.Source != SourceNone {
		return p
	}
	if owesOne(n) { // what it received since is of a protocol that is not parsed
		if x, found := e.readBy(n.reader(), n.At); found && !x.answeredBefore(n.At) && (x.Socket == n.Cause.Socket || !e.bringsRequests(&n.Cause, n.At)) {
			return e.asParent(n, &x, SourceThread, depth)
		}
	}
	if x, found := e.forwardOf(n); found {
		return e.asParent(n, &x, SourceForward, depth)
	}
	if k, found := e.onlyOne(n); found {
		if x, found := e.get(k); found {
			return e.asParent(n, &x, SourceOnly, depth)
		}
	}
	return Parent{}
}

// bringsRequests reports whether a cause is a connection that had brought requests: then one of those may be what the thread has read last.
func (e *Exchanges) bringsRequests(c *event.Cause, at uint64) bool {
	p := e.part(c.Socket)
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.lastBefore(c.Socket, at)
	return i >= p.first && !p.at(i).IDs.Asks
}

// causeReceived is the parent by what was received last, or by the request's id. The id is less certain than a thread, and more than what else was
// received last.
func (e *Exchanges) causeReceived(n *node, depth int) Parent {
	x, source := e.receivedLast(n)
	if x.Interleaved && source != SourceNone && e.owesOthers(n, &x) {
		if source == SourceThread {
			source = judgeLoop(n, &x)
		}
		if n.Gathers {
			source = SourceLast
		}
	}
	if source != SourceThread {
		if p := e.causeByID(n, depth); p.Source != SourceNone {
			return p
		}
	}
	return e.asParent(n, &x, source, depth)
}

// causeByID is the parent by the request's id.
func (e *Exchanges) causeByID(n *node, depth int) Parent {
	if x, found := e.sameID(n); found {
		return e.asParent(n, &x, SourceRequestID, depth)
	}
	return Parent{}
}

// receivedLast is the exchange that was received last before a request was sent, and what kind of evidence that is.
func (e *Exchanges) receivedLast(n *node) (x node, source Source) {
	if n.Cause.Length != 0 {
		if x, found := e.exchangeAt(&n.Cause, n.At); found {
			return x, judge(n, &x)
		}
	}
	return node{}, SourceNone
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

// asParent is the parent that evidence for an exchange gives, if it is trusted.
func (e *Exchanges) asParent(n, x *node, source Source, depth int) Parent {
	if source == SourceNone {
		return Parent{}
	}
	p := e.claim(x, source, depth)
	if n.Goroutine.Number == 0 && p.Source != SourceNone && p.Source < SourceLast && e.hasOwedBody(n, p.Span) {
		p.Source = SourceLast
	}
	if !e.trusted.Has(p.Source) {
		return Parent{}
	}
	if n.wire.valid() && n.wire.Span != x.wire.Span { // the program has named another one
		return Parent{}
	}
	return p
}

// claim is the parent that evidence for an exchange points to: its span, or if it is a request of the same process, that one's parent, which has the
// same cause.
func (e *Exchanges) claim(x *node, source Source, depth int) Parent {
	p, ok := e.resolve(x.ExchangeKey, depth-1)
	switch {
	case !ok:
		return Parent{}
	case !x.IDs.Asks && x.unspanned(): // the next one above it that is emitted, as far as is known
		if p.Span == [8]byte{} {
			return Parent{}
		}
		p.Far = true
	case !x.IDs.Asks:
		p.Span, p.Far = x.IDs.Own, false
	case !p.Source.isOfThread():
		return Parent{} // it has none in this process, or who has got its answer may have turned to another request
	default:
		source = max(source, p.Source)
	}
	p.Source = source
	return p
}
