package recording

import (
	"bytes"
	"strconv"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/redact"
)

// heads keeps of payload what is needed to parse HTTP/1, and writes x over the rest: what stays is on a list, and what goes need not be known.
// Lengths stay, so that positions, Content-Length and chunks still fit. It follows each direction of a connection; where it has lost its
// place it masks everything until a call begins with a start line.
type heads struct {
	names     names
	keepNames bool
	rules     *redact.Rules
	streams   *simplelru.LRU[streamKey, *stream]
	scratch   []byte
}

type streamKey struct {
	cookie    uint64
	direction event.Direction
}

// place is where in a message a stream is.
type place uint8

const (
	lost       place = iota // not known: until a call begins with a start line
	startLine               // a message begins
	inHead                  // at the beginning of a field's line
	brokenLine              // in a line of which a call ended
	inBody                  // left bytes of it come
	chunkSize               // at, or in, the length of a chunk
	chunkLine               // behind the length of a chunk, before the end of its line
	chunkData               // left bytes of a chunk come
	chunkEnd                // at the end of line behind a chunk
)

// stream is one direction.
type stream struct {
	http    bool // it has begun with a start line
	place   place
	next    uint64 // position behind what was seen
	left    uint64 // of a body or a chunk; of a length, what has been read of it
	digits  int
	chunked bool // as far as the head of the message says
	bodied  bool // its status allows a body
	length  uint64
}

// maxStreams is how many directions are followed; the one that was used least recently is lost.
const maxStreams = 1 << 17

func newHeads(n names, keepNames bool, rules *redact.Rules) (*heads, error) {
	streams, err := simplelru.NewLRU[streamKey, *stream](maxStreams, nil)
	return &heads{names: n, keepNames: keepNames, rules: rules, streams: streams}, err
}

// of returns what is recorded of a call's payload: as many bytes, or none. It is valid until the next call.
func (h *heads) of(cookie uint64, d *event.Data) []byte {
	key := streamKey{cookie, d.Direction}
	s, known := h.streams.Get(key)
	if !known {
		if s = (&stream{}); len(d.Payload) > 0 {
			h.streams.Add(key, s)
		}
	}
	begin := d.Position + uint64(d.Skipped)
	// An answer to HEAD announces a body that does not come.
	bodiless := s.place == inBody || s.place == chunkSize && s.digits == 0
	if begin != s.next && !s.skip(begin) || d.Form.Header > 0 || s.place == startLine || bodiless && isStatusLine(d.Payload) {
		s.place = lost
	}
	if s.place == lost && isStartLine(d.Payload) {
		s.place, s.http = startLine, true
	}
	s.next = begin + uint64(len(d.Payload))
	if !s.http {
		return nil
	}
	h.scratch = append(h.scratch[:0], d.Payload...)
	for rest := h.scratch; len(rest) > 0; {
		rest = rest[h.step(s, rest):]
	}
	if end := d.Position + uint64(d.Length); end > s.next && !s.skip(end) {
		s.place = lost
	}
	return h.scratch
}

// skip passes over bytes that are not there, up to a position. It reports whether all of them were of the same body, and more of it follows.
func (s *stream) skip(to uint64) bool {
	by := to - s.next
	inside := (s.place == inBody || s.place == chunkData) && to >= s.next && by < s.left
	if inside {
		s.left -= by
	}
	s.next = to
	return inside
}

// step masks a part of what a call carried, and returns its length, which is not 0.
func (h *heads) step(s *stream, b []byte) int {
	switch s.place {
	case startLine, inHead, brokenLine, chunkLine:
		return h.lineOf(s, b)
	case inBody, chunkData:
		n := int(min(s.left, uint64(len(b))))
		mask(b[:n])
		if s.left -= uint64(n); s.left == 0 && s.place == inBody {
			s.place = startLine
		} else if s.left == 0 {
			s.place = chunkEnd
		}
		return n
	case chunkSize:
		return s.sizeOf(b)
	case chunkEnd:
		if b[0] != '\r' && b[0] != '\n' {
			s.place = lost
			break
		}
		if b[0] == '\n' {
			s.place, s.left, s.digits = chunkSize, 0, 0
		}
		return 1
	}
	mask(b)
	return len(b)
}

