package postgres

import (
	"bytes"
	"unicode/utf8"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
	"github.com/socketflow/socketflow/internal/sqltext"
)

// exchange is a statement that is executed, and what is known of the answer.
type exchange struct {
	statement *sqltext.Statement // nil: it is not known

	start, requestEnd, responseStart, end protocol.Stamp

	id      protocol.ID
	parent  protocol.TraceContext // that a comment carries
	code    string                // SQLSTATE of the error; empty: it is not known
	command []byte                // that the answer names; empty: none
	rows    int64                 // that the answer counts; -1: none
	limit   int64                 // rows that Execute asks for; 0: all
	batch   int64                 // statements of the simple query; 0: one
	capture protocol.Capture

	executed  bool // there is an Execute, or a simple query: otherwise it is only prepared
	bound     bool // there is a Bind
	lasting   bool // it has several answers, up to the end of its cycle
	called    bool // it is the call of a function
	cancels   bool // it is the request to cancel another connection's
	unknown   bool // its statement was prepared before, and is not known
	row       bool // a row has come
	suspended bool
	failed    bool
}

const (
	maxFree    = 256 // exchanges that are kept for reuse
	maxCodes   = 512 // different SQLSTATEs; a function can raise any
	otherError = "_OTHER"
)

var (
	systemValue = []byte(name)
	notifies    = []byte("NOTIFY")
	functions   = []byte("FUNCTION CALL")
	cancels     = []byte("CANCEL")
)

// newExchange begins an exchange.
func (p *parser) newExchange(start *protocol.Stamp) *exchange {
	m := p.memory
	var e *exchange
	if last := len(m.exchanges) - 1; last >= 0 {
		e = m.exchanges[last]
		m.exchanges = m.exchanges[:last]
	} else {
		e = new(exchange)
	}
	*e = exchange{start: *start, rows: -1}
	m.request = protocol.Request{Initiator: protocol.FromClient, Start: *start}
	e.id = p.sink.Begin(&m.request)
	return e
}

func (p *parser) free(e *exchange) {
	*e = exchange{}
	if m := p.memory; len(m.exchanges) < maxFree {
		m.exchanges = append(m.exchanges, e)
	}
}

// drop forgets an exchange that is none after all.
func (p *parser) drop(e *exchange) {
	p.sink.Forget(e.id)
	p.free(e)
}

// release takes a cycle back.
func (p *parser) release(x *item) {
	if p.open == x {
		p.open = nil
	}
	if p.answer == x {
		p.answer = nil
	}
	c := &x.Value
	if cap(c.operations) > maxIdle {
		c.operations = nil
	}
	if cap(c.results) > maxIdle {
		c.results = nil
	}
	newCycle(x)
	p.memory.cycles.Put(x)
}

// Unanswered implements pairing.Owner.
func (p *parser) Unanswered(x *item) {
	p.giveUp(x)
	for x.Value.next() != nil {
		p.pop(&x.Value)
	}
	p.release(x)
}

// Dropped implements pairing.Owner.
func (p *parser) Dropped(x *item) {
	c := &x.Value
	p.emitHeld(c)
	p.skip(x, nil)
	for c.next() != nil {
		p.pop(c)
	}
	p.release(x)
}

// unanswered hands over the exchange of an operation that has no answer, or not all of it.
func (p *parser) unanswered(c *cycle, o *operation) {
	e := o.exchange
	if c.group == e {
		c.group = nil
	}
	known := p.ending != nil && !p.ending.Unknown && !p.frames[protocol.FromServer].Lost()
	if !e.executed || p.rejected || o.kind == starts && !known {
		p.drop(e)
		return
	}
	e.end = p.now
	e.batch = c.batch
	failure, errno := "", uint32(0)
	switch {
	case p.garbled:
		failure = protocol.MalformedResponse
	case known:
		failure, errno = p.ending.Failure(p.side), p.ending.Errno
	default:
		e.capture = max(e.capture, p.loss, protocol.CaptureTruncated)
	}
	p.emitAs(e, failure, errno)
}

func (p *parser) emit(e *exchange) { p.emitAs(e, "", 0) }

