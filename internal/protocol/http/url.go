package http

import (
	"bytes"
	"strconv"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

const (
	maxHost = 255 // RFC 1035, 2.3.4, with something to spare
	maxPort = 5   // digits
)

// location is where a request goes. Its slices point into the message.
type location struct {
	scheme []byte // in lower case
	authority
	path     []byte
	query    []byte
	hasQuery bool
}

// authority is the host and the port that a request names, if they are valid.
type authority struct {
	host        []byte // without brackets; empty: there is none
	literal     bool   // an IPv6 address
	credentials bool   // there was user information before it
	explicit    bool   // the request names the port; otherwise it is the scheme's
	port        uint16
}

// locate splits the target, by RFC 9112, 3.2 and 3.3.
func (m *Message) locate() location {
	target := m.bytes(m.target)
	cut := m.targetCut
	if at := bytes.IndexByte(target, '#'); at >= 0 {
		target, cut = target[:at], false // fragments are no part of a target
	}
	l := location{scheme: m.bytes(m.scheme)}
	if scheme, rest, ok := cutScheme(target); ok {
		if len(l.scheme) == 0 {
			l.scheme = scheme
		}
		end := bytes.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		if end < len(rest) || !cut { // otherwise the captured part may be the beginning of a password
			l.authority = parseAuthority(rest[:end])
		}
		target = rest[end:]
	} else if string(m.Method()) == "CONNECT" && len(target) > 0 && target[0] != '/' {
		if !cut {
			l.authority = parseAuthority(target)
		}
		target = nil
	}
	for _, named := range [...]piece{m.authority, m.host} {
		if len(l.host) == 0 {
			l.authority = parseAuthority(m.bytes(named))
		}
	}
	if !lowerScheme(l.scheme) {
		l.scheme = schemeHTTP
		if m.session.TLS {
			l.scheme = schemeHTTPS
		}
	}
	if len(l.host) > 0 && !l.explicit {
		l.port = defaultPort(l.scheme)
	}
	l.path = target
	if at := bytes.IndexByte(target, '?'); at >= 0 {
		l.path, l.query, l.hasQuery = target[:at], target[at+1:], true
	}
	return l
}

var schemeHTTP, schemeHTTPS = []byte("http"), []byte("https")

// defaultPort: RFC 9110, 4.2.1 and 4.2.2; RFC 6455, 3.
func defaultPort(scheme []byte) uint16 {
	switch string(scheme) {
	case "http", "ws":
		return 80
	case "https", "wss":
		return 443
	default:
		return 0
	}
}

// cutScheme splits the scheme off a target in absolute form.
func cutScheme(target []byte) (scheme, rest []byte, ok bool) {
	for i, c := range target {
		if c == ':' {
			if bytes.HasPrefix(target[i:], schemeEnd) {
				return target[:i], target[i+len(schemeEnd):], i > 0
			}
			return nil, nil, false
		}
		if !isSchemeByte(c) || i >= maxScheme {
			return nil, nil, false
		}
	}
	return nil, nil, false
}

var schemeEnd = []byte("://")

// isSchemeByte: RFC 3986, 3.1.
func isSchemeByte(c byte) bool {
	return ascii.IsLetter(c) || ascii.IsDigit(c) || c == '+' || c == '-' || c == '.'
}

// lowerScheme makes a scheme lower case (RFC 3986, 3.1), and reports whether it is one.
func lowerScheme(scheme []byte) bool {
	if len(scheme) == 0 || !ascii.IsLetter(scheme[0]) {
		return false
	}
	for i, c := range scheme {
		if !isSchemeByte(c) {
			return false
		}
		scheme[i] = ascii.Lower(c)
	}
	return true
}

// parseAuthority splits [user information "@"] host [":" port] (RFC 3986, 3.2). An invalid text gives the zero authority.
func parseAuthority(b []byte) (a authority) {
	if at := bytes.LastIndexByte(b, '@'); at >= 0 {
		a.credentials = true
		b = b[at+1:]
	}
	var port []byte
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || (end+1 < len(b) && b[end+1] != ':') {
			return authority{}
		}
		a.host, a.literal = b[1:end], true
		if end+1 < len(b) {
			port = b[end+2:]
		}
	} else {
		a.host, port, _ = bytes.Cut(b, colon)
	}
	if len(a.host) == 0 || len(a.host) > maxHost || !isHost(a.host, a.literal) {
		return authority{}
	}
	if len(port) == 0 { // RFC 3986, 3.2.3: it may be empty after the colon
		return a
	}
	n, ok := ascii.Number(port)
	if !ok || len(port) > maxPort || n == 0 || n > 65535 {
		return authority{}
	}
	a.port, a.explicit = uint16(n), true
	return a
}

