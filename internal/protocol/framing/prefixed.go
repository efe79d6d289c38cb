// Package framing cuts one direction of a stream into messages.
package framing

import (
	"math"

	"github.com/socketflow/socketflow/internal/protocol"
)

// retained is the largest buffer that is kept from one message to the next.
const retained = 1 << 10

// Prefixed cuts a direction that consists of messages with their length before them: a header of fixed length, and a body. It
// reads on behind gaps: one within a body only makes that message incomplete. After any other gap it waits for a call that
// begins as a message does. Its fields in capitals are set before the first call.
type Prefixed struct {
	Form *protocol.FrameForm
	// MaxBody bounds how much of a body is kept.
	MaxBody int
	// Measure judges a header, and says how much of the body is kept, which becomes MaxBody. It is optional.
	Measure func(header []byte) (want int, ok bool)
	// Pool lends the buffer for a body that several calls bring; nil: a small one is kept.
	Pool *Pool
	// Credible judges whether bytes, the first of a call, begin a message: the header and what has come of the body, or only a part of
	// the header. It is asked after a loss; if it is nil, every call begins a message.
	Credible func([]byte) bool

	// Message is the one that Next or Gap has completed, valid until either is called again.
	Message Prefix
	// Unread counts the bytes that were passed over because they belong to no message that is known.
	Unread uint64

	header [maxHeader]byte
	have   int    // bytes of the header
	body   []byte // what is kept of a body that several calls brought
	rest   uint64 // bytes of the body that are still to come
	ended  bool   // Message is complete
	torn   bool   // a byte of the body is missing: nothing after it is kept
	lost   bool   // where the next message begins is not known
}

// maxHeader is the longest header that a FrameForm can have.
const maxHeader = 16

// Prefix is a message with its length before it.
type Prefix struct {
	Header  []byte
	Body    []byte // its beginning without a hole
	Missing uint64 // how many bytes of the body follow Body
	// Loss is the worst of the losses within the body. If it is Skipped although bytes are missing, there were more than MaxBody,
	// or they were not wanted.
	Loss        protocol.Loss
	First, Last protocol.Stamp // of the first and the last byte
}

// Found is what Next has come upon.
type Found uint8

// What Next can come upon.
const (
	Nothing Found = iota // the bytes are used up
	Whole                // Message is complete
	Invalid              // a header that cannot be: the rest of the call is passed over
)

// Next reads on in a call's bytes, and takes what it has read from c. It has to be called until it returns Nothing.
func (p *Prefixed) Next(c *protocol.Chunk) Found {
	p.reset()
	for len(c.Bytes) > 0 {
		if p.lost && p.Credible != nil && !p.Credible(c.Bytes) {
			p.passOver(c)
			return Nothing
		}
		p.lost = false
		switch {
		case p.have < int(p.Form.Header):
			if p.have == 0 {
				p.Message.First = c.Stamp
			}
			n := copy(p.header[p.have:p.Form.Header], c.Bytes)
			p.have += n
			take(c, n)
			if p.have < int(p.Form.Header) {
				return Nothing
			}
			if !p.measure() {
				p.passOver(c)
				return Invalid
			}
		default:
			n := int(min(p.rest, uint64(len(c.Bytes))))
			p.keep(c.Bytes[:n])
			p.rest -= uint64(n)
			take(c, n)
		}
		if p.rest == 0 {
			p.Message.Last = c.Stamp
			p.Message.Last.Position-- // of the byte before
			p.complete()
			return Whole
		}
	}
	return Nothing
}

// Gap takes n missing bytes, at least 1, as Parser.Gap is. It reports whether Message was completed by them.
func (p *Prefixed) Gap(n uint64, at protocol.Stamp, why protocol.Loss) bool {
	p.reset()
	if p.have < int(p.Form.Header) { // within a header, or where one was to come
		p.lose(n)
		return false
	}
	within := min(n, p.rest)
	p.rest -= within
	p.torn = true
	p.Message.Missing += within
	p.Message.Loss = max(p.Message.Loss, why)
	if p.rest > 0 {
		return false
	}
	p.Message.Last = at
	p.Message.Last.Position += within - 1
	p.complete()
	if n > within {
		p.lost = true
		p.Unread += n - within
	}
	return true
}

