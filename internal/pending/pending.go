// Package pending holds items back until what they lack has come, and hands them on in order.
//
// A Queue has any number of waits, one for each key that lacks something. The items of one key do not hold up those of
// another. The number and the memory of waiting items are bounded. No item is dropped: at a bound, the waiting items of the key go on
// first, and then the item for which there was no room.
package pending

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/socketflow/socketflow/internal/intrusive"
)

// Cause is why items went on without what they lacked.
type Cause uint8

// The causes. The Queue itself gives up for the timeout and the two bounds; callers of GiveUp pass the others.
const (
	CauseTimeout    Cause = iota // they had waited for as long as they may, or nothing more was to come
	CauseEnded                   // what the key stands for has ended
	CauseKeyBound                // too many items of the key waited, or too large ones
	CauseTotalBound              // too many items of all keys waited, or too large ones
	CauseEvicted                 // the key had to give way to another
	CauseReplaced                // the key stands for something else from now on
	CauseFlushed                 // nothing will come any more, for any key
	Causes
)

// Limits bound what waits for one key. All have to be above 0.
type Limits struct {
	Time  time.Duration // from Start on
	Items int
	Bytes int // memory of their payload
}

func (l *Limits) check() error {
	if l.Time <= 0 || l.Items <= 0 || l.Bytes <= 0 {
		return fmt.Errorf("pending: limits must be above 0: %+v", *l)
	}
	return nil
}

// Reminder is a call that is made once for each key that has waited for some time.
type Reminder[K any] struct {
	After time.Duration
	Call  func(K)
}

// Options of a Queue. All but Reminders have to be set.
type Options[K, T any] struct {
	Limits Limits
	Budget *Budget // of this Queue and others, for all that waits
	// Payload returns where an item has its payload, which is only valid during the call of Add. The Queue copies it and counts its
	// size.
	Payload func(*T) *[]byte
	// GivenUp is called when a wait ends without Complete, before the items go on. The Wait is not valid any more.
	GivenUp func(K, Cause)
	// Next takes an item that goes on. The item is valid during the call.
	Next func(K, *T)
	// Reminders are called by Tick, in this order.
	Reminders []Reminder[K]
}

func (o *Options[K, T]) check() error {
	if o.Budget == nil || o.Payload == nil || o.GivenUp == nil || o.Next == nil {
		return fmt.Errorf("pending: an option is missing: %+v", *o)
	}
	return o.Limits.check()
}

// Stats counts what a Queue did. It may be read while the queue works.
type Stats struct {
	Keys    atomic.Int64          // that wait now
	Items   atomic.Int64          // that wait now
	Bytes   atomic.Int64          // memory of the payload of these
	Waited  atomic.Uint64         // sum of the durations of all waits that have ended, nanoseconds
	GivenUp [Causes]atomic.Uint64 // keys whose items went on without what they lacked
}

// Queue has items wait for what they lack. But for Stats it is for one goroutine.
type Queue[K, T any] struct {
	opts   Options[K, T]
	stats  Stats
	now    uint64                     // CLOCK_MONOTONIC, ns
	waits  intrusive.List[Wait[K, T]] // by the time when they began
	due    []*Wait[K, T]              // by reminder: the first wait that has not been reminded; nil: all have
	free   intrusive.Free[Wait[K, T]]
	memory memory[T]
}

// New returns a Queue in which nothing waits.
func New[K, T any](o Options[K, T]) (*Queue[K, T], error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Queue[K, T]{opts: o, due: make([]*Wait[K, T], len(o.Reminders)), memory: memory[T]{payload: o.Payload}}, nil
}

// Stats of this queue; safe to read at any time.
func (q *Queue[K, T]) Stats() *Stats { return &q.stats }

// Waiting reports whether any key waits.
func (q *Queue[K, T]) Waiting() bool { return q.waits.First() != nil }

// Oldest is the first item of the key that has waited for the longest; nil: none waits. It is valid until the Queue is used.
func (q *Queue[K, T]) Oldest() *T {
	if w := q.waits.First(); w != nil && w.first != nil {
		return &w.first.value
	}
	return nil
}

// Now is the latest time that the queue knows of.
func (q *Queue[K, T]) Now() uint64 { return q.now }

// Advance passes time, CLOCK_MONOTONIC in ns, without acting on what is due. An earlier time than Now is ignored.
func (q *Queue[K, T]) Advance(monotonic uint64) { q.now = max(q.now, monotonic) }
