package http1

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

// startLine reads a message's first line, or an empty line before it (RFC 9112, 2.2).
func (p *parser) startLine(s *stream, c *protocol.Chunk, at int) (n int) {
	b := c.Bytes[at:]
	start := c.At(at)
	switch {
	case !s.Empty():
		start = *s.Start()
	case !canBegin(s.direction, b[0]):
		p.malformed(s)
		return len(b)
	case s.direction == protocol.FromClient && b[0] >= ' ':
		p.begins(&start)
	}
	text, n, ended := p.readLine(s, b, &start)
	length := max(int(s.Length()), len(text))
	long := length > p.memory.headBytes
	switch {
	case !ended && !long:
		return n
	case isEmpty(text):
		s.newLine()
		return n
	}
	text = trim(text[:min(len(text), p.memory.headBytes)])
	var ok bool
	if s.direction == protocol.FromClient {
		ok = p.requestLine(&start, text, long)
	} else {
		ok = p.statusLine(s, &start, text)
	}
	switch {
	case s.state != inStart: // s.state already says more
	case !ok:
		p.malformed(s)
	default:
		s.begin(length)
		if long {
			p.tooLong(s)
			if !ended {
				s.state = inLongStart
			}
		}
	}
	return n
}

// begins records that a request begins, at its first byte.
func (p *parser) begins(start *protocol.Stamp) {
	if p.doubt != protocol.CaptureComplete {
		p.review(start)
	}
	if p.ended == p.calls && p.waiting > 0 {
		p.pipelined = true // it was sent together with the one before
	}
	p.supersede()
}

// canBegin says whether a message, or an empty line, can begin with c.
func canBegin(d protocol.Direction, c byte) bool {
	if c == '\r' || c == '\n' {
		return true
	}
	if d == protocol.FromServer {
		return c == version1[0] || c == icy[0]
	}
	return c >= ' '
}

// longStartLine looks for the end of a first line that is too long.
func (p *parser) longStartLine(s *stream, b []byte) (n int) {
	n = len(b)
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		n = i + 1
		s.state = inFields
	}
	if s.head += n; s.head > p.memory.headBytes+maxExcess {
		p.tooMuch(s)
	}
	return n
}

// requestLine reads a request line (RFC 9112, 3). If it is too long, only the method is known. A line that is no valid request is
// answered by servers (with 400, mostly): of it, too, only the method is known, if it begins with one or names the protocol.
func (p *parser) requestLine(start *protocol.Stamp, text []byte, long bool) bool {
	method, rest, ok := bytes.Cut(text, []byte{' '})
	if !ok && !knownMethods[string(text)] || !isMethod(method) && !namesProtocol(text) {
		return false
	}
	var target []byte
	var version string
	if !long {
		target, version = splitLine(rest)
	}
	p.push(start, method, target, version)
	return true
}

// splitLine splits the part of a request line after the method; without a target, it is not valid.
func splitLine(rest []byte) (target []byte, version string) {
	// A target with a space in it is invalid, but servers answer it, and the other parts of the line are known.
	space := bytes.LastIndexByte(rest, ' ')
	if space < 0 {
		return nil, ""
	}
	version, ok := parseVersion(rest[space+1:])
	if target = trim(rest[:space]); !ok || hasControls(target) {
		return nil, ""
	}
	return target, version
}

func isMethod(b []byte) bool {
	for _, c := range b {
		if !isToken(c) {
			return false
		}
	}
	return len(b) > 0
}

// isToken reports whether a byte may be in a token (RFC 9110, 5.6.2).
func isToken(c byte) bool { return tokens[c] }

var tokens = func() (is [256]bool) {
	for c := range is {
		is[c] = ascii.IsLetter(byte(c)) || ascii.IsDigit(byte(c)) || bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), byte(c)) >= 0
	}
	return is
}()

func hasControls(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return true
		}
	}
	return false
}

// parseVersion reads HTTP-version. A higher minor version is read as the highest known one (RFC 9110, 2.5).
func parseVersion(b []byte) (version string, ok bool) {
	n := len(version1)
	switch {
	case len(b) != n+1 || !bytes.Equal(b[:n], version1) || !ascii.IsDigit(b[n]):
		return "", false
	case b[n] == '0':
		return "1.0", true
	}
	return "1.1", true
}

// requestHead ends a request's head. Without a length there is no body (RFC 9112, 6.3).
func (p *parser) requestHead(s *stream, last *protocol.Stamp) {
	if x := p.reading; x != nil {
		x.settings = s.h2c && s.settings
		x.m.Continue(p.c.Sink, x.id)
		if (x.connect || s.upgrade) && !x.responded {
			p.awaiting = x
		}
	}
	switch {
	case s.chunked:
		s.nextChunk()
		p.expecting = s.expect
	case s.coded: // RFC 9112, 6.3: the length is not known, and a server has to reject the request
		p.lose(s, protocol.Truncated)
	case s.invalid:
		p.malformed(s)
	case s.size > 0:
		p.addBody(s, s.size)
		s.bodyOf(s.size)
		p.expecting = s.expect
	default:
		p.messageEnds(s, last)
	}
}

// bodyBegins is called at the first byte of a body.
func (p *parser) bodyBegins(s *stream) {
	if s.direction == protocol.FromClient {
		p.expecting = false
	}
}

// leavesOut reports whether the bytes are another request than the one that is being read. That one had Expect: 100-continue and got a
// final response, so the client may leave the body out (RFC 9110, 10.1.1). A body may look like a request, too: its length shows it.
func (p *parser) leavesOut(s *stream, b []byte) bool {
	if !p.expecting || p.reading == nil || !p.reading.answered || !isRequest(b) {
		return false
	}
	n := uint64(len(b))
	return s.state != inBody || n < s.left || n > s.left && !isRequest(b[s.left:])
}
