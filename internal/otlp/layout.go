package otlp

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/protocol"
)

// attrLayout is a precomputed list of attributes: the rows of the table that a set of conditions selects, followed by those of an
// exchange's own attributes that have a value.
//
// It is there for speed. Every Put of a pcommon.Map compares the key with all keys of the map. For some 35 attributes this
// takes about a third of the time of a record. Instead, write copies a map that has the keys, and then sets the values.
type attrLayout struct {
	keys pcommon.Map
	puts []func(pcommon.Value, *report)
	own  []ownAttribute
}

// ownAttribute is one of an exchange's own attributes.
type ownAttribute struct {
	index int // in the protocol's keys
	typ   protocol.Type
}

// write puts the attributes, and marks those that were cut.
func (s *attrLayout) write(to pcommon.Map, r *report) {
	s.keys.CopyTo(to)
	i := 0
	to.Range(func(key string, v pcommon.Value) bool {
		if i < len(s.puts) {
			s.puts[i](v, r)
		} else {
			own := &s.own[i-len(s.puts)]
			putAttribute(key, v, r.exchange.Value(own.index), own.typ, r)
		}
		i++
		return true
	})
	r.bound.mark(to)
}

// attrLayouts caches the layouts that were needed so far, one for each set of conditions. A host has one or two dozen.
type attrLayouts struct {
	chosen       []attribute // the rows of the wanted families
	byConditions map[conditions]*attrLayout
	// exchanges are the layouts of exchanges. Their number is bounded, because it depends on what peers send.
	exchanges map[exchangeLayout]*attrLayout
	latest    struct { // the layout that was needed last, which is mostly needed again
		key    exchangeLayout
		layout *attrLayout
	}
}

// exchangeLayout identifies the layout of an exchange.
type exchangeLayout struct {
	conditions conditions
	keys       *protocol.Keys
	mask       protocol.Mask
}

// maxExchangeLayouts is how many layouts of exchanges are cached. Beyond it, all are made anew as they are needed.
const maxExchangeLayouts = 1024

func newAttrLayouts(wanted AddressAttributes) attrLayouts {
	s := attrLayouts{byConditions: make(map[conditions]*attrLayout), exchanges: make(map[exchangeLayout]*attrLayout)}
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
	key := exchangeLayout{r.conditions, r.exchange.Keys, r.exchange.Mask}
	if s.latest.layout == nil || s.latest.key != key {
		s.latest.key, s.latest.layout = key, s.ofExchange(key)
	}
	s.latest.layout.write(to, r)
}

func (s *attrLayouts) ofExchange(key exchangeLayout) *attrLayout {
	if found, ok := s.exchanges[key]; ok {
		return found
	}
	plain := s.of(key.conditions)
	made := &attrLayout{keys: pcommon.NewMap(), puts: plain.puts}
	plain.keys.CopyTo(made.keys)
	if key.keys != nil {
		for i, k := range key.keys.All() {
			if !key.mask.Has(i) {
				continue
			}
			if _, found := made.keys.GetOrPutEmpty(k.Name); !found { // an observed attribute takes precedence over a parser's
				made.own = append(made.own, ownAttribute{i, k.Type})
			}
		}
	}
	if len(s.exchanges) >= maxExchangeLayouts {
		clear(s.exchanges)
	}
	s.exchanges[key] = made
	return made
}
