package mysql

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
	"github.com/socketflow/socketflow/internal/sqltext"
)

var (
	systemMySQL   = []byte("mysql")
	systemMariaDB = []byte("mariadb")
)

// phase is how far a connection has come.
type phase uint8

const (
	phaseGreeting phase = iota // the server has to say who it is
	phaseLogin                 // the client has to
	phaseCommands
)

// parser implements protocol.Parser.
type parser struct {
	memory *memory
	sink   protocol.Sink
	side   protocol.Side
	order  pairing.Order[exchange]
	frames [protocol.Directions]framing.Prefixed
	packed *packed // nil: nothing is compressed
	now    protocol.Stamp
	phase  phase

	early   early
	sending *item                     // the command that is being read; nil: it is not followed
	goesOn  [protocol.Directions]bool // the next packet belongs to the last one
	reply   answer
	blind   *item // a part of its reply was lost: it ends when the client goes on
	ending  *protocol.Ending
	garbage framing.Garbage // of the client

	system       []byte
	capabilities uint64
	agreed       bool      // capabilities are known
	greeted      bool      // what the server can is known, too
	offered      uint64    // what it can
	replacesEOF  knownness // the server
	trailing     bool      // the reply that was read last may have one more packet, with this number
	trailingAt   byte
	quoting      sqltext.Quoting
	schema       []byte // in use; empty: none is
	schemaKnown  bool
	statements   statements
	newest       *sqltext.Statement    // that was prepared last
	newestParent protocol.TraceContext // that its comment carries, if the client has sent nothing since
	preparing    protocol.TraceContext // likewise, of the command before the one that is being read

	unsure   [protocol.Directions]bool // only the header of the packet was judged
	loss     protocol.Capture
	gaps     bool // something was lost
	joined   bool
	proven   bool // a reply was paired
	over     bool // nothing is read any more
	switched bool // to TLS
	rejected bool
}

func newParser(m *memory, s *protocol.Session) *parser {
	p := &parser{memory: m, sink: s.Sink, side: s.Side, joined: s.Joined, system: systemMySQL}
	p.order = pairing.NewOrder[exchange](&m.items, p, s.Sink, m.limits.Outstanding, s.Joined)
	p.statements.free = &m.prepared
	for d := range p.frames {
		p.frames[d].Form = &form
	}
	p.frames[protocol.FromClient].Measure, p.frames[protocol.FromServer].MaxBody = p.measure, replyBytes
	p.frames[protocol.FromClient].Credible, p.frames[protocol.FromServer].Credible = p.beginsRequest, p.beginsReply
	if s.Joined {
		p.phase = phaseCommands
		for d := range p.frames {
			p.frames[d].Lose()
		}
	}
	return p
}

// Data implements protocol.Parser.
func (p *parser) Data(c *protocol.Chunk) {
	if p.over {
		return
	}
	p.now = c.Stamp
	last := c.At(len(c.Bytes) - 1)
	if c.Direction == protocol.FromServer {
		p.order.Heard(&c.Stamp)
		if p.blind != nil {
			p.blind.Value.end = last
		}
	}
	switch {
	case p.packed != nil:
		p.unpack(c)
	case c.Direction == protocol.FromServer && p.isEarly(c):
		p.keep(c)
	default:
		p.take(c)
	}
	switch {
	case p.rejected:
		p.sink.Reject()
		p.sink.Return(c)
	case !p.over && c.Direction == protocol.FromClient:
		p.order.Sent(&c.Stamp)
		p.readEarly(&c.Stamp)
		p.judge(len(c.Bytes))
	}
}

// judge gives a conversation up in which no command has been found for long. n is the length of what the client has sent.
func (p *parser) judge(n int) {
	lost := p.frames[protocol.FromClient].Lost()
	if p.packed != nil {
		lost = p.packed.frames[protocol.FromClient].Lost()
	}
	switch {
	case p.over:
	case !lost:
		p.garbage = framing.Garbage{}
	case p.garbage.Add(n, p.proven):
		p.stop()
		p.sink.Ignore()
	}
}

