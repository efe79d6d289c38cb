package mongodb

import (
	"bytes"
	"encoding/binary"
)

// Types of BSON's elements (https://bsonspec.org/spec.html).
const (
	typeDouble     = 0x01
	typeString     = 0x02
	typeDocument   = 0x03
	typeArray      = 0x04
	typeBinary     = 0x05
	typeUndefined  = 0x06
	typeObjectID   = 0x07
	typeBool       = 0x08
	typeDate       = 0x09
	typeNull       = 0x0a
	typeRegex      = 0x0b
	typePointer    = 0x0c
	typeCode       = 0x0d
	typeSymbol     = 0x0e
	typeScopedCode = 0x0f
	typeInt32      = 0x10
	typeTimestamp  = 0x11
	typeInt64      = 0x12
	typeDecimal    = 0x13
	typeMax        = 0x7f
	typeMin        = 0xff
)

// shape is how long the values of a type are.
type shape struct {
	known bool
	fixed uint8 // bytes after those of the length
	// sized: four bytes of a length are before the value. It counts bytes after itself, or itself too if whole.
	sized, whole bool
}

var shapes = [256]shape{
	typeDouble: {known: true, fixed: 8}, typeString: {known: true, sized: true}, typeDocument: {known: true, sized: true, whole: true},
	typeArray: {known: true, sized: true, whole: true}, typeBinary: {known: true, fixed: 1, sized: true}, typeUndefined: {known: true},
	typeObjectID: {known: true, fixed: 12}, typeBool: {known: true, fixed: 1}, typeDate: {known: true, fixed: 8}, typeNull: {known: true},
	typeRegex: {known: true}, typePointer: {known: true, fixed: 12, sized: true}, typeCode: {known: true, sized: true},
	typeSymbol: {known: true, sized: true}, typeScopedCode: {known: true, sized: true, whole: true}, typeInt32: {known: true, fixed: 4},
	typeTimestamp: {known: true, fixed: 8}, typeInt64: {known: true, fixed: 8}, typeDecimal: {known: true, fixed: 16},
	typeMax: {known: true}, typeMin: {known: true},
}

const (
	leastDocument = 5   // bytes of an empty document
	maxDepth      = 24  // containers within each other that are entered
	maxName       = 128 // bytes that are kept of the name of an element
	maxValue      = 320 // bytes that are kept of a value: database and collection have 64 and 255
)

// visitor is shown what a document has.
type visitor interface {
	// enter is called where the element's value is a document or an array, and says whether its elements are wanted.
	enter(w *walker) bool
	// scalar is called at the end of any other value.
	scalar(w *walker)
	// leave is called at the end of what was entered. w.depth is that of its element.
	leave(w *walker)
}

// step is what a walker reads next.
type step uint8

const (
	stepLength step = iota // of the whole document
	stepType
	stepName
	stepSize    // of a value
	stepValue   // w.left bytes of it
	stepPattern // of a regular expression
	stepOptions
	stepSkip // w.left bytes of a document that was not entered, or whose rest is not known
	stepDone
	stepBroken // it is no document
)

// walker reads one document as its bytes come. It holds where the containers end in which it is, and the beginning of one element.
type walker struct {
	step  step
	kind  byte // type of the element
	depth int  // of the element: 1 in the document itself
	cut   bool // not all of the value is known, or is kept
	lost  bool // bytes of the document were not seen

	limit uint32 // bytes that it may have
	at    uint32 // bytes that were read
	left  uint32
	ends  [maxDepth + 1]uint32

	nameLength, valueLength, sizeLength int

	size  [4]byte
	name  [maxName]byte
	value [maxValue]byte
}

// begin starts with a document that has at most limit bytes.
func (w *walker) begin(limit uint32) {
	w.step, w.depth, w.limit, w.at, w.left, w.sizeLength, w.lost = stepLength, 0, limit, 0, 0, 0, false
}

// Name of the element, without what is too long.
func (w *walker) Name() []byte { return w.name[:w.nameLength] }

// Value of the element as it is on the wire, without its length, and without what is too long.
func (w *walker) Value() []byte { return w.value[:w.valueLength] }

// text is the value of a string; nil: it is none, or is not known.
func (w *walker) text() []byte {
	if w.kind != typeString || w.cut || w.valueLength == 0 {
		return nil
	}
	return w.value[:w.valueLength-1]
}

// deep reports whether nothing within the element can be entered.
func (w *walker) deep() bool { return w.depth >= maxDepth }

// end is where the innermost container ends.
func (w *walker) end() uint32 { return w.ends[w.depth] }

// ended reports whether the document is complete, or cannot be read on.
func (w *walker) ended() bool { return w.step >= stepDone }

// read takes bytes of the document and returns how many. If it cannot be read on, the step is stepBroken.
func (w *walker) read(b []byte, v visitor) int {
	n := 0
	for n < len(b) && !w.ended() {
		n += w.take(b[n:], v)
	}
	return n
}

