package redact

// next returns the first character of a text and in how many bytes it is written: percent-encoded (RFC 3986, 2.1), and that any number of
// times, as in a URL within a parameter of a URL.
func next(b []byte) (c byte, n int) {
	if c, n = b[0], 1; c != '%' {
		return c, n
	}
	for c == '%' && len(b) >= n+2 {
		high, low := hexDigit(b[n]), hexDigit(b[n+1])
		if high > 15 || low > 15 {
			break
		}
		c = high<<4 | low
		n += 2
	}
	return c, n
}

func hexDigit(c byte) byte {
	switch {
	case isDigit(c):
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	default:
		return 0xff
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
