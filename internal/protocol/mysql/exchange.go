package mysql

import (
	"bytes"
	"strconv"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
	"github.com/socketflow/socketflow/internal/sqltext"
)

// exchange is a command, and what is known of its reply.
type exchange struct {
	command   *command
	statement *sqltext.Statement    // nil: there is none, or it is not known
	parent    protocol.TraceContext // that a comment carries
	prepared  uint32                // the number of the statement

	start, requestEnd, replyStart, end protocol.Stamp

	id      protocol.ID
	schema  []byte // the database that it names, which is used from then on if the server agrees
	moves   move
	batch   int    // statements
	batchOf []byte // the operation of all of them; empty: they have several
	results int    // that have come
	rows    int64
	failure failure
	capture protocol.Capture
	doubt   protocol.Capture // of its pairing

	sequence  byte // of the request's last packet
	begun     bool // it has an id
	requested bool // the request is complete, or its end is not known
	replied   bool
	listed    bool // there were rows, or none of them
	failed    bool
	tracked   bool // the server has said which database is in use
	outside   bool // it is not in the Order: no reply is to come
}

// move is what a command does to the database in use.
type move uint8

const (
	stays   move = iota
	names        // it is exchange.schema from now on
	unknown      // it may be another one
)

type item = pairing.Item[exchange]

const (
	usualSchema = 64
	maxSchema   = 1 << 10
	maxCodes    = 1 << 10 // different codes of errors; there are some 6,000
	otherError  = "_OTHER"
)

func (p *parser) newItem(x *item) *exchange {
	x.Value = exchange{schema: x.Value.schema[:0]}
	return &x.Value
}

func (p *parser) release(x *item) {
	if p.sending == x {
		p.sending = nil
	}
	if p.blind == x {
		p.blind = nil
	}
	if p.reply.item == x {
		p.reply = answer{}
	}
	x.Value.statement = nil
	p.memory.items.Put(x)
}

// Unanswered implements pairing.Owner.
func (p *parser) Unanswered(x *item) {
	e := &x.Value
	if p.rejected {
		p.Dropped(x)
		return
	}
	p.unsettle(e)
	if p.ending == nil || p.ending.Unknown || p.frames[protocol.FromServer].Lost() {
		if e.command == connect {
			p.Dropped(x)
			return
		}
		missing := p.loss
		if missing == protocol.CaptureComplete {
			missing = protocol.CaptureGap
		}
		e.capture, e.listed = max(e.capture, missing), false // not all rows are counted
		p.emitAt(x, &p.now, "", 0)
		return
	}
	p.emitAt(x, &p.ending.At, p.ending.Failure(p.side), p.ending.Errno)
}

// emitAt hands over an exchange whose last byte was not seen.
func (p *parser) emitAt(x *item, at *protocol.Stamp, failure string, errno uint32) {
	e := &x.Value
	position := e.end.Position
	e.end = *at
	e.end.Position = position
	p.emit(x, failure, errno)
}

// Dropped implements pairing.Owner.
func (p *parser) Dropped(x *item) {
	if x.Value.begun {
		p.sink.Forget(x.Value.id)
	}
	p.release(x)
}

// unsettle notes that the outcome of a command is not known.
func (p *parser) unsettle(e *exchange) {
	if e.moves != stays {
		p.schemaKnown = false
	}
}

// begin gives an exchange an id.
func (p *parser) begin(x *item) {
	m := p.memory
	m.request = protocol.Request{Initiator: protocol.FromClient, Start: x.Value.start}
	x.Value.id, x.Value.begun = p.sink.Begin(&m.request), true
	if x.Value.parent.Valid() {
		m.carried = protocol.Carried{Parent: x.Value.parent}
		p.sink.Continue(x.Value.id, &m.carried)
	}
}

// System implements protocol.Database.
func (p *parser) System() string {
	if bytes.Equal(p.system, systemMariaDB) {
		return "mariadb"
	}
	return "mysql"
}

// emit hands over an exchange and releases it.
func (p *parser) emit(x *item, failed string, errno uint32) {
	e, m := &x.Value, p.memory
	out := &m.exchange
	out.Reset(m.keys)
	out.Protocol, out.Initiator = name, protocol.FromClient
	out.Start, out.RequestEnd, out.ResponseStart, out.End = e.start, e.requestEnd, e.replyStart, e.end
	out.Capture, out.Error, out.Errno = e.capture, failed, errno
	out.SetText(systemName, p.system)
	out.Parent = e.parent
	p.describe(out, e)
	if e.batch > 1 { // a batch of one is none, by the conventions
		out.SetInt(batchSize, int64(e.batch))
	}
	if e.listed && !e.failed {
		out.SetInt(returnedRows, e.rows)
	}
	if e.failed {
		code := m.code(e.failure.code)
		m.status = append(m.status[:0], code...)
		out.SetText(statusCode, m.status)
		if failed == "" && errno == 0 {
			out.Error = code
		}
		if e.failure.state[0] != 0 {
			out.SetText(sqlState, e.failure.state[:])
		}
	}
	if e.begun {
		p.sink.End(e.id, out)
	} else {
		p.sink.Single(out)
	}
	p.release(x)
}

// describe says what was asked.
func (p *parser) describe(out *protocol.Exchange, e *exchange) {
	c, s := e.command, e.statement
	out.Name = c.name
	out.SetText(operationName, c.text)
	switch {
	case len(e.schema) > 0 && (c.body == bodySchema || c.body == bodyLogin):
		out.SetText(namespace, e.schema)
	case p.schemaKnown && len(p.schema) > 0:
		out.SetText(namespace, p.schema)
	}
	if s == nil || c.reply != replyResult && c.reply != replyPrepare && c.reply != replyRows {
		return
	}
	if len(s.Text) > 0 {
		out.SetText(queryText, s.Text)
	}
	if len(s.Collection) > 0 {
		out.SetText(collectionName, s.Collection)
	}
	if len(s.Procedure) > 0 {
		out.SetText(procedureName, s.Procedure)
	}
	switch {
	case c.reply != replyResult: // it is not executed
	case e.batch > 1 && c.body == bodySQL:
		out.Name = p.memory.batchName(e.batchOf)
		p.memory.summary = append(p.memory.summary[:0], out.Name...)
		out.SetText(operationName, p.memory.summary)
	default:
		if len(s.Operation) > 0 {
			out.SetText(operationName, s.Operation)
		}
		if s.Summary != "" {
			out.Name = s.Summary
			p.memory.summary = append(p.memory.summary[:0], s.Summary...)
			out.SetText(querySummary, p.memory.summary)
		}
	}
}

const maxBatches = 1 << 8 // names of batches

// batchName is the operation of several statements, by the conventions.
func (m *memory) batchName(operation []byte) string {
	if len(operation) == 0 {
		return batch
	}
	if known, ok := m.batches[string(operation)]; ok {
		return known
	}
	if len(m.batches) >= maxBatches {
		return batch
	}
	made := batch + " " + string(operation)
	m.batches[string(operation)] = made
	return made
}

const batch = "BATCH"

// code is the text of an error's code.
func (m *memory) code(n uint16) string {
	if known, ok := m.codes[n]; ok {
		return known
	}
	if len(m.codes) >= maxCodes {
		return otherError
	}
	made := strconv.Itoa(int(n))
	m.codes[n] = made
	return made
}
