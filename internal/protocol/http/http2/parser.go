// Package http2 follows conversations in HTTP/2 (RFC 9113), gRPC among them, without TLS.
//
// A direction is read frame by frame: of most frames only the header matters, and the payload is counted. Header blocks are
// decoded where they lie. Server push is not emitted, because nobody sent the promised request. Its header blocks are
// decoded for their additions to the dynamic table.
package http2

import (
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/intrusive"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/protocol/http"
)

// Protocol is HTTP/2 with prior knowledge (RFC 9113, 3.3).
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name:       "http",
		Transports: protocol.Streams,
		Detect:     detect,
		Signatures: []protocol.Signature{signature()}, // a missed header block makes the table useless for all later ones
		NewConfig:  http.NewConfig,
		Keys:       http.Keys,
		Start: func(s *protocol.Settings) func(*protocol.Session) protocol.Parser {
			shared := NewShared(s)
			return func(c *protocol.Session) protocol.Parser { return newParser(c, shared, &http.Account{}) }
		},
	}
}

// frames is the form of all frames (RFC 9113, 4.1). Of DATA only the header matters.
var frames = protocol.FrameForm{Header: headerLength, LengthBytes: 3, TypeAt: 3, Unwanted: 1 << data}

// signature is the client's preface, and a SETTINGS frame of the server (RFC 9113, 3.4).
func signature() (s protocol.Signature) {
	copy(s.Client[:], preface)
	for i := 3; i < headerLength; i++ {
		s.ServerMask[i] = 0xff
	}
	s.Server[3] = byte(settings)
	s.Frames = &frames
	s.FirstFrame[protocol.FromClient] = uint32(len(preface))
	return s
}

// Shared is what the conversations of one goroutine have in common: memory that they reuse.
type Shared struct {
	settings *protocol.Settings
	pool     *http.Pool
	free     intrusive.Free[stream]
	exchange protocol.Exchange
	request  protocol.Request
}

// NewShared returns what the conversations of one goroutine have in common.
func NewShared(s *protocol.Settings) *Shared {
	return &Shared{settings: s, pool: http.NewPool(s), request: protocol.Request{Interleaved: true}}
}

// Continue returns a parser for the bytes after the 101 Switching Protocols that answered a request in HTTP/1.1 (RFC 7540,
// 3.2): the server's first byte is the one after that response, the client's is that of the connection preface. The request
// is stream 1, and complete. It has the identity id. From now on it belongs to the parser, as does the account.
func (s *Shared) Continue(c *protocol.Session, request *http.Message, id protocol.ID, account *http.Account) protocol.Parser {
	fresh := *c
	fresh.Joined = false
	p := newParser(&fresh, s, account)
	first := p.add(1)
	s.pool.Put(first.message)
	first.message, first.exchange = request, id
	p.ask(first)
	first.requestEnded = true
	p.missSettings(&p.directions[protocol.FromClient]) // the request has settings in its HTTP2-Settings header
	return p
}

// state is the part that a direction reads next.
type state uint8

const (
	inFrame   state = iota // a frame's header
	inPreface              // the rest of the client's preface
	inFixed                // the fields of fixed length at the beginning of a payload
	inBlock                // a fragment of a header block
	inRest                 // the part of a payload that is of no interest
	lost                   // looking for the beginning of a frame
)

// direction is the state of a direction.
type direction struct {
	state state
	from  protocol.Direction
	frame frame
	left  int            // bytes to come of the frame's payload, or of the preface
	start protocol.Stamp // of the frame

	// fixed collects the bytes of a frame's header, or of the fixed fields: have of need.
	fixed      [headerLength]byte
	have, need int
	hurt       bool // fixed fields were lost
	padding    int  // bytes at the frame's end

	block block
	table table

	// The limits that the other direction's SETTINGS allow, as far as they were seen; unsure: some may not have been.
	frameSize int
	unsure    bool

	seen    bool             // bytes, or gaps, were seen
	why     protocol.Capture // why the framing was lost
	garbled bool             // it was lost because of what the server has sent, and of nothing else
}

// parser follows a conversation.
type parser struct {
	c          protocol.Session
	shared     *Shared
	account    *http.Account
	directions [protocol.Directions]direction
	streams
	given bool // the parser stopped following the conversation

	garbage framing.Garbage
}

func newParser(c *protocol.Session, shared *Shared, account *http.Account) *parser {
	p := &parser{c: *c, shared: shared, account: account}
	p.most, p.byID = max(shared.settings.Outstanding, 1), make(map[uint32]*stream)
	missing := protocol.CaptureTruncated
	if c.Joined {
		missing = protocol.CaptureJoined
		p.unseen = true
	}
	for i := range p.directions {
		d := &p.directions[i]
		d.from = protocol.Direction(i)
		d.frameSize = defaultFrameSize
		d.table.init(missing)
		if c.Joined {
			d.state, d.why, d.unsure = lost, protocol.CaptureGap, true
		}
	}
	if !c.Joined {
		d := &p.directions[protocol.FromClient]
		d.state, d.left = inPreface, len(preface)
	}
	return p
}

// Data implements protocol.Parser.
func (p *parser) Data(c *protocol.Chunk) {
	if p.given {
		return
	}
	d := &p.directions[c.Direction]
	first := !d.seen
	d.seen = true
	if d.state == lost && !p.resume(d, c, first) {
		return
	}
	for at := 0; at < len(c.Bytes) && d.state != lost; {
		at += p.step(d, c, at)
	}
}

