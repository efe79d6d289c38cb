package metrics

// Exemplar is a measurement, and the span that was emitted of it.
type Exemplar struct {
	Value float64
	At    int64 // Unix time, ns
	Trace [16]byte
	Span  [8]byte
}

// exemplars are the largest one, and the one that was added last beside it.
type exemplars struct {
	all   [2]Exemplar
	count int
}

func (e *exemplars) add(x *Exemplar) {
	switch {
	case e.count == 0:
		e.all[0], e.count = *x, 1
	case x.Value >= e.all[0].Value:
		e.all[1], e.all[0], e.count = e.all[0], *x, 2
	default:
		e.all[1], e.count = *x, 2
	}
}

func (e *exemplars) merge(from *exemplars) {
	for i := range from.count {
		e.add(&from.all[i])
	}
}
