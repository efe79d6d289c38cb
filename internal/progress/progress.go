// Package progress says how far the shards have come, which read the kernel's events independently of each other.
package progress

import (
	"math"
	"sync/atomic"
)

// Shards is the progress of each shard. It is safe for concurrent use.
type Shards []atomic.Uint64 // CLOCK_MONOTONIC, ns; all events before then have been handled

// New returns the progress of so many shards, which have not handled any event.
func New(shards int) Shards { return make(Shards, shards) }

// Reach notes that a shard has handled all events before a time (CLOCK_MONOTONIC, ns). Only that shard may call it.
func (s Shards) Reach(shard int, time uint64) {
	if r := &s[shard]; time > r.Load() {
		r.Store(time)
	}
}

// Leave notes that a shard handles no more events.
func (s Shards) Leave(shard int) { s.Reach(shard, math.MaxUint64) }

// Settled reports whether all that happened before a time has been handled.
func (s Shards) Settled(at uint64) bool {
	for i := range s {
		if s[i].Load() < at {
			return false
		}
	}
	return true
}
