package trace

import "sync"

// Ends are the ends of connections that are observed, on this host or on another one. It is safe for concurrent use.
//
// Ends that have closed stay until others need the room: what the other end carried may be emitted later. An end is a hash already, and has a set of places
// where it may be. So there are no pointers for the garbage collector to follow, and a connection allocates nothing: a hundred thousand that have ended took
// 14 MiB as a list.
type Ends struct {
	parts [parts]endsPart
}

const (
	// parts keeps shards from waiting for each other.
	parts = 32
	// endsInSet is how many ends a set has: those that were used last.
	endsInSet = 8
)

type endsPart struct {
	mu   sync.Mutex
	sets [][endsInSet]End // the end that was used last comes first
}

// NewEnds returns a table that remembers so many ends, with room for twice as many, because sets do not fill evenly.
func NewEnds(most int) *Ends {
	e := &Ends{}
	for i := range e.parts {
		e.parts[i].sets = make([][endsInSet]End, 2*most/parts/endsInSet+1)
	}
	return e
}

// Add notes that an end is observed.
func (e *Ends) Add(end End) {
	if end == 0 {
		return
	}
	part := &e.parts[end%parts]
	part.mu.Lock()
	part.use(end, true)
	part.mu.Unlock()
}

// Has reports whether an end is observed.
func (e *Ends) Has(end End) bool {
	if end == 0 {
		return false
	}
	part := &e.parts[end%parts]
	part.mu.Lock()
	found := part.use(end, false)
	part.mu.Unlock()
	return found
}

// use moves an end to the front of its set, and reports whether it was there. If it was not, add puts it there, in the place of the one that was used least
// recently.
func (p *endsPart) use(end End, add bool) (found bool) {
	set := &p.sets[uint64(end)/parts%uint64(len(p.sets))]
	at := 0
	for at < endsInSet && set[at] != end {
		at++
	}
	if found = at < endsInSet; !found && !add {
		return false
	}
	at = min(at, endsInSet-1)
	copy(set[1:at+1], set[:at])
	set[0] = end
	return found
}
