package mongodb

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"unicode/utf8"
)

// writer makes a command's text: as in JSON, with its names, and `?` for values. Of the same members of an array, one after the other, the
// first is written. The text is bounded: what it lacks is written as three dots, and no name and no value is cut.
type writer struct {
	out    []byte
	limit  int
	full   bool
	depth  int
	levels [maxDepth + 4]level
}

// level is a document, or an array, that is being written.
type level struct {
	array       bool
	members     int
	mark, start int // where the text of the member begins, with what separates it, and without
	before      int // where the text of the one before begins; -1: there is none
	beforeEnd   int
}

const more = " ..."

// begin starts with a text, in a buffer.
func (t *writer) begin(buffer []byte, limit int) {
	t.out, t.limit, t.full, t.depth = buffer[:0], limit, false, 0
	t.levels[0] = level{before: -1}
	t.out = append(t.out, '{')
}

// end is the text.
func (t *writer) end() []byte {
	if !t.full && len(t.out) > 0 {
		t.out = append(t.out, '}')
	}
	out := t.out
	t.out, t.full = nil, true
	return out
}

// member begins a member of the innermost level. It reports whether there is room for it.
func (t *writer) member(name []byte) bool {
	if t.full {
		return false
	}
	l := &t.levels[t.depth]
	l.mark = len(t.out)
	if l.members > 0 {
		t.out = append(t.out, ", "...)
	}
	l.start = len(t.out)
	l.members++
	if !l.array {
		t.out = append(appendQuoted(t.out, name), ": "...)
	}
	return true
}

// done ends a member.
func (t *writer) done() {
	l := &t.levels[t.depth]
	switch {
	case t.full:
	case len(t.out)+len(more)+t.depth >= t.limit:
		t.out = append(t.out[:l.mark], more...)
		t.full = true
	case l.array && l.before >= 0 && string(t.out[l.before:l.beforeEnd]) == string(t.out[l.start:]):
		t.out = t.out[:l.mark]
		l.members--
	default:
		l.before, l.beforeEnd = l.start, len(t.out)
	}
}

// open begins a document or an array, the value of a member. It reports whether there is room for it.
func (t *writer) open(array bool) bool {
	if t.full || t.depth+1 >= len(t.levels) {
		return false
	}
	if len(t.out)+len(more)+2*t.depth >= t.limit {
		t.done()
		return false
	}
	t.depth++
	t.levels[t.depth] = level{array: array, before: -1}
	if array {
		t.out = append(t.out, '[')
	} else {
		t.out = append(t.out, '{')
	}
	return true
}

// close ends a document or an array, and the member whose value it is.
func (t *writer) close() {
	if !t.full {
		if t.levels[t.depth].array {
			t.out = append(t.out, ']')
		} else {
			t.out = append(t.out, '}')
		}
	}
	t.depth--
	t.done()
}

// hidden writes a value that is not shown.
func (t *writer) hidden() {
	if !t.full {
		t.out = append(t.out, '?')
	}
	t.done()
}

// quoted writes a text.
func (t *writer) quoted(value []byte) {
	if !t.full {
		t.out = appendQuoted(t.out, value)
	}
	t.done()
}

// raw writes a value as MongoDB's extended JSON has it, more or less. What is not known, and binary data, stays hidden.
func (t *writer) raw(w *walker) {
	if t.full {
		return
	}
	v, little := w.Value(), binary.LittleEndian
	out := t.out
	switch {
	case w.kind == typeNull || w.kind == typeUndefined:
		out = append(out, "null"...)
	case (w.kind == typeString || w.kind == typeSymbol || w.kind == typeCode) && len(v) > 0 && !w.cut:
		out = appendQuoted(out, v[:len(v)-1])
	case w.kind == typeInt32 && len(v) == 4:
		out = strconv.AppendInt(out, int64(int32(little.Uint32(v))), 10)
	case w.kind == typeInt64 && len(v) == 8:
		out = strconv.AppendInt(out, int64(little.Uint64(v)), 10)
	case w.kind == typeDouble && len(v) == 8:
		out = strconv.AppendFloat(out, math.Float64frombits(little.Uint64(v)), 'g', -1, 64)
	case w.kind == typeBool && len(v) == 1:
		out = strconv.AppendBool(out, v[0] != 0)
	case w.kind == typeObjectID && len(v) == 12:
		out = append(hex.AppendEncode(append(out, `{"$oid": "`...), v), `"}`...)
	case w.kind == typeDate && len(v) == 8:
		out = append(strconv.AppendInt(append(out, `{"$date": `...), int64(little.Uint64(v)), 10), '}')
	case w.kind == typeRegex && !w.cut:
		out = append(appendQuoted(append(out, `{"$regex": `...), v), '}')
	default:
		out = append(out, '?')
	}
	t.out = out
	t.done()
}

// appendQuoted appends a text in quotation marks. It is valid UTF-8 afterwards.
func appendQuoted(to, b []byte) []byte {
	const digits = "0123456789abcdef"
	to = append(to, '"')
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch c := b[0]; {
		case c == '"' || c == '\\':
			to = append(to, '\\', c)
		case r < ' ' || r == 0x7f:
			to = append(to, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		case r == utf8.RuneError && n <= 1:
			to = append(to, "\uFFFD"...)
		default:
			to = append(to, b[:n]...)
		}
		b = b[n:]
	}
	return append(to, '"')
}
