package http1

import "github.com/socketflow/socketflow/internal/protocol"

// hold keeps what has come before it is the time for it: responses without a request, where two threads share the socket
// and the kernel saw the response first; and what a client sends behind a request that may change the protocol.
type hold struct {
	bytes []byte
	parts []part
	part  int // the next
	at    int // its bytes in bytes
}

// part is a chunk, or a gap.
type part struct {
	mark    protocol.Mark
	n       uint64
	missing bool
	why     protocol.Loss
}

const maxParts = 64

func (h *hold) captured() bool { return h != nil && h.at < len(h.bytes) }

// hold keeps a chunk from at on. What is more than a head's bound is not worth waiting for.
func (p *parser) hold(s *stream, c *protocol.Chunk, at int) {
	b := c.Bytes[at:]
	h := p.holdOf(s)
	if len(h.bytes)+len(b) > p.memory.headBytes {
		p.overflow(s)
		return
	}
	h.bytes = append(h.bytes, b...)
	last := len(h.parts) - 1
	if len(h.parts) < maxParts || h.parts[last].missing {
		h.add(part{mark: mark(c, at), n: uint64(len(b))})
		return
	}
	// It joins the one before, which now is as late as this one.
	position := h.parts[last].mark.Position
	h.parts[last].mark = c.Mark
	h.parts[last].mark.Position = position
	h.parts[last].n += uint64(len(b))
}

func (p *parser) holdGap(s *stream, n uint64, at protocol.Mark, why protocol.Loss) {
	p.holdOf(s).add(part{mark: at, n: n, missing: true, why: why})
	if len(s.held.parts) > 2*maxParts {
		p.overflow(s)
	}
}

func (p *parser) holdOf(s *stream) *hold {
	if s.held == nil {
		s.held = p.memory.newHold()
	}
	return s.held
}

func (h *hold) add(q part) { h.parts = append(h.parts, q) }

// drop gives up what is held, and with it the knowledge of where messages begin.
func (p *parser) drop(s *stream) {
	if s.held == nil {
		return
	}
	p.release(s)
	s.state = lost
}

// overflow says that what is held is too much.
func (p *parser) overflow(s *stream) {
	p.drop(s)
	if s.direction == protocol.FromServer {
		p.unpairedResponse()
		p.loosen()
	} else {
		p.lose(s, protocol.Truncated)
	}
}

// settle reads what is held, as far as it is the time for it.
func (p *parser) settle() {
	for progress := true; progress; {
		progress = false
		for d := range p.streams {
			if s := &p.streams[d]; s.held != nil && (p.next != nil || p.ready(s)) {
				p.replay(s)
				progress = true
			}
		}
	}
}

// replay reads the next part of what is held.
func (p *parser) replay(s *stream) {
	h := s.held
	q := &h.parts[h.part]
	var n uint64
	if q.missing {
		n = q.n
		if p.next != nil {
			p.next.Gap(s.direction, n, q.mark, q.why)
		} else {
			p.gap(s, n, q.mark, q.why)
		}
	} else {
		c := &p.memory.chunk
		*c = protocol.Chunk{Direction: s.direction, Bytes: h.bytes[h.at : h.at+int(q.n)], Mark: q.mark}
		n = q.n
		if p.next != nil {
			p.next.Data(c)
		} else {
			n = uint64(p.read(s, c))
		}
		c.Bytes = nil
		h.at += int(n)
	}
	if s.held != h { // the parser has dropped it
		return
	}
	q.mark.Position += n
	if q.n -= n; q.n == 0 {
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
	p.dropLine(s)
}
