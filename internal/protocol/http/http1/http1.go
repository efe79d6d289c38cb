// Package http1 follows conversations in HTTP/1.0 and HTTP/1.1 (RFC 9112).
//
// Heads are read line by line where they lie in the chunk: only a line that a chunk cuts is copied. Of bodies only the
// framing matters. Every byte is examined a fixed number of times, however the bytes are spread over chunks: only the new
// part of a line is searched for its end, held bytes are replayed from where the parser stopped, and the beginning of a
// message is recognised by a state machine. The memory of a conversation is bounded by Settings.HeadBytes for each
// direction, and by Settings.Outstanding.
package http1

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/protocol/http"
)

// Protocol is HTTP/1.x.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name:       "http",
		Transports: protocol.Streams,
		Detect:     detect,
		NewConfig:  http.NewConfig,
		Keys:       http.Keys,
		Start: func(s *protocol.Settings) func(*protocol.Session) protocol.Parser {
			m := newMemory(s)
			return func(c *protocol.Session) protocol.Parser { return newParser(c, m) }
		},
	}
}

// parser follows a conversation.
type parser struct {
	c       protocol.Session
	memory  *memory
	account http.Account
	streams [protocol.Directions]stream
	unanswered
	next    protocol.Parser // after an upgrade to HTTP/2 whose first stream is a request in HTTP/1.1
	left    bool            // another protocol follows: see Sink.Switch
	calls   uint64          // Data and Gap so far: bytes of one call were transferred at once
	garbage framing.Garbage
}

func newParser(c *protocol.Session, m *memory) *parser {
	p := &parser{memory: m}
	p.Reuse(c)
	return p
}

// Reuse implements protocol.Reusable.
func (p *parser) Reuse(c *protocol.Session) {
	*p = parser{c: *c, memory: p.memory}
	for d := range p.streams {
		p.streams[d].direction = protocol.Direction(d)
		p.streams[d].Carry = framing.NewCarry(&p.memory.buffers)
		if c.Joined {
			p.streams[d].state = lost
		}
	}
	if c.Joined {
		p.loose, p.doubt = true, protocol.CaptureJoined
	}
}

// Data implements protocol.Parser.
func (p *parser) Data(c *protocol.Chunk) {
	if p.next != nil {
		p.next.Data(c)
		return
	}
	s := &p.streams[c.Direction]
	n := 0
	if s.held == nil {
		n = p.read(s, c)
	}
	if n < len(c.Bytes) {
		p.hold(s, c, n)
	}
	p.settle()
	p.active = max(p.active, c.Time)
}

// Gap implements protocol.Parser.
func (p *parser) Gap(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	if p.next != nil {
		p.next.Gap(d, n, at, why)
		return
	}
	s := &p.streams[d]
	if s.held != nil || !p.ready(s) {
		p.holdGap(s, n, at, why)
	} else {
		p.gap(s, n, at, why)
	}
	p.settle()
	p.active = max(p.active, at.Time)
}

// Demand implements protocol.Parser.
func (p *parser) Demand(d protocol.Direction) protocol.Demand {
	if p.next != nil {
		return p.next.Demand(d)
	}
	s := &p.streams[d]
	return protocol.Demand{Skip: p.skip(s), Enough: p.enough(s)}
}

// Held implements protocol.Parser.
func (p *parser) Held() int {
	if p.next != nil {
		return p.next.Held()
	}
	n := p.account.Bytes + p.waiting*exchangeBytes
	for d := range p.streams {
		s := &p.streams[d]
		n += s.Held()
		if s.held != nil {
			n += cap(s.held.bytes)
		}
	}
	return n
}

// skip is how many of the next bytes are not needed.
func (p *parser) skip(s *stream) uint64 {
	switch s.state {
	case inBody:
		if s.direction == protocol.FromClient && p.expecting {
			return 0 // the next request may come instead
		}
		return s.left
	case inChunk:
		return s.left
	case untilClose, over:
		return protocol.Forever
	}
	return 0
}

