package metrics

import (
	"sync"

	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/trace"
)

// Owners are the processes of this host that have ends of connections. It is safe for concurrent use. Those of connections that have ended stay until
// others need the room: the other end may end later.
//
// An end is a hash already, and has a set of places where it may be, as in trace.Ends: there is nothing in them for the garbage collector to follow, and a
// connection allocates nothing.
type Owners struct {
	parts [ownersParts]ownersPart
}

const (
	// ownersParts keeps shards from waiting for each other.
	ownersParts = 32
	// endsInSet is how many ends a set has.
	endsInSet = 8
	// hasEnded is set in the number of an owner whose connection has ended.
	hasEnded = 1 << 31
)

type ownersPart struct {
	mu        sync.Mutex
	sets      []ownersSet
	processes owningProcesses
	forgotten uint64
}

// ownersSet has ends, the one that was used last first, and the numbers of their owners.
type ownersSet struct {
	ends   [endsInSet]trace.End // 0: the place is free
	owners [endsInSet]uint32
}

// NewOwners returns a table that remembers so many ends, with room for twice as many, because sets do not fill evenly.
func NewOwners(most int) *Owners {
	o := &Owners{}
	for i := range o.parts {
		o.parts[i].sets = make([]ownersSet, 2*most/ownersParts/endsInSet+1)
		o.parts[i].processes.numbers = make(map[*process.Info]uint32)
	}
	return o
}

func (o *Owners) partOf(end trace.End) *ownersPart { return &o.parts[end%ownersParts] }

func (p *ownersPart) setOf(end trace.End) *ownersSet {
	return &p.sets[uint64(end)/ownersParts%uint64(len(p.sets))]
}

// Add notes who has an end. It takes the place of one whose connection has ended, if there is one, else of the one that was used least recently.
func (o *Owners) Add(end trace.End, owner *process.Info) {
	p := o.partOf(end)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.setOf(end)
	at, found := s.find(end)
	if !found {
		at = s.leastNeeded()
		if s.ends[at] != 0 && s.owners[at]&hasEnded == 0 {
			p.forgotten++
		}
	}
	number := p.processes.take(owner)
	if s.ends[at] != 0 {
		p.processes.release(s.owners[at] &^ hasEnded)
	}
	s.ends[at], s.owners[at] = end, number
	s.use(at)
}

// End notes that the connection of an end has ended.
func (o *Owners) End(end trace.End) {
	p := o.partOf(end)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.setOf(end)
	if at, found := s.find(end); found {
		s.owners[at] |= hasEnded
	}
}

// Of is who has an end; nil: that is not known.
func (o *Owners) Of(end trace.End) *process.Info {
	p := o.partOf(end)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.setOf(end)
	at, found := s.find(end)
	if !found {
		return nil
	}
	owner := p.processes.all[s.owners[at]&^hasEnded].info
	s.use(at)
	return owner
}

// Forgotten is how many ends have made room for others while their connection was open.
func (o *Owners) Forgotten() (n uint64) {
	for i := range o.parts {
		p := &o.parts[i]
		p.mu.Lock()
		n += p.forgotten
		p.mu.Unlock()
	}
	return n
}

func (s *ownersSet) find(end trace.End) (at int, found bool) {
	for at := range s.ends {
		if s.ends[at] == end && end != 0 {
			return at, true
		}
	}
	return 0, false
}

// leastNeeded is the last place that is free, or whose connection has ended; else the last one.
func (s *ownersSet) leastNeeded() int {
	for at := endsInSet - 1; at >= 0; at-- {
		if s.ends[at] == 0 || s.owners[at]&hasEnded != 0 {
			return at
		}
	}
	return endsInSet - 1
}

// use moves a place to the front.
func (s *ownersSet) use(at int) {
	end, owner := s.ends[at], s.owners[at]
	copy(s.ends[1:at+1], s.ends[:at])
	copy(s.owners[1:at+1], s.owners[:at])
	s.ends[0], s.owners[0] = end, owner
}
