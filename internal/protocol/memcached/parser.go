package memcached

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
)

// form of the messages of a connection: the server decides by the client's first byte.
type form uint8

const (
	formUnknown form = iota
	formText
	formBinary
)

// parser implements protocol.Parser.
type parser struct {
	memory *memory
	sink   protocol.Sink
	side   protocol.Side
	order  pairing.Order[exchange]
	form   form
	lines  [protocol.Directions]reader // of the text protocol
	frames *[protocol.Directions]framing.Prefixed
	now    protocol.Stamp

	sending *item // the command whose data is being read; nil: it is not followed
	reply   answer
	ending  *protocol.Ending
	garbage framing.Garbage // of the client

	loss     protocol.Capture
	joined   bool
	proven   bool // a reply was paired
	asked    bool // a command has begun since the replies were lost
	vague    int  // quiet commands that wait, and whose reply would not name them
	muddled  bool // such a reply has come since one was paired
	hushed   bool // something was stored without a reply since a reply was paired
	over     bool // nothing is read any more
	rejected bool
}

// answer is the reply that is being read.
type answer struct {
	item  *item // nil: it is not known whose it is
	state state
}

func newParser(m *memory, s *protocol.Session) *parser {
	p := &parser{memory: m, sink: s.Sink, side: s.Side, joined: s.Joined}
	p.order = pairing.NewOrder[exchange](&m.items, p, s.Sink, m.limits.Outstanding, s.Joined)
	for d := range p.lines {
		p.lines[d].lines, p.lines[d].body = framing.NewLines(&m.buffers), framing.NewBody(&m.buffers)
	}
	return p
}

// lost reports whether it is not known where messages of a direction begin.
func (p *parser) lost(d protocol.Direction) bool {
	if p.form == formBinary {
		return p.frames[d].Lost()
	}
	return p.lines[d].Lost()
}

// choose decides the form by the first bytes.
func (p *parser) choose(c *protocol.Chunk) {
	p.form = formText
	if b := c.Bytes[0]; b == magicRequest && c.Direction == protocol.FromClient || b == magicReply && c.Direction == protocol.FromServer {
		p.form = formBinary
		p.frames = new([protocol.Directions]framing.Prefixed)
		for d := range p.frames {
			p.frames[d].Form, p.frames[d].Measure, p.frames[d].Credible = &frameForm, measures[d], credible[d]
		}
	}
	if p.joined {
		for d := range protocol.Directions {
			p.forget(d)
		}
	}
}

// forget says that it is not known where messages of a direction begin.
func (p *parser) forget(d protocol.Direction) {
	if p.form == formBinary {
		p.frames[d].Lose()
		return
	}
	p.lines[d].reset()
	p.lines[d].Lose()
}

// Data implements protocol.Parser.
func (p *parser) Data(c *protocol.Chunk) {
	if p.over {
		return
	}
	p.now = c.Stamp
	if c.Direction == protocol.FromServer {
		p.order.Heard(&c.Stamp)
	}
	if p.form == formUnknown {
		p.choose(c)
	}
	if p.form == formBinary {
		p.readFrames(c)
	} else {
		p.readLines(c)
	}
	switch {
	case p.rejected:
		p.sink.Reject()
		p.sink.Return(c)
	case !p.over && c.Direction == protocol.FromClient:
		p.order.Sent(&c.Stamp)
		p.judge(len(c.Bytes))
	}
}

// judge gives a conversation up in which no command has been found for long. n is the length of what the client has sent.
func (p *parser) judge(n int) {
	switch {
	case !p.lost(protocol.FromClient):
		p.garbage = framing.Garbage{}
	case p.garbage.Add(n, p.proven):
		p.stop()
		p.sink.Ignore()
	}
}

