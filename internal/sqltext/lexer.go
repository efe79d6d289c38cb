package sqltext

import (
	"bytes"
	"unicode/utf8"

	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

// kind is that of a token.
type kind uint8

const (
	end       kind = iota
	word           // a keyword, or a name without quotation marks
	name           // a name in quotation marks
	literal        // in any quotation marks
	number         // with what directly follows it
	parameter      // stands for a value that is sent apart
	mark           // one byte that is none of the others
	doubt          // a literal of which it is not known where it ends, and all that follows
)

// token is a part of a statement.
type token struct {
	kind       kind
	start, end int
	spaced     bool // blanks or comments are before it
	open       bool // its closing quotation mark is missing
}

// lexer cuts a statement into tokens. It takes time linear in its length.
type lexer struct {
	dialect Dialect
	quoting Quoting
	sql     []byte
	at      int
	before  token // the one that next has returned last
	// executable: within MySQL's /*! ... */, which is no comment.
	executable bool
	// versioned: it says from which version on; an older server, and MariaDB from 50700 to 99999, take it for a comment. Then its words may be anything.
	versioned bool
}

// alwaysExecuted is the first version of /*!50700 ... */ that servers still in use need not execute.
const alwaysExecuted = 50700

func (l *lexer) next() token {
	start := l.at
	l.blank()
	t := token{start: l.at, spaced: l.at > start}
	l.read(&t)
	if l.versioned && (t.kind == word || t.kind == name) {
		t.kind = literal
	}
	t.end = l.at
	l.before = t
	return t
}

func (l *lexer) read(t *token) {
	if l.at >= len(l.sql) {
		return
	}
	switch c := l.sql[l.at]; {
	case l.prefix():
		l.quoted(t, l.quoting)
	case isNameStart(c) || c == '$' && l.dialect == MySQL:
		l.word(t)
	case c == '\'':
		l.quoted(t, l.quoting)
	case c == '"' && l.dialect == MySQL: // a name if ANSI_QUOTES is set, where a backslash means nothing
		l.quoted(t, Unknown)
	case c == '"':
		l.name(t, '"')
	case c == '`' && l.dialect == MySQL:
		l.name(t, '`')
	case l.isNumber():
		l.number(t)
	case c == '$':
		l.dollar(t)
	case c == '?' && l.dialect == MySQL:
		t.kind = parameter
		l.at++
	default:
		t.kind = mark
		l.at++
	}
}

// peek is the byte that is so far ahead; 0: there is none.
func (l *lexer) peek(ahead int) byte {
	if i := l.at + ahead; i < len(l.sql) {
		return l.sql[i]
	}
	return 0
}

func isBlank(c byte) bool { return c <= ' ' || c == 0x7f }

func isNameStart(c byte) bool { return ascii.IsLetter(c) || c == '_' || c >= utf8.RuneSelf }

func isNamePart(c byte) bool { return isNameStart(c) || ascii.IsDigit(c) || c == '$' }

// blank passes over blanks and comments.
func (l *lexer) blank() {
	for l.at < len(l.sql) {
		c, next := l.sql[l.at], l.peek(1)
		switch {
		case isBlank(c):
			l.at++
		case c == '-' && next == '-' && (l.dialect != MySQL || isBlank(l.peek(2))), c == '#' && l.dialect == MySQL:
			l.line()
		case c == '/' && next == '*':
			l.comment()
		case c == '*' && next == '/' && l.executable:
			l.executable, l.versioned = false, false
			l.at += 2
		default:
			return
		}
	}
}

func (l *lexer) line() {
	if n := bytes.IndexByte(l.sql[l.at:], '\n'); n >= 0 {
		l.at += n + 1
		return
	}
	l.at = len(l.sql)
}

// comment passes over a comment, or over the beginning of what only looks like one.
func (l *lexer) comment() {
	if l.dialect == MySQL && l.isExecutable() {
		return
	}
	depth := 0
	for l.at < len(l.sql) {
		switch c, next := l.sql[l.at], l.peek(1); {
		case c == '/' && next == '*' && (depth == 0 || l.dialect == PostgreSQL): // PostgreSQL's are nested
			depth++
			l.at += 2
		case c == '*' && next == '/':
			depth--
			if l.at += 2; depth == 0 {
				return
			}
		default:
			l.at++
		}
	}
}

// isExecutable reports whether what looks like a comment is executed by MySQL (/*!50000 ... */) or MariaDB (/*M! ... */), and passes over
// its beginning.
func (l *lexer) isExecutable() bool {
	n := 2
	if l.peek(n) == 'M' {
		n++
	}
	if l.peek(n) != '!' {
		return false
	}
	version := 0
	for n++; ascii.IsDigit(l.peek(n)); n++ {
		version = min(10*version+int(l.peek(n)-'0'), 10*alwaysExecuted)
	}
	l.at += n
	l.executable, l.versioned = true, version >= alwaysExecuted
	return true
}

func (l *lexer) word(t *token) {
	t.kind = word
	for l.at < len(l.sql) && isNamePart(l.sql[l.at]) {
		l.at++
	}
}

func (l *lexer) name(t *token, quote byte) {
	t.kind = name
	for l.at++; l.at < len(l.sql); l.at++ {
		if l.sql[l.at] != quote {
			continue
		}
		switch {
		case l.inCharacter(t.start):
			l.give(t)
			return
		case l.peek(1) != quote:
			l.at++
			return
		}
		l.at++
	}
	t.open = true
}

// give makes the token one of which it is not known where it ends.
func (l *lexer) give(t *token) {
	t.kind, l.at = doubt, len(l.sql)
}

// inCharacter reports whether a byte may be the second one of a character: in some encodings (GBK, Shift JIS, Big5) it can be a backslash.
func (l *lexer) inCharacter(from int) bool {
	r, n := utf8.DecodeLastRune(l.sql[from:l.at])
	return r == utf8.RuneError && n == 1
}

// prefix reports whether a literal with a letter before it begins, and passes over what is before its quotation mark.
func (l *lexer) prefix() bool {
	n := 1
	switch c := l.sql[l.at] | 0x20; {
	case c == 'b' || c == 'x' || c == 'n' || c == 'e' && l.dialect == PostgreSQL:
	case c == 'u' && l.dialect == PostgreSQL && l.peek(1) == '&':
		n = 2
	case l.sql[l.at] == '_' && l.dialect == MySQL: // a character set
		for isNamePart(l.peek(n)) {
			n++
		}
	default:
		return false
	}
	if l.peek(n) != '\'' {
		return false
	}
	l.at += n
	return true
}

// quoted reads a literal from its quotation mark on.
func (l *lexer) quoted(t *token, q Quoting) {
	t.kind = literal
	quote := l.sql[l.at]
	if l.dialect == PostgreSQL && l.at > t.start {
		switch l.sql[t.start] | 0x20 {
		case 'e':
			q = Escaping
		case 'u':
			q = Plain
		}
	}
	for l.at++; l.at < len(l.sql); l.at++ {
		c := l.sql[l.at]
		switch {
		case c == '\\' && q == Escaping:
			if next := l.peek(1); (next == quote || next == '\\') && l.inCharacter(t.start) {
				l.give(t)
				return
			}
			l.at++
		case c == '\\' && q == Unknown:
			n := 1
			for l.peek(n) == '\\' {
				n++
			}
			if l.at += n - 1; n%2 == 1 && l.peek(1) == quote && !l.isLast(2) {
				l.give(t)
				return
			}
		case c == '*' && l.executable && l.peek(1) == '/': // a server that takes it for a comment finds its end here
			l.give(t)
			return
		case c == quote && l.peek(1) == quote:
			l.at++
		case c == quote:
			if l.at++; isNamePart(l.peek(0)) { // hardly a literal that is followed by a word, rather a quotation mark within one
				l.give(t)
			}
			return
		}
	}
	l.at = min(l.at, len(l.sql))
	t.open = true
}

// isLast reports whether nothing of interest is from so far ahead on.
func (l *lexer) isLast(ahead int) bool {
	for i := l.at + ahead; i < len(l.sql); i++ {
		if c := l.sql[i]; !isBlank(c) && c != ';' && c != ')' {
			return false
		}
	}
	return true
}

// isNumber reports whether a number begins, with its sign if that is no operator.
func (l *lexer) isNumber() bool {
	i := 0
	if c := l.peek(0); c == '-' || c == '+' {
		b := &l.before
		if b.kind != mark || l.sql[b.start] == ')' || l.sql[b.start] == ']' {
			return false
		}
		i++
	}
	if l.peek(i) == '.' {
		i++
	}
	return ascii.IsDigit(l.peek(i))
}

// number reads a number and whatever is written like a part of one: digits of any base, underscores between them, junk.
func (l *lexer) number(t *token) {
	t.kind = number
	for l.at++; l.at < len(l.sql); l.at++ {
		c := l.sql[l.at]
		sign := (c == '+' || c == '-') && l.sql[l.at-1]|0x20 == 'e' && ascii.IsDigit(l.peek(1))
		if !sign && c != '.' && !isNamePart(c) {
			return
		}
	}
}

// dollar reads PostgreSQL's $1 and $tag$...$tag$.
func (l *lexer) dollar(t *token) {
	n := 1
	if ascii.IsDigit(l.peek(1)) {
		for t.kind = parameter; ascii.IsDigit(l.peek(n)); n++ {
		}
		l.at += n
		return
	}
	for isNamePart(l.peek(n)) && l.peek(n) != '$' {
		n++
	}
	if l.peek(n) != '$' {
		t.kind = mark
		l.at++
		return
	}
	t.kind = literal
	tag := l.sql[l.at : l.at+n+1]
	l.at += len(tag)
	if n := bytes.Index(l.sql[l.at:], tag); n >= 0 {
		l.at += n + len(tag)
		return
	}
	l.at, t.open = len(l.sql), true
}
