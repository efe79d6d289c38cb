package redact

// The usual URL is plain: it has no name and no text that could be a secret. It is recognised in one pass.

// kind is what a character is to a plain text.
type kind uint8

const (
	special kind = iota // it needs a closer look
	letter              // a small one
	mixed               // a capital letter or a digit: what random texts have
	joint               // within a run
	gap                 // between runs
)

var kinds = func() (k [256]kind) {
	for c := range k {
		switch b := byte(c); {
		case isLower(b):
			k[c] = letter
		case isUpper(b), isDigit(b):
			k[c] = mixed
		case b == '-', b == '_', b == '.', b == '~':
			k[c] = joint
		case b == '/', b == ',', b == '*', b == '!', b == '+', b == '$', b == '(', b == ')':
			k[c] = gap
		}
	}
	return k
}()

func (r *Rules) isPlainPath(path []byte) bool {
	run, odd, others := 0, 0, 0 // its bytes; those that are mixed; those that are no hexadecimal digits
	number := false             // there is a long hexadecimal number, or a UUID
	for _, c := range path {
		switch kinds[c] {
		case letter:
			run++
			if c > 'f' {
				others++
			}
		case joint:
			run++
			if c != '-' {
				others++
			}
		case mixed:
			run++
			odd++
			if c > 'F' {
				others++
			}
		case gap:
			run, odd, others = 0, 0, 0
		default:
			return false
		}
		if odd > 0 && run >= shortestGuard {
			if others > 0 {
				return false
			}
			number = true
		}
	}
	return !number || !r.guardsAny(path)
}

// guardsAny reports whether what follows a segment of a path may be a secret though it is just a number.
func (r *Rules) guardsAny(path []byte) bool {
	from := 0
	for i, c := range path {
		if c != '/' {
			continue
		}
		if !isHexadecimal(path[from:i]) && r.judgeASCII(path[from:i])&isGuard != 0 {
			return true
		}
		from = i + 1
	}
	return false
}

// isHexadecimal reports whether a segment is a number or a UUID, or empty.
func isHexadecimal(segment []byte) bool {
	for _, c := range segment {
		if c != '-' && hexDigit(c) > 15 {
			return false
		}
	}
	return true
}

func (r *Rules) isPlainQuery(query []byte) bool {
	from, run, inName := 0, 0, true
	for i, c := range query {
		switch k := kinds[c]; {
		case c == '&':
			from, run, inName = i+1, 0, true
		case c == '=' && inName:
			if r.judgeASCII(query[from:i])&(isSecret|isSecretAlone|isSafe|isGuard) != 0 {
				return false
			}
			run, inName = 0, false
		case k == special, c == '/': // a path within a parameter
			return false
		case k == gap:
			if c == '+' && schemeOf(query[i-run:i]) != noScheme {
				return false
			}
			run = 0
		default:
			if run++; run >= shortestForm {
				return false
			}
		}
	}
	return true
}
