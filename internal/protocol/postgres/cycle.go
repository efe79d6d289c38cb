package postgres

import (
	"unsafe"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
	"github.com/socketflow/socketflow/internal/sqltext"
)

// cycle is what the client sends up to a Query or Sync, and what the server answers up to ReadyForQuery. Cycles are answered in order, and
// within them operations are.
type cycle struct {
	operations []operation // that are not answered, in order, from first on
	first      int
	results    []result         // that came before their operations
	group      *exchange        // what the next Execute is about
	held       *exchange        // it is complete, unless its Sync fails
	batch      int64            // statements of the simple query; 0: it is none, or how many they are is not known
	end        protocol.Stamp   // of ReadyForQuery
	doubt      protocol.Capture // of its pairing
	requested  bool             // its end was seen
	replied    bool             // ReadyForQuery was seen
	outside    bool             // it is not in the Order: its answer began first, or has ended before its end was seen
	simple     bool             // it is a simple query
	more       bool             // it may have more operations than are known
	failed     bool             // the server passes over what follows, up to the end
	strange    bool             // the answer is not one to what was seen: the rest of it is passed over
	copying    bool             // the client sends data: a Sync means nothing
	guessed    bool             // its end was not seen: see executesAtOnce
}

type item = pairing.Item[cycle]

// operationKind is what the server is to do.
type operationKind uint8

const (
	starts operationKind = iota
	parses
	binds
	describes
	executes
	closes
	runs  // a statement of a simple query
	calls // a function
	ready
)

// operation is a part of a cycle that is answered.
type operation struct {
	kind     operationKind
	exchange *exchange          // that it belongs to; nil: none
	subject  *sqltext.Statement // that it is about, if it is not that of the exchange
	parent   protocol.TraceContext
	name     uint64    // of the statement that is prepared or closed, if named is set
	previous statement // that had this name, if had is set
	named    bool
	had      bool
}

const operationSize = int(unsafe.Sizeof(operation{}) + unsafe.Sizeof(exchange{}))

const (
	perExchange   = 4    // operations that an exchange usually has at most
	mostAnswered  = 1024 // operations that are answered and still take memory
	maxResults    = 64   // of a cycle that came before their operations
	maxStatements = 1024 // of a simple query that are read
	maxIdle       = 256  // operations, and results, for which a cycle keeps its memory
)

func newCycle(x *item) {
	c := &x.Value
	*c = cycle{operations: c.operations[:0], results: c.results[:0]}
}

// next is the operation that is answered next; nil: there is none.
func (c *cycle) next() *operation {
	if c.first == len(c.operations) {
		return nil
	}
	return &c.operations[c.first]
}

// add adds an operation, and gives it its answer if that came before. Afterwards the cycle may have ended, if this is its end.
func (p *parser) add(x *item, o operation) {
	c := &x.Value
	if (c.failed || c.strange) && o.kind != ready {
		p.unsettle(&o)
		if e := o.exchange; e != nil && e != c.group {
			p.drop(e)
		}
		return
	}
	if c.first > mostAnswered || c.first == len(c.operations) {
		c.operations, c.first = append(c.operations[:0], c.operations[c.first:]...), 0
	}
	c.operations = append(c.operations, o)
	p.outstanding++
	if p.outstanding > perExchange*max(p.memory.limits.Outstanding, 1) && o.kind != ready {
		p.sink.Error(protocol.TooMany)
		p.loss = max(p.loss, protocol.CaptureTruncated)
		p.giveUp(x)
		return
	}
	p.drain(x)
}

// pop removes the next operation.
func (p *parser) pop(c *cycle) {
	c.first++
	p.outstanding--
}

// mismatch gives up the rest of a cycle whose answer is not one to what was seen of it. The next cycle is not concerned.
func (p *parser) mismatch(x *item) {
	x.Value.strange = true
	p.loss = max(p.loss, protocol.CaptureGap)
	p.giveUp(x)
}

// giveUp hands over the exchanges of a cycle as unanswered.
func (p *parser) giveUp(x *item) {
	c := &x.Value
	c.strange = true
	if n := len(c.results); n > 0 && c.results[n-1].kind == isReady {
		c.results = append(c.results[:0], c.results[n-1])
	} else {
		c.results = c.results[:0]
	}
	p.emitHeld(c)
	var last *exchange
	for o := c.next(); o != nil && o.kind != ready; o = c.next() {
		if e := o.exchange; e != nil && e != last {
			last = e
			p.unanswered(c, o)
		}
		p.unsettle(o)
		p.pop(c)
	}
	if c.group != nil && c.group != last {
		p.drop(c.group)
	}
	c.group = nil
}

// skip forgets what the server passes over after an error, which last was about: up to the end of the cycle.
func (p *parser) skip(x *item, last *exchange) {
	c := &x.Value
	for i := len(c.operations) - 1; i >= c.first; i-- {
		p.undo(x, &c.operations[i])
	}
	p.dropRest(c, last)
}

// dropRest forgets the exchanges of a cycle up to its end, but for the one of which the last was handed over.
func (p *parser) dropRest(c *cycle, last *exchange) {
	group := c.group
	c.group = nil
	if group == last {
		group = nil
	}
	for o := c.next(); o != nil && o.kind != ready; o = c.next() {
		if e := o.exchange; e != nil && e != last {
			if last = e; e == group {
				group = nil
			}
			p.drop(e)
		}
		p.pop(c)
	}
	if group != nil { // all of it was answered
		p.drop(group)
	}
}

// finish ends a cycle.
func (p *parser) finish(x *item) {
	c := &x.Value
	p.emitHeld(c)
	if o := c.next(); o != nil && o.exchange != nil && o.exchange.lasting && o.exchange.end.Time > 0 {
		e := o.exchange
		p.pop(c)
		p.emit(e)
	}
	if o := c.next(); o != nil && o.kind != ready && !c.simple && !c.strange && !c.more && o.kind != starts {
		p.sink.Error(protocol.Unpaired)
	}
	p.dropRest(c, nil)
	for c.next() != nil {
		p.pop(c)
	}
	p.proven = true
	p.release(x)
}