// enough is how many bytes of a call suffice. If several large messages of known length came in a row, the next one is likely to be
// like them; nothing follows it in the same call, unless messages are pipelined. After a chunked message the next one may
// be chunked too: if it were cut short, its framing would be lost.
func (p *parser) enough(s *stream) int {
	if s.bulky >= bulkyEnough && !s.pieces && !p.pipelined {
		return enoughForHead
	}
	return 0
}

const (
	bulk          = 32 << 10 // size of a body from which on it is not worth capturing
	bulkyEnough   = 16       // such bodies in a row
	enoughForHead = 8 << 10  // most heads do not exceed it
)

// Close implements protocol.Parser.
func (p *parser) Close(e protocol.Ending) {
	if p.next != nil {
		p.next.Close(e)
		return
	}
	for x := p.queue.First(); x != nil; x = p.queue.First() {
		p.conclude(x, &e)
	}
	for d := range p.streams {
		s := &p.streams[d]
		// A response without a request, or a request line without an end.
		if s.held.captured() || s.direction == protocol.FromClient && s.state == inStart && !s.Empty() {
			p.c.Sink.Error(protocol.Unpaired)
		}
		p.release(s)
	}
}

// read reads a chunk, as far as it can be read now, and returns how many bytes that was.
func (p *parser) read(s *stream, c *protocol.Chunk) (n int) {
	p.calls++
	if s.state == lost && !p.resume(s, c) {
		n = len(c.Bytes)
	} else if s.direction == protocol.FromClient && p.leavesOut(s, c.Bytes) {
		p.requestEnds(nil)
		s.state = inStart
	}
	for n < len(c.Bytes) {
		if k := p.skipSurplus(s, c.Bytes[n:]); k > 0 {
			n += k
			continue
		}
		if !p.ready(s) {
			break
		}
		n += p.step(s, c, n)
		if p.next != nil || p.left {
			if n < len(c.Bytes) {
				rest := c.Rest(n)
				p.passOn(&rest)
			}
			return len(c.Bytes)
		}
	}
	if n < len(c.Bytes) && s.direction == protocol.FromServer && p.switching == nil && s.Empty() && !mayBeResponse(c.Bytes[n:]) {
		p.malformed(s) // waiting for a request is not worthwhile
		n = len(c.Bytes)
	}
	if n > 0 && (s.state != lost || s.Empty()) { // otherwise it may be the beginning of another message
		p.reached(s, c.At(n-1))
	}
	return n
}

// passOn hands bytes to the protocol that follows.
func (p *parser) passOn(c *protocol.Chunk) {
	if p.next != nil {
		p.next.Data(c)
	} else {
		p.c.Sink.Return(c)
	}
}

// step reads the bytes of a chunk from at on that belong together, and returns how many those are: at least one.
func (p *parser) step(s *stream, c *protocol.Chunk, at int) (n int) {
	b := c.Bytes[at:]
	switch s.state {
	case inStart:
		return p.startLine(s, c, at)
	case inLongStart:
		return p.longStartLine(s, b)
	case inFields, inTrailers:
		return p.fields(s, c, at)
	case inBody, inChunk:
		p.bodyBegins(s)
		n = int(min(uint64(len(b)), s.left))
		if s.left -= uint64(n); s.left == 0 {
			last := c.At(at + n - 1)
			p.bodyEnds(s, &last)
		}
		return n
	case inChunkSize, inExtension, behindChunk:
		p.bodyBegins(s)
		n, ok := s.chunkFraming(b, p.memory.headBytes)
		switch {
		case ok && s.state == inChunk:
			p.addBody(s, s.left)
		case ok:
		case s.state == inExtension:
			p.tooMuch(s)
		default:
			p.malformed(s)
		}
		return n
	default: // lost, untilClose, over
		return len(b)
	}
}

