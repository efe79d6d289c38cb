package postgres

import (
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/sqltext"
)

// requests reads what the client sends.
type requests struct {
	open        *item     // the cycle that the client has not ended; nil: there is none, or its answer cannot be paired
	opened      bool      // there is one
	cycles      uint64    // that the client has begun
	outstanding int       // operations of all cycles that are not answered
	bound       bool      // the message that was read last is a Bind of the portal without a name
	cancel      *exchange // nil: the connection is none to cancel what runs on another
}

// request reads a message.
func (p *parser) request(m *framing.Prefix) {
	p.bound = false
	if len(m.Header) < header {
		p.start(m)
		return
	}
	switch m.Header[0] {
	case queryMessage:
		p.query(m)
	case parseMessage:
		p.parse(m)
	case bindMessage:
		p.bind(m)
	case describeMessage:
		p.describe(m)
	case executeMessage:
		p.execute(m)
	case closeMessage:
		p.close(m)
	case functionCall:
		p.call(m)
	case syncMessage:
		p.sync(m)
	case copyDone, copyFail:
		if p.open != nil {
			p.open.Value.copying = false
		}
		p.order.Sent(&m.First)
	default:
		p.order.Sent(&m.First)
	}
}

// cycle is the cycle that a message belongs to; nil: its answer cannot be paired.
func (p *parser) cycle(m *framing.Prefix) *item {
	if p.opened {
		p.order.Sent(&m.First)
		return p.open
	}
	p.opened, p.asked = true, true
	p.cycles++
	x, early := p.order.Request(&m.First, func(x *item) bool { return x.Value.replied && x.Value.end.Time < m.First.Began })
	if x != nil {
		if !early {
			newCycle(x)
		}
		x.Value.doubt, x.Value.outside = p.order.Doubt(), early
	}
	p.open = x
	return x
}

// ends ends the open cycle.
func (p *parser) ends() {
	x := p.open
	p.open, p.opened = nil, false
	if x != nil {
		x.Value.requested = true
		p.add(x, operation{kind: ready})
	}
}

// query reads a simple query.
func (p *parser) query(m *framing.Prefix) {
	sql, _, whole := text(m.Body)
	cut := !whole || m.Missing > 0
	x := p.cycle(m)
	var parent protocol.TraceContext
	if !cut {
		parent, _ = protocol.CommentedParent(sql)
	}
	var batch int64
	for rest := sql; ; {
		first, others, empty := sqltext.Split(sqltext.PostgreSQL, p.quoting, rest)
		if !empty || batch == 0 && others == nil {
			if batch++; batch <= maxStatements {
				p.run(x, m, first, len(sql)-len(rest), cut && others == nil, &parent)
			}
		}
		if rest = others; others == nil {
			break
		}
	}
	if x != nil {
		c := &x.Value
		c.simple = true
		c.more = cut || batch > maxStatements
		if !c.more && batch > 1 {
			c.batch = batch
		}
	}
	p.ends()
}

// run adds a statement of a simple query, which begins so many bytes behind the query's beginning.
func (p *parser) run(x *item, m *framing.Prefix, sql []byte, offset int, cut bool, parent *protocol.TraceContext) {
	s := p.read(sql, cut)
	p.perform(&s)
	if x == nil {
		return
	}
	start := m.First
	if offset > 0 {
		start.Position += uint64(header + offset)
	}
	e := p.newExchange(&start)
	e.statement, e.requestEnd, e.executed = s.text, m.Last, true
	p.carries(e, parent)
	e.lasting = string(s.text.Operation) == "BASE_BACKUP"
	if cut {
		e.capture = max(protocol.CaptureTruncated, p.loss)
	}
	p.add(x, operation{kind: runs, exchange: e})
}

// carries notes the parent that a comment names, if it does.
func (p *parser) carries(e *exchange, parent *protocol.TraceContext) {
	if e.parent = *parent; parent.Valid() {
		p.memory.carried = protocol.Carried{Parent: *parent}
		p.sink.Continue(e.id, &p.memory.carried)
	}
}

// group is the exchange that the next Execute ends; nil: its answer cannot be paired.
func (p *parser) group(x *item, m *framing.Prefix) *exchange {
	if x == nil {
		return nil
	}
	c := &x.Value
	if c.group == nil && !c.failed && !c.strange {
		c.group = p.newExchange(&m.First)
	}
	return c.group
}

