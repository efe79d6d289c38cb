package http1

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// hold keeps bytes that cannot be read yet: responses without a request, where two threads share the socket and the kernel
// saw the response first; and bytes that a client sends after a request that may change the protocol.
type hold struct {
	bytes []byte
	parts framing.Parts
	part  int // the next part
	at    int // its bytes in bytes

	length uint64 // of all parts so far
}

// maxWait is how many bytes may pass; if no request came until then, there is none.
const maxWait = 1 << 20

func (h *hold) captured() bool { return h != nil && h.at < len(h.bytes) }

// hold keeps a chunk from at on. Of a body as of a head only HeadBytes bytes are kept; the rest counts as cut off.
func (p *parser) hold(s *stream, c *protocol.Chunk, at int) {
	b := c.Bytes[at:]
	h := p.holdOf(s)
	keep := min(len(b), p.memory.headBytes-len(h.bytes))
	if h.parts.Full() && h.parts[len(h.parts)-1].Missing {
		keep = 0
	}
	if keep > 0 {
		h.bytes = append(h.bytes, b[:keep]...)
		h.add(framing.Part{Stamp: c.At(at), N: uint64(keep)})
	}
	if keep < len(b) {
		h.add(framing.Part{Stamp: c.At(at + keep), N: uint64(len(b) - keep), Missing: true, Why: protocol.Truncated})
	}
	p.limit(s)
}

func (p *parser) holdGap(s *stream, n uint64, at protocol.Stamp, why protocol.Loss) {
	p.holdOf(s).add(framing.Part{Stamp: at, N: n, Missing: true, Why: why})
	p.limit(s)
}

func (p *parser) holdOf(s *stream) *hold {
	if s.held == nil {
		s.held = p.memory.newHold()
	}
	return s.held
}

func (h *hold) add(q framing.Part) {
	h.length += q.N
	h.parts.Add(q, h.part)
}

// drop discards the held bytes, and with them the position of the message boundaries.
func (p *parser) drop(s *stream) {
	if s.held != nil {
		p.release(s)
		s.state = lost
	}
}

// limit discards bytes that have been held for too long.
func (p *parser) limit(s *stream) {
	if s.held.length <= maxWait {
		return
	}
	p.drop(s)
	if s.direction == protocol.FromServer {
		p.unpairedResponse()
		p.loosen()
		p.distrust()
	} else {
		p.lose(s, protocol.Truncated)
	}
}

// settle reads the held bytes, as far as they can be read now.
func (p *parser) settle() {
	for progress := true; progress; {
		progress = false
		for d := range p.streams {
			if s := &p.streams[d]; s.held != nil && (p.next != nil || p.left || p.ready(s)) {
				p.replay(s)
				progress = true
			}
		}
	}
}

// replay reads the next held part.
func (p *parser) replay(s *stream) {
	h := s.held
	q := &h.parts[h.part]
	var n uint64
	if q.Missing {
		n = q.N
		switch {
		case p.next != nil:
			p.next.Gap(s.direction, n, q.Stamp, q.Why)
		case p.left:
			p.c.Sink.ReturnGap(s.direction, n, q.Stamp, q.Why)
		default:
			p.gap(s, n, q.Stamp, q.Why)
		}
	} else {
		c := &p.memory.chunk
		*c = protocol.Chunk{Direction: s.direction, Bytes: h.bytes[h.at : h.at+int(q.N)], Stamp: q.Stamp}
		n = q.N
		if p.next != nil || p.left {
			p.passOn(c)
		} else {
			n = uint64(p.read(s, c))
		}
		c.Bytes = nil
	}
	if s.held != h { // the parser has dropped it, and another conversation may have it next
		return
	}
	if !q.Missing {
		h.at += int(n)
	}
	q.Stamp.Position += n
	if q.N -= n; q.N == 0 {
		h.part++
	}
	if h.part == len(h.parts) {
		p.memory.putHold(h)
		s.held = nil
	}
}

// release gives a stream's memory back.
func (p *parser) release(s *stream) {
	if s.held != nil {
		p.memory.putHold(s.held)
		s.held = nil
	}
	s.newLine()
}