// bodyEnds is called at the end of a body of known length, or of a chunk.
func (p *parser) bodyEnds(s *stream, last *protocol.Stamp) {
	if s.state == inChunk {
		s.state, s.returned = behindChunk, false
		return
	}
	p.messageEnds(s, last)
}

// addBody counts bytes in that the message which is read has in its body.
func (p *parser) addBody(s *stream, n uint64) {
	if m := p.message(s); m != nil {
		m.AddBody(s.direction, n)
	}
}

// messageEnds is called at the end of a request or a response; last is its last byte.
func (p *parser) messageEnds(s *stream, last *protocol.Stamp) {
	s.state, s.orphan = inStart, false
	if s.direction == protocol.FromClient {
		p.requestEnds(last)
	} else {
		p.responseEnds(last)
	}
}

// malformed reports that there is no message where one should be, or that its framing is not certain.
func (p *parser) malformed(s *stream) {
	p.c.Sink.Error(protocol.Malformed)
	if s.direction == protocol.FromServer && !p.loose {
		p.garbled()
	} else {
		p.lose(s, protocol.Truncated)
	}
}

// tooMuch reports that a part of a message is longer than what is read of it.
func (p *parser) tooMuch(s *stream) {
	p.c.Sink.Error(protocol.Malformed)
	p.lose(s, protocol.Truncated)
}

// garbled reports that the server has sent what no client can read: no loss explains it.
func (p *parser) garbled() {
	s := &p.streams[protocol.FromServer]
	s.garbled = true
	if x := p.answering(); x != nil {
		x.m.Garbled()
	}
	p.lose(s, protocol.Skipped)
}

// gap skips n missing bytes.
func (p *parser) gap(s *stream, n uint64, at protocol.Stamp, why protocol.Loss) {
	p.calls++
	why = max(why, protocol.Truncated) // skipped, though needed after all: as if a limit had cut them off
	last := at
	last.Position += n - 1
	switch s.state {
	case over:
		return
	case inBody, inChunk:
		if n <= s.left {
			if s.left -= n; s.left == 0 {
				p.bodyEnds(s, &last)
			}
			p.reached(s, last)
			return
		}
		if s.state == inChunk && n == s.left+uint64(len(lineEnd)) { // the chunk and the line end that has to follow it (RFC 9112, 7.1)
			s.nextChunk()
			p.reached(s, last)
			return
		}
		if s.state == inBody { // the body ends here, but its last byte's time is not known exactly
			end := last
			end.Position = at.Position + s.left - 1
			p.raise(s, why.Capture())
			p.messageEnds(s, &end)
		}
	}
	if s.state != untilClose {
		s.garbled = false
		p.lose(s, why)
	}
	p.reached(s, last)
}

const lineEnd = "\r\n"

// message is the one that is being read in a direction, if it is kept.
func (p *parser) message(s *stream) *http.Message {
	x := p.reading
	if s.direction == protocol.FromServer {
		if x = p.answering(); x == nil && s.interim && p.missing == 0 {
			x = p.oldest()
		}
	}
	if x == nil {
		return nil
	}
	return x.m
}

func (p *parser) raise(s *stream, c protocol.Capture) {
	if m := p.message(s); m != nil {
		m.Raise(c)
	}
}

// reached records the position up to which a direction's message has been read.
func (p *parser) reached(s *stream, last protocol.Stamp) {
	if s.direction == protocol.FromClient {
		if x := p.reading; x != nil && !x.heard {
			x.m.End = last
		}
		return
	}
	if s.state == lost {
		p.obscured = p.calls
	}
	x := p.answering()
	if x == nil && p.missing == 0 && !s.orphan && (s.interim || !s.Empty() || s.state == lost) {
		if x = p.oldest(); x != nil && s.state == lost && !x.begun && !s.garbled {
			x = nil
		}
	}
	if x != nil {
		x.heard = true
		x.m.End = last
	}
}
