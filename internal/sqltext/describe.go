package sqltext

import (
	"bytes"
	"slices"
)

const (
	maxSummary = 255 // bytes, as the semantic conventions have it
	maxDepth   = 63  // of parentheses within which names are looked for
	maxCTEs    = 16  // names of WITH that are remembered
	maxWord    = 32  // bytes of a command or a keyword
)

// description finds out what a statement does, and to what, while its tokens go by.
type description struct {
	operation []byte
	summary   []byte
	only      []byte // the first name of a table or view
	procedure []byte // that is called
	several   bool
	ended     bool // the rest of the statement is of no interest

	verb      *verb
	kind      kind    // of the last token
	mark      byte    // the last token, if it is a mark
	word      keyword // the last token, if it is a keyword
	depth     int     // of parentheses
	selects   uint64  // depths at which FROM and JOIN are followed by names
	lists     uint64  // depths at which a comma is followed by another name
	objects   int     // words read since CREATE, ALTER or DROP; 0: the object's kind is known, or not looked for
	expecting bool    // a name comes next
	from      bool    // it comes behind FROM or JOIN, where a function may stand
	table     bool    // it is one of a table or view
	explained bool    // the next command is what EXPLAIN is about

	name   []byte // that is being read
	naming bool

	with      bool // the command behind WITH has not come
	withDepth int
	cte       bool // the next word is a name of WITH
	ctes      [][]byte
}

func (d *description) reset() {
	*d = description{summary: d.summary[:0], only: d.only[:0], procedure: d.procedure[:0], name: d.name[:0], ctes: d.ctes[:0]}
}

// collection is the only table or view.
func (d *description) collection() []byte {
	if d.several {
		return nil
	}
	return d.only
}

// token reads a token.
func (d *description) token(k kind, b []byte) {
	if d.ended {
		return
	}
	w := keyNone
	var v *verb
	if k == word {
		w, v = lookup(b)
	}
	if d.naming && !d.goesOn(k, b) {
		d.named(k == mark && b[0] == '(')
	}
	switch {
	case d.naming:
	case k == mark:
		d.punctuation(b[0])
	case k == name || k == word:
		d.read(k, b, w, v)
	default:
		d.expecting = false
		d.ended = d.verb == nil && !d.with
	}
	d.kind, d.word, d.mark = k, w, 0
	if k == mark {
		d.mark = b[0]
	}
}

// goesOn reads a token that belongs to the name before it.
func (d *description) goesOn(k kind, b []byte) bool {
	dotted := len(d.name) > 0 && d.name[len(d.name)-1] == '.'
	if k == mark && b[0] == '.' && !dotted || dotted && (k == word || k == name) {
		d.name = appendName(d.name, b)
		return true
	}
	return false
}

// appendName appends a name, without quotation marks if it needs none.
func appendName(to, b []byte) []byte {
	if n := len(b); n > 2 && (b[0] == '"' || b[0] == '`') {
		if inner := b[1 : n-1]; !slices.ContainsFunc(inner, func(c byte) bool { return !isNamePart(c) }) {
			b = inner
		}
	}
	return append(to, b...)
}

// named adds the name that has been read.
func (d *description) named(called bool) {
	d.naming = false
	if d.from && called || slices.ContainsFunc(d.ctes, func(cte []byte) bool { return bytes.EqualFold(cte, d.name) }) {
		return
	}
	d.append(d.name)
	switch {
	case d.verb.target == routine:
		d.procedure = append(d.procedure, d.name...)
	case !d.table:
	case len(d.only) == 0:
		d.only = append(d.only, d.name...)
	case !bytes.Equal(d.only, d.name):
		d.several = true
	}
}

func (d *description) append(b []byte) {
	switch {
	case len(d.summary)+1+len(b) > maxSummary:
		d.ended, d.several = true, true
		return
	case len(d.summary) > 0:
		d.summary = append(d.summary, ' ')
	}
	d.summary = append(d.summary, b...)
}

// finish is called at the end of the statement.
func (d *description) finish() {
	if d.naming && !d.ended {
		d.named(false)
	}
	d.ended = true
	clear(d.ctes)
}

func (d *description) bit() uint64 { return 1 << min(d.depth, maxDepth) }

