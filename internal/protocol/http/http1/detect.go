package http1

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

const (
	enough         = 512 // a longer request line is judged by its beginning
	maxEmpty       = 8   // bytes of empty lines before a request, in detection
	maxKnownMethod = 20  // the longest of knownMethods
)

// knownMethods are those of IANA's registry, and PURGE, which caches use. PRI is left out: it begins HTTP/2.
var knownMethods = func() map[string]bool {
	known := make(map[string]bool)
	for _, m := range []string{
		"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY", "PURGE",
		"ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY", "LABEL", "LINK", "LOCK", "MERGE", "MKACTIVITY",
		"MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "ORDERPATCH", "PROPFIND", "PROPPATCH", "REBIND", "REPORT",
		"SEARCH", "UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
	} {
		known[m] = true
	}
	return known
}()

// schemes are those that an absolute target may have (RFC 9112, 3.2.2). RTSP and SIP have request lines of the same form,
// with schemes of their own.
var schemes = [...]string{"http:", "https:", "ws:", "wss:", "ftp:"}

var version1 = []byte("HTTP/1.")

// match is how far bytes match.
type match uint8

const (
	differs match = iota
	begins        // as far as they go
	matches
)

// detect implements Protocol.Detect. A request that is written badly is answered by servers (with 400, mostly), but other protocols
// begin with similar lines. So the answer decides.
func detect(s *protocol.Sample) protocol.Confidence {
	var l startLine
	asked, answered := judgeRequest(s), l.response(s.Bytes[protocol.FromServer])
	if len(s.Bytes[protocol.FromServer]) == 0 {
		switch asked {
		case matches:
			return protocol.Certain
		case begins:
			return protocol.NeedMore
		}
		if s.Joined {
			return protocol.No
		}
		return resemblesRequest(s.Bytes[protocol.FromClient])
	}
	switch {
	case asked == matches:
		return protocol.Certain
	case answered == differs:
		return protocol.No
	case asked == differs && !s.Joined && resemblesRequest(s.Bytes[protocol.FromClient]) == protocol.No:
		return protocol.No
	case answered == begins:
		return protocol.NeedMore
	case asked == begins && len(s.Bytes[protocol.FromClient]) == 0: // the answer was seen first
		return protocol.Strong
	}
	return protocol.Certain
}

// judgeRequest judges the first bytes of the client.
func judgeRequest(s *protocol.Sample) match {
	var l startLine
	b := s.Bytes[protocol.FromClient]
	given := len(b)
	if !s.Joined {
		b = afterEmptyLines(b)
	}
	if len(b) == 0 {
		return begins
	}
	m := l.request(b)
	switch {
	case m == differs, s.Joined && l.methodRead() && !l.known():
		return differs
	case m == matches, !s.Joined && l.part > inVersion:
		return matches
	case given >= enough && l.part >= inTarget:
		return matches
	}
	return begins
}

// resemblesRequest says whether a server would take the bytes for a request, though a bad one. Bytes that come later do not matter.
func resemblesRequest(b []byte) protocol.Confidence {
	line, _, ended := bytes.Cut(afterEmptyLines(b), []byte{'\n'})
	line = bytes.TrimSuffix(line, []byte{'\r'})
	known := knownMethods[string(firstWord(line))]
	switch {
	case len(line) == 0 || bytes.HasPrefix(line, []byte("PRI ")):
		return protocol.No
	case !known && hasControls(line): // it is no text
		return protocol.No
	case namesProtocol(line), ended && known:
		return protocol.Weak
	case ended || len(b) >= enough:
		return protocol.No
	}
	return protocol.NeedMore
}

// namesProtocol reports whether a line has the protocol's name behind something else.
func namesProtocol(line []byte) bool { return bytes.Contains(line, []byte(" HTTP/")) }

// firstWord is the part of a line up to the first space.
func firstWord(line []byte) []byte {
	word, _, _ := bytes.Cut(line, []byte{' '})
	return word
}

// afterEmptyLines leaves out empty lines before a request (RFC 9112, 2.2).
func afterEmptyLines(b []byte) []byte {
	for n := 0; n < maxEmpty && len(b) > 0 && (b[0] == '\r' || b[0] == '\n'); n++ {
		b = b[1:]
	}
	return b
}

