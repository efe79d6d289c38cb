package otlp

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

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
	size sizes
	// drafts are spans with these attributes that were not emitted.
	drafts []ptrace.Span
}

// ownAttribute is one of an exchange's own attributes.
type ownAttribute struct {
	key    string
	values [2]int // indices in the protocol's keys, of which put makes the value
	put    func(v pcommon.Value, r *report, a *ownAttribute)
}

// write puts the attributes, and marks those that were cut. It returns how many bytes they have at most in OTLP's encoding. There is
// room for one attribute more, for which the map would otherwise be copied into one of twice the size.
func (s *attrLayout) write(to pcommon.Map, r *report) int {
	to.EnsureCapacity(s.keys.Len() + 1)
	s.keys.CopyTo(to)
	return s.overwrite(to, r)
}

// overwrite does the same with a map that has these attributes.
func (s *attrLayout) overwrite(to pcommon.Map, r *report) int {
	r.bound.begin()
	i := 0
	to.Range(func(_ string, v pcommon.Value) bool {
		if i < len(s.puts) {
			s.puts[i](v, r)
		} else {
			own := &s.own[i-len(s.puts)]
			own.put(v, r, own)
		}
		i++
		return true
	})
	r.bound.mark(to)
	return s.size.of(r) + r.bound.bytes
}

// attrLayouts caches the layouts that were needed so far, one for each set of conditions. A host has one or two dozen.
type attrLayouts struct {
	chosen       []attribute   // the rows of the wanted conventions
	translations []translation // of exchanges' own attributes to those conventions
	byConditions map[conditions]*attrLayout
	// exchanges are the layouts of exchanges. Their number is bounded, because it depends on what peers send.
	exchanges map[exchangeLayout]*attrLayout
	latest    struct { // the layout that was needed last, which is mostly needed again
		key    exchangeLayout
		layout *attrLayout
	}
	drafts int           // of all layouts
	blank  []ptrace.Span // empty spans to reuse
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
		if a.presets.has(wanted) {
			s.chosen = append(s.chosen, a)
		}
	}
	for _, t := range translations {
		if t.presets.has(wanted) {
			s.translations = append(s.translations, t)
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
			made.puts = append(made.puts, a.value.put)
			made.size.add(a.key, a.value.of, a.value.most)
		}
	}
	s.byConditions[known] = made
	return made
}

// ofReport is the layout of an exchange's attributes.
func (s *attrLayouts) ofReport(r *report) *attrLayout {
	key := exchangeLayout{r.conditions, r.exchange.Keys, r.exchange.Mask}
	if s.latest.layout == nil || s.latest.key != key {
		s.latest.key, s.latest.layout = key, s.ofExchange(key, r.exchange.Protocol)
	}
	return s.latest.layout
}

func (s *attrLayouts) ofExchange(key exchangeLayout, protocolName string) *attrLayout {
	if found, ok := s.exchanges[key]; ok {
		return found
	}
	plain := s.of(key.conditions)
	made := &attrLayout{keys: pcommon.NewMap(), puts: plain.puts, size: plain.size}
	plain.keys.CopyTo(made.keys)
	for _, own := range ownAttributes(key.keys, &key.mask, protocolName, s.translations) {
		if _, found := made.keys.GetOrPutEmpty(own.key); !found { // an observed attribute takes precedence over a parser's
			made.own = append(made.own, own)
			made.size.add(own.key, noText, maxNumber)
		}
	}
	if len(s.exchanges) >= maxExchangeLayouts {
		s.forgetExchanges()
	}
	s.exchanges[key] = made
	return made
}
