package unparsed

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// prefix accepts bytes that begin with one of the texts.
func prefix(texts ...string) matcher {
	return func(in input) (answer, string) { return begins(in.bytes, texts...), "" }
}

// versions accepts bytes that begin with one of the texts, each of which is followed by the version that it shows.
func versions(textsAndVersions ...string) matcher {
	return func(in input) (answer, string) {
		best := no
		for i := 0; i < len(textsAndVersions); i += 2 {
			switch a := begins(in.bytes, textsAndVersions[i]); a {
			case yes:
				return yes, textsAndVersions[i+1]
			case more:
				best = more
			}
		}
		return best, ""
	}
}

func begins(b []byte, texts ...string) answer {
	best := no
	for _, t := range texts {
		if len(b) >= len(t) && string(b[:len(t)]) == t {
			return yes
		}
		if len(b) < len(t) && string(b) == t[:len(b)] {
			best = more
		}
	}
	return best
}

// words accepts a first line that begins with one of the words, in any case of letters, and a space or the line's end behind it.
func words(list ...string) matcher {
	return func(in input) (answer, string) { return beginsWithWord(in.bytes, list...), "" }
}

func beginsWithWord(b []byte, list ...string) answer {
	best := no
	for _, w := range list {
		n := min(len(b), len(w))
		switch {
		case !strings.EqualFold(string(b[:n]), w[:n]):
		case n < len(w) || len(b) == n:
			best = more
		case b[n] == ' ' || b[n] == '\r' || b[n] == '\n':
			return yes
		}
	}
	return best
}

// line accepts a first line, of printable characters, for which ok holds.
func line(ok func(line []byte) (bool, string)) matcher {
	return func(in input) (answer, string) {
		b := in.bytes
		end := bytes.IndexByte(b, '\n')
		if end >= 0 {
			b = b[:end]
		}
		b = bytes.TrimSuffix(b, []byte("\r"))
		for _, c := range b {
			if c < ' ' || c > '~' {
				return no, ""
			}
		}
		if end < 0 {
			return more, ""
		}
		if fits, version := ok(b); fits {
			return yes, version
		}
		return no, ""
	}
}

// requestLine accepts a first line of a method, a target with one of the schemes (or "*"), and a version of the protocol.
func requestLine(name string, schemes []string, known ...string) matcher {
	whole := line(func(b []byte) (bool, string) {
		_, rest, _ := bytes.Cut(b, []byte(" "))
		target, version, found := bytes.Cut(rest, []byte(" "))
		if !found || !startsWithAny(target, schemes) {
			return false, ""
		}
		return knownVersion(version, name, known)
	})
	return func(in input) (answer, string) {
		if method, _, _ := bytes.Cut(in.bytes, []byte(" ")); !isUpper(method) {
			return no, ""
		}
		return whole(in)
	}
}

// statusLine accepts a first line of the protocol's version and a status of three digits.
func statusLine(name string, known ...string) matcher {
	return line(func(b []byte) (bool, string) {
		version, rest, found := bytes.Cut(b, []byte(" "))
		if !found || len(rest) < 3 || !isDigits(rest[:3]) {
			return false, ""
		}
		return knownVersion(version, name, known)
	})
}

// knownVersion finds "NAME/version" among the known versions.
func knownVersion(b []byte, name string, known []string) (bool, string) {
	if len(b) <= len(name) || string(b[:len(name)]) != name || b[len(name)] != '/' {
		return false, ""
	}
	for _, v := range known {
		if string(b[len(name)+1:]) == v {
			return true, v
		}
	}
	return false, ""
}

func startsWithAny(b []byte, texts []string) bool {
	for _, t := range texts {
		if len(b) >= len(t) && strings.EqualFold(string(b[:len(t)]), t) {
			return true
		}
	}
	return false
}

func isUpper(b []byte) bool {
	for _, c := range b {
		if (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return len(b) > 0
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

func isPrintable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// anyByte in the fixed bytes of a form stands for a byte that may have any value.
const anyByte = -1

// form accepts bytes that have the fixed ones at the beginning, and for which ok holds. ok gets least bytes at least; nil: nothing more is
// asked for.
func form(fixed []int16, least int, ok func(in input) (bool, string)) matcher {
	least = max(least, len(fixed))
	return func(in input) (answer, string) {
		for i, f := range fixed {
			if i < len(in.bytes) && f != anyByte && in.bytes[i] != byte(f) {
				return no, ""
			}
		}
		if len(in.bytes) < least {
			return more, ""
		}
		if ok == nil {
			return yes, ""
		}
		if fits, version := ok(in); fits {
			return yes, version
		}
		return no, ""
	}
}

// guarded accepts what decide does, of bytes that have the fixed ones at the beginning.
func guarded(fixed []int16, decide matcher) matcher {
	check := form(fixed, 0, nil)
	return func(in input) (answer, string) {
		if a, _ := check(in); a != yes {
			return a, ""
		}
		return decide(in)
	}
}

func u16(b []byte) int { return int(binary.BigEndian.Uint16(b)) }

func u32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
