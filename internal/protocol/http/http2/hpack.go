package http2

import (
	"errors"

	"golang.org/x/net/http2/hpack"

	"github.com/socketflow/socketflow/internal/protocol"
)

// Sizes of dynamic tables as RFC 7541, 4.1, counts them.
const (
	defaultTableSize = 4096 // RFC 9113, 6.5.2
	// maximumTableSize bounds a table, whatever the peers agreed on.
	maximumTableSize = 1 << 16
	entryOverhead    = 32

	staticEntries = 61 // RFC 7541, appendix A
)

// table is the known part of the dynamic table of a direction.
//
// Dynamic entries are numbered from the newest (RFC 7541, 2.3.3). So an index means the same entry in every table that has
// seen the same additions last, however many it has kept. This table and the encoder's both hold the latest additions; an
// index that both know is the same entry, whichever holds more. Therefore the table is right without the beginning of the
// conversation and without the encoder's limit: an index beyond its entries is unknown, and never taken for another. It
// only has to see every addition, and is cleared when it may have missed one.
type table struct {
	decoder *hpack.Decoder
	found   hpack.HeaderField // by the decoder, most recently
	field   struct{ name, value text }
	limit   uint32 // known limit of the encoder's table
	bound   uint32 // upper bound of limit
	held    uint32 // at least the size of the decoder's entries
	added   uint64 // entries seen since the table was cleared
	index   [integerBytes + 1]byte
	missing protocol.Capture // why an entry is unknown
}

func (t *table) init(missing protocol.Capture) {
	t.limit, t.bound, t.missing = defaultTableSize, defaultTableSize, missing
	if missing != protocol.CaptureTruncated { // the settings of the peers were not seen
		t.bound = maximumTableSize
	}
	t.decoder = hpack.NewDecoder(2*t.limit, func(f hpack.HeaderField) { t.found = f })
}

// allow applies the setting that bounds the encoder's table (RFC 7541, 4.2). The limit is only raised: the encoder may use
// the former value until it has seen the new one.
func (t *table) allow(size uint32) { t.bound = max(t.bound, min(size, maximumTableSize)) }

// clear forgets all entries: additions, or settings, may have been missed.
func (t *table) clear(why protocol.Capture) {
	t.decoder.SetMaxDynamicTableSize(0)
	t.decoder.SetMaxDynamicTableSize(2 * t.limit)
	t.held, t.added, t.bound, t.missing = 0, 0, maximumTableSize, why
}

// resize follows the encoder's dynamic table size update (RFC 7541, 6.3).
func (t *table) resize(size uint64) {
	limit := uint32(min(size, uint64(t.bound)))
	if limit == t.limit {
		return
	}
	t.limit = limit
	t.trim()
}

// trim evicts entries. The decoder may hold twice the limit between two trims, because evicting takes time linear in the
// number of entries, and an encoder could cause it with every field of a few bytes.
func (t *table) trim() {
	if t.held > t.limit {
		t.decoder.SetMaxDynamicTableSize(t.limit)
		t.held = t.limit
	}
	t.decoder.SetMaxDynamicTableSize(2 * t.limit)
}

func (t *table) add(size uint32) {
	t.added++
	t.held += size
	if t.held > 2*t.limit {
		t.trim()
	}
}

// unknownEntry stands for an unknown addition. Its name is empty, which no field's is (RFC 9110, 5.1).
var unknownEntry = []byte{0x40, 0, 0} // a literal with incremental indexing (RFC 7541, 6.2.1), name and value empty

func (t *table) addUnknown() {
	// It is well-formed, so there is no error.
	_, _ = t.decoder.Write(unknownEntry)
	t.add(entryOverhead)
}

// text is a string that is decoded repeatedly in the same memory.
type text []byte

// Write implements io.Writer.
func (t *text) Write(b []byte) (int, error) {
	*t = append(*t, b...)
	return len(b), nil
}

// keptBuffer is the largest buffer that one header block leaves to the next.
const keptBuffer = 4096

// release frees memory that an unusual block needed.
func (t *table) release() {
	for _, s := range []*text{&t.field.name, &t.field.value} {
		if cap(*s) > keptBuffer {
			*s = nil
		}
	}
}

// decode decodes a string where it lies. It returns false if the string is invalid.
func (t *text) decode(b []byte, s span) bool {
	*t = (*t)[:0]
	if !s.huffman {
		*t = append(*t, b[s.from:s.to]...)
		return true
	}
	_, err := hpack.HuffmanDecode(t, b[s.from:s.to])
	return err == nil
}

// decode decodes one whole field into t.field. The field is unknown if it refers to an unknown entry; the additions are
// right all the same. ok is false if no decoder could go on.
func (t *table) decode(r representation, b []byte) (known, ok bool) {
	if r.kind == literal {
		// Only the tables need their own copies of the strings.
		if r.index == 0 {
			known = t.field.name.decode(b, r.name)
			return known && len(t.field.name) > 0, known && t.field.value.decode(b, r.value)
		}
		if known, ok = t.look(indexed, r.index, appendIndex(t.index[:0], r.index)); ok {
			ok = t.field.value.decode(b, r.value)
		}
		return known, ok
	}
	return t.look(r.kind, r.index, b)
}

