package redis

import (
	"unicode/utf8"

	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

// appendArgument appends an argument to the text as redis-cli would have it, or what stands for it. The text is bounded: what it lacks is
// written as three dots.
func (q *requests) appendArgument(text, value []byte, class byte, cut bool) []byte {
	switch q.texts++; {
	case q.full:
		return text
	case q.texts > maxArguments || len(text) >= min(maxText, q.memory.limits.HeadBytes):
		q.full = true
		return append(text, " ..."...)
	case cut: // its rest, or all of it, is not known
		class = 'v'
	}
	return appendArgument(text, value, class, len(value) >= maxArgument)
}

// appendArgument appends an argument. Of a long one it has only the beginning.
func appendArgument(text, value []byte, class byte, long bool) []byte {
	if class == 'v' {
		return append(text, " ?"...)
	}
	text = append(text, ' ')
	if plain(value) {
		text = append(text, value...)
	} else {
		text = appendQuoted(text, value)
	}
	if long {
		text = append(text, "..."...)
	}
	return text
}

// plain reports whether redis-cli would take the word as it is.
func plain(value []byte) bool {
	for _, c := range value {
		if c <= ' ' || c == '"' || c == '\'' || c == '\\' || c == 0x7f {
			return false
		}
	}
	return len(value) > 0 && utf8.Valid(value)
}

// appendQuoted appends a word in quotation marks, with redis-cli's escapes.
func appendQuoted(text, value []byte) []byte {
	const hex = "0123456789abcdef"
	text = append(text, '"')
	for len(value) > 0 {
		r, n := utf8.DecodeRune(value)
		switch c := value[0]; {
		case c == '"' || c == '\\':
			text = append(text, '\\', c)
		case r == utf8.RuneError && n <= 1, r < ' ', r == 0x7f:
			text = append(text, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			text = append(text, value[:n]...)
		}
		value = value[n:]
	}
	return append(text, '"')
}

// printable reports whether a line is text.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// nextWord returns the first word of a line, without quotation marks around it, and what follows it.
func nextWord(line []byte) (word, rest []byte) {
	for len(line) > 0 && ascii.IsSpace(line[0]) {
		line = line[1:]
	}
	i := 0
	var quote byte
	for ; i < len(line) && (quote != 0 || !ascii.IsSpace(line[i])); i++ {
		switch c := line[i]; {
		case quote == '"' && c == '\\':
			i++
		case c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		}
	}
	i = min(i, len(line))
	word, rest = line[:i], line[i:]
	for len(rest) > 0 && ascii.IsSpace(rest[0]) {
		rest = rest[1:]
	}
	if n := len(word); n >= 2 && (word[0] == '"' || word[0] == '\'') && word[n-1] == word[0] {
		word = word[1 : n-1]
	}
	return word, rest
}
