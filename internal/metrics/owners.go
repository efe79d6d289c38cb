package metrics

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/trace"
)

// Owners are the processes of this host that have ends of connections. It is safe for concurrent use. Those of connections that have ended stay until
// others need the room: the other end may end later.
type Owners struct {
	parts [ownersParts]ownersPart
}

// ownersParts keeps shards from waiting for each other.
const ownersParts = 32

type ownersPart struct {
	mu    sync.Mutex
	known *simplelru.LRU[trace.End, *process.Info]
}

// NewOwners returns a table that remembers so many ends.
func NewOwners(most int) (*Owners, error) {
	o := &Owners{}
	for i := range o.parts {
		known, err := simplelru.NewLRU[trace.End, *process.Info](most/ownersParts+1, nil)
		if err != nil {
			return nil, err
		}
		o.parts[i].known = known
	}
	return o, nil
}

// Add notes who has an end.
func (o *Owners) Add(end trace.End, owner *process.Info) {
	p := &o.parts[end%ownersParts]
	p.mu.Lock()
	p.known.Add(end, owner)
	p.mu.Unlock()
}

// Of is who has an end; nil: that is not known.
func (o *Owners) Of(end trace.End) *process.Info {
	p := &o.parts[end%ownersParts]
	p.mu.Lock()
	defer p.mu.Unlock()
	owner, _ := p.known.Get(end)
	return owner
}
