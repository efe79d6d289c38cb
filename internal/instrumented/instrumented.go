// Package instrumented remembers which processes export spans of their own, as programs with an SDK of OpenTelemetry do.
package instrumented

import (
	"sync"
	"sync/atomic"

	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/splitmix"
)

// Processes are those that export spans. It is safe for concurrent use. To ask takes no lock and no memory: shards do with each request.
type Processes struct {
	sets []set

	mu        sync.Mutex // of who changes something
	next      int        // place in a full set that is taken next
	count     atomic.Int64
	forgotten atomic.Uint64
}

const (
	places = 8 // of a set: a cache line
	// pidBits are enough for a pid (PID_MAX_LIMIT, include/linux/threads.h), and leave the start 41 bits, which last for centuries.
	pidBits = 22
	ended   = 1 << 63 // the process has ended: its place can be taken, and its last requests may still come
)

// set has processes by their key, with the bit ended. 0: the place is free.
type set [places]atomic.Uint64

// New returns a table that remembers so many processes, with room for twice as many, because sets do not fill evenly.
func New(most int) *Processes { return &Processes{sets: make([]set, 2*most/places+1)} }

func keyOf(id process.ID) uint64 { return (id.Start<<pidBits | uint64(id.PID)&(1<<pidBits-1)) &^ ended }

func (p *Processes) setOf(key uint64) *set {
	return &p.sets[splitmix.Finalize(key)%uint64(len(p.sets))]
}

// find is the place of a process, or -1.
func (s *set) find(key uint64) int {
	for i := range s {
		if s[i].Load()&^ended == key {
			return i
		}
	}
	return -1
}

// Has reports whether a process has exported spans.
func (p *Processes) Has(id process.ID) bool {
	key := keyOf(id)
	return id.PID != 0 && p.setOf(key).find(key) >= 0
}

// Add notes that a process has exported spans.
func (p *Processes) Add(id process.ID) {
	if id.PID == 0 || p.Has(id) {
		return
	}
	key := keyOf(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.setOf(key)
	if s.find(key) >= 0 {
		return
	}
	s[p.placeIn(s)].Store(key)
	p.count.Add(1)
}

// placeIn is one that is free, or of a process that has ended; else one of a process that is forgotten.
func (p *Processes) placeIn(s *set) int {
	for i := range s {
		if at := s[i].Load(); at == 0 || at&ended != 0 {
			return i
		}
	}
	p.forgotten.Add(1)
	p.count.Add(-1)
	p.next = (p.next + 1) % places
	return p.next
}

// End notes that a process has ended.
func (p *Processes) End(id process.ID) {
	if !p.Has(id) {
		return
	}
	key := keyOf(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.setOf(key)
	if i := s.find(key); i >= 0 && s[i].Load()&ended == 0 {
		s[i].Store(key | ended)
		p.count.Add(-1)
	}
}

// Count is how many there are that have not ended.
func (p *Processes) Count() int64 { return p.count.Load() }

// Forgotten is how many were forgotten while they lived, because others needed the room.
func (p *Processes) Forgotten() uint64 { return p.forgotten.Load() }
