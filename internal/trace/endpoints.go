package trace

import (
	"net/netip"
	"sync"
)

// Endpoints are the addresses at which ends of connections were accepted: where the network translates addresses, the other end does not know them. It is
// safe for concurrent use.
//
// Like Ends, it has a set of places for an end, remembers those that were used last, and has no pointers and no allocation for each connection.
type Endpoints struct {
	parts [parts]endpointsPart
}

type endpointsPart struct {
	mu   sync.Mutex
	sets []endpointsSet // the one that was used last comes first
}

// endpoint is smaller than a netip.AddrPort, and has no pointer.
type endpoint struct {
	end     End
	address [16]byte
	port    uint16
}

// NewEndpoints returns a table with room for so many ends.
func NewEndpoints(most int) *Endpoints {
	e := &Endpoints{}
	for i := range e.parts {
		e.parts[i].sets = make([]endpointsSet, most/parts/endsInSet+1)
	}
	return e
}

// Add notes where an end was accepted.
func (e *Endpoints) Add(end End, at netip.AddrPort) {
	if end == 0 || !at.IsValid() {
		return
	}
	part := &e.parts[end%parts]
	part.mu.Lock()
	defer part.mu.Unlock()
	set := part.setOf(end)
	if !set.use(end) {
		copy(set[1:], set[:endsInSet-1])
	}
	set[0] = endpoint{end: end, address: at.Addr().As16(), port: at.Port()}
}

// Of is where an end was accepted, if that is known.
func (e *Endpoints) Of(end End) (at netip.AddrPort, known bool) {
	if end == 0 {
		return netip.AddrPort{}, false
	}
	part := &e.parts[end%parts]
	part.mu.Lock()
	defer part.mu.Unlock()
	set := part.setOf(end)
	if !set.use(end) {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.AddrFrom16(set[0].address).Unmap(), set[0].port), true
}

type endpointsSet [endsInSet]endpoint

func (p *endpointsPart) setOf(end End) *endpointsSet {
	return &p.sets[uint64(end)/parts%uint64(len(p.sets))]
}

// use moves an end to the front, and reports whether it was there.
func (s *endpointsSet) use(end End) (found bool) {
	for at := range s {
		if s[at].end == end {
			used := s[at]
			copy(s[1:at+1], s[:at])
			s[0] = used
			return true
		}
	}
	return false
}
