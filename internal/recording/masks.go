package recording

import "bytes"

// mask writes x over everything.
func mask(b []byte) {
	for i := range b {
		b[i] = 'x'
	}
}

// maskText writes x over everything but what separates the parts of a path, a query or a name.
func maskText(b []byte) {
	for i, c := range b {
		if bytes.IndexByte([]byte("/&=.-"), c) < 0 {
			b[i] = 'x'
		}
	}
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isStartLine(b []byte) bool { return isStatusLine(b) || isRequestLine(b) }

// isStatusLine reports whether a text begins with HTTP/1, a digit and a status, and whether more follows on the line.
func isStatusLine(b []byte) bool {
	const form = "HTTP/1.1 200"
	if len(b) < len(form) || !bytes.HasPrefix(b, []byte("HTTP/1.")) || b[8] != ' ' {
		return false
	}
	for _, c := range []byte{b[7], b[9], b[10], b[11]} {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) == len(form) || b[len(form)] == ' ' || b[len(form)] == '\r' || b[len(form)] == '\n'
}

// maxMethod is how long a method may be: the longest that is registered has 17 letters.
const maxMethod = 20

// isRequestLine reports whether the first line of a text is a method, a target and HTTP/1.
func isRequestLine(b []byte) bool {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	method := bytes.IndexByte(line, ' ')
	version := bytes.LastIndexByte(line, ' ')
	if method < 1 || method > maxMethod || version == method || len(line)-version != len(" HTTP/1.1") ||
		!bytes.HasPrefix(line[version+1:], []byte("HTTP/1.")) || line[len(line)-1] < '0' || line[len(line)-1] > '9' {
		return false
	}
	for _, c := range line[:method] {
		if (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return true
}