// step reads the bytes of a chunk from at on that belong together, and returns how many those are.
func (p *parser) step(d *direction, c *protocol.Chunk, at int) (n int) {
	b := c.Bytes[at:]
	switch d.state {
	case inPreface:
		n = min(len(b), d.left)
		if from := len(preface) - d.left; string(b[:n]) != preface[from:from+n] {
			p.malformed(d)
			return n
		}
		if d.left -= n; d.left == 0 {
			d.state = inFrame
		}
		return n
	case inFrame:
		if d.have == 0 {
			d.start = c.At(at)
		}
		n = copy(d.fixed[d.have:], b)
		if d.have += n; d.have < headerLength {
			return n
		}
		p.begin(d)
	case inFixed:
		n = copy(d.fixed[d.have:d.need], b)
		d.left -= n
		if d.have += n; d.have == d.need {
			p.fixedFields(d)
		}
	case inBlock:
		n = min(len(b), d.left-d.padding)
		d.left -= n
		p.fragment(d, b[:n])
		if d.left == d.padding {
			d.state = inRest
		}
	case inRest:
		n = min(len(b), d.left)
		d.left -= n
	}
	if d.state != lost && d.left == 0 {
		p.end(d, c.At(at+n-1))
	}
	return n
}

// begin reads a frame's header.
func (p *parser) begin(d *direction) {
	f := parseFrame(d.fixed[:])
	limit := d.frameSize
	if d.unsure {
		limit = maximumFrameSize
	}
	// Nothing may come between the fragments of a header block (RFC 9113, 6.10).
	if !f.allowed(limit) || d.block.open != (f.typ == continuation) || d.block.open && f.stream != d.block.id {
		p.malformed(d)
		return
	}
	p.garbage = framing.Garbage{}
	d.frame, d.left, d.padding = f, f.length, 0
	d.have, d.need, d.hurt = 0, f.fixed(), false
	if f.typ == headers || f.typ == pushPromise {
		p.openBlock(d)
	}
	switch {
	case d.need > 0:
		d.state = inFixed
	case f.typ == headers || f.typ == continuation:
		d.toFragment()
	default:
		d.state = inRest
	}
}

// toFragment goes on to the fragment of a header block, if it is not empty.
func (d *direction) toFragment() {
	d.state = inBlock
	if d.left == d.padding {
		d.state = inRest
	}
}

// fixedFields evaluates the fixed fields, which are complete.
func (p *parser) fixedFields(d *direction) {
	d.have = 0
	switch d.frame.typ {
	case headers, pushPromise:
		if d.frame.has(padded) {
			d.padding = int(d.fixed[0])
		}
		if d.padding > d.left {
			p.malformed(d)
			return
		}
		d.toFragment()
	case settings: // one parameter; as many follow as there is room for
		p.setting(d, parseSetting(d.fixed[:]))
	default:
		d.state = inRest
	}
}

// setting applies a parameter, which limits what the other side sends.
func (p *parser) setting(d *direction, s setting) {
	other := &p.directions[d.from.Opposite()]
	switch {
	case s.id == settingHeaderTableSize:
		other.table.allow(s.value)
	case s.id == settingMaxFrameSize && s.allowed():
		// The limit is only raised: bytes sent before the new value was known may come after it.
		other.frameSize = max(other.frameSize, int(s.value))
	}
}

// end evaluates a whole frame; m is its last byte.
func (p *parser) end(d *direction, m protocol.Stamp) {
	f := &d.frame
	d.state, d.have = inFrame, 0
	switch f.typ {
	case data:
		p.carry(d)
		if f.has(endStream) {
			p.ended(d.from, f.stream, m)
		}
	case headers, pushPromise, continuation:
		if f.has(endHeaders) {
			p.closeBlock(d, m)
		}
	case rstStream:
		r := reset{known: !d.hurt, at: m}
		if r.known {
			r.code = binary.BigEndian.Uint32(d.fixed[:])
		}
		p.reset(d, f.stream, r)
	case goAway:
		// A client's says which pushed streams it accepted.
		if d.from == protocol.FromServer && !d.hurt {
			p.goAway(binary.BigEndian.Uint32(d.fixed[:])&streamMask, m)
		}
	}
}

// Close implements protocol.Parser.
func (p *parser) Close(e protocol.Ending) {
	if !p.given {
		p.flush(e)
	}
}

// Demand implements protocol.Parser.
func (p *parser) Demand(from protocol.Direction) (m protocol.Demand) {
	d := &p.directions[from]
	if p.given {
		m.Skip = protocol.Forever
		return m
	}
	if d.state == inRest {
		m.Skip = uint64(d.left)
	}
	if d.state != lost {
		m.Frames, m.NextFrame = &frames, d.nextFrame()
	}
	return m
}

// nextFrame is how many bytes it is to the next frame.
func (d *direction) nextFrame() uint64 {
	switch {
	case d.state != inFrame:
		return uint64(d.left)
	case d.have > 0: // within a header
		return protocol.UnknownFrame
	}
	return 0
}

// Held implements protocol.Parser.
func (p *parser) Held() int {
	n := p.account.Bytes + len(p.byID)*streamBytes
	for i := range p.directions {
		d := &p.directions[i]
		n += int(d.table.held) + cap(d.block.pending) + cap(d.table.field.name) + cap(d.table.field.value)
	}
	return n
}
