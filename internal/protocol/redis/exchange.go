package redis

import (
	"strconv"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
)

// exchange is a command, and what is known of its reply; or a message of the server.
type exchange struct {
	command *command // nil: its name is not known yet
	message *push    // nil: it is a command

	start, requestEnd, replyStart, end protocol.Stamp

	id        protocol.ID
	code      string // of the error
	batch     int64  // commands that EXEC has executed; -1: not known
	index     int64  // that SELECT names
	replies   int    // that are to come: several if channels are subscribed to
	arguments int
	elements  int64 // of the reply
	text      []byte
	procedure [2]int // part of text
	capture   protocol.Capture
	doubt     protocol.Capture // of its pairing

	begun     bool // it has an id
	requested bool // the request is complete, or its end is not known
	replied   bool
	top       byte // type of the reply
	queued    bool // the reply was QUEUED
	refused   bool // an element of the reply is an error
	failed    bool // the reply is an error
	outside   bool // it is not in the Order: its reply came first, or none is to come
}

type item = pairing.Item[exchange]

const (
	usualText   = 128
	maxIdleText = 1 << 10
	otherError  = "_OTHER"
	maxCodes    = 128 // different error codes; scripts can return any
)

func (p *parser) newItem(x *item) *exchange {
	text := x.Value.text[:0]
	x.Value = exchange{text: text, batch: -1, index: noDatabase}
	return &x.Value
}

func (p *parser) release(x *item) {
	if p.requests.item == x {
		p.requests.item = nil
	}
	if p.replies.item == x {
		p.replies.item = nil
	}
	if p.replies.subscribing == x {
		p.replies.subscribing = nil
	}
	if cap(x.Value.text) > maxIdleText {
		x.Value.text = nil
	}
	p.memory.items.Put(x)
}

// paired notes that a command has got a reply, which may be another one's.
func (p *parser) paired(x *item) { x.Value.capture = max(x.Value.capture, x.Value.doubt) }

// Unanswered implements pairing.Owner.
func (p *parser) Unanswered(x *item) {
	e := &x.Value
	if e.command == nil || p.rejected {
		p.Dropped(x)
		return
	}
	p.unsettle(e.command)
	if p.replies.garbled {
		p.emitAt(x, &p.now, protocol.MalformedResponse, 0)
		return
	}
	if ending := p.replies.ending; ending == nil || ending.Unknown || p.streams[protocol.FromServer].Lost() {
		missing := p.loss
		if missing == protocol.CaptureComplete {
			missing = protocol.CaptureGap
		}
		e.capture = max(e.capture, missing)
	} else if e.command.effect != leaves && (e.command.effect < subscribe || e.replyStart.Time == 0) {
		p.emitFailed(x, ending)
		return
	}
	p.emitAt(x, &p.now, "", 0)
}

func (p *parser) emitFailed(x *item, e *protocol.Ending) {
	p.emitAt(x, &e.At, e.Failure(p.side), e.Errno)
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
func (p *parser) unsettle(c *command) {
	if c.effect == selects || c.effect == resets || c.effect == executes && p.queued != noDatabase {
		p.database = noDatabase
	}
}

// emit hands over an exchange and releases it.
func (p *parser) emit(x *item, failure string, errno uint32) {
	e, m := &x.Value, p.memory
	out := &m.exchange
	out.Reset(m.keys)
	out.Protocol, out.Initiator = name, protocol.FromClient
	out.Start, out.RequestEnd, out.ResponseStart, out.End = e.start, e.requestEnd, e.replyStart, e.end
	out.Capture, out.Error, out.Errno = e.capture, failure, errno
	out.SetText(systemName, systemValue)
	if e.message != nil {
		out.Kind, out.Initiator, out.Name = protocol.Message, protocol.FromServer, e.message.span
		out.SetText(operationName, e.message.name)
	} else {
		out.Name = e.command.span
		out.SetText(operationName, e.command.name)
	}
	if len(e.text) > 0 {
		out.SetText(queryText, e.text)
	}
	if e.procedure[1] > 0 {
		out.SetText(procedureName, e.text[e.procedure[0]:e.procedure[1]])
	}
	if p.database != noDatabase && e.message == nil {
		m.number = strconv.AppendInt(m.number[:0], p.database, 10)
		out.SetText(namespace, m.number)
	}
	if e.batch >= 0 && e.batch != 1 { // a batch of one is none, by the conventions
		out.SetInt(batchSize, e.batch)
	}
	if e.failed && failure == "" && errno == 0 {
		out.Error = otherError
		if e.code != "" {
			out.Error = e.code
			m.status = append(m.status[:0], e.code...)
			out.SetText(statusCode, m.status)
		}
	}
	if e.begun {
		p.sink.End(e.id, out)
	} else {
		p.sink.Single(out)
	}
	p.release(x)
}

var systemValue = []byte(name)

// code is the code of an error reply: its first word, if that has the form of one.
func (m *memory) code(b []byte) string {
	n := 0
	for n < len(b) && (b[n] >= 'A' && b[n] <= 'Z' || b[n] >= '0' && b[n] <= '9' && n > 0 || b[n] == '_' && n > 0) {
		n++
	}
	if n < 2 || n > maxName || n < len(b) && b[n] != ' ' {
		return ""
	}
	if known, ok := m.codes[string(b[:n])]; ok {
		return known
	}
	if len(m.codes) >= maxCodes {
		return ""
	}
	made := string(b[:n])
	m.codes[made] = made
	return made
}
