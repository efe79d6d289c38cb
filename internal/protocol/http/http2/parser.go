// Package http2 follows conversations in HTTP/2 (RFC 9113), gRPC among them, without TLS.
//
// A direction is read frame by frame: of most frames only the header matters, the payload is counted. Header blocks are
// decoded where they lie. Server push is not told: nobody sent the promised request. Its header blocks are decoded for what
// they add to the dynamic table.
package http2

import (
	"bytes"
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/http"
)

// A conversation of which so much was looked at in vain, with no frame in between, is given up. It is more than what may pass
// of a body that was joined in the middle until either side has to send another frame, by common sizes of windows.
const (
	garbageBytes  = 1 << 20
	garbageChunks = 256
)

// Protocol is HTTP/2 with prior knowledge (RFC 9113, 3.3).
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name:   "http",
		Detect: detect,
		New:    func(c protocol.Conversation) protocol.Parser { return newParser(c) },
	}
}

// Upgraded returns a parser for what follows the 101 Switching Protocols that answered a request in HTTP/1.1 (RFC 7540,
// 3.2): the server's first byte is the one behind that response, the client's is that of the connection preface. The
// request is stream 1, and complete. It is the parser's from now on.
func Upgraded(c protocol.Conversation, request *http.Message) protocol.Parser {
	c.Joined = false
	p := newParser(c)
	s := p.add(1)
	p.pool.Put(s.message)
	s.message = request
	p.ask(s)
	s.requestEnded = true
	p.missSettings(&p.directions[protocol.FromClient]) // the request has some, in its HTTP2-Settings header
	return p
}

// state is what a direction is about to read.
type state uint8

const (
	inFrame   state = iota // a frame's header
	inPreface              // the client's, whose rest is left
	inFixed                // the fields of fixed length at the beginning of a payload
	inBlock                // a fragment of a header block
	inRest                 // what is of no interest in a payload
	lost                   // the beginning of a frame is looked for
)

// direction is what has been read of one.
type direction struct {
	state state
	from  protocol.Direction
	frame frame
	left  int           // bytes of the frame's payload, or of the preface, that are still to come
	start protocol.Mark // of the frame

	// fixed collects the bytes of a frame's header, or of the fixed fields: have of need.
	fixed      [headerLength]byte
	have, need int
	hurt       bool // fixed fields were lost
	padding    int  // bytes at the frame's end

	block block
	table table

	// What the other direction's SETTINGS allow, as far as they were seen; unsure: some may not have been.
	frameSize int
	unsure    bool

	seen bool             // bytes, or gaps
	why  protocol.Capture // the framing was lost
}

// parser follows a conversation.
type parser struct {
	c          protocol.Conversation
	directions [protocol.Directions]direction
	streams
	given bool // the conversation was given up

	garbage struct{ bytes, chunks int } // since the last frame

	exchange protocol.Exchange
}

func newParser(c protocol.Conversation) *parser {
	p := &parser{c: c}
	p.streams.init(max(c.Settings.Outstanding, 1))
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

// step reads the bytes of a chunk from at on as far as they belong together, and returns how many those are.
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
			d.start = mark(c, at)
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
		p.end(d, mark(c, at+n-1))
	}
	return n
}

