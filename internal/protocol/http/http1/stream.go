package http1

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
	"github.com/socketflow/socketflow/internal/protocol/framing"
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
	interim   bool // the response being read is not the final one
	orphan    bool // the response being read belongs to a dropped request
	garbled   bool // it is lost because of what the server has sent, and of nothing else
	surplus   surplus
	bulky     uint8  // large bodies of known length in a row
	pieces    bool   // a body was chunked
	long      bool   // the head is longer than HeadBytes
	sized     bool   // a digit of a chunk's size was seen
	returned  bool   // the CR behind a chunk's data was seen
	left      uint64 // bytes left of a body, or a chunk
	head      int    // bytes of the head, or of the trailers, so far; of a head that has no complete line yet 0
	bodyForm

	line                // the incomplete line
	candidate startLine // the recognised part of it while lost
	held      *hold     // bytes that cannot be read yet
	status    int       // status of the response being read
}

// line is a line that a chunk has cut. A header field may go on in the next line (RFC 9112, 5.2), so it is complete only
// when the byte after it is known.
type line struct {
	framing.Carry
	ended  bool // it is a field, and complete unless it goes on
	folded bool
}

// Limit of a line in a head that is too long: fields that matter to the framing are shorter.
const maxFramingField = 256

// A head that exceeds HeadBytes by more than this is malformed.
const maxExcess = 1 << 20

// newLine prepares for the next line.
func (s *stream) newLine() {
	if !s.Empty() {
		s.Reset()
		s.ended, s.folded = false, false
	}
}

// keep adds bytes to the incomplete line; at is the stamp of the first of them.
func (p *parser) keep(s *stream, b []byte, at *protocol.Stamp) {
	limit := p.memory.headBytes
	if s.long {
		limit = maxFramingField
	}
	s.Add(b, limit, at)
}

// readLine reads to the end of a line, or as far as it goes. It returns the line with its end, or what is kept of it, and how many bytes
// of b it took.
func (p *parser) readLine(s *stream, b []byte, at *protocol.Stamp) (text []byte, n int, ended bool) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return p.complete(s, b[:i+1]), i + 1, true
	}
	p.keep(s, b, at)
	return s.Bytes(), len(b), false
}

// complete returns the line that ends with b, with its line end.
func (p *parser) complete(s *stream, b []byte) []byte {
	if s.Empty() {
		return b
	}
	p.keep(s, b, s.Start())
	return s.Bytes()
}

// isEmpty reports whether a line, which has an end, consists of it.
func isEmpty(text []byte) bool {
	return len(text) == 1 && text[0] == '\n' || len(text) == 2 && text[0] == '\r'
}

// readField reads to the end of a header field with all its continuation lines, or of the empty line after the last field. It returns
// the field, and how many bytes of b it took. If the end is not in b, all of b is kept and ok is false.
func (p *parser) readField(s *stream, b []byte) (text []byte, n int, ok bool) {
	for {
		if s.ended {
			if !ascii.IsSpace(b[n]) {
				return p.complete(s, nil), n, true
			}
			s.ended, s.folded = false, true
		}
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			p.keep(s, b[n:], s.Start())
			return nil, len(b), false
		}
		end := n + i + 1
		// An empty line has no continuation.
		empty := s.Empty() && isEmpty(b[n:end]) || s.Length() == 1 && i == 0 && s.Bytes()[0] == '\r'
		if empty || s.Empty() && end < len(b) && !ascii.IsSpace(b[end]) {
			return p.complete(s, b[n:end]), end, true
		}
		p.keep(s, b[n:end], s.Start())
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
		s.head += taken
		if s.head > p.memory.headBytes && !s.long {
			p.tooLong(s)
		}
		if s.head > p.memory.headBytes+maxExcess {
			p.tooMuch(s)
			return n
		}
		if !ok {
			return n
		}
		cut := s.Cut()
		if s.long && len(text) > maxFramingField {
			text, cut = text[:maxFramingField], true
		}
		if isEmpty(text) {
			s.newLine()
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

// begin prepares for the fields after a first line; head is its length.
func (s *stream) begin(head int) {
	s.state, s.head, s.long = inFields, head, false
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

// trim removes white space around a field's name or value, and the line end.
func trim(b []byte) []byte {
	from, to := 0, len(b)
	for to > 0 && (ascii.IsSpace(b[to-1]) || b[to-1] == '\r' || b[to-1] == '\n') {
		to--
	}
	for from < to && ascii.IsSpace(b[from]) {
		from++
	}
	return b[from:to]
}
