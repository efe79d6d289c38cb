package memcached

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
)

// exchange is a command, and what is known of its reply.
type exchange struct {
	command *command // nil: it is not known yet

	start, requestEnd, replyStart, end protocol.Stamp

	id      protocol.ID
	text    []byte // query text
	token   []byte // a quiet command of the text protocol: what its reply begins with to name it; empty: nothing does
	opaque  uint32 // of the binary protocol
	number  byte   // likewise, of the command
	rows    int64
	code    string // of an error; empty: there is none
	keys    int    // that the command has named so far
	capture protocol.Capture
	doubt   protocol.Capture // of its pairing

	full      bool // nothing more goes into the text
	begun     bool // it has an id
	requested bool // the request is complete, or its end is not known
	replied   bool
	outside   bool // it is not in the Order: its reply came first, or none is to come
	quiet     bool // it gets a reply only if there is something to say
	vague     bool // it is in parser.vague
	unsure    bool // a quiet command that may have got a reply
}

type item = pairing.Item[exchange]

const (
	usualText    = 128
	maxIdleText  = 1 << 10
	maxText      = 1 << 10 // bytes of db.query.text
	maxArguments = 32      // keys in it
)

func (p *parser) newItem(x *item) *exchange {
	text, token := x.Value.text[:0], x.Value.token[:0]
	x.Value = exchange{text: text, token: token}
	return &x.Value
}

func (p *parser) release(x *item) {
	if p.sending == x {
		p.sending = nil
	}
	if p.reply.item == x {
		p.reply.item = nil
	}
	if x.Value.vague {
		x.Value.vague = false
		p.vague--
	}
	if cap(x.Value.text) > maxIdleText {
		x.Value.text = nil
	}
	p.memory.items.Put(x)
}

// Unanswered implements pairing.Owner.
func (p *parser) Unanswered(x *item) {
	e := &x.Value
	switch {
	case e.command == nil || p.rejected:
		p.Dropped(x)
	case p.ending == nil || p.ending.Unknown || p.lost(protocol.FromServer):
		missing := p.loss
		if missing == protocol.CaptureComplete {
			missing = protocol.CaptureGap
		}
		e.capture = max(e.capture, missing)
		p.emitAt(x, &p.now, "", 0)
	case e.quiet && e.replyStart.Time == 0:
		e.unsure = true
		p.silent(x)
	default:
		p.emitAt(x, &p.ending.At, p.ending.Failure(p.side), p.ending.Errno)
	}
}

// silent hands over a quiet command that has got no reply.
func (p *parser) silent(x *item) {
	x.Value.end = x.Value.requestEnd
	x.Value.unsure = x.Value.unsure || x.Value.vague && p.muddled
	p.emit(x, "", 0)
}

// emitAt hands over an exchange whose last byte was not seen.
func (p *parser) emitAt(x *item, at *protocol.Stamp, failure string, errno uint32) {
	e := &x.Value
	position := e.end.Position
	e.end = *at
	e.end.Position = position
	e.unsure = true
	p.emit(x, failure, errno)
}

// Dropped implements pairing.Owner.
func (p *parser) Dropped(x *item) {
	if x.Value.begun {
		p.sink.Forget(x.Value.id)
	}
	p.release(x)
}

// begin gives an exchange an id.
func (p *parser) begin(x *item) {
	m := p.memory
	m.request = protocol.Request{Initiator: protocol.FromClient, Start: x.Value.start}
	x.Value.id, x.Value.begun = p.sink.Begin(&m.request), true
}

// emit hands over an exchange and releases it.
func (p *parser) emit(x *item, failure string, errno uint32) {
	e, m := &x.Value, p.memory
	out := &m.exchange
	out.Reset(m.keys)
	out.Protocol, out.Initiator, out.Name = name, protocol.FromClient, e.command.name
	out.Start, out.RequestEnd, out.ResponseStart, out.End = e.start, e.requestEnd, e.replyStart, e.end
	out.Capture, out.Error, out.Errno = e.capture, failure, errno
	out.SetText(systemName, systemValue)
	out.SetText(operationName, e.command.text)
	if len(e.text) > 0 {
		out.SetText(queryText, e.text)
	}
	if e.code != "" {
		m.status = append(m.status[:0], e.code...)
		out.SetText(statusCode, m.status)
		if failure == "" && errno == 0 {
			out.Error = e.code
		}
	} else if e.command.gets && !e.unsure && !e.outside {
		out.SetInt(returnedRows, e.rows)
	}
	if e.begun {
		p.sink.End(e.id, out)
	} else {
		p.sink.Single(out)
	}
	p.release(x)
}

var systemValue = []byte(name)

// appendKey appends a key to a command's text. The text is bounded: what it lacks is written as three dots.
func (e *exchange) appendKey(key []byte) {
	switch e.keys++; {
	case e.full:
	case e.keys > maxArguments, len(e.text)+len(key) > maxText:
		e.full = true
		e.text = append(e.text, " ..."...)
	default:
		e.text = append(append(e.text, ' '), key...)
	}
}
