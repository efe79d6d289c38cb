package postgres

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/sqltext"
)

// replies reads what the server sends.
type replies struct {
	answer    *item // the cycle that is answered; nil: none, or it is not known which one
	answering bool
}

// kinds are the results by type of message.
var kinds = [256]resultKind{
	parseComplete: parsed, bindComplete: bound, closeComplete: closed, rowDescription: described, noData: described,
	commandComplete: completed, emptyQuery: emptied, portalSuspended: suspended, functionResponse: called, errorResponse: failed,
	copyIn: copiesIn, copyBoth: streams, readyForQuery: isReady,
}

// reply reads a message.
func (p *parser) reply(m *framing.Prefix) {
	switch m.Header[0] {
	case notice, keyData, negotiation:
		return
	case parameterStatus:
		p.status(m.Body)
		return
	case notification:
		p.notified(m)
		return
	}
	r := result{kind: kinds[m.Header[0]], first: m.First, last: m.Last, loss: p.loss, rows: -1}
	fatal := false
	switch m.Header[0] {
	case dataRow:
		r.row = true
	case commandComplete:
		command, rows, counted := readTag(m.Body)
		if r.command = sqltext.Command(command); counted {
			r.rows = rows
		}
	case errorResponse:
		r.code = p.memory.code(field(m.Body, 'C'))
		severity := field(m.Body, 'V')
		fatal = string(severity) == "FATAL" || string(severity) == "PANIC"
	case readyForQuery:
		if len(m.Body) > 0 && m.Body[0] == 'I' && p.order.Outstanding() <= 1 && !p.opened {
			p.removeAll(&p.portals) // they do not outlive their transaction
		}
	}
	p.respond(&r, fatal)
}

// respond takes a part of the answer to a cycle.
func (p *parser) respond(r *result, fatal bool) {
	if !p.answering {
		if fatal && p.order.Next() == nil {
			return // the server ends an idle connection
		}
		if r.kind == proceeds && p.order.Next() == nil && p.order.Certain() {
			return // data of replication, or of COPY, that comes late
		}
		p.answering = true
		x, early := p.order.Response()
		if early {
			newCycle(x)
		}
		p.answer = x
	}
	x := p.answer
	if r.kind != isReady {
		if x != nil {
			p.answered(x, r)
		}
		return
	}
	p.answer, p.answering = nil, false
	if x == nil {
		return
	}
	x.Value.replied, x.Value.outside, x.Value.end = true, true, r.last
	p.order.Answered()
	p.answered(x, r)
}

// status follows the parameters of the session that matter.
func (p *parser) status(b []byte) {
	key, rest, _ := text(b)
	if string(key) != "standard_conforming_strings" {
		return
	}
	switch value, _, _ := text(rest); string(value) {
	case "on":
		p.quoting = sqltext.Plain
	case "off":
		p.quoting = sqltext.Escaping
	default:
		p.quoting = sqltext.Unknown
	}
}

// notified reads a notification. Its payload is not emitted.
func (p *parser) notified(m *framing.Prefix) {
	if len(m.Body) < 4 {
		return
	}
	channel, _, _ := text(m.Body[4:])
	out := &p.memory.exchange
	out.Reset(p.memory.keys)
	out.Kind, out.Initiator, out.Protocol, out.Name = protocol.Message, protocol.FromServer, name, string(notifies)
	out.Start, out.RequestEnd, out.End = m.First, m.Last, m.Last
	out.Capture = p.loss
	out.SetText(systemName, systemValue)
	out.SetText(operationName, notifies)
	p.memory.text = appendChannel(append(p.memory.text[:0], notifies...), channel)
	out.SetText(queryText, p.memory.text)
	if len(p.database) > 0 {
		out.SetText(namespace, p.database)
	}
	p.sink.Single(out)
}

// heard notes that the answer to an exchange has begun, or goes on.
func (p *parser) heard(c *cycle, e *exchange, r *result) {
	if e.responseStart.Time == 0 {
		e.responseStart = r.first
		e.capture = max(e.capture, c.doubt)
	}
	e.row = e.row || r.row
	if r.kind != proceeds {
		e.capture = max(e.capture, r.loss)
	}
}

// complete ends an exchange.
func (p *parser) complete(c *cycle, e *exchange, r *result) {
	if e == nil {
		return
	}
	e.end, e.rows, e.command, e.suspended = r.last, r.rows, r.command, r.kind == suspended
	e.batch = c.batch
	if next := c.next(); next != nil && next.kind == ready && !c.simple && !c.more {
		p.emitHeld(c)
		c.held = e // the Sync may still fail: it commits
		return
	}
	p.emit(e)
}

func (p *parser) emitHeld(c *cycle) {
	if e := c.held; e != nil {
		c.held = nil
		p.emit(e)
	}
}

// fails ends the exchange that an error is about. The server passes over the rest of the cycle.
func (p *parser) fails(x *item, o *operation, r *result) {
	c := &x.Value
	if c.failed {
		return
	}
	c.failed, c.copying = true, false
	p.removeAll(&p.portals)
	if o.kind == ready {
		if e := c.held; e != nil {
			c.held = nil
			e.end = r.last
			p.fail(e, r)
		}
		return
	}
	e := o.exchange
	if e != nil {
		if o.subject != nil {
			e.statement, e.unknown, e.parent = o.subject, false, o.parent
		}
		if o.kind != parses && (r.code == noStatement || r.code == noPortal) {
			e.statement = nil // what its name stands for is another one
		}
		e.batch = c.batch
	}
	if o.kind == parses && o.name == unnamed {
		o.had = false // the server forgets it even so
	}
	first := *o
	p.pop(c)
	p.skip(x, e)
	p.undo(x, &first)
	if e != nil {
		e.end = r.last
		p.fail(e, r)
	}
}

// SQLSTATEs of a name that stands for nothing, and of a statement that cannot be parsed: a quotation mark may be missing, so that what looks
// like a name may be a word of a literal.
const (
	noStatement = "26000"
	noPortal    = "34000"
	syntaxError = "42601"
)

func (p *parser) fail(e *exchange, r *result) {
	e.failed, e.code = true, r.code
	p.emit(e)
}

// cutReplies says that what the server has sent is not known from here on.
func (p *parser) cutReplies() {
	x := p.answer
	p.answer, p.answering = nil, false
	if x != nil && x.Value.outside {
		if p.open == x {
			p.open = nil
		}
		p.Unanswered(x)
	}
}