// Gap implements protocol.Parser.
func (p *parser) Gap(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	if p.over {
		return
	}
	p.now = at
	if d == protocol.FromServer {
		p.order.Heard(&at)
	} else {
		p.order.Sent(&at)
	}
	p.loss = max(p.loss, why.Capture())
	hidden := n
	switch p.form {
	case formBinary:
		hidden = p.missFrames(d, n, &at, why)
	case formText:
		hidden = p.missLines(d, n, &at)
	case formUnknown:
		p.joined = true
	}
	p.loss = protocol.CaptureComplete
	if hidden > 0 && !p.over {
		p.lose(d, why)
	}
	if p.rejected {
		p.sink.Reject()
		p.sink.ReturnGap(d, n, at, why)
	}
}

// lose says that messages of a direction were lost.
func (p *parser) lose(d protocol.Direction, why protocol.Loss) {
	p.loss = why.Capture()
	if d == protocol.FromClient {
		p.cutRequest()
		p.order.LostRequests()
	} else {
		p.asked = false
		p.cutReply()
		p.order.LostResponses(why)
	}
	p.forget(d)
	p.loss = protocol.CaptureComplete
}

// malformed takes what the protocol does not allow.
func (p *parser) malformed(d protocol.Direction) {
	p.sink.Error(protocol.Malformed)
	switch {
	case !p.proven && !p.joined:
		p.rejected = true
		p.stop()
	case d == protocol.FromServer && p.order.Certain():
		p.garbled()
	default:
		p.lose(d, protocol.Lost)
	}
}

// garbled ends the command to which the server has sent what is no reply.
func (p *parser) garbled() {
	x := p.reply.item
	if x == nil {
		if next := p.order.Next(); next != nil {
			x, _ = p.order.Response()
		}
	}
	if x != nil && x.Value.command != nil { // otherwise it is a reply that came before its command
		p.order.Answered()
		p.emitAt(x, &p.now, protocol.MalformedResponse, 0)
	}
	p.lose(protocol.FromServer, protocol.Lost)
}

// cutRequest ends the command that is being read, because its rest is missing.
func (p *parser) cutRequest() {
	x := p.sending
	if x == nil {
		return
	}
	p.sending = nil
	e := &x.Value
	e.requested, e.requestEnd, e.capture = true, p.now, max(e.capture, p.loss)
	switch {
	case e.replied:
		p.finish(x)
	case e.outside && e.replyStart.Time == 0:
		p.silent(x)
	}
}

// cutReply forgets the reply that is being read.
func (p *parser) cutReply() {
	if x := p.reply.item; x != nil && x.Value.outside {
		p.Unanswered(x)
	}
	p.reply = answer{}
}

// stop ends the reading of the conversation.
func (p *parser) stop() {
	p.over = true
	p.loss = protocol.CaptureGap
	if p.ending != nil {
		p.loss = p.ending.Capture()
	}
	if x := p.sending; x != nil && (x.Value.outside || x.Value.replied) {
		p.Unanswered(x)
	}
	p.cutReply()
	p.order.End()
	for d := range p.lines {
		p.lines[d].reset()
	}
	p.frames = nil
	p.form = formText
}

// Close implements protocol.Parser.
func (p *parser) Close(e protocol.Ending) {
	if p.over {
		return
	}
	p.ending = &e
	p.now = e.At
	p.stop()
}

// Demand implements protocol.Parser.
func (p *parser) Demand(d protocol.Direction) protocol.Demand {
	switch {
	case p.over:
		return protocol.Demand{Skip: protocol.Forever}
	case p.form == formBinary:
		return protocol.Demand{Skip: p.frames[d].Skip()}
	case p.lines[d].inBody && !p.lines[d].Lost():
		return protocol.Demand{Skip: p.lines[d].body.Skip()}
	}
	return protocol.Demand{}
}

// Held implements protocol.Parser.
func (p *parser) Held() int {
	n := p.order.Items() * itemSize
	for d := range p.lines {
		n += p.lines[d].lines.Held() + p.lines[d].body.Held()
		if p.frames != nil {
			n += p.frames[d].Held()
		}
	}
	return n
}
