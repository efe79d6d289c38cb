package otlp

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/protocol"
)

// attrLayout is a precomputed list of attributes: the rows of the table that a set of conditions selects, followed by the
// attributes of an exchange.
//
// It is there for speed. Every Put of a pcommon.Map compares the key with all keys of the map. For some 35 attributes this
// takes about a third of the time of a record. Instead, write copies a map that has the keys, and then sets the values.
type attrLayout struct {
	keys pcommon.Map
	puts []func(pcommon.Value, *report)
	own  []string // keys of the exchange's attributes
}

// write puts the attributes. Those of an exchange must have the keys of the layout.
func (s *attrLayout) write(to pcommon.Map, r *report) {
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

// attrLayouts caches the layouts that were needed so far, one for each set of conditions. A host has one or two dozen.
type attrLayouts struct {
	chosen       []attribute // the rows of the wanted families
	byConditions map[conditions]*attrLayout
	// exchanges are the layouts of exchanges. Their number is bounded, because it depends on what peers send.
	exchanges map[conditions][]*attrLayout
}

// maxVariants is how many layouts of exchanges are cached for a set of conditions.
const maxVariants = 32

func newAttrLayouts(wanted AddressAttributes) attrLayouts {
	s := attrLayouts{byConditions: make(map[conditions]*attrLayout), exchanges: make(map[conditions][]*attrLayout)}
	for _, a := range attributes {
		if a.family == always || wanted == AddressBoth || (wanted == AddressStable) == (a.family == stable) {
			s.chosen = append(s.chosen, a)
		}
	}
	return s
}

func (s *attrLayouts) of(known conditions) *attrLayout {
	if found, ok := s.byConditions[known]; ok {
		return found
	}
	made := &attrLayout{keys: pcommon.NewMap()}
	for _, a := range s.chosen {
		if a.needs&^known != 0 {
			continue
		}
		if _, found := made.keys.GetOrPutEmpty(a.key); !found { // the first row of a key counts
			made.puts = append(made.puts, a.put)
		}
	}
	s.byConditions[known] = made
	return made
}

// writeExchange puts the attributes of an exchange.
func (s *attrLayouts) writeExchange(to pcommon.Map, r *report) {
	variants := s.exchanges[r.conditions]
	for _, variant := range variants {
		if variant.fits(r.exchange.Attributes) {
			variant.write(to, r)
			return
		}
	}
	plain := s.of(r.conditions)
	if len(variants) < maxVariants {
		if made := plain.with(r.exchange.Attributes); made != nil {
			s.exchanges[r.conditions] = append(variants, made)
			made.write(to, r)
			return
		}
	}
	plain.write(to, r)
	for i := range r.exchange.Attributes {
		a := &r.exchange.Attributes[i]
		if v, found := to.GetOrPutEmpty(a.Key); !found { // an observed attribute takes precedence over a parser's
			putAttribute(v, a, r.interned)
		}
	}
}

// fits says whether this is the layout of an exchange with these attributes.
func (s *attrLayout) fits(own []protocol.Attribute) bool {
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

// with returns a layout that has these attributes too, or nil if a key would appear twice.
func (s *attrLayout) with(own []protocol.Attribute) *attrLayout {
	made := &attrLayout{keys: pcommon.NewMap(), puts: s.puts}
	s.keys.CopyTo(made.keys)
	for i := range own {
		if _, found := made.keys.GetOrPutEmpty(own[i].Key); found {
			return nil
		}
		made.own = append(made.own, own[i].Key)
	}
	return made
}
