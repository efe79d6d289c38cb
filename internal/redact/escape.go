package redact

import "unicode/utf8"

// invisible is what next to nothing is shown for: programs that normalise names leave it out.
const invisible = 0

// wide is a character beyond ASCII that no other stands for.
const wide = 0x80

// escape reads the rest of an escaped character behind the backslash or the percent sign: of JSON (RFC 8259, 7) or of old versions of
// JavaScript. It returns the character as plain has it, and in how many bytes it is written; 0: it is none.
func (s *scanner) escape(at int) (c byte, n int) {
	from := at
	if c, n = s.peek(at); c|0x20 != 'u' {
		return 0, 0
	}
	at += n
	var code rune
	for range 4 {
		c, n = s.peek(at)
		digit := hexDigit(c)
		if n == 0 || digit > 15 {
			return 0, 0
		}
		code = code<<4 | rune(digit)
		at += n
	}
	return plain(code), at - from
}

// plain is the character in ASCII that another stands for when names are compared as people read them (Unicode, NFKC): wide if there is
// none, invisible if it is left out.
func plain(r rune) byte {
	switch {
	case r > 0 && r < utf8.RuneSelf:
		return byte(r)
	case r >= 0xff01 && r <= 0xff5e: // of full width
		return byte(r - 0xff01 + '!')
	case r == 0xad, r == 0x34f, r == 0x180e, r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2060 && r <= 0x206f,
		r >= 0xfe00 && r <= 0xfe0f, r == 0xfeff:
		return invisible
	}
	return wide
}

// appendPlain appends a name with its characters as plain has them. What is wide stays as it is.
func appendPlain(to, name []byte) []byte {
	for len(name) > 0 {
		r, n := utf8.DecodeRune(name)
		switch c := plain(r); {
		case c == wide:
			to = append(to, name[:n]...)
		case c != invisible:
			to = append(to, c)
		}
		name = name[n:]
	}
	return to
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
