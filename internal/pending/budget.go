package pending

import (
	"fmt"
	"sync/atomic"
)

// Budget bounds what waits in several Queues together. It is safe for concurrent use.
type Budget struct {
	maxItems, maxBytes int64
	items, bytes       atomic.Int64
}

// NewBudget returns a Budget for so many items, and so much memory of their payload; both have to be above 0.
func NewBudget(items, bytes int) (*Budget, error) {
	if items <= 0 || bytes <= 0 {
		return nil, fmt.Errorf("pending: limits must be above 0: %d items, %d bytes", items, bytes)
	}
	return &Budget{maxItems: int64(items), maxBytes: int64(bytes)}, nil
}

// InUse is how many items wait, and how much memory their payload takes.
func (b *Budget) InUse() (items, bytes int64) { return b.items.Load(), b.bytes.Load() }

// take reserves room.
func (b *Budget) take(items, bytes int) bool {
	allItems, allBytes := b.items.Add(int64(items)), b.bytes.Add(int64(bytes))
	if allItems <= b.maxItems && allBytes <= b.maxBytes {
		return true
	}
	b.giveBack(items, bytes)
	return false
}

func (b *Budget) giveBack(items, bytes int) {
	b.items.Add(int64(-items))
	b.bytes.Add(int64(-bytes))
}
