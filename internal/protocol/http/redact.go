package http

import "github.com/socketflow/socketflow/internal/protocol/ascii"

// Values of parameters that are known to be secret are replaced. More texts count as a parameter here than in a strict
// parser, so that no server's reading of a secret is missed: names in any case, with percent-encoded characters, with "_"
// for "-", with segments as in user[password] and user.password; parameters after "&", ";" and "?", as they are or
// percent-encoded, so that a URL within a parameter is covered too.

// part is the kind of a URL's part.
type part uint8

const (
	inPath  part = iota // parameters begin with ";" (RFC 3986, 3.3) and end with "/"
	inQuery             // it begins with a parameter; parameters end with "&"
)

// secrets are names of parameters: in lower case, "-" for "_". The first line has those of the semantic conventions.
var secrets = func() map[string]struct{} {
	set := make(map[string]struct{})
	for _, name := range [...]string{
		"x-amz-signature", "x-amz-credential", "x-amz-security-token", "sig", "x-goog-signature",
		"awsaccesskeyid", "signature", "x-goog-credential",
		"access-token", "id-token", "refresh-token", "token", "jwt", "client-assertion", "code",
		"api-key", "apikey", "x-api-key", "key", "secret", "client-secret",
		"password", "passwd", "pwd", "auth", "authorization",
		"session", "sessionid", "session-id", "sid", "jsessionid",
	} {
		set[name] = struct{}{}
	}
	return set
}()

// longestSecret is the number of bytes of a name that are compared.
const longestSecret = 20

// segment is a name, or a segment of one, in the form in which it is compared.
type segment struct {
	bytes  [longestSecret]byte
	length int // more than longestSecret: it is longer than any secret's name
}

func (s *segment) add(c byte) {
	switch {
	case s.length == 0 && (c == ' ' || c == '+'): // there are servers that strip them
		return
	case c == '_':
		c = '-'
	}
	if s.length < longestSecret {
		s.bytes[s.length] = ascii.Lower(c)
	}
	s.length++
}

// ended reports whether the segment is a secret's name, and begins the next segment.
func (s *segment) ended() bool {
	length := s.length
	s.length = 0
	if length > longestSecret {
		return false
	}
	_, secret := secrets[string(s.bytes[:length])]
	return secret
}

var redacted = []byte("REDACTED")

// mayBegin are the characters that a parameter may begin after, as they are or as the beginning of their percent-encoding.
var mayBegin = [256]bool{'&': true, ';': true, '?': true, '%': true}

// appendRedacted writes a part of a URL without the values of secrets.
func appendRedacted(to, from []byte, where part) []byte {
	var name segment
	inName, secret := where == inQuery, false
	end := byte('&')
	if where == inPath {
		end = '/'
	}
	at, written := 0, 0
	for at < len(from) {
		if !inName && !mayBegin[from[at]] {
			at++
			continue
		}
		c, n := unescape(from[at:])
		at += n
		switch c {
		case '&', ';', '?':
			inName, secret, name.length = true, false, 0
			continue
		case '/':
			if where == inPath && n == 1 {
				inName = false
			}
		}
		if !inName {
			continue
		}
		switch c {
		case '[', ']', '.':
			secret = name.ended() || secret
		case '=':
			inName = false
			if !name.ended() && !secret {
				continue
			}
			to = append(append(to, from[written:at]...), redacted...)
			for at < len(from) && from[at] != end {
				at++
			}
			written = at
		default:
			name.add(c)
		}
	}
	return append(to, from[written:]...)
}

// unescape returns the first character and how many bytes it is written in (RFC 3986, 2.1).
func unescape(b []byte) (c byte, n int) {
	if b[0] == '%' && len(b) >= 3 {
		high, low := hexDigit(b[1]), hexDigit(b[2])
		if high < 16 && low < 16 {
			return high<<4 | low, 3
		}
	}
	return b[0], 1
}

func hexDigit(c byte) byte {
	switch c = ascii.Lower(c); {
	case ascii.IsDigit(c):
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	default:
		return 0xff
	}
}
