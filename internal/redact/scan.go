package redact

// scanner reads a text once, character by character as all its percent-encodings decode to, and copies it without the secrets. What separates
// parameters of a query separates them in an encoded value, too, so that URLs within parameters need no reading of their own.
type scanner struct {
	rules   *Rules
	from    []byte
	to      []byte
	at      int // the next byte to read
	written int // bytes of from that are in to, or left out
	part    part

	name name
	run  run

	guarded   bool // what the rest of the parameter, or of the path, has is a secret if it is random
	known     bool // random texts of the present parameter are no secrets
	bot       bool // the key of a bot may follow
	scheme    scheme
	value     int  // where the present value begins
	tag       bool // the name is that of an element of XML
	hook      uint8
	noAtAfter bool // no "@" follows in this parameter
}

// States of what precedes the secret of a webhook of Slack.
const (
	hookNone uint8 = iota
	hookPath       // "services", "workflows" or "triggers"
	hookTeam       // and the id of a team
)

func (r *Rules) scan(to, from []byte, where part) []byte {
	s := scanner{rules: r, from: from, to: to, part: where}
	if where == inQuery {
		s.startOfValue()
	}
	for s.at < len(from) {
		at := s.at
		c, n := next(from[at:])
		s.at += n
		if c == '\\' || c == '%' {
			if e, m := s.escape(s.at); m > 0 {
				s.at += m
				if c, n = e, n+m; c == invisible {
					continue
				}
			}
		}
		if isRunByte(c) {
			s.run.add(c, at)
			s.name.add(c)
			continue
		}
		s.separator(c, n, at)
	}
	s.endRun(len(from))
	return append(s.to, from[s.written:]...)
}

// separator reads a character that is not part of a run.
func (s *scanner) separator(c byte, n, at int) {
	bot := c == ':' && s.run.length > 0 && s.run.isBot()
	s.endRun(at)
	s.bot = bot
	switch {
	case c == '=':
		s.afterEquals()
	case c == ':':
		s.afterColon()
	case c == '"', c == '\'':
		s.name.closed = s.name.length > 0
		s.value = s.at
	case c <= ' ', c == '+':
		s.name.space()
		s.credentials()
	case c == '[', c == ']', c == '$', c == '*', c == '!', c == '%', c == '^', c >= 0x80:
		s.name.add(c)
	case c == '\\':
	case c == '/':
		s.endSegment()
		s.name.reset()
		s.tag = false
		if s.part == inPath {
			s.known = false // a slash ends the parameter of a segment
			s.authority()
		}
	case c == '<':
		s.name.reset()
		s.tag = true
	case c == '>':
		s.afterTag()
	default:
		if c == ends[s.part] && n == 1 {
			s.guarded, s.known, s.noAtAfter, s.hook = s.guarded && s.part == inPath, false, false, hookNone
		}
		s.name.reset()
	}
}

// endSegment judges a segment of a path, or of one within a parameter: what follows it may be a secret.
func (s *scanner) endSegment() {
	segment := s.name.text()
	if !s.guarded && len(segment) > 0 {
		s.guarded = s.rules.judge(segment)&isGuard != 0
	}
	switch {
	case s.hook == hookPath && isTeam(segment):
		s.hook = hookTeam
	case s.hook != hookTeam:
		s.hook = hookNone
		if same(segment, "services") || same(segment, "workflows") || same(segment, "triggers") {
			s.hook = hookPath
		}
	}
}

// isTeam reports whether a segment is the id of a team of Slack.
func isTeam(segment []byte) bool {
	if len(segment) < 9 || segment[0] != 'T' && segment[0] != 'E' {
		return false
	}
	for _, c := range segment {
		if !isUpper(c) && !isDigit(c) {
			return false
		}
	}
	return true
}

// endRun replaces the run that ends before a byte, if it is a secret.
func (s *scanner) endRun(end int) {
	r := &s.run
	if r.length == 0 {
		return
	}
	if s.isSecret(r) {
		s.replace(r.from, end)
	}
	s.scheme = r.scheme()
	s.scheme.first = r.from == s.value
	s.bot = false
	r.length, r.before = 0, 0
}

func (s *scanner) isSecret(r *run) bool {
	switch {
	case r.length < shortestGuard:
		return false
	case r.isKnown():
		return true
	case s.bot && r.length >= telegramSecret:
		return true
	case s.scheme.kind != noScheme && r.length >= shortestForm:
		return true
	case s.hook == hookTeam && r.length >= shortestForm:
		return true
	case s.known:
		return false
	case s.guarded && r.isGuarded():
		return true
	default:
		return s.part == inQuery && r.isRandom(shortestRandom) && !r.isUUID()
	}
}