// emitAs hands over an exchange, and releases it.
func (p *parser) emitAs(e *exchange, failure string, errno uint32) {
	m, out := p.memory, &p.memory.exchange
	out.Reset(m.keys)
	out.Protocol, out.Initiator, out.Name = name, protocol.FromClient, name
	out.Start, out.RequestEnd, out.ResponseStart, out.End = e.start, e.requestEnd, e.responseStart, e.end
	out.Capture, out.Error, out.Errno = e.capture, failure, errno
	out.Parent = e.parent
	out.SetText(systemName, systemValue)
	if len(p.database) > 0 {
		out.SetText(namespace, p.database)
	}
	p.describeStatement(e, out)
	if e.unknown && e.statement == nil {
		out.Capture = max(out.Capture, p.unknown)
	}
	if e.batch > 1 {
		out.SetInt(batchSize, e.batch)
	}
	if rows, ok := e.returned(); ok {
		out.SetInt(returnedRows, rows)
	}
	if e.failed {
		out.Error = otherError
		if e.code != "" {
			out.Error = e.code
			from := len(m.text)
			m.text = append(m.text, e.code...)
			out.SetText(statusCode, m.text[from:])
		}
	}
	p.sink.End(e.id, out)
	p.free(e)
}

// describeStatement sets the name, and what is known of the statement.
func (p *parser) describeStatement(e *exchange, out *protocol.Exchange) {
	operation := e.command
	p.memory.text = p.memory.text[:0]
	switch s := e.statement; {
	case e.called:
		operation = functions
	case e.cancels:
		operation = cancels
	case s != nil && e.code == syntaxError:
		operation = s.Operation
		p.memory.text = append(p.memory.text, s.Text[:s.Certain]...)
		if s.Certain < len(s.Text) {
			p.memory.text = append(p.memory.text, " ..."...)
		}
		if len(p.memory.text) > 0 {
			out.SetText(queryText, p.memory.text)
		}
	case s != nil:
		if len(s.Operation) > 0 {
			operation = s.Operation
		}
		if len(s.Summary) > 0 {
			out.Name = s.Summary
			p.memory.text = append(p.memory.text, s.Summary...)
			out.SetText(querySummary, p.memory.text)
		}
		if len(s.Collection) > 0 {
			out.SetText(collectionName, s.Collection)
		}
		if len(s.Procedure) > 0 {
			out.SetText(procedureName, s.Procedure)
		}
		if len(s.Text) > 0 {
			out.SetText(queryText, s.Text)
		}
	}
	if len(operation) == 0 {
		return
	}
	out.SetText(operationName, operation)
	if out.Name == name {
		out.Name = p.memory.nameOf(operation)
	}
}

// nameOf is an operation as the name of a span.
func (m *memory) nameOf(operation []byte) string {
	if known, ok := m.codes[string(operation)]; ok {
		return known
	}
	made := string(operation)
	m.codes[made] = made // operations are few
	return made
}

// returned is how many rows the answer had. The number that the answer counts may be that of rows that were changed only.
func (e *exchange) returned() (rows int64, ok bool) {
	switch {
	case e.suspended:
		return e.limit, e.limit > 0
	case e.rows < 0, !e.row && e.rows > 0, string(e.command) == "COPY":
		return 0, false
	case e.row:
		return e.rows, true
	}
	return 0, string(e.command) == "SELECT" || string(e.command) == "FETCH"
}

// code is a SQLSTATE as a string; empty: the text is none.
func (m *memory) code(b []byte) string {
	if !isCode(b) {
		return ""
	}
	if known, ok := m.codes[string(b)]; ok {
		return known
	}
	if len(m.codes) >= maxCodes {
		return ""
	}
	made := string(b)
	m.codes[made] = made
	return made
}

// toText makes bytes valid UTF-8.
func toText(b []byte) []byte {
	if utf8.Valid(b) {
		return b
	}
	return bytes.ToValidUTF8(b, []byte("\uFFFD"))
}

// appendChannel appends the channel of a notification, and what stands for its payload.
func appendChannel(to, channel []byte) []byte {
	plain := len(channel) > 0
	for i, c := range channel {
		plain = plain && (c >= 'a' && c <= 'z' || c == '_' || i > 0 && ascii.IsDigit(c))
	}
	if to = append(to, ' '); plain {
		to = append(to, channel...)
	} else {
		to = append(append(append(to, '"'), toText(channel)...), '"')
	}
	return append(to, ", ?"...)
}
