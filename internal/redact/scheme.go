package redact

// scheme is what precedes credentials, as in Authorization (RFC 9110, 11.4).
type scheme struct {
	kind  schemeKind
	first bool // a value begins with it
}

type schemeKind uint8

const (
	noScheme schemeKind = iota
	basic               // name and password in base64 (RFC 7617)
	opaque              // anything
)

// scheme says which scheme the run names.
func (r *run) scheme() scheme { return scheme{kind: schemeOf(r.text())} }

func schemeOf(text []byte) schemeKind {
	switch len(text) {
	case len("basic"):
		if same(text, "basic") {
			return basic
		}
	case len("bearer"):
		if same(text, "bearer") {
			return opaque
		}
	case len("negotiate"):
		if same(text, "negotiate") {
			return opaque
		}
	}
	return noScheme
}

// credentials replaces what follows the name of a scheme, if it can be credentials. The names are words, too: basic training, the bearer
// of news.
func (s *scanner) credentials() {
	if s.scheme.kind == noScheme {
		return
	}
	var (
		decoder base64
		t       tokenShape
	)
	at := s.at
	c, n := s.peek(at)
	for ; n > 0 && isToken68(c) && s.from[at] != ends[s.part] && (s.part != inQuery || s.from[at] != '+'); c, n = s.peek(at) {
		t.add(c)
		decoder.add(c)
		at += n
	}
	ended := n == 0 || c == '&' || c == ';' || c == ',' || c == '"' || c == '\'' || s.from[at] == ends[s.part]
	whole := s.scheme.first && ended
	var is bool
	switch {
	case t.length == 0, t.before == '=' && c == '"': // a parameter of a challenge, as in WWW-Authenticate
	case s.scheme.kind == basic:
		is = decoder.colon || t.length >= shortestForm
	default:
		is = whole || t.mixed || t.length >= shortestForm
	}
	if is {
		s.replace(s.at, at)
		s.at = at
	}
	s.name.reset() // the scheme is no part of it
	s.scheme = scheme{}
}

// isToken68 reports whether a character may be in credentials (RFC 9110, 11.2).
func isToken68(c byte) bool { return isRunByte(c) || c == '+' || c == '/' || c == '=' }

// tokenShape distinguishes a token from a word.
type tokenShape struct {
	length int
	before byte
	mixed  bool // it has digits, or a capital letter behind a small one
}

func (t *tokenShape) add(c byte) {
	t.mixed = t.mixed || isDigit(c) || isUpper(c) && isLower(t.before)
	t.before = c
	t.length++
}

// base64 looks for a colon in what a text in base64 decodes to (RFC 4648, 4 and 5).
type base64 struct {
	bits  uint32
	have  uint8
	colon bool
}

func (b *base64) add(c byte) {
	var six byte
	switch {
	case isUpper(c):
		six = c - 'A'
	case isLower(c):
		six = c - 'a' + 26
	case isDigit(c):
		six = c - '0' + 52
	case c == '+', c == '-':
		six = 62
	case c == '/', c == '_':
		six = 63
	default:
		return
	}
	b.bits = b.bits<<6 | uint32(six)
	if b.have += 6; b.have >= 8 {
		b.have -= 8
		b.colon = b.colon || byte(b.bits>>b.have) == ':'
	}
}
