package http1

import "github.com/socketflow/socketflow/internal/protocol"

const (
	enough         = 512 // within so many bytes detection has to say Yes or No
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

// detect implements Protocol.Detect.
func detect(d protocol.Direction, b []byte, first bool) protocol.Confidence {
	var l startLine
	if d == protocol.FromServer {
		return l.response(b)
	}
	given := len(b)
	for n := 0; first && n < maxEmpty && len(b) > 0 && (b[0] == '\r' || b[0] == '\n'); n++ {
		b = b[1:] // RFC 9112, 2.2
	}
	if len(b) == 0 {
		return protocol.Maybe
	}
	confidence := l.request(b)
	switch {
	case confidence == protocol.No, !first && l.methodRead() && !l.known():
		return protocol.No
	case confidence == protocol.Yes, first && l.part > inVersion:
		return protocol.Yes
	case given >= enough && l.part >= inTarget:
		return protocol.Yes
	}
	return protocol.Maybe
}

// isRequest says whether a request unmistakably begins here.
func isRequest(b []byte) bool {
	var l startLine
	return l.request(b) == protocol.Yes && l.known()
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

// request reads bytes: it returns Yes after the end of the line.
func (l *startLine) request(b []byte) protocol.Confidence {
	for i := 0; i < len(b) && l.part < done; i++ {
		if l.part == inTarget {
			i += targetEnd(b[i:])
			if i == len(b) {
				break
			}
		}
		l.part = l.next(b[i])
	}
	return l.confidence()
}

func (l *startLine) confidence() protocol.Confidence {
	switch l.part {
	case done:
		return protocol.Yes
	case impossible:
		return protocol.No
	default:
		return protocol.Maybe
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
		case isLetter(c):
			l.scheme[0], l.n = c|0x20, 1
			return inScheme
		}
	case inScheme:
		if isLetter(c) {
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
		if isDigit(c) {
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

// response reads bytes: it returns Yes after the status code.
func (l *startLine) response(b []byte) protocol.Confidence {
	for i := 0; i < len(b) && l.part < done; i++ {
		n := int(l.n)
		var ok bool
		switch {
		case n < len(version1):
			ok = b[i] == version1[n]
		case n == len(version1)+1, n == statusEnd:
			ok = b[i] == ' ' || n == statusEnd && (b[i] == '\r' || b[i] == '\n')
		case n == len(version1)+2:
			ok = b[i] >= '1' && b[i] <= '9'
		default:
			ok = isDigit(b[i])
		}
		if l.n++; !ok {
			l.part = impossible
		} else if n == statusEnd {
			l.part = done
		}
	}
	if l.part < done && int(l.n) == statusEnd {
		return protocol.Yes
	}
	return l.confidence()
}

func isUpper(c byte) bool  { return c >= 'A' && c <= 'Z' }
func isLetter(c byte) bool { return isUpper(c &^ 0x20) }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