// take takes at least one byte.
func (w *walker) take(b []byte, v visitor) int {
	switch w.step {
	case stepLength, stepSize:
		n := copy(w.size[w.sizeLength:], b)
		w.sizeLength += n
		w.at += uint32(n)
		if w.sizeLength == len(w.size) {
			w.sizeLength = 0
			w.sized(binary.LittleEndian.Uint32(w.size[:]), v)
		}
		return n
	case stepType:
		w.at++
		w.begins(b[0], v)
		return 1
	case stepName, stepPattern, stepOptions:
		return w.takeText(b, v)
	case stepValue, stepSkip:
		n := int(min(uint64(w.left), uint64(len(b))))
		w.keep(b[:n])
		w.pass(uint32(n), v)
		return n
	case stepDone, stepBroken:
	}
	return len(b)
}

// sized reads a length.
func (w *walker) sized(size uint32, v visitor) {
	if w.step == stepLength {
		if size < leastDocument || size > w.limit {
			w.step = stepBroken
			return
		}
		w.depth, w.ends[1], w.step = 1, size, stepType
		return
	}
	s := &shapes[w.kind]
	if s.whole {
		if size < leastDocument {
			w.step = stepBroken
			return
		}
		size -= 4
	} else if w.kind != typeBinary && size == 0 { // a text ends with a zero byte
		w.step = stepBroken
		return
	}
	w.await(uint64(size)+uint64(s.fixed), v)
}

// await says how long the rest of the value is.
func (w *walker) await(n uint64, v visitor) {
	if uint64(w.at)+n >= uint64(w.end()) { // a zero byte ends the container
		w.step = stepBroken
		return
	}
	w.left, w.step = uint32(n), stepValue
	if w.kind == typeDocument || w.kind == typeArray {
		if v.enter(w) && !w.deep() {
			w.depth++
			w.ends[w.depth], w.step = w.at+w.left, stepType
			return
		}
		w.step = stepSkip
	}
	if w.left == 0 {
		w.pass(0, v)
	}
}

// begins reads a type: an element begins, or the container ends.
func (w *walker) begins(kind byte, v visitor) {
	end := w.end()
	switch {
	case kind == 0 && w.at == end:
		w.leave(v)
	case kind == 0 || !shapes[kind].known || w.at >= end:
		w.step = stepBroken
	default:
		w.kind, w.step, w.nameLength, w.valueLength, w.cut = kind, stepName, 0, 0, false
	}
}

// leave ends the innermost container.
func (w *walker) leave(v visitor) {
	w.depth--
	if w.step = stepType; w.depth == 0 {
		w.step = stepDone
		return
	}
	v.leave(w)
}

// takeText reads a text up to its zero byte.
func (w *walker) takeText(b []byte, v visitor) int {
	room := w.end() - w.at // with the zero byte of the container
	n := bytes.IndexByte(b, 0)
	ended := n >= 0
	if !ended {
		n = len(b)
	}
	if uint64(n) >= uint64(room) {
		w.step = stepBroken
		return len(b)
	}
	if w.step == stepName {
		w.nameLength += copy(w.name[w.nameLength:], b[:n])
	} else {
		w.keep(b[:n])
	}
	w.at += uint32(n)
	if !ended {
		return n
	}
	w.at++
	if w.at >= w.end() {
		w.step = stepBroken
		return n + 1
	}
	switch s := &shapes[w.kind]; {
	case w.step == stepPattern:
		w.keep([]byte{'/'})
		w.step = stepOptions
	case w.step == stepOptions:
		w.scalar(v)
	case w.kind == typeRegex:
		w.step = stepPattern
	case s.sized:
		w.step = stepSize
	default:
		w.await(uint64(s.fixed), v)
	}
	return n + 1
}

// keep keeps bytes of a value, if there is room.
func (w *walker) keep(b []byte) {
	if w.step == stepSkip {
		return
	}
	n := copy(w.value[w.valueLength:], b)
	w.valueLength += n
	w.cut = w.cut || n < len(b)
}

// pass takes n bytes of a value, of which no more is kept.
func (w *walker) pass(n uint32, v visitor) {
	w.at += n
	if w.left -= n; w.left > 0 {
		return
	}
	switch {
	case w.step == stepValue:
		w.scalar(v)
	case w.at == w.end(): // the rest of a container was not known
		w.leave(v)
	default:
		w.step = stepType
	}
}

func (w *walker) scalar(v visitor) {
	w.step = stepType
	v.scalar(w)
}

// miss takes n missing bytes of the document, and returns how many. What follows the gap is read on where a container ends in which it is.
func (w *walker) miss(n uint64, v visitor) uint64 {
	missing := uint64(0)
	if w.step == stepValue || w.step == stepSkip {
		missing = min(n, uint64(w.left))
		if w.step == stepValue {
			w.cut = true
		}
		w.pass(uint32(missing), v)
	}
	if missing == n || w.ended() {
		return missing
	}
	w.lost = true
	if w.step == stepLength {
		w.step = stepBroken
		return n
	}
	target := uint64(w.at) + n - missing
	for w.depth > 0 && uint64(w.end()) <= target {
		w.at = w.end()
		w.leave(v)
	}
	if w.depth == 0 {
		return n - (target - uint64(w.at))
	}
	w.at = uint32(target)
	w.sizeLength = 0
	w.left, w.step = w.end()-w.at, stepSkip
	return n
}

// skip is how many of the next bytes are not needed.
func (w *walker) skip() uint64 {
	if w.step == stepSkip || w.step == stepValue && w.valueLength == maxValue {
		return uint64(w.left)
	}
	return 0
}
