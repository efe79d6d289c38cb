package http1

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/http"
)

// state is the part that a direction reads next.
type state uint8

const (
	inStart     state = iota // a message's first line, or empty lines before it
	inLongStart              // the rest of a first line that is too long
	inFields                 // header fields
	inBody                   // of known length
	inChunkSize
	inExtension // extension of a chunk, up to the end of its line
	inChunk
	behindChunk // the line end after a chunk's data
	inTrailers
	untilClose // a body that the end of the connection ends
	lost       // looking for the beginning of a message
	over       // nothing more is of interest
)

// stream is the state of a direction.
type stream struct {
	direction protocol.Direction
	state     state
	interim   bool   // the response being read is not the final one
	orphan    bool   // the response being read belongs to a dropped request
	bulky     uint8  // large bodies of known length in a row
	pieces    bool   // a body was chunked
	long      bool   // the head is longer than HeadBytes
	digits    uint8  // digits of a chunk's size
	left      uint64 // bytes left of a body, or a chunk
	head      int    // bytes of the head, or of the trailers, in complete lines
	bodyForm

	line                     // the incomplete line
	stamp     protocol.Stamp // of its first byte, if it is a message's first line
	candidate startLine      // the recognised part of it while lost
	held      *hold          // bytes that cannot be read yet
	status    int            // status of the response being read
}

// line is a line that a chunk has cut. A header field may go on in the next line (RFC 9112, 5.2), so it is complete only
// when the byte after it is known.
type line struct {
	text   []byte // the kept part of the line
	length int
	ended  bool // it is a field, and complete unless it goes on
	folded bool
}

// Limit of a line in a head that is too long: fields that matter to the framing are shorter.
const maxFramingField = 256

// A head that exceeds HeadBytes by more than this is malformed.
const maxExcess = 1 << 20

// newLine prepares for the next line.
func (s *stream) newLine() {
	s.text, s.length, s.ended, s.folded = s.text[:0], 0, false, false
}

// dropLine also gives the buffer back.
func (p *parser) dropLine(s *stream) {
	if s.text != nil {
		p.memory.putBuffer(s.text)
	}
	s.line = line{}
}

// keep adds bytes to the incomplete line.
func (p *parser) keep(s *stream, b []byte) {
	if s.text == nil {
		s.text = p.memory.buffer()
	}
	limit := p.memory.headBytes
	if s.long {
		limit = maxFramingField
	}
	s.length += len(b)
	if room := limit - len(s.text); len(b) > room {
		b = b[:max(room, 0)]
	}
	s.text = append(s.text, b...)
}

// readLine reads to the end of a line. It returns the line with its line end, and how many bytes of b it took. If the end
// is not in b, all of b is kept and ok is false. The line's length is in s.length.
func (p *parser) readLine(s *stream, b []byte) (text []byte, n int, ok bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		p.keep(s, b)
		return nil, len(b), false
	}
	return p.complete(s, b[:i+1]), i + 1, true
}

// complete returns the line that ends with b.
func (p *parser) complete(s *stream, b []byte) []byte {
	if s.length == 0 {
		s.length = len(b)
		return b
	}
	if len(b) > 0 {
		p.keep(s, b)
	}
	return s.text
}

// readField is readLine for a header field with all its continuation lines, or for the empty line after the last field.
func (p *parser) readField(s *stream, b []byte) (text []byte, n int, ok bool) {
	for {
		if s.ended {
			if !isSpace(b[n]) {
				return p.complete(s, nil), n, true
			}
			s.ended, s.folded = false, true
		}
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			p.keep(s, b[n:])
			return nil, len(b), false
		}
		end := n + i + 1
		// An empty line has no continuation.
		empty := s.length == 0 && (i == 0 || i == 1 && b[n] == '\r') || s.length == 1 && i == 0 && s.text[0] == '\r'
		if empty || s.length == 0 && end < len(b) && !isSpace(b[end]) {
			return p.complete(s, b[n:end]), end, true
		}
		p.keep(s, b[n:end])
		s.ended = true
		if n = end; n == len(b) {
			return nil, n, false
		}
	}
}

// fields reads header fields, or trailers.
func (p *parser) fields(s *stream, c *protocol.Chunk, at int) (n int) {
	b := c.Bytes[at:]
	m := p.message(s)
	for n < len(b) {
		text, taken, ok := p.readField(s, b[n:])
		n += taken
		total := s.head + s.length
		if total > p.memory.headBytes && !s.long {
			p.tooLong(s)
		}
		if total > p.memory.headBytes+maxExcess {
			p.malformed(s)
			return n
		}
		if !ok {
			return n
		}
		s.head = total
		cut := s.length > len(text)
		if s.long && len(text) > maxFramingField {
			text, cut = text[:maxFramingField], true
		}
		if s.length == 1 || s.length == 2 && text[0] == '\r' {
			p.dropLine(s)
			last := c.At(at + n - 1)
			if s.state == inTrailers {
				p.messageEnds(s, &last)
			} else {
				p.headEnds(s, &last)
			}
			return n
		}
		if s.folded {
			unfold(text)
		}
		s.field(m, text, cut)
		s.newLine()
	}
	return n
}

// tooLong records that the head is longer than HeadBytes. From now on only fields that matter to the framing are read.
func (p *parser) tooLong(s *stream) {
	s.long = true
	if len(s.text) > maxFramingField {
		s.text = s.text[:maxFramingField]
	}
	p.c.Sink.Error(protocol.HeadTooLong)
	p.raise(s, protocol.CaptureTruncated)
}

// field evaluates a header field, or a trailer, of a message. cut: text is not all of it.
func (s *stream) field(m *http.Message, text []byte, cut bool) {
	colon := bytes.IndexByte(text, ':')
	if colon <= 0 {
		return // no field; programs treat such a line differently
	}
	name, value := trim(text[:colon]), trim(text[colon+1:])
	if s.state == inFields {
		s.note(name, value, cut)
	}
	switch {
	case m == nil, s.long, s.interim:
	case s.direction == protocol.FromServer:
		m.ResponseHeader(name, value)
	case s.state == inFields: // RFC 9110, 6.5.1: only trailers that are known to be safe may be treated as header fields
		m.RequestHeader(name, value)
	}
}

// headEnds ends a message's head; last is its last byte.
func (p *parser) headEnds(s *stream, last *protocol.Stamp) {
	if s.direction == protocol.FromClient {
		p.requestHead(s, last)
	} else {
		p.responseHead(s, last)
	}
}

// begin prepares for the fields after a first line.
func (s *stream) begin() {
	s.state, s.head, s.long = inFields, s.length, false
	s.bodyForm = bodyForm{}
	s.newLine()
}

// unfold replaces the line ends in a field by spaces (RFC 9112, 5.2).
func unfold(b []byte) {
	for i, c := range b {
		if c == '\r' || c == '\n' {
			b[i] = ' '
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// trim removes white space around a field's name or value, and the line end.
func trim(b []byte) []byte {
	from, to := 0, len(b)
	for to > 0 && (isSpace(b[to-1]) || b[to-1] == '\r' || b[to-1] == '\n') {
		to--
	}
	for from < to && isSpace(b[from]) {
		from++
	}
	return b[from:to]
}
