package mongodb

import (
	"encoding/binary"
	"math"

	"github.com/socketflow/socketflow/internal/protocol"
)

// result is what a reply says.
type result struct {
	id         uint32 // of the reply: the next of a stream names it
	start, end protocol.Stamp
	capture    protocol.Capture

	code    int32 // of the error; 0: none is known
	rows    int64
	failed  bool
	refused bool // the cursor, or the query, of an early opcode
	listed  bool // it has documents of a cursor
	more    bool // another reply follows
	garbled bool // it is not as it has to be
}

// place is what the members of a document of a reply are.
type place uint8

const (
	placeReply place = iota
	placeCursor
	placeBatch     // documents of a cursor
	placeOperation // a document that says what became of an operation
	placeErrors    // documents of errors
	placeError     // of such a document
	placeDetails   // of a write concern that was not met
	placeDocuments // of an early opcode
)

// reply is the one that is being read. It implements handler.
type reply struct {
	p *parser
	result
	answers *entry // the request, if it is known
	bulk    bool   // the documents of its cursor are what became of operations
	plain   bool   // its documents are those of a query of an early opcode
	docs    int
	places  [maxDepth + 2]place
	opMsg   bool
	early   uint32 // flags of OP_REPLY
}

// begin starts with a message whose header has come.
func (r *reply) begin(h *header) {
	p := r.p
	r.result = result{id: h.id, start: p.readers[protocol.FromServer].first}
	r.answers = p.answered(h.responseTo)
	r.docs, r.early, r.opMsg = 0, 0, h.op == opMsg
	r.bulk, r.plain = false, false
	if r.answers != nil {
		e := &r.answers.Value
		r.bulk = e.command != nil && e.command.bulk
		r.plain = e.legacy
		if e.replyStart.Time == 0 {
			e.replyStart = r.start
		}
	}
}

// flags implements handler.
func (r *reply) flags(f uint32) bool {
	if r.opMsg {
		r.more = f&flagMoreToCome != 0
		return f&flagsRequired&^(flagChecksum|flagMoreToCome) == 0
	}
	r.early = f
	r.refused = f&(flagCursorNotFound|flagQueryFailure) != 0
	return true
}

// counted implements handler.
func (r *reply) counted(n uint32) {
	if r.plain && r.early&(flagCursorNotFound|flagQueryFailure) == 0 {
		r.rows, r.listed = int64(n), true
	}
}

// namespace implements handler.
func (*reply) namespace([]byte) {}

// document implements handler.
func (r *reply) document(sequence []byte, _ *walker) {
	r.docs++
	r.places[1] = placeReply
	if sequence != nil || r.docs > 1 || r.plain && r.early&flagQueryFailure == 0 {
		r.places[1] = placeDocuments
	}
}

// enter implements visitor.
func (r *reply) enter(w *walker) bool {
	if w.deep() {
		return false
	}
	n, inside := string(w.Name()), placeReply
	switch r.places[w.depth] {
	case placeReply:
		switch n {
		case "cursor":
			inside = placeCursor
		case "writeErrors":
			inside = placeErrors
		case "writeConcernError":
			inside = placeDetails
		}
	case placeCursor:
		if n == "firstBatch" || n == "nextBatch" {
			r.listed = true
			inside = placeBatch
		}
	case placeBatch:
		r.rows++
		if r.bulk {
			inside = placeOperation
		}
	case placeErrors:
		inside = placeError
	case placeOperation, placeError, placeDetails, placeDocuments:
	}
	r.places[w.depth+1] = inside
	return inside != placeReply
}

// ended implements handler.
func (*reply) ended() {}

// leave implements visitor.
func (*reply) leave(*walker) {}

// scalar implements visitor.
func (r *reply) scalar(w *walker) {
	value, known := number(w)
	if !known {
		return
	}
	n := string(w.Name())
	switch r.places[w.depth] {
	case placeReply:
		switch {
		case n == "ok" && value == 0, n == "nErrors" && value > 0:
			r.failed = true
		case n == "code":
			r.code = value
		}
	case placeError, placeDetails, placeOperation:
		if n == "code" && value != 0 {
			r.failed = true
			if r.code == 0 {
				r.code = value
			}
		}
	case placeCursor, placeBatch, placeErrors, placeDocuments:
	}
}

// number is a value as a whole number.
func number(w *walker) (n int32, ok bool) {
	switch v, little := w.Value(), binary.LittleEndian; {
	case w.cut:
	case w.kind == typeInt32 && len(v) == 4:
		return int32(little.Uint32(v)), true
	case w.kind == typeInt64 && len(v) == 8:
		if n := int64(little.Uint64(v)); n >= math.MinInt32 && n <= math.MaxInt32 {
			return int32(n), true
		}
	case w.kind == typeDouble && len(v) == 8:
		if f := math.Float64frombits(little.Uint64(v)); f >= math.MinInt32 && f <= math.MaxInt32 {
			return int32(math.Ceil(f)), true
		}
	case w.kind == typeBool && len(v) == 1:
		return int32(v[0]), true
	}
	return 0, false
}

// finish ends the reply.
func (r *reply) finish(broken bool) {
	r.failed = r.failed || r.refused
	r.garbled = broken
	if broken {
		r.p.sink.Error(protocol.Malformed)
	}
	r.p.replied(r)
	r.answers = nil
}