// entry is the value of a field that is in the table; "": it is not. It was decoded most recently.
func (t *table) entry(r representation) string {
	if r.kind == literal {
		return ""
	}
	return t.found.Value
}

// appendIndex writes an indexed field (RFC 7541, 6.1).
func appendIndex(b []byte, index uint64) []byte {
	const prefix = 0x7f
	if index < prefix {
		return append(b, 0x80|byte(index))
	}
	b = append(b, 0x80|prefix)
	for index -= prefix; index >= 0x80; index >>= 7 {
		b = append(b, 0x80|byte(index))
	}
	return append(b, byte(index))
}

// look decodes one field with the tables.
func (t *table) look(k kind, index uint64, b []byte) (known, ok bool) {
	if _, err := t.decoder.Write(b); err != nil {
		var unknown hpack.InvalidIndexError
		var wrong hpack.DecodingError
		if index <= staticEntries || !errors.As(err, &wrong) || !errors.As(wrong.Err, &unknown) {
			return false, false
		}
		if index-staticEntries <= t.added {
			// The setting was seen, so the encoder's table may be larger than assumed.
			t.limit = t.bound
			t.trim()
		}
		if k == incremental {
			t.addUnknown()
		}
		return false, true
	}
	if k == incremental {
		t.add(t.found.Size())
	}
	t.field.name = append(t.field.name[:0], t.found.Name...)
	t.field.value = append(t.field.value[:0], t.found.Value...)
	return t.found.Name != "", true
}

// kind is how a field is represented (RFC 7541, 6).
type kind uint8

const (
	indexed     kind = iota
	incremental      // a literal that is added to the dynamic table
	literal          // a literal that is not added, or must never be
	update           // not a field: a dynamic table size update
)

// representation is where the parts of a field lie in a header block. Strings are not decoded.
type representation struct {
	kind  kind
	index uint64 // of the field, or of its name; of an update, the size
	// length is that of the representation; with an oversized string, that of the bytes before the string's.
	length int
	// oversized is the length of a string that is too long to be kept, 0 if there is none.
	oversized   uint64
	name, value span // of literals; there is a name only if index is 0
	nameless    bool // the oversized string is the name
}

// span is a string in a header block (RFC 7541, 5.2).
type span struct {
	from, to int
	huffman  bool
}

// progress is the result of reading.
type progress uint8

const (
	complete progress = iota
	incomplete
	invalid
)

// parseRepresentation finds the end of the field at the beginning of b; longest bounds its strings.
func parseRepresentation(b []byte, longest int) (r representation, p progress) {
	if len(b) == 0 {
		return r, incomplete
	}
	bits := uint(4)
	switch first := b[0]; {
	case first&0x80 != 0: // 6.1
		r.kind, bits = indexed, 7
	case first&0x40 != 0: // 6.2.1
		r.kind, bits = incremental, 6
	case first&0x20 != 0: // 6.3
		r.kind, bits = update, 5
	default: // 6.2.2 and 6.2.3
		r.kind = literal
	}
	if r.index, r.length, p = parseInteger(b, bits); p != complete {
		return r, p
	}
	switch {
	case r.kind == update:
		return r, complete
	case r.kind == indexed:
		if r.index == 0 { // 6.1
			return r, invalid
		}
		return r, complete
	case r.index == 0:
		if r.name, p = r.text(b, longest); p != complete || r.oversized > 0 {
			r.nameless = true
			return r, p
		}
	}
	r.value, p = r.text(b, longest)
	return r, p
}

// text moves the end of the representation after the string.
func (r *representation) text(b []byte, longest int) (s span, p progress) {
	length, n, p := parseInteger(b[r.length:], 7)
	if p != complete {
		return s, p
	}
	s.huffman = b[r.length]&0x80 != 0
	r.length += n
	if length > uint64(longest) {
		r.oversized = length
		return s, complete
	}
	if uint64(len(b)-r.length) < length {
		return s, incomplete
	}
	s.from = r.length
	r.length += int(length)
	s.to = r.length
	return s, complete
}

// integerBytes bounds an integer: 63 bits, the decoder's limit.
const integerBytes = 1 + 9

// parseInteger reads an integer with a prefix of so many bits (RFC 7541, 5.1).
func parseInteger(b []byte, bits uint) (value uint64, length int, p progress) {
	if len(b) == 0 {
		return 0, 0, incomplete
	}
	prefix := uint64(1)<<bits - 1
	value = uint64(b[0]) & prefix
	if value < prefix {
		return value, 1, complete
	}
	for i := 1; i < len(b); i++ {
		if i == integerBytes {
			return 0, 0, invalid
		}
		value += uint64(b[i]&0x7f) << (7 * (i - 1))
		if b[i]&0x80 == 0 {
			return value, i + 1, complete
		}
	}
	if len(b) >= integerBytes {
		return 0, 0, invalid
	}
	return 0, 0, incomplete
}

// wellFormed says whether a header block consists of fields to its end.
func wellFormed(b []byte, longest int) bool {
	for len(b) > 0 {
		r, p := parseRepresentation(b, longest)
		if p != complete || r.oversized > 0 {
			return false
		}
		b = b[r.length:]
	}
	return true
}
