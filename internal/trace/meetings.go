package trace

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socketflow/socketflow/internal/splitmix"
)

// Meetings join exchanges whose two ends have no number in common, but are on one host: the end that comes second finds the first one by what both
// know, and by the time. It is safe for concurrent use.
//
// An end for which there are two candidates is not joined. An end that has not met the other one gives way to others: then these are two traces.
type Meetings struct {
	seed  uint64
	last  atomic.Uint64 // number of a meeting
	parts [parts]meetingsPart
}

const (
	bucketSize  = 8
	bucketsEach = 64 // of a part
	// meetingTolerance is how much later than the other end's an event's time may be: each is taken when a call returns.
	meetingTolerance = uint64(10 * time.Millisecond)
)

type meetingsPart struct {
	mu      sync.Mutex
	buckets [bucketsEach]places
}

// places are those of ends with keys that are alike.
type places [bucketSize]waiting

// waiting is an end that has not met the other one.
type waiting struct {
	Sighting
	number uint64 // 0: the place is free
}

// Sighting is an exchange as one of its ends sees it.
type Sighting struct {
	Key          Key
	Asks         bool   // this end has begun it
	Start, End   uint64 // CLOCK_MONOTONIC, ns; of what its peer does in between. End 0: the exchange goes on
	Asker, Asked uint64 // addresses as this end has them, see AddressOf
}

// Key is what both ends of an exchange know of it.
type Key uint64

// With is the key that also has another number.
func (k Key) With(number uint64) Key { return Key(splitmix.Mix(uint64(k) ^ splitmix.Mix(number))) }

// WithAddress is the key that also has an address and a port.
func (k Key) WithAddress(a netip.AddrPort) Key {
	return k.With(AddressOf(a.Addr())).With(uint64(a.Port()))
}

// AddressOf is a number for an address; 0: it is not known, or any.
func AddressOf(a netip.Addr) uint64 {
	if !a.IsValid() || a.IsUnspecified() {
		return 0
	}
	b := a.As16()
	return splitmix.Mix(binary.BigEndian.Uint64(b[:8])^splitmix.Mix(binary.BigEndian.Uint64(b[8:]))) | 1
}

// NewMeetings returns meetings whose ids are derived from a random seed.
func NewMeetings(seed uint64) *Meetings { return &Meetings{seed: splitmix.Mix(seed)} }

// Meet returns the pair by which both ends know an exchange. Each end calls it once: the end that asks may do so as soon as it has asked, if it calls
// End then.
func (m *Meetings) Meet(s *Sighting) Pair {
	part, bucket := m.placesOf(s)
	part.mu.Lock()
	defer part.mu.Unlock()
	bucket.succeed(s)
	other, candidates := bucket.otherEnd(s)
	if candidates == 1 {
		return m.join(other)
	}
	number := m.last.Add(1)
	if candidates == 0 {
		*bucket.oldest() = waiting{*s, number}
	}
	return m.pairOf(number)
}

// End notes when the exchange of an end that has called Meet before is over. It returns the pair of the other end if this one had to give way before they
// could meet; 0: what Meet has returned is valid.
func (m *Meetings) End(s *Sighting) Pair {
	part, bucket := m.placesOf(s)
	part.mu.Lock()
	defer part.mu.Unlock()
	for i := range bucket {
		if w := &bucket[i]; w.number != 0 && w.Key == s.Key && w.Asks == s.Asks && w.Start == s.Start {
			w.End = s.End
			return 0
		}
	}
	if other, candidates := bucket.otherEnd(s); candidates == 1 {
		return m.join(other)
	}
	return 0
}

// Forget notes that nothing is emitted of an exchange for which Meet was called, or that its ids are not known any more.
func (m *Meetings) Forget(s *Sighting) {
	part, bucket := m.placesOf(s)
	part.mu.Lock()
	defer part.mu.Unlock()
	for i := range bucket {
		if w := &bucket[i]; w.number != 0 && w.Key == s.Key && w.Asks == s.Asks && w.Start == s.Start {
			*w = waiting{}
		}
	}
}

// succeed frees the places of ends that have asked at the same position of the same connection, and have not noted their end: that
// connection is gone, and its addresses are those of another one.
func (p *places) succeed(s *Sighting) {
	for i := range p {
		if w := &p[i]; w.number != 0 && s.Asks && w.Asks && w.Key == s.Key && w.End == 0 && w.Start < s.Start {
			*w = waiting{}
		}
	}
}

func (m *Meetings) placesOf(s *Sighting) (*meetingsPart, *places) {
	part := &m.parts[s.Key%parts]
	return part, &part.buckets[s.Key/parts%bucketsEach]
}

// otherEnd is an end that may be the other one, and how many there are.
func (p *places) otherEnd(s *Sighting) (other *waiting, candidates int) {
	for i := range p {
		if w := &p[i]; w.number != 0 && w.isOtherEndOf(s) {
			other = w
			candidates++
		}
	}
	return other, candidates
}

// oldest is the place that is free or whose end has waited for longest.
func (p *places) oldest() *waiting {
	place := &p[0]
	for i := range p {
		if p[i].number < place.number {
			place = &p[i]
		}
	}
	return place
}

// join frees the place of an end that has met the other one.
func (m *Meetings) join(other *waiting) Pair {
	pair := m.pairOf(other.number)
	*other = waiting{}
	return pair
}

func (m *Meetings) pairOf(number uint64) Pair {
	return Pair(splitmix.Mix(m.seed ^ splitmix.Mix(number)))
}

func (s *Sighting) isOtherEndOf(o *Sighting) bool {
	asker, asked := s, o
	if o.Asks {
		asker, asked = o, s
	}
	return s.Key == o.Key && s.Asks != o.Asks && areSame(s.Asker, o.Asker) && areSame(s.Asked, o.Asked) &&
		asked.Start+meetingTolerance >= asker.Start && (asker.End == 0 || asked.Start <= asker.End+meetingTolerance)
}

// areSame reports whether two addresses may be the same.
func areSame(a, b uint64) bool { return a == b || a == 0 || b == 0 }