// Lose says that it is not known where the next message begins.
func (p *Prefixed) Lose() { p.lose(0) }

// Lost reports whether that is not known.
func (p *Prefixed) Lost() bool { return p.lost }

// Between reports whether no message has begun.
func (p *Prefixed) Between() bool { return p.have == 0 || p.ended }

// Rest is how many bytes are missing of a message whose header is known; false: a header is to come, or has begun.
func (p *Prefixed) Rest() (n uint64, ok bool) {
	if p.ended || p.have < int(p.Form.Header) {
		return 0, false
	}
	return p.rest, true
}

// Skip is how many of the next bytes are not needed, because they belong to a body of which nothing more is kept.
func (p *Prefixed) Skip() uint64 {
	if !p.ended && p.have == int(p.Form.Header) && (p.torn || len(p.body) >= p.MaxBody) {
		return p.rest
	}
	return 0
}

// Held is how many bytes are held.
func (p *Prefixed) Held() int { return cap(p.body) }

// reset forgets a message that was complete.
func (p *Prefixed) reset() {
	if p.ended {
		p.restart()
	}
}

func (p *Prefixed) restart() {
	switch p.body = p.body[:0]; {
	case p.Pool != nil:
		p.Pool.put(p.body)
		p.body = nil
	case cap(p.body) > retained:
		p.body = nil
	}
	p.Message, p.have, p.rest, p.ended, p.torn = Prefix{}, 0, 0, false, false
}

// lose forgets an incomplete message: what follows n more bytes may be anything.
func (p *Prefixed) lose(n uint64) {
	p.Unread += n + uint64(p.have)
	p.restart()
	p.lost = true
}

// passOver takes the rest of a call.
func (p *Prefixed) passOver(c *protocol.Chunk) {
	p.lose(uint64(len(c.Bytes)))
	c.Bytes = nil
}

// take takes n bytes from the call.
func take(c *protocol.Chunk, n int) {
	c.Bytes = c.Bytes[n:]
	c.Position += uint64(n)
}

// keep keeps the next bytes of the body, if they may be kept. What one call brings whole is not copied.
func (p *Prefixed) keep(b []byte) {
	if p.torn {
		p.Message.Missing += uint64(len(b))
		return
	}
	room := max(p.MaxBody-len(p.body), 0)
	if len(b) > room {
		p.Message.Missing += uint64(len(b) - room)
		b = b[:room]
	}
	if len(p.body) == 0 && uint64(len(b))+p.Message.Missing == p.rest {
		p.Message.Body = b
		return
	}
	if p.body == nil && p.Pool != nil {
		p.body = p.Pool.get()
	}
	p.body = append(p.body, b...)
}

func (p *Prefixed) complete() {
	p.ended = true
	p.Message.Header = p.header[:p.have]
	if p.Message.Body == nil {
		p.Message.Body = p.body
	}
}

// measure sets rest to the length that the header gives, unless that cannot be.
func (p *Prefixed) measure() bool {
	f := p.Form
	if p.Measure != nil {
		want, ok := p.Measure(p.header[:p.have])
		if !ok {
			return false
		}
		p.MaxBody = want
	}
	field := p.header[f.LengthAt:][:f.LengthBytes]
	var length int64
	for i := range field {
		at := i
		if f.LittleEndian {
			at = len(field) - 1 - i
		}
		length = length<<8 | int64(field[at])
	}
	length += int64(f.Bias)
	if length < 0 || length > math.MaxUint32 {
		return false
	}
	p.rest = uint64(length)
	return true
}
