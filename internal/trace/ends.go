package trace

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Ends are the ends of connections that are observed, on this host or on another one. It is safe for concurrent use.
//
// Ends that have closed stay until others need the room: what the other end carried may be emitted later.
type Ends struct {
	parts [parts]endsPart
}

// parts keeps shards from waiting for each other.
const parts = 32

type endsPart struct {
	mu    sync.Mutex
	known *simplelru.LRU[End, struct{}]
}

// NewEnds returns a table that remembers so many ends.
func NewEnds(most int) (*Ends, error) {
	e := &Ends{}
	for i := range e.parts {
		known, err := simplelru.NewLRU[End, struct{}](most/parts+1, nil)
		if err != nil {
			return nil, err
		}
		e.parts[i].known = known
	}
	return e, nil
}

// Add notes that an end is observed.
func (e *Ends) Add(end End) {
	part := &e.parts[end%parts]
	part.mu.Lock()
	part.known.Add(end, struct{}{})
	part.mu.Unlock()
}

// Has reports whether an end is observed.
func (e *Ends) Has(end End) bool {
	part := &e.parts[end%parts]
	part.mu.Lock()
	_, found := part.known.Get(end)
	part.mu.Unlock()
	return found
}