func (d *description) punctuation(c byte) {
	switch c {
	case '(':
		inner := d.expecting
		d.depth++
		d.selects &^= d.bit()
		d.lists &^= d.bit()
		if inner && d.from { // FROM (a JOIN b)
			d.selects |= d.bit()
			d.lists |= d.bit()
			return
		}
	case ')':
		d.depth = max(d.depth-1, 0)
	case ',':
		if d.with && d.depth == d.withDepth {
			d.cte = true
			return
		}
		d.expecting = d.lists&d.bit() != 0
		return
	case ';':
		d.ended = true
	}
	d.expecting = false
}

// begins reports whether a command may begin here.
func (d *description) begins() bool {
	return d.verb == nil && d.kind == end || d.mark == '(' || d.word == keyAs || d.explained || d.with && d.mark == ')' && d.depth == d.withDepth
}

func (d *description) read(k kind, b []byte, w keyword, v *verb) {
	switch {
	case d.cte:
		d.cte = w == keyRecursive
		if !d.cte && len(d.ctes) < maxCTEs {
			d.ctes = append(d.ctes, b)
		}
		return
	case v != nil && d.command(v):
		return
	case d.verb == nil && !d.with:
		if d.mark != '(' {
			d.ended = true
		}
		return
	case d.objects > 0:
		d.object(w)
		return
	case d.expecting && !w.isSkipped():
		d.expecting = false
		if k == name || !w.isReserved() {
			d.naming, d.name = true, appendName(d.name[:0], b)
			return
		}
	}
	switch w {
	case keyFrom:
		if d.selects&d.bit() != 0 && d.word != keyDistinct {
			d.expect(true)
			d.lists |= d.bit()
		}
	case keyJoin:
		if d.selects&d.bit() != 0 {
			d.expect(true)
		}
	case keyUsing:
		if d.verb == verbs["MERGE"] || d.verb == verbs["DELETE"] {
			d.expect(true)
			d.lists |= d.bit()
		}
	case keyEnds:
		d.lists &^= d.bit()
	case keyOn:
		if d.table && d.verb.target == object && len(d.only) == 0 { // CREATE INDEX i ON t
			d.expect(false)
		}
	}
}

func (d *description) expect(from bool) { d.expecting, d.from, d.table = true, from, true }

// command begins a command, if the word is one here.
func (d *description) command(v *verb) bool {
	begins := d.begins()
	switch string(v.name) {
	case "SELECT":
		begins = begins || d.verb != nil || d.with
	case "REPLACE", "VALUES":
		begins = begins && d.verb == nil && !d.with
	case "INSERT":
		begins = begins && (d.mark != '(' || d.with || d.verb == nil)
	case "WITH":
		begins = begins || d.verb == verbs["INSERT"]
		if begins {
			d.with, d.withDepth, d.cte = true, d.depth, true
			d.ctes = d.ctes[:0]
		}
		return begins
	}
	if begins && d.verb != nil && v.target != query {
		begins = d.explained && v.target != nothing
	}
	if !begins {
		return false
	}
	if within := d.with && d.depth > d.withDepth; !within {
		d.with = false
		if len(d.operation) == 0 {
			d.operation = v.name
		}
	}
	d.verb, d.expecting, d.from, d.explained = v, false, false, false
	d.append(v.name)
	d.lists &^= d.bit()
	d.target(v)
	return true
}

// target prepares for what the command is about.
func (d *description) target(v *verb) {
	switch v.target {
	case nothing:
		d.ended = true
	case object:
		d.objects = 1
	case next:
		d.expect(false)
		d.lists |= d.bit()
	case routine:
		d.expect(false)
		d.table = false
	case query:
		switch string(v.name) {
		case "SELECT", "DELETE":
			d.selects |= d.bit()
		case "UPDATE":
			d.selects |= d.bit()
			d.lists |= d.bit()
			d.expect(false)
		case "INSERT", "REPLACE", "MERGE":
			d.expect(false)
		case "EXPLAIN":
			d.explained = true
		}
	}
}

// object looks for the kind of what is created, changed or dropped.
func (d *description) object(w keyword) {
	if d.objects++; d.objects > mostHead {
		d.ended = true
		return
	}
	if !w.isObject() {
		return
	}
	d.objects = 0
	d.append(objectNames[w-keyTable])
	switch {
	case w == keyTable || w == keyView:
		d.expect(false)
		d.lists |= d.bit()
	case w == keyIndex && string(d.verb.name) == "CREATE":
		d.table = true // its name is behind ON
	default:
		d.ended = true
	}
}