func (p *parser) parse(m *framing.Prefix) {
	word, rest, named := text(m.Body)
	x := p.cycle(m)
	if !named {
		p.forget(max(p.loss, protocol.CaptureTruncated)) // which statement it was is not known
		if x != nil {
			p.add(x, operation{kind: parses, exchange: p.group(x, m)})
		}
		return
	}
	sql, _, whole := text(rest)
	s := p.read(sql, !whole)
	if s.cycle = p.cycles; whole {
		s.parent, _ = protocol.CommentedParent(sql)
	}
	o := operation{kind: parses, subject: s.text, parent: s.parent, name: p.memory.names.hash(word), named: true}
	if x == nil || !x.Value.failed {
		o.previous, o.had = p.define(&p.statements, o.name, s)
	}
	if x == nil {
		p.unsettle(&o)
		return
	}
	if x.Value.failed {
		return
	}
	if o.exchange = p.group(x, m); o.exchange != nil && !whole {
		o.exchange.capture = max(o.exchange.capture, protocol.CaptureTruncated, p.loss)
	}
	p.add(x, o)
}

func (p *parser) bind(m *framing.Prefix) {
	portal, rest, whole := text(m.Body)
	word, _, named := text(rest)
	x := p.cycle(m)
	p.bound = whole && len(portal) == 0
	s, known := statement{}, false
	if named {
		s, known = p.use(p.memory.names.hash(word))
	}
	switch {
	case !whole:
		p.removeAll(&p.portals)
	case known:
		p.define(&p.portals, p.memory.names.hash(portal), s)
	default:
		p.remove(&p.portals, p.memory.names.hash(portal))
	}
	if x == nil {
		return
	}
	e := p.group(x, m)
	if e != nil {
		e.statement, e.unknown, e.bound = s.text, !known, true
	}
	p.add(x, operation{kind: binds, exchange: e, subject: s.text, parent: s.parent})
}

func (p *parser) describe(m *framing.Prefix) {
	x := p.cycle(m)
	if x == nil {
		return
	}
	o := operation{kind: describes, exchange: p.group(x, m)}
	if len(m.Body) > 1 {
		t := &p.statements
		if m.Body[0] == 'P' {
			t = &p.portals
		}
		if word, _, whole := text(m.Body[1:]); whole {
			s, _ := find(t, p.memory.names.hash(word))
			o.subject, o.parent = s.text, s.parent
		}
	}
	p.add(x, o)
}

func (p *parser) execute(m *framing.Prefix) {
	portal, rest, whole := text(m.Body)
	x := p.cycle(m)
	s, known := statement{}, false
	if whole {
		s, known = find(&p.portals, p.memory.names.hash(portal))
	}
	if x == nil || !x.Value.failed {
		p.perform(&s)
	}
	if x == nil {
		return
	}
	e := p.group(x, m)
	if e != nil {
		e.statement, e.unknown, e.executed, e.requestEnd = s.text, !known, true, m.Last
		p.carries(e, &s.parent)
		if len(rest) >= 4 {
			e.limit = int64(binary.BigEndian.Uint32(rest))
		}
	}
	x.Value.group = nil
	p.add(x, operation{kind: executes, exchange: e, subject: s.text, parent: s.parent})
}

func (p *parser) close(m *framing.Prefix) {
	x := p.cycle(m)
	o := operation{kind: closes}
	if len(m.Body) > 1 && (x == nil || !x.Value.failed) {
		word, _, whole := text(m.Body[1:])
		switch {
		case !whole:
			p.forget(max(p.loss, protocol.CaptureTruncated))
		case m.Body[0] == 'P':
			p.remove(&p.portals, p.memory.names.hash(word))
		default:
			o.name, o.named = p.memory.names.hash(word), true
			o.previous, o.had = find(&p.statements, o.name)
			p.remove(&p.statements, o.name)
		}
	}
	if x != nil {
		p.add(x, o)
	}
}

func (p *parser) call(m *framing.Prefix) {
	x := p.cycle(m)
	if x != nil {
		e := p.newExchange(&m.First)
		e.requestEnd, e.executed, e.called = m.Last, true, true
		p.add(x, operation{kind: calls, exchange: e})
	}
	p.ends()
}

func (p *parser) sync(m *framing.Prefix) {
	x := p.cycle(m)
	if x != nil && x.Value.copying { // the server reads it as a part of the data (CopyGetData)
		return
	}
	p.ends()
}

// copies notes that the server waits for the data of COPY. It passes over a Sync behind the Execute: another follows the data.
func (p *parser) copies(x *item) {
	c := &x.Value
	if c.simple {
		return
	}
	c.copying = true
	if next := c.first + 1; c.requested && !p.opened && next < len(c.operations) && c.operations[next].kind == ready {
		c.operations = c.operations[:next]
		p.outstanding--
		c.requested = false
		p.open, p.opened = x, true
	}
}

// cutRequests says that what the client has sent is not known from here on, up to the end of a cycle.
func (p *parser) cutRequests() {
	x := p.open
	p.open, p.opened = nil, false
	switch {
	case x == nil:
	case !p.over:
		x.Value.more = true
		p.mayExecute(x)
		x.Value.requested = true
		p.add(x, operation{kind: ready})
	case x.Value.outside:
		p.Unanswered(x)
	}
}
