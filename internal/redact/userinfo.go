package redact

var userInformation = []byte("REDACTED:REDACTED@")

// userInformation replaces what is before the "@" of a URL's authority (RFC 3986, 3.2.1). It is called where the slashes before the authority
// begin.
func (s *scanner) userInformation() {
	for c, n := s.peek(s.at); c == '/' || c == '\\'; c, n = s.peek(s.at) {
		s.at += n
	}
	from := s.at
	end := s.endOfUserInformation()
	if end < 0 {
		return
	}
	s.to = append(append(s.to, s.from[s.written:from]...), userInformation...)
	s.at, s.written = end, end
}

// authority looks for the user information of a URL without a scheme in a path, from which a program may redirect there. Only a name and a
// password within one segment count: paths have "@" for many other reasons.
func (s *scanner) authority() {
	at, colon := s.at, false
	for c, n := s.peek(at); c == '/' || c == '\\'; c, n = s.peek(at) {
		at += n
	}
	if at == s.at {
		return
	}
	s.at = at
	for c, n := s.peek(at); n > 0 && c != '/'; c, n = s.peek(at) {
		if c == '@' && colon {
			s.userInformation()
			return
		}
		colon = colon || c == ':'
		at += n
	}
}

// endOfUserInformation returns where the host begins, -1 if there is no user information. A slash ends an authority; but if what is before it
// is neither a host nor a port, it is part of a password. The last "@" of the authority counts, as in browsers (WHATWG URL, 4.4).
func (s *scanner) endOfUserInformation() int {
	found, isPassword := -1, false
	colon, digits := false, true // whether there was a colon, and only digits after it
	for at := s.at; at < len(s.from); {
		raw := s.from[at]
		if raw == ends[s.part] && s.part != inPath || raw == ' ' || raw == '"' || raw == '<' || raw == '>' {
			break
		}
		c, n := next(s.from[at:])
		at += n
		switch {
		case c == '@':
			found = at
			colon, digits = false, true
		case c == '/', c == '?', c == '#':
			if found >= 0 || !colon || digits || s.noAtAfter {
				return found
			}
			isPassword = true
		case c == ':':
			colon, digits = true, true
		case !isDigit(c):
			digits = false
		}
	}
	s.noAtAfter = s.noAtAfter || found < 0 && isPassword
	return found
}
