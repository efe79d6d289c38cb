package otlp

import (
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// defaultLength is the longest value of an attribute, in bytes, if the options name none.
const defaultLength = 2 << 10

// bound cuts values of attributes that are longer than is allowed. What the reports themselves add is shorter than any bound that can be
// configured; a protocol's attributes and those of a resource are not.
type bound struct {
	length int
	cut    []string      // the attributes of the present item whose values were cut
	bytes  int           // of the present item's values, as they are encoded, beside what sizes.add counts
	total  atomic.Uint64 // values that were cut; read by other goroutines
}

// begin begins the next item.
func (b *bound) begin() { b.bytes = 0 }

// text makes a value sound, and cuts it.
func (b *bound) text(key, s string) string {
	s = sound(s)
	if len(s) > b.length {
		b.note(key)
		s = strings.Clone(cutText(s, b.length)) // the rest is not kept
	}
	b.bytes += encoded(s)
	return s
}

// interned does the same with a text that is not a string yet.
func (b *bound) interned(key string, text []byte, texts *interned) string {
	s := texts.of(text[:min(len(text), b.length+utf8.UTFMax)])
	if len(s) > b.length {
		return b.text(key, s)
	}
	b.bytes += encoded(s)
	return s
}

// value does the same with a value, or the values of a list.
func (b *bound) value(key string, v pcommon.Value) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		if s := v.Str(); unsoundAt(s) < len(s) || len(s) > b.length {
			v.SetStr(b.text(key, s))
		}
	case pcommon.ValueTypeSlice:
		for i, list := 0, v.Slice(); i < list.Len(); i++ {
			b.value(key, list.At(i))
		}
	}
}

func (b *bound) note(key string) {
	b.total.Add(1)
	if !slices.Contains(b.cut, key) { // a list has one key
		b.cut = append(b.cut, key)
	}
}

// mark adds the names of the attributes that were cut.
func (b *bound) mark(to pcommon.Map) {
	if len(b.cut) == 0 {
		return
	}
	names := to.PutEmptySlice(truncated)
	names.EnsureCapacity(len(b.cut))
	b.bytes += attributeBytes + len(truncated)
	for _, name := range b.cut {
		names.AppendEmpty().SetStr(name)
		b.bytes += elementBytes + len(name)
	}
	clear(b.cut)
	b.cut = b.cut[:0]
}

// all checks every value of a map, and marks those that were cut.
func (b *bound) all(of pcommon.Map) {
	for key, v := range of.All() {
		b.value(key, v)
	}
	b.mark(of)
}

// cutText cuts a text to at most so many bytes, not within a character.
func cutText[T string | []byte](text T, length int) T {
	for back := range min(utf8.UTFMax, length) {
		if utf8.RuneStart(text[length-back]) {
			return text[:length-back]
		}
	}
	return text[:length]
}