// replace writes what is before a secret, and REDACTED instead of it.
func (s *scanner) replace(from, end int) {
	s.to = append(append(s.to, s.from[s.written:from]...), replacement...)
	s.written = end
}

// afterEquals judges the name before "=".
func (s *scanner) afterEquals() {
	v := s.rules.judge(s.name.text())
	s.name.reset()
	switch {
	case v&isSafe != 0:
		s.skipSafe()
		return
	case v&(isSecret|isSecretAlone) != 0:
		from := s.at
		s.replace(from, s.skip())
		return
	}
	s.guarded = s.guarded && s.part == inPath || v&isGuard != 0
	s.known = v&isIdentifier != 0
	s.startOfValue()
}

// skip goes to the end of the parameter, and returns it.
func (s *scanner) skip() int {
	for s.at < len(s.from) && s.from[s.at] != ends[s.part] {
		s.at++
	}
	return s.at
}

// skipSafe goes to the end of a value that the configuration calls safe. Another parameter within it ends it, too.
func (s *scanner) skipSafe() {
	for s.at < len(s.from) && s.from[s.at] != ends[s.part] {
		c, n := s.peek(s.at)
		if c == '&' {
			return
		}
		s.at += n
	}
}

// startOfValue looks for a URL without a scheme.
func (s *scanner) startOfValue() {
	s.value = s.at
	if c, n := s.peek(s.at); c == '/' {
		if c, _ := s.peek(s.at + n); c == '/' {
			s.userInformation()
		}
	}
}

// peek returns the character at a byte, 0 at the end.
func (s *scanner) peek(at int) (c byte, n int) {
	if at >= len(s.from) {
		return 0, 0
	}
	return next(s.from[at:])
}

// afterColon looks for the user information of a URL, and judges the name before the colon as one of JSON.
func (s *scanner) afterColon() {
	if c, _ := s.peek(s.at); c == '/' {
		s.name.reset()
		s.userInformation()
		return
	}
	v := s.rules.judge(s.name.text())
	s.name.reset()
	if v&isSecret != 0 {
		s.replaceMember()
	}
}

// afterTag judges the name of an element of XML.
func (s *scanner) afterTag() {
	v := s.rules.judge(s.name.text())
	s.name.reset()
	if s.tag && v&isSecret != 0 {
		from := s.at
		for c, n := s.peek(s.at); n > 0 && c != '<' && s.from[s.at] != ends[s.part]; c, n = s.peek(s.at) {
			s.at += n
		}
		s.replace(from, s.at)
	}
	s.tag = false
}

// replaceMember replaces the value of a member of an object: a text in quotation marks, or what is there until the member's end.
func (s *scanner) replaceMember() {
	depth := 0 // of backslashes before the quotation mark
	for s.at < len(s.from) {
		c, n := s.peek(s.at)
		switch c {
		case ' ', '+', '\t', '\n', '\r':
		case '\\':
			depth++
		case '"', '\'':
			s.at += n
			from := s.at
			s.replace(from, s.closing(c, depth))
			return
		case '{', '[':
			from := s.at
			s.replace(from, s.skip())
			return
		default:
			from := s.at
			s.replace(from, s.endOfMember())
			return
		}
		s.at += n
	}
}

// closing goes to the quotation mark that ends a text, and returns where it, or a backslash before it, begins.
func (s *scanner) closing(quote byte, depth int) int {
	backslashes, from := 0, s.at
	for s.at < len(s.from) {
		c, n := s.peek(s.at)
		switch {
		case c == '\\':
			if backslashes == 0 {
				from = s.at
			}
			backslashes++
		case c == quote && backslashes <= depth:
			if backslashes > 0 {
				s.at = from
			}
			return s.at
		case s.from[s.at] == ends[s.part]:
			return s.at
		default:
			backslashes = 0
		}
		s.at += n
	}
	return s.at
}

// endOfMember goes to the end of a value without quotation marks, and returns it.
func (s *scanner) endOfMember() int {
	for s.at < len(s.from) && s.from[s.at] != ends[s.part] {
		c, n := s.peek(s.at)
		if c == ',' || c == '}' || c == ']' {
			break
		}
		s.at += n
	}
	return s.at
}
