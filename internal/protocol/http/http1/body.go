package http1

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

// bodyForm is what a head says about the length of the body and about the bytes after it (RFC 9112, 6.3).
type bodyForm struct {
	size      uint64 // Content-Length
	hasLength bool
	invalid   bool // Content-Length contradicts another, or is no number
	chunked   bool // the last transfer coding is chunked
	coded     bool // the last transfer coding is another one
	upgrade   bool
	h2c       bool // the first protocol of Upgrade is h2c
	settings  bool // HTTP2-Settings
	expect    bool // 100-continue
}

// note evaluates a header field. cut: its value is not complete.
func (f *bodyForm) note(name, value []byte, cut bool) {
	switch len(name) {
	case len("content-length"): // and http2-settings
		switch {
		case ascii.Is(name, "content-length"):
			size, ok := parseLength(value)
			f.invalid = f.invalid || !ok || cut || f.hasLength && size != f.size
			f.size, f.hasLength = size, true
		case ascii.Is(name, "http2-settings"):
			f.settings = true
		}
	case len("transfer-encoding"):
		if ascii.Is(name, "transfer-encoding") {
			f.coding(value)
			if cut {
				f.chunked, f.coded = false, true
			}
		}
	case len("upgrade"):
		if ascii.Is(name, "upgrade") {
			first, _, _ := bytes.Cut(value, []byte{','})
			f.upgrade, f.h2c = true, ascii.Is(trim(first), "h2c")
		}
	case len("expect"):
		if ascii.Is(name, "expect") {
			f.expect = ascii.Is(value, "100-continue")
		}
	}
}

// coding evaluates a Transfer-Encoding. Only the last coding matters, because it defines the framing. identity is of an
// older version of the protocol (RFC 2616, 3.6), and means none.
func (f *bodyForm) coding(value []byte) {
	for len(value) > 0 {
		var coding []byte
		coding, value, _ = bytes.Cut(value, []byte{','})
		switch coding = trim(coding); {
		case len(coding) == 0, ascii.Is(coding, "identity"):
		default:
			f.chunked = ascii.Is(coding, "chunked")
			f.coded = !f.chunked
		}
	}
}

const maxLength = 1 << 60 // of a body or a chunk; a larger number is an attempt to cause an overflow

// parseLength reads a Content-Length, which may be a list of equal ones (RFC 9110, 8.6).
func parseLength(b []byte) (length uint64, ok bool) {
	for first := true; ; first = false {
		var one []byte
		one, b, ok = bytes.Cut(b, []byte{','})
		n, valid := ascii.Number(trim(one))
		if !valid || !first && uint64(n) != length {
			return 0, false
		}
		if length = uint64(n); !ok {
			return length, true
		}
	}
}

// chunkFraming reads the bytes around the data of chunks (RFC 9112, 7.1), and returns how many bytes that was. It keeps
// none of them. Extensions may be limit bytes long.
func (s *stream) chunkFraming(b []byte, limit int) (n int, ok bool) {
	for n < len(b) {
		c := b[n]
		n++
		switch s.state {
		case behindChunk:
			switch {
			case c == '\n':
				s.nextChunk()
			case c != '\r' || s.returned:
				return n, false
			default:
				s.returned = true
			}
		case inChunkSize:
			value, isHex := hex(c)
			switch {
			case isHex && s.left < maxLength/16:
				s.left, s.sized = s.left<<4|uint64(value), true
				continue
			case isHex, !s.sized, c != '\n' && c != '\r' && c != ';' && !ascii.IsSpace(c):
				return n, false
			}
			s.state, s.head = inExtension, 0
			n-- // the line end is counted with the extension
		case inExtension:
			i := bytes.IndexByte(b[n-1:], '\n')
			if i < 0 {
				s.head += len(b) - n + 1
				return len(b), s.head <= limit
			}
			n += i
			if s.head += i; s.head > limit {
				return n, false
			}
			s.state = inChunk
			if s.left == 0 {
				s.state, s.head, s.long = inTrailers, 0, false
			}
			return n, true
		}
	}
	return n, true
}

// bodyOf goes on to a body of known length.
func (s *stream) bodyOf(size uint64) {
	s.state, s.left = inBody, size
	if size < bulk {
		s.bulky = 0
	} else if s.bulky < bulkyEnough {
		s.bulky++
	}
}

// nextChunk goes on to a chunk's size.
func (s *stream) nextChunk() {
	s.state, s.left, s.sized, s.pieces = inChunkSize, 0, false, true
}

func hex(c byte) (value byte, ok bool) {
	switch {
	case ascii.IsDigit(c):
		return c - '0', true
	case ascii.IsLetter(c) && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