func mark(c *protocol.Chunk, at int) protocol.Mark {
	m := c.Mark
	m.Position += uint64(at)
	return m
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
	p.garbage.bytes, p.garbage.chunks = 0, 0
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

// fixedFields reads them; they are complete.
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

// setting takes note of a parameter, which is about what the other side sends.
func (p *parser) setting(d *direction, s setting) {
	other := &p.directions[d.from.Opposite()]
	switch {
	case s.id == settingHeaderTableSize:
		other.table.allow(s.value)
	case s.id == settingMaxFrameSize && s.allowed():
		// It is only raised: what was sent before the new value was known may come after it.
		other.frameSize = max(other.frameSize, int(s.value))
	}
}

// end does what a frame says; m is its last byte.
func (p *parser) end(d *direction, m protocol.Mark) {
	f := &d.frame
	d.state, d.have = inFrame, 0
	switch f.typ {
	case data:
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
		// A client's says which pushed streams it took.
		if d.from == protocol.FromServer && !d.hurt {
			p.goAway(binary.BigEndian.Uint32(d.fixed[:])&streamMask, m)
		}
	}
}

// Gap implements protocol.Parser.
func (p *parser) Gap(from protocol.Direction, n uint64, at protocol.Mark, why protocol.Loss) {
	if p.given {
		return
	}
	d := &p.directions[from]
	d.seen = true
	size := d.left // what may be missing with the framing kept
	if d.state == inFrame || d.state == lost {
		size = 0
	}
	inside := int(min(n, uint64(size)))
	if inside > 0 {
		p.without(d, inside, why)
		if d.left == 0 {
			last := at
			last.Position += uint64(inside - 1)
			p.through(d, last)
		}
	}
	if n > uint64(inside) {
		p.lose(d, capture(why))
	}
}

// without goes over n bytes of a payload, or of the preface, that are missing.
func (p *parser) without(d *direction, n int, why protocol.Loss) {
	d.left -= n
	switch d.state {
	case inFixed:
		d.hurt = true
		switch d.frame.typ {
		case headers, pushPromise:
			p.damage(d, capture(why))
		case settings:
			p.missSettings(d)
		}
		d.state = inRest
	case inBlock:
		p.damage(d, capture(why))
		d.state = inRest
	}
}

// through is what step does at the end of what it reads, for missing bytes.
func (p *parser) through(d *direction, last protocol.Mark) {
	if d.state == inPreface {
		d.state = inFrame
		return
	}
	p.end(d, last)
}

// missSettings says that parameters may have been set which were not seen.
func (p *parser) missSettings(d *direction) {
	other := &p.directions[d.from.Opposite()]
	other.unsure = true
	other.table.bound = maximumTableSize
}

// capture is the degree that a loss leaves.
func capture(why protocol.Loss) protocol.Capture {
	if why == protocol.Lost {
		return protocol.CaptureGap
	}
	return protocol.CaptureTruncated
}

// malformed says that no frame can be where one should be.
func (p *parser) malformed(d *direction) {
	p.c.Sink.Troubled(protocol.Malformed)
	p.lose(d, protocol.CaptureGap)
}

// lose gives up a direction's framing. Anything may have been in what was not read: header blocks, settings, ends of
// streams.
func (p *parser) lose(d *direction, why protocol.Capture) {
	d.state, d.have, d.why = lost, 0, why
	d.block.abandon()
	d.table.clear(why)
	p.missSettings(d)
	if d.from == protocol.FromClient {
		p.unseen, p.missed = true, true
	}
	p.lossy(why)
}

// resume says whether a chunk begins with a frame, after the framing was lost. first: it is the direction's first.
func (p *parser) resume(d *direction, c *protocol.Chunk, first bool) bool {
	if first && d.from == protocol.FromClient && bytes.HasPrefix(c.Bytes, []byte(preface)) {
		p.restart()
		return true
	}
	if d.have == headerLength { // the chunk before this one was a header
		f := parseFrame(d.fixed[:])
		if len(c.Bytes) == f.length && f.crediblePayload(c.Bytes) {
			p.begin(d)
			return d.state != lost
		}
		d.have = 0
		if p.vain(d, headerLength, c.Mark); p.given {
			return false
		}
	}
	chain := follow(d.from, c.Bytes, d.frameSize, p.highest)
	switch {
	case chain.convincing():
		d.state = inFrame
		return true
	case len(c.Bytes) == headerLength && !chain.broken:
		// Some programs read a header alone, to know how much to read next.
		d.have, d.start = copy(d.fixed[:], c.Bytes), c.Mark
		return false
	}
	p.vain(d, len(c.Bytes), c.Mark)
	return false
}

// vain says that a chunk of n bytes could not be read. After too many of them the conversation is given up.
func (p *parser) vain(d *direction, n int, at protocol.Mark) {
	p.lossy(d.why)
	p.garbage.bytes += n
	p.garbage.chunks++
	if p.garbage.bytes >= garbageBytes || p.garbage.chunks >= garbageChunks {
		p.c.Sink.Troubled(protocol.Malformed)
		p.flush(protocol.Ending{At: at, Unknown: true})
		*p = parser{c: p.c, given: true}
	}
}

// restart begins anew with the client's preface: the connection was there already, but nothing had been said.
func (p *parser) restart() {
	d := &p.directions[protocol.FromClient]
	d.state, d.left = inPreface, len(preface)
	d.table.init(protocol.CaptureTruncated)
	p.unseen = false
	if other := &p.directions[protocol.FromServer]; !other.seen {
		other.state, other.unsure = inFrame, false
		other.table.init(protocol.CaptureTruncated)
	}
}

// Close implements protocol.Parser.
func (p *parser) Close(e protocol.Ending) {
	if !p.given {
		p.flush(e)
	}
}

// Skip implements protocol.Parser.
func (p *parser) Skip(from protocol.Direction) uint64 {
	d := &p.directions[from]
	switch {
	case p.given:
		return protocol.Forever
	case d.state == inRest:
		return uint64(d.left)
	}
	return 0
}
