package http1

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// resume looks for the beginning of a message at the beginning of a chunk, and reports whether reading goes on with it.
// HTTP does not demand that a message begins where a transfer does, but programs write so.
func (p *parser) resume(s *stream, c *protocol.Chunk) bool {
	b := c.Bytes
	// The beginning of a line may have been transferred alone: then b continues it; otherwise b is a beginning of its own.
	// Known methods distinguish the two: hardly any is the end of another.
	whole, fresh := s.candidate, startLine{}
	judge := (*startLine).request
	if s.direction == protocol.FromServer {
		judge = (*startLine).response
	}
	asRest, asNew := differs, judge(&fresh, b)
	if !s.Empty() {
		asRest = judge(&whole, b)
	}
	chosen, best := &fresh, asNew
	if asRest > asNew || asRest == asNew && (s.direction == protocol.FromServer || whole.known() || !fresh.known()) {
		chosen, best = &whole, asRest
	} else {
		s.newLine()
	}
	if best == begins && int(s.Length())+len(b) > p.memory.headBytes {
		best = differs
	}
	switch best {
	case matches:
		start := c.Stamp
		if !s.Empty() {
			start = *s.Start()
		}
		return p.found(s, &start)
	case begins:
		p.keep(s, b, &c.Stamp)
		s.candidate = *chosen
	default:
		s.newLine()
		s.candidate = startLine{}
		p.countGarbage(len(b))
	}
	return false
}

// found resumes reading at the first byte of a message, in a lost direction. The beginning of its line may be kept.
func (p *parser) found(s *stream, start *protocol.Stamp) bool {
	s.candidate = startLine{}
	p.garbage = framing.Garbage{}
	if s.direction == protocol.FromServer {
		p.responseEnds(nil)
		if x := p.oldest(); x != nil && x.begun {
			p.retire()
		}
		s.garbled = false
		if s.state == over {
			return false
		}
		if p.loose && p.waiting+p.missing == 0 {
			p.unpairedResponse()
			s.newLine()
			return false
		}
	} else {
		p.begins(start)
	}
	s.state = inStart
	return true
}

func (p *parser) countGarbage(n int) {
	if p.reading != nil || p.answering() != nil || p.waiting > 0 {
		return // the rest of a message
	}
	if p.garbage.Add(n, p.paired) { // after a first exchange the bytes may be a body whose beginning was lost
		p.c.Sink.Error(protocol.Malformed)
		p.giveUp()
	}
}
