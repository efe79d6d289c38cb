// Package ascii reads words and numbers as protocols that consist of text write them.
package ascii

// IsDigit reports whether c is one of 0 to 9.
func IsDigit(c byte) bool { return c >= '0' && c <= '9' }

// IsLetter reports whether c is a letter, of either case.
func IsLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// IsSpace reports whether c is a space or a tab.
func IsSpace(c byte) bool { return c == ' ' || c == '\t' }

// Lower is c, in lower case if it is a letter.
func Lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// Is reports whether a word is another but for case; the other is in lower case.
func Is(word []byte, lower string) bool {
	if len(word) != len(lower) {
		return false
	}
	for i, c := range word {
		if c != lower[i] && Lower(c) != lower[i] {
			return false
		}
	}
	return true
}

// maxNumber is about the largest number that is read: a larger one is an attempt to cause an overflow.
const maxNumber = 1 << 60

// Number reads a number that consists of digits, at least one.
func Number(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if !IsDigit(c) || n > maxNumber/10 {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, len(b) > 0
}