// lineOf masks a line. One whose end is not there is masked in whole, because it cannot be judged.
func (h *heads) lineOf(s *stream, b []byte) int {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		mask(b)
		switch s.place {
		case startLine: // it is not known what begins here
			s.http, s.place = false, lost
		case inHead:
			s.place = brokenLine
		}
		return len(b)
	}
	line := bytes.TrimSuffix(b[:end], []byte("\r"))
	switch s.place {
	case startLine:
		h.start(s, line)
	case inHead:
		h.field(s, line)
	case brokenLine:
		mask(line)
		s.place = inHead
	case chunkLine:
		mask(line)
		if s.place, s.digits = chunkData, 0; s.left == 0 { // the last one, and trailers
			s.place, s.chunked, s.length = inHead, false, 0
		}
	}
	return end + 1
}

func (h *heads) start(s *stream, line []byte) {
	s.place, s.chunked, s.bodied, s.length = inHead, false, true, 0
	switch {
	case isStatusLine(line):
		status := line[len("HTTP/1.1 "):][:3]
		s.bodied = status[0] != '1' && !bytes.Equal(status, []byte("204")) && !bytes.Equal(status, []byte("304"))
		mask(line[min(len(line), len("HTTP/1.1 200 ")):])
	case isRequestLine(line):
		method := bytes.IndexByte(line, ' ')
		h.target(line[method+1 : bytes.LastIndexByte(line, ' ')])
	default:
		mask(line)
		s.place = lost
	}
}

// target masks what a request asks for. With names kept, it stays as far as spans have it.
func (h *heads) target(b []byte) {
	if len(b) == 0 || b[0] != '/' {
		h.names.letters(b) // a proxy's: an authority, or a whole URL
		return
	}
	path, query, _ := bytes.Cut(b, []byte("?"))
	if !h.keepNames || !bytes.Equal(h.rules.AppendPath(nil, path), path) {
		maskText(path)
	}
	if !h.keepNames || !bytes.Equal(h.rules.AppendQuery(nil, query), query) {
		maskText(query)
	}
}

// kept are the fields whose values frame messages, or join them, and hold no secret.
var kept = map[string]bool{
	"content-length": true, "transfer-encoding": true, "connection": true, "upgrade": true, "expect": true, "te": true, "keep-alive": true,
	"traceparent": true, "content-type": true, "content-encoding": true,
}

// maxKept is how long a kept value may be: a traceparent has 55 bytes.
const maxKept = 64

func (h *heads) field(s *stream, line []byte) {
	if len(line) == 0 {
		s.body()
		return
	}
	name, value, found := bytes.Cut(line, []byte(":"))
	folded := string(bytes.ToLower(name))
	value = bytes.TrimSpace(value)
	switch {
	case !found:
		mask(line)
	case folded == "host":
		if !h.keepNames {
			h.names.letters(value[:len(value)-portOf(value)])
		}
	case !kept[folded] || len(value) > maxKept:
		maskText(name)
		mask(value)
	case folded == "content-length":
		n, err := strconv.ParseUint(string(value), 10, 62)
		if s.length = n; err != nil {
			mask(value)
		}
	case folded == "transfer-encoding":
		s.chunked = bytes.HasSuffix(bytes.ToLower(value), []byte("chunked"))
	case folded == "content-type":
		if _, parameters, found := bytes.Cut(value, []byte(";")); found {
			mask(parameters)
		}
	}
}

// portOf is the length of the port at the end of a host, with its colon. An address of IPv6 before it has colons, too, and is in brackets.
func portOf(host []byte) int {
	colon := bytes.LastIndexByte(host, ':')
	if colon < 0 || bytes.IndexByte(host[:colon], ':') >= 0 && host[colon-1] != ']' {
		return 0
	}
	for _, c := range host[colon+1:] {
		if c < '0' || c > '9' {
			return 0
		}
	}
	return len(host) - colon
}

// body is called at the end of a head.
func (s *stream) body() {
	switch {
	case s.chunked && s.bodied:
		s.place, s.left, s.digits = chunkSize, 0, 0
	case s.length > 0 && s.bodied:
		s.place, s.left = inBody, s.length
	default: // or a body up to the end of the connection: it begins with no start line
		s.place = startLine
	}
}

// maxChunkDigits is how many hexadecimal digits the length of a chunk may have.
const maxChunkDigits = 15

func (s *stream) sizeOf(b []byte) int {
	for i, c := range b {
		digit, err := strconv.ParseUint(string(c), 16, 8)
		if err != nil || s.digits == maxChunkDigits {
			if s.place = chunkLine; s.digits == 0 {
				s.place = lost
			}
			return i
		}
		s.left, s.digits = s.left<<4|digit, s.digits+1
	}
	return len(b)
}
