package trace

import "github.com/socketflow/socketflow/internal/event"

// judge is the kind of evidence that a request was sent because of another exchange.
func judge(n, x *node) Source {
	c := &n.Cause
	switch {
	case c.Carrier:
		return SourceNone
	case c.Polled, c.Connect && x.answeredBefore(n.At): // for something else, or for a timer
		return SourceNone
	case x.IDs.Asks && c.Loop: // of whose request a part may have been sent, so that the pending one is another
		return judgeLoop(n, x)
	case c.Pending == 1 && !x.answeredBefore(n.At):
		return SourceThread
	default:
		return judgeLoop(n, x)
	}
}

// judgeLoop is the same of an event loop, which has several requests to answer.
func judgeLoop(n, x *node) Source {
	c := &n.Cause
	switch {
	case c.Deferred: // what it has received before may be what this is about
		return SourceNone
	case n.Content != x.Content: // a proxy may have something else left to do
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
func owesOne(n *node) bool {
	c := &n.Cause
	return c.Pending == 1 && !c.Polled && !c.Carrier && n.Goroutine.Number == 0
}

// answeredBefore reports whether a request of somebody else had got something before a time.
func (n *node) answeredBefore(at uint64) bool {
	return !n.IDs.Asks && n.answer.Began != 0 && n.answer.Began < at
}

// maxLookBack bounds how many exchanges of a connection are compared with what a call has received.
const maxLookBack = 64

// exchangeAt is the exchange that a call has received bytes of: of a request, its beginning or its end if possible, or of an answer, its end. It began
// before a time, and must be the only one.
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
		case n.Position >= begin, n.end > begin && n.end <= end:
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

// isBefore reports whether all that matters of an exchange, and of those before it, was transferred before a call received bytes.
func (n *node) isBefore(c *event.Cause) bool {
	begin := c.Position - uint64(c.Length)
	if n.IDs.Asks {
		return n.answer.End != 0 && n.answer.End <= begin
	}
	return n.Position < begin && !n.Interleaved
}
