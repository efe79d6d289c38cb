// Package pairing finds the request that a response answers.
package pairing

import "github.com/socketflow/socketflow/internal/intrusive"

// What is kept for reuse: a conversation that has become quiet holds no more than this.
const (
	spareEntries = 8  // entries without a request
	keptIndex    = 64 // an index that had more entries is made anew, because a map never shrinks
)

// ByID has the requests that wait for their response, each with an id that no other has at the same time. They are in the order
// of their deadlines, which is that in which they were added.
type ByID[K comparable, V any] struct {
	Limit int // of the number of requests; set before the first call

	index  map[K]*Entry[K, V]
	order  intrusive.List[Entry[K, V]]
	free   intrusive.Free[Entry[K, V]]
	widest int // most requests since index was made
}

// Entry is a request that waits.
type Entry[K comparable, V any] struct {
	ID       K
	Deadline uint64
	Value    V

	links intrusive.Links[Entry[K, V]]
}

// Len is the number of requests that wait.
func (b *ByID[K, V]) Len() int { return len(b.index) }

// Entries is the number of entries that are held, those for reuse included.
func (b *ByID[K, V]) Entries() int { return len(b.index) + b.free.Len() }

// Full reports whether Oldest has to be removed before another request is added.
func (b *ByID[K, V]) Full() bool { return len(b.index) >= max(b.Limit, 1) }

// Oldest is the request whose deadline is the first; nil: none waits.
func (b *ByID[K, V]) Oldest() *Entry[K, V] { return b.order.First() }

// Get returns the request with an id; nil: there is none.
func (b *ByID[K, V]) Get(id K) *Entry[K, V] { return b.index[id] }

// Add adds a request. The id must not be there, and b must not be Full. A deadline before that of an earlier request is
// replaced by that one. Value is that of some earlier entry, or zero: the caller sets it, and may reuse memory that it refers to.
func (b *ByID[K, V]) Add(id K, deadline uint64) *Entry[K, V] {
	e := b.free.Take()
	if e == nil {
		e = new(Entry[K, V])
	}
	e.ID = id
	if b.index == nil {
		b.index = make(map[K]*Entry[K, V])
	}
	b.index[id] = e
	b.widest = max(b.widest, len(b.index))
	b.last(e, deadline)
	return e
}

// Renew gives a request a later deadline, as if it had been added now.
func (b *ByID[K, V]) Renew(e *Entry[K, V], deadline uint64) {
	b.order.Remove(&e.links)
	b.last(e, deadline)
}

func (b *ByID[K, V]) last(e *Entry[K, V], deadline uint64) {
	if before := b.order.Last(); before != nil {
		deadline = max(deadline, before.Deadline)
	}
	e.Deadline = deadline
	b.order.Append(&e.links, e)
}

// Remove removes a request. Its entry is not used afterwards.
func (b *ByID[K, V]) Remove(e *Entry[K, V]) {
	b.order.Remove(&e.links)
	delete(b.index, e.ID)
	if b.free.Len() < spareEntries {
		b.free.Put(&e.links, e)
	}
	if len(b.index) == 0 && b.widest > keptIndex {
		b.index, b.widest = nil, 0
	}
}
