package otlp

import "go.opentelemetry.io/collector/pdata/pcommon"

// shape is a set of attributes, ready to be written: the rows of the table that a set of facts selects.
//
// It is there for speed. Every Put of a pcommon.Map compares the key with all keys that are in it already, for some
// 35 attributes about a third of what a record costs. Copying a map that has the keys and no values does not, and its
// values can then be set in passing.
type shape struct {
	keys pcommon.Map
	puts []func(pcommon.Value, *report)
}

func (s *shape) write(to pcommon.Map, r *report) {
	s.keys.CopyTo(to)
	i := 0
	to.Range(func(_ string, v pcommon.Value) bool {
		s.puts[i](v, r)
		i++
		return true
	})
}

// shapes has the shapes that were needed so far. There are as many as there are sets of facts; a host shows a dozen or
// two.
type shapes struct {
	chosen  []attribute // of the table, those of the families that are wanted
	byFacts map[facts]*shape
}

func newShapes(wanted AddressAttributes) shapes {
	s := shapes{byFacts: make(map[facts]*shape)}
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
