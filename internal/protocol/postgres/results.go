package postgres

import "github.com/socketflow/socketflow/internal/protocol"

// resultKind is what an answer says.
type resultKind uint8

const (
	proceeds resultKind = iota // more of the answer follows
	parsed
	bound
	closed
	described
	completed
	suspended
	emptied
	called
	failed
	copiesIn
	streams // of replication, in both directions
	isReady
)

// result is a part of an answer.
type result struct {
	kind        resultKind
	first, last protocol.Stamp
	loss        protocol.Capture
	rows        int64  // of CommandComplete; -1: it has none
	command     []byte // of CommandComplete; empty: it is not known
	code        string // of ErrorResponse
	row         bool   // it is a row
}

// drain applies the results that came before their operations.
func (p *parser) drain(x *item) {
	c := &x.Value
	for len(c.results) > 0 {
		r, o := c.results[0], c.next()
		if r.kind == isReady && !c.requested || r.kind != isReady && o == nil {
			return
		}
		c.results = append(c.results[:0], c.results[1:]...)
		if r.kind != isReady && o.exchange != nil && r.last.Time < o.exchange.start.Began {
			p.sink.Error(protocol.Unpaired) // it came before the operation was sent
			p.mismatch(x)
			continue
		}
		if p.apply(x, &r) {
			return // it is released
		}
	}
}

// answered takes a part of the answer to a cycle.
func (p *parser) answered(x *item, r *result) {
	c := &x.Value
	if c.strange && r.kind != isReady {
		return
	}
	if len(c.results) == 0 && (r.kind == isReady && c.requested || r.kind != isReady && c.next() != nil) {
		p.apply(x, r)
		return
	}
	if n := len(c.results); r.kind == proceeds && n > 0 && c.results[n-1].kind == proceeds {
		c.results[n-1].row = c.results[n-1].row || r.row
		return
	}
	if len(c.results) >= maxResults {
		p.mismatch(x)
		return
	}
	c.results = append(c.results, *r)
}

// apply applies a result to the next operation.
func (p *parser) apply(x *item, r *result) (ended bool) {
	c, o := &x.Value, x.Value.next()
	switch {
	case r.kind == isReady:
		p.finish(x)
		return true
	case c.strange, c.failed && r.kind != failed:
		return false
	case o.kind == ready && c.more && r.kind != failed:
		if r.kind >= completed {
			p.sink.Error(protocol.Unpaired) // a statement that was not read
		}
		return false
	}
	if e := o.exchange; e != nil {
		p.heard(c, e, r)
	}
	switch r.kind {
	case proceeds:
	case described:
		if o.kind == describes {
			p.pop(c)
		}
	case copiesIn:
		if o.kind == executes {
			p.copies(x)
		}
	case failed:
		p.fails(x, o, r)
	default:
		if !o.expects(r.kind) {
			p.sink.Error(protocol.Unpaired)
			guessed := c.guessed && o.kind == ready
			if p.mismatch(x); guessed {
				p.guessedWrongly()
			}
			return false
		}
		e := o.exchange
		if e != nil && e.lasting && r.kind == completed {
			e.end = r.last
			return false
		}
		kind := o.kind
		p.pop(c)
		if kind == executes || kind == runs || kind == calls {
			p.complete(c, e, r)
		}
		c.strange = r.kind == streams
	}
	return false
}

// expects reports whether a result can end the operation.
func (o *operation) expects(r resultKind) bool {
	switch o.kind {
	case parses:
		return r == parsed
	case binds:
		return r == bound
	case closes:
		return r == closed
	case executes, runs:
		return r >= completed && r <= emptied || r == streams
	case calls:
		return r == called
	}
	return false
}