// isRequest says whether a request unmistakably begins here.
func isRequest(b []byte) bool {
	var l startLine
	return l.request(b) == matches && l.known()
}

// startLine recognises the beginning of a message, byte by byte over any number of chunks. It is strict where the parser is
// lenient, because the bytes may be of any protocol.
type startLine struct {
	part   linePart
	n      uint8 // bytes of the part so far
	length uint8 // of the method
	method [maxKnownMethod]byte
	scheme [6]byte
}

type linePart uint8

const (
	inMethod linePart = iota
	beforeTarget
	inScheme
	inSlashes // after the scheme
	inTarget
	inVersion
	inDigit // of the minor version
	inCR
	inLF
	done
	impossible
)

func (l *startLine) methodRead() bool { return l.part != inMethod }
func (l *startLine) known() bool      { return knownMethods[string(l.method[:l.length])] }

// request reads bytes: it returns matches after the end of the line.
func (l *startLine) request(b []byte) match {
	for i := 0; i < len(b) && l.part < done; i++ {
		if l.part == inTarget {
			i += targetEnd(b[i:])
			if i == len(b) {
				break
			}
		}
		l.part = l.next(b[i])
	}
	return l.match()
}

func (l *startLine) match() match {
	switch l.part {
	case done:
		return matches
	case impossible:
		return differs
	default:
		return begins
	}
}

// targetEnd is the number of bytes of a target that b begins with.
func targetEnd(b []byte) int {
	for i, c := range b {
		if c <= ' ' || c == 0x7f {
			return i
		}
	}
	return len(b)
}

// next reads a byte and returns the part that the following byte belongs to.
func (l *startLine) next(c byte) linePart {
	switch l.part {
	case inMethod:
		switch {
		case c == ' ' && l.length > 0 && string(l.method[:l.length]) != "PRI":
			return beforeTarget
		case isUpper(c) || l.length > 0 && (c == '-' || c == '_'):
			if l.length < maxKnownMethod {
				l.method[l.length] = c
				l.length++
				return inMethod
			}
		}
	case beforeTarget:
		switch {
		case c == '/', c == '*', c > ' ' && c < 0x7f && string(l.method[:l.length]) == "CONNECT":
			return inTarget
		case ascii.IsLetter(c):
			l.scheme[0], l.n = c|0x20, 1
			return inScheme
		}
	case inScheme:
		if ascii.IsLetter(c) {
			c |= 0x20
		}
		for _, s := range schemes {
			if n := int(l.n); n < len(s) && string(l.scheme[:n]) == s[:n] && c == s[n] {
				if c == ':' {
					l.n = 0
					return inSlashes
				}
				l.scheme[n] = c
				l.n++
				return inScheme
			}
		}
	case inSlashes:
		if c == '/' {
			if l.n++; l.n == 2 {
				return inTarget
			}
			return inSlashes
		}
	case inTarget:
		if c == ' ' {
			l.n = 0
			return inVersion
		}
	case inVersion:
		if c == version1[l.n] {
			if l.n++; int(l.n) == len(version1) {
				return inDigit
			}
			return inVersion
		}
	case inDigit:
		if ascii.IsDigit(c) {
			return inCR
		}
	case inCR:
		if c == '\r' {
			return inLF
		}
	case inLF:
		if c == '\n' {
			return done
		}
	}
	return impossible
}

const statusEnd = len("HTTP/1.1 200")

// response reads bytes: it returns matches after the status code.
func (l *startLine) response(b []byte) match {
	for i := 0; i < len(b) && l.part < done; i++ {
		n := int(l.n)
		var ok bool
		switch {
		case n < len(version1):
			ok = inVersionAt(n, b[i])
		case n == len(version1)+2 && ascii.IsSpace(b[i]): // one more
			continue
		case n == len(version1)+1, n == statusEnd:
			ok = ascii.IsSpace(b[i]) || n == statusEnd && (b[i] == '\r' || b[i] == '\n')
		case n == len(version1)+2:
			ok = b[i] >= '1' && b[i] <= '9'
		default:
			ok = ascii.IsDigit(b[i])
		}
		if l.n++; !ok {
			l.part = impossible
		} else if n == statusEnd {
			l.part = done
		}
	}
	if l.part < done && int(l.n) == statusEnd {
		return matches
	}
	return l.match()
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
