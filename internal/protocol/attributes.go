package protocol

import (
	"fmt"
	"slices"
)

// MaxKeys is how many attributes a protocol may have, those that the user adds included.
const MaxKeys = 192

// Key is an attribute that exchanges of a protocol may have.
type Key struct {
	Name string
	Type Type
	// Metric: it is a dimension of the protocol's metrics, because it has few values.
	Metric bool
}

// Type is the type of an attribute's value.
type Type uint8

// The types.
const (
	Text Type = iota
	Int
	List // of texts
)

// Keys are the attributes of a protocol, each at its index.
type Keys struct{ all []Key }

// NewKeys returns the keys; there may be at most MaxKeys.
func NewKeys(all []Key) (*Keys, error) {
	if len(all) > MaxKeys {
		return nil, fmt.Errorf("%d attributes, at most %d are possible", len(all), MaxKeys)
	}
	return &Keys{all: all}, nil
}

// All keys, by index.
func (k *Keys) All() []Key { return k.all }

// Has reports whether there is a key of this name.
func (k *Keys) Has(name string) bool {
	return slices.ContainsFunc(k.all, func(key Key) bool { return key.Name == name })
}

// Mask is a set of indices of keys.
type Mask [MaxKeys / 64]uint64

// Has reports whether the index is in the set.
func (m *Mask) Has(index int) bool { return m[index/64]>>(index%64)&1 != 0 }

// AttrSet has values of a protocol's attributes.
type AttrSet struct {
	Keys   *Keys
	Mask   Mask    // which of them have a value
	values []Value // by index
}

// Value is that of an attribute; the type of its key says which member it is in.
type Value struct {
	Text []byte
	Int  int64
	List []string
}

func (s *AttrSet) reset(earlier AttrSet, keys *Keys) {
	s.Keys, s.values = keys, earlier.values
	if keys != nil && len(s.values) < len(keys.all) {
		s.values = make([]Value, len(keys.all))
	}
}

// Value is that of the key at an index which is in Mask.
func (s *AttrSet) Value(index int) *Value { return &s.values[index] }

func (s *AttrSet) set(index int) *Value {
	s.Mask[index/64] |= 1 << (index % 64)
	return &s.values[index]
}

// SetText sets an attribute; the bytes have to stay until the exchange has been handed over.
func (s *AttrSet) SetText(index int, value []byte) { s.set(index).Text = value }

// SetInt sets an attribute.
func (s *AttrSet) SetInt(index int, value int64) { s.set(index).Int = value }

// SetList sets an attribute.
func (s *AttrSet) SetList(index int, value []string) { s.set(index).List = value }