// take reads packets.
func (p *parser) take(c *protocol.Chunk) {
	d, f, rest := c.Direction, &p.frames[c.Direction], *c
	packed := p.packed
	for f.Next(&rest) == framing.Whole {
		p.packet(d, &f.Message)
		switch {
		case p.switched:
			if p.sink.Switch(protocol.Switch{}); len(rest.Bytes) > 0 {
				others := rest // it escapes
				p.sink.Return(&others)
			}
			return
		case p.over:
			return
		case p.packed != packed: // the login is over, and what follows is compressed
			if len(rest.Bytes) > 0 {
				p.unpack(&rest)
			}
			return
		}
	}
}

func (p *parser) packet(d protocol.Direction, m *framing.Prefix) {
	p.packed.place(m)
	length := uint64(len(m.Body)) + m.Missing
	if p.isWrong(d, m, length) {
		p.frames[d].Lose()
		p.lose(d, protocol.Lost)
		return
	}
	more := p.goesOn[d]
	p.goesOn[d] = length == maxPacket
	switch {
	case d == protocol.FromClient && more:
		p.requestGoesOn(m)
	case d == protocol.FromClient:
		p.request(m, length)
	case p.phase == phaseGreeting:
		p.greet(m)
	case !more: // nothing is of interest behind the beginning of a packet
		p.replyPacket(m, length)
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
		if p.blind != nil {
			p.blind.Value.end = at
			p.blind.Value.end.Position += n - 1
		}
	} else {
		p.order.Sent(&at)
	}
	if p.packed != nil {
		p.unpackGap(d, n, at, why)
	} else {
		p.miss(d, n, at, why)
	}
	if p.rejected {
		p.sink.Reject()
		p.sink.ReturnGap(d, n, at, why)
	}
}

// miss takes missing bytes of packets.
func (p *parser) miss(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	f := &p.frames[d]
	unread := f.Unread
	p.loss = max(p.loss, why.Capture())
	if f.Gap(n, at, why) {
		p.packet(d, &f.Message)
	}
	p.loss = protocol.CaptureComplete
	if f.Unread != unread && !p.over {
		p.lose(d, why)
	}
}

// lose says that it is not known any more where packets of a direction begin.
func (p *parser) lose(d protocol.Direction, why protocol.Loss) {
	p.loss = why.Capture()
	p.goesOn[d], p.gaps = false, true
	if d == protocol.FromClient {
		p.cutRequest()
		p.order.LostRequests()
		p.schemaKnown, p.newest, p.newestParent = false, nil, protocol.TraceContext{}
	} else {
		p.dropEarly()
		p.cutReply()
		p.order.LostResponses(why)
	}
	p.loss = protocol.CaptureComplete
}

// reject says that this is not MySQL, because something malformed came before anything was paired.
func (p *parser) reject() {
	p.sink.Error(protocol.Malformed)
	p.rejected = true
	p.stop()
}

// stop ends the reading of the conversation.
func (p *parser) stop() {
	p.over = true
	p.loss = protocol.CaptureGap
	if p.ending != nil {
		p.loss = p.ending.Capture()
	}
	p.dropRequest()
	p.dropEarly()
	p.endBlind()
	p.order.End()
	p.statements.clear()
	p.frames = [protocol.Directions]framing.Prefixed{}
	p.packed = nil
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
	case p.packed != nil:
		return protocol.Demand{Skip: p.packed.frames[d].Skip()}
	}
	return protocol.Demand{Skip: p.frames[d].Skip()}
}

// Held implements protocol.Parser.
func (p *parser) Held() int {
	n := p.order.Items()*itemSize + p.statements.held() + p.packed.held() + p.early.held()
	for d := range p.frames {
		n += p.frames[d].Held()
	}
	return n
}