var colon = []byte{':'}

// isHost checks the characters of a name or an IPv4 address, or those of an IPv6 address (RFC 3986, 3.2.2). The characters
// "!$&'()*+,;=" are refused although RFC 3986 allows them: no host has them, and injected text does.
func isHost(host []byte, literal bool) bool {
	colons := 0
	for _, c := range host {
		switch {
		case ascii.IsDigit(c), c == '.':
		case c == ':':
			colons++
		case literal:
			if c = ascii.Lower(c); c < 'a' || c > 'f' {
				return false
			}
		case ascii.IsLetter(c), c == '-', c == '_', c == '~', c == '%':
		default:
			return false
		}
	}
	return literal == (colons >= 2)
}

var (
	redacted            = []byte("REDACTED")
	redactedCredentials = []byte("REDACTED:REDACTED@")
)

// maxURL bounds the length of url.full.
const maxURL = maxTarget + maxAuthority

// appendURL writes the whole URL, redacted. If a request names no host, the URL has the address that it was sent to.
// Nothing is written if neither is known, or if the target is not.
func (m *Message) appendURL(to []byte, l *location) []byte {
	remote := m.session.Remote
	address := remote.Addr().Unmap().WithZone("")
	named := len(l.host) > 0
	if m.target.empty() && string(m.Method()) != "CONNECT" || !named && !remote.IsValid() {
		return to
	}
	to = append(append(to, l.scheme...), schemeEnd...)
	port := l.port
	switch {
	case !named:
		l.literal, port = address.Is6(), remote.Port()
		l.explicit = port != defaultPort(l.scheme)
	case l.credentials:
		to = append(to, redactedCredentials...)
	}
	if l.literal {
		to = append(to, '[')
	}
	if named {
		to = append(to, l.host...)
	} else {
		to = address.AppendTo(to)
	}
	if l.literal {
		to = append(to, ']')
	}
	if l.explicit {
		to = strconv.AppendUint(append(to, ':'), uint64(port), 10)
	}
	if isAsterisk(l.path) { // it adds nothing to a URL (RFC 9112, 3.3)
		return to
	}
	if len(l.path) > 0 && l.path[0] != '/' { // malformed; it must not continue the host's name
		to = append(to, '/')
	}
	rules := m.pool.settings.Redaction
	to = rules.AppendPath(to, l.path)
	if l.hasQuery {
		to = rules.AppendQuery(append(to, '?'), l.query)
	}
	return to
}

func isAsterisk(path []byte) bool { return len(path) == 1 && path[0] == '*' }

// writeServerURL adds the URL attributes of a server.
func (m *Message) writeServerURL(x *protocol.Exchange, l *location) {
	p := m.pool
	x.SetText(urlScheme, l.scheme)
	path := l.path
	if len(path) == 0 && !m.target.empty() && string(m.Method()) != "CONNECT" {
		path = slash // RFC 9110, 4.2.3: the empty path of an absolute target
	}
	if len(path) > 0 {
		from := len(p.out)
		p.out = p.settings.Redaction.AppendPath(p.out, path)
		x.SetText(urlPath, m.finish(from, maxTarget))
	}
	if len(l.query) > 0 {
		from := len(p.out)
		p.out = p.settings.Redaction.AppendQuery(p.out, l.query)
		x.SetText(urlQuery, m.finish(from, maxTarget))
	}
}

var slash = []byte{'/'}
