package sqltext

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

// ellipsis stands for what is left out.
const ellipsis = " ..."

// obfuscator makes the text of a statement: a question mark for each literal, or list of literals, and a space for blanks and comments.
type obfuscator struct {
	text        []byte
	description description
	secret      bool // the statement has to do with passwords or keys

	certain   int // bytes of the text before the first literal, or name in quotation marks
	limit     int
	whole     int  // bytes of the statement that are within the limit, and end where a token does
	cut       bool // more of it follows
	full      bool // nothing more is appended
	list      bool // the text ends with the literals of a list, and a comma behind them if comma is set
	comma     bool
	before    int // length of the text without this comma
	assigning assigning
	opened    byte // the last mark, if nothing followed it
}

// assigning is how far SET name = value has got. The value need not be a literal.
type assigning uint8

const (
	notAssigning assigning = iota
	assignee
	assignedNext
	assigned
)

func (o *obfuscator) reset(limit int) {
	text, d := o.text[:0], &o.description
	d.reset()
	*o = obfuscator{text: text, description: *d, limit: limit, certain: -1}
}

// read reads a statement.
func (o *obfuscator) read(d Dialect, q Quoting, sql []byte, cut bool, limit int) {
	first, broken := o.pass(d, q, sql, cut, limit)
	if broken && !cut { // a quotation mark is missing, perhaps the first one
		o.pass(d, q, sql[:first], true, limit)
	}
	if o.certain < 0 {
		o.certain = len(o.text)
	}
}

// pass reads a statement. It returns where its first literal is, and whether the last one has no end.
func (o *obfuscator) pass(d Dialect, q Quoting, sql []byte, cut bool, limit int) (first int, broken bool) {
	o.reset(limit)
	first = len(sql)
	l := lexer{dialect: d, quoting: q, sql: sql}
	for {
		t := l.next()
		if t.kind == literal || t.kind == doubt || t.kind == name {
			first = min(first, t.start)
		}
		switch {
		case t.kind == end:
			if o.cut = o.cut || cut; cut {
				o.leave()
			}
			o.description.finish()
			return first, false
		case cut && t.end == len(sql): // perhaps not all of it
			o.last(&t)
			return first, t.open
		case t.open:
			o.last(&t)
			return first, true
		}
		o.token(&t, sql)
		if t.kind == doubt {
			o.leave()
			o.description.finish()
			return first, false
		}
	}
}

// last reads a token whose end is not known.
func (o *obfuscator) last(t *token) {
	if t.kind == literal || t.kind == doubt || t.kind == number {
		o.certainUpTo(t.kind)
		o.value(t)
	}
	o.cut = true
	o.leave()
	o.description.finish()
}

// certainUpTo notes where the first literal, or name in quotation marks, is.
func (o *obfuscator) certainUpTo(k kind) {
	if o.certain < 0 && (k == literal || k == doubt || k == name) {
		o.certain = len(o.text)
	}
}

// leave says that something is left out from here on.
func (o *obfuscator) leave() {
	if !o.full {
		o.full = true
		o.text = append(bytes.TrimRight(o.text, " "), ellipsis...)
	}
}

func (o *obfuscator) token(t *token, sql []byte) {
	b := sql[t.start:t.end]
	if t.kind == word || t.kind == name {
		o.secret = o.secret || isSecret(b)
	}
	if t.end <= o.limit-len(ellipsis) {
		o.whole = t.end
	} else if t.end > o.limit {
		o.cut = true
	}
	o.certainUpTo(t.kind)
	o.description.token(t.kind, b)
	switch {
	case o.assign(t, b):
	case t.kind == literal, t.kind == number, t.kind == doubt, t.kind == parameter && b[0] == '?', t.kind == word && o.isBoolean(b):
		o.value(t)
	case t.kind == mark && b[0] == ',' && o.list && !o.comma:
		o.comma, o.before = true, len(o.text)
		o.append(t, b)
	default:
		closes := t.kind == mark && o.list && !o.comma && (b[0] == ')' || b[0] == ']')
		o.list, o.comma = false, false
		o.append(t, b)
		if closes {
			o.fold()
		}
	}
}

// assign reads a token of SET name = value, or SET name TO value, and reports whether it was what leaves the value out.
func (o *obfuscator) assign(t *token, b []byte) bool {
	switch o.assigning {
	case notAssigning:
		if t.kind == word && len(o.text) == 0 && ascii.Is(b, "set") {
			o.assigning = assignee
		}
		return false
	case assignee:
		if t.kind == mark && b[0] == '=' || t.kind == word && ascii.Is(b, "to") {
			o.append(t, b)
			o.assigning = assignedNext
			return true
		}
		return false
	case assignedNext:
		o.value(t)
		o.assigning = assigned
	}
	return true
}

func (o *obfuscator) isBoolean(b []byte) bool {
	return o.opened != '.' && (ascii.Is(b, "true") || ascii.Is(b, "false"))
}

var question = []byte("?")

// value appends what stands for a literal, unless it goes on with a list of them.
func (o *obfuscator) value(t *token) {
	switch {
	case o.full:
	case o.list && o.comma:
		o.text, o.comma = o.text[:o.before], false
	default:
		opens := o.opened == '(' || o.opened == '['
		o.append(t, question)
		o.list, o.comma = opens, false
	}
}

// append appends a token, if it fits.
func (o *obfuscator) append(t *token, b []byte) {
	if o.full {
		return
	}
	n := len(b)
	if t.spaced && len(o.text) > 0 {
		n++
	}
	if len(o.text)+n > o.limit-len(ellipsis) {
		o.leave()
		return
	}
	if n > len(b) {
		o.text = append(o.text, ' ')
	}
	o.text = append(o.text, b...)
	if o.opened = 0; t.kind == mark {
		o.opened = b[0]
	}
}

// fold makes (?), (?) of several rows one.
func (o *obfuscator) fold() {
	const row = "(?)"
	rest, ok := bytes.CutSuffix(o.text, []byte(row))
	if !ok || o.full {
		return
	}
	rest, ok = bytes.CutSuffix(bytes.TrimSuffix(rest, []byte(" ")), []byte(","))
	if ok && bytes.HasSuffix(rest, []byte(row)) {
		o.text = rest
	}
}

// raw is the statement as it was sent, as far as it may be emitted.
func (o *obfuscator) raw(sql []byte) []byte {
	if len(sql) <= o.limit && !o.cut {
		return sql
	}
	o.text = append(append(o.text[:0], sql[:min(o.whole, len(sql))]...), ellipsis...)
	return o.text
}

// secrets are what words have in them that come with passwords and keys. They are in lower case.
var secrets = [...]string{"passw", "pwd", "secret", "identified", "crypt", "credential", "private", "apikey", "api_key", "token"}

func isSecret(b []byte) bool {
	for _, s := range secrets {
		for i := 0; i+len(s) <= len(b); i++ {
			if ascii.Is(b[i:i+len(s)], s) {
				return true
			}
		}
	}
	return false
}
