package otlp

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/protocol"
)

// shape is a set of attributes, ready to be written: the rows of the table that a set of facts selects, and behind them
// attributes of an exchange.
//
// It is there for speed. Every Put of a pcommon.Map compares the key with all keys that are in it already, for some
// 35 attributes about a third of what a record costs. Copying a map that has the keys and no values does not, and its
// values can then be set in passing.
type shape struct {
	keys pcommon.Map
	puts []func(pcommon.Value, *report)
	own  []string // keys of the exchange's attributes
}

// write puts the attributes; those of an exchange must have the keys that the shape has.
func (s *shape) write(to pcommon.Map, r *report) {
	s.keys.CopyTo(to)
	i := 0
	to.Range(func(_ string, v pcommon.Value) bool {
		if i < len(s.puts) {
			s.puts[i](v, r)
		} else {
			putAttribute(v, &r.exchange.Attributes[i-len(s.puts)], r.interned)
		}
		i++
		return true
	})
}

// shapes has the shapes that were needed so far. There are as many as there are sets of facts; a host shows a dozen or
// two.
type shapes struct {
	chosen  []attribute // of the table, those of the families that are wanted
	byFacts map[facts]*shape
	// exchanges are the shapes of exchanges. Their attributes follow from what peers send, so their number is bounded.
	exchanges map[facts][]*shape
}

// maxVariants of a set of facts are remembered.
const maxVariants = 32

func newShapes(wanted AddressAttributes) shapes {
	s := shapes{byFacts: make(map[facts]*shape), exchanges: make(map[facts][]*shape)}
	for _, a := range attributes {
		if a.family == always || wanted == AddressBoth || (wanted == AddressStable) == (a.family == stable) {
			s.chosen = append(s.chosen, a)
		}
	}
	return s
}

func (s *shapes) of(known facts) *shape {
	if found, ok := s.byFacts[known]; ok {
		return found
	}
	made := &shape{keys: pcommon.NewMap()}
	for _, a := range s.chosen {
		if a.needs&^known != 0 {
			continue
		}
		if _, found := made.keys.GetOrPutEmpty(a.key); !found { // a key is there once, whatever is known
			made.puts = append(made.puts, a.put)
		}
	}
	s.byFacts[known] = made
	return made
}

// writeExchange puts the attributes of an exchange.
func (s *shapes) writeExchange(to pcommon.Map, r *report) {
	variants := s.exchanges[r.facts]
	for _, variant := range variants {
		if variant.fits(r.exchange.Attributes) {
			variant.write(to, r)
			return
		}
	}
	plain := s.of(r.facts)
	if len(variants) < maxVariants {
		if made := plain.with(r.exchange.Attributes); made != nil {
			s.exchanges[r.facts] = append(variants, made)
			made.write(to, r)
			return
		}
	}
	plain.write(to, r)
	for i := range r.exchange.Attributes {
		a := &r.exchange.Attributes[i]
		if v, found := to.GetOrPutEmpty(a.Key); !found { // a key is there once, whatever a parser says
			putAttribute(v, a, r.interned)
		}
	}
}

// fits says whether the shape is that of an exchange with these attributes.
func (s *shape) fits(own []protocol.Attribute) bool {
	if len(own) != len(s.own) {
		return false
	}
	for i := range own {
		if own[i].Key != s.own[i] {
			return false
		}
	}
	return true
}

// with makes a shape that has these attributes too; nil if a key would be there twice.
func (s *shape) with(own []protocol.Attribute) *shape {
	made := &shape{keys: pcommon.NewMap(), puts: s.puts}
	s.keys.CopyTo(made.keys)
	for i := range own {
		if _, found := made.keys.GetOrPutEmpty(own[i].Key); found {
			return nil
		}
		made.own = append(made.own, own[i].Key)
	}
	return made
}
