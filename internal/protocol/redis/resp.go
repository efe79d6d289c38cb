package redis

import (
	"math"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// Bounds of what is read of a message (https://redis.io/docs/latest/develop/reference/protocol-spec/).
const (
	maxDepth = 128           // of nested aggregates
	maxLine  = 64            // bytes of a line that are read: a length, a number, the first word of an error
	maxCount = math.MaxInt32 // elements of an aggregate
	maxBulk  = 1 << 48       // bytes of a string; proto-max-bulk-len is 512 MB by default
	innate   = 8             // frames that need no allocation
)

// form is how an element goes on after its first line.
type form uint8

const (
	unknown   form = iota
	simple         // not at all
	bulk           // with as many bytes as the line says, and CR LF
	chunk          // so too, and it is a part of a streamed string
	aggregate      // with as many elements
	pairs          // with twice as many
	terminal       // it is the end of a streamed aggregate
)

// types are the forms of the elements by first byte: RESP2, RESP3, and RESP3's streamed types
// (https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md).
var types = [256]form{
	'+': simple, '-': simple, ':': simple, '_': simple, '#': simple, ',': simple, '(': simple,
	'$': bulk, '!': bulk, '=': bulk, ';': chunk, '*': aggregate, '~': aggregate, '>': aggregate, '%': pairs, '|': pairs, '.': terminal,
}

// scratch is what is of use only while bytes are read.
type scratch struct {
	text framing.Line   // the line that was read last
	last protocol.Stamp // the last byte that was read
}

// frame is an aggregate that is being read.
type frame struct {
	left      uint32 // elements
	streamed  bool   // their number is not known
	attribute bool   // it comes before an element, and is none (type |)
}

// handler is given the elements of messages.
type handler interface {
	// line is given each line that is not within a message. It returns true if the line is all of a message, or none at all.
	line(l *framing.Line) bool
	// head is given the line with which an element begins, and how many elements or bytes follow (-1: null, or a number that is
	// not known). It returns how many bytes of a string are wanted, or false if the protocol does not allow this.
	head(line []byte, n int64) (want int, ok bool)
	// leaf is given an element that has no others: what was wanted of it, or the rest of its line.
	leaf(kind byte, value []byte, cut bool)
	// done is called at the end of a message. An aggregate is the message's only if its end calls done.
	done()
}

// reader reads the messages of a direction.
type reader struct {
	framing.Sync
	lines framing.Lines
	body  framing.Body
	*scratch
	start    protocol.Stamp // of the message
	stack    []frame
	inner    [innate]frame
	index    uint32 // of the element of the outermost aggregate that is being read
	want     int
	kind     byte // of the string that is being read
	within   bool // a message
	inBody   bool
	streamed bool // the string comes in chunks
	limit    int  // bytes of a line that is not within a message
}

func (r *reader) reset() {
	r.lines.Reset()
	r.body.Reset()
	r.stack = r.inner[:0]
	r.within, r.inBody, r.streamed = false, false, false
}

// between reports whether no message has begun.
func (r *reader) between() bool { return !r.within && !r.lines.Begun() }

func (r *reader) depth() int { return len(r.stack) }

func (r *reader) held() int { return r.lines.Held() + r.body.Held() + max(0, cap(r.stack)-innate)*8 }

// read takes bytes of a chunk from an index on and returns the next index, or false if the protocol does not allow them.
func (r *reader) read(c *protocol.Chunk, i int, h handler) (next int, ok bool) {
	if r.inBody {
		value, n, complete := r.body.Data(c.Bytes[i:])
		if i += n; complete {
			r.last = c.At(i - 1)
			r.bodyEnds(value, h)
		}
		return i, true
	}
	limit := maxLine
	if !r.within {
		limit = max(r.limit, maxLine)
	}
	l := &r.text
	n, complete := r.lines.Read(c, i, limit, l)
	if i += n; !complete {
		return i, true
	}
	r.last = c.At(i - 1)
	if !r.within {
		if h.line(l) {
			return i, true
		}
		r.start, r.within, r.index = l.Start, true, 0
	}
	return i, r.element(l, h)
}

// gap takes n missing bytes, and returns how many of them do not belong to a string.
func (r *reader) gap(n uint64, at *protocol.Stamp, h handler) uint64 {
	if r.inBody && !r.Lost() {
		value, taken, complete := r.body.Gap(n)
		n -= taken
		if complete {
			r.last = *at
			r.last.Position += taken - 1
			r.bodyEnds(value, h)
		}
	}
	return n
}

func (r *reader) element(l *framing.Line, h handler) bool {
	if len(l.Bytes) == 0 {
		return false
	}
	kind, rest := l.Bytes[0], l.Bytes[1:]
	f := types[kind]
	if r.streamed != (f == chunk) {
		return false
	}
	switch f {
	case simple:
		if _, ok := h.head(l.Bytes, 0); !ok {
			return false
		}
		h.leaf(kind, rest, l.Cut())
	case bulk, chunk:
		n, ok := parseLength(rest, maxBulk)
		if !ok || l.Cut() {
			return false
		}
		if f == chunk {
			if r.streamed = n > 0; n > 0 {
				r.begin(kind, n, 0)
				return true
			}
			h.leaf(r.kind, nil, true)
			break
		}
		want, ok := h.head(l.Bytes, n)
		switch r.streamed = string(rest) == "?"; {
		case !ok:
			return false
		case r.streamed:
			r.kind = kind
			return true
		case n >= 0:
			r.begin(kind, n, want)
			return true
		}
		h.leaf(kind, nil, false)
	case aggregate, pairs:
		n, ok := parseLength(rest, maxCount)
		if !ok || l.Cut() || len(r.stack) >= maxDepth {
			return false
		}
		if _, ok := h.head(l.Bytes, n); !ok {
			return false
		}
		child := frame{left: uint32(max(n, 0)), streamed: string(rest) == "?", attribute: kind == '|'}
		if f == pairs {
			child.left *= 2
		}
		if child.left > 0 || child.streamed {
			r.stack = append(r.stack, child)
			return true
		}
		if child.attribute {
			return true
		}
	case terminal:
		d := len(r.stack)
		if d == 0 || !r.stack[d-1].streamed {
			return false
		}
		attribute := r.stack[d-1].attribute
		if r.stack = r.stack[:d-1]; attribute {
			return true
		}
	default:
		return false
	}
	r.ends(h)
	return true
}

func (r *reader) begin(kind byte, length int64, want int) {
	r.inBody, r.want = true, int(min(int64(want), length))
	if kind != ';' {
		r.kind = kind
	}
	r.body.Begin(uint64(length)+2, r.want)
}

func (r *reader) bodyEnds(value []byte, h handler) {
	r.inBody = false
	if !r.streamed {
		h.leaf(r.kind, value, len(value) < r.want)
		r.ends(h)
	}
}

// ends is called at the end of an element, which may be the last one of those around it.
func (r *reader) ends(h handler) {
	for d := len(r.stack); d > 0; d-- {
		f := &r.stack[d-1]
		if d == 1 && !f.attribute {
			r.index++
		}
		if f.streamed {
			return
		}
		if f.left--; f.left > 0 {
			return
		}
		attribute := f.attribute
		if r.stack = r.stack[:d-1]; attribute { // the element that it belongs to follows
			return
		}
	}
	r.within, r.stack = false, r.inner[:0]
	h.done()
}

// parseLength parses a length of at most limit: -1 if it is null, or not known yet.
func parseLength(b []byte, limit int64) (int64, bool) {
	if s := string(b); s == "-1" || s == "?" {
		return -1, true
	}
	n, ok := ascii.Number(b)
	return n, ok && n <= limit
}
