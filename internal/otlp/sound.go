package otlp

import (
	"strings"
	"unicode/utf8"
)

// Texts are as programs and their peers have chosen them: names of files, of Unix sockets, of services, header fields, resource attributes. What
// people read of them must not look like something else, a second line of a log or an empty terminal, and OTLP has to be valid UTF-8, or a
// receiver refuses the whole batch. So every text that is handed on is sound: invalid bytes are U+FFFD, and what moves a cursor, ends a line or
// changes the direction of writing is escaped as in Go and JSON. Backslashes stay as they are: paths of Windows and regular expressions have them.

// sound returns the text with control characters escaped, and invalid bytes replaced. A sound text, which most are, is returned as it is.
func sound(s string) string {
	at := unsoundAt(s)
	if at == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	b.WriteString(s[:at])
	for _, c := range s[at:] { // utf8.RuneError for an invalid byte
		switch {
		case !escaped(c):
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < utf8.RuneSelf:
			b.Write([]byte{'\\', 'x', hexDigits[c>>4], hexDigits[c&15]})
		default: // all of them are below U+10000
			b.Write([]byte{'\\', 'u', hexDigits[c>>12], hexDigits[c>>8&15], hexDigits[c>>4&15], hexDigits[c&15]})
		}
	}
	return b.String()
}

const hexDigits = "0123456789abcdef"

// unsoundAt is where the first character is that has to be changed; the length if there is none.
func unsoundAt(s string) int {
	for i := printable(s); i < len(s); i++ {
		if c := s[i]; c >= ' ' && c < 0x7f {
			continue
		} else if c < utf8.RuneSelf {
			return i
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || escaped(r) {
			return i
		}
		i += size - 1
	}
	return len(s)
}

// printable is how many bytes of a text, a multiple of eight, are printable ASCII for sure. It looks at eight at once.
func printable(s string) int {
	const each, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		x := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		if (x|(x-' '*each)|(x+each))&high != 0 { // a byte above 0x7e, or the first one is below ' '
			break
		}
	}
	return i
}

// escaped reports whether a character is one of control: C0, DEL and C1 (ISO 6429), separators of lines and paragraphs, or one that changes the
// direction of what follows (Unicode Standard Annex 9, 2).
func escaped(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0:
		return true
	case r == 0x061c, r == 0x200e, r == 0x200f: // marks of direction
		return true
	case r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return true
	default:
		return false
	}
}

// soundState is a tracestate as it is, or nothing if it cannot be one: an invalid one is to be left out (W3C Trace Context, 4.3).
func soundState(s string) string {
	for i := range len(s) {
		if (s[i] < ' ' || s[i] > '~') && s[i] != '\t' {
			return ""
		}
	}
	return s
}
