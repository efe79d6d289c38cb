// Package pending holds items back until what they lack has come, and hands them on in the order in which they came.
//
// A Queue has any number of waits, one for each key of which something is missing: the items of one key do not hold up those of
// another. What waits is bounded, and every item is handed on: when a bound bites, those that wait go on first, and then the
// item for which there was no room.
package pending

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/socketflow/socketflow/internal/intrusive"
)

// Cause is why items went on although what they lacked had not come.
type Cause uint8

// The causes. Timeout and the two bounds are the Queue's own, the others are given to GiveUp.
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
	// Payload is where an item has the bytes that are only valid during the call of Add: they are copied, and count.
	Payload func(*T) *[]byte
	// GivenUp is called when a key waits no longer, though it was not Complete, and before its items go on. Its Wait is not to be
	// used any more.
	GivenUp func(K, Cause)
	// Next takes an item that goes on. It is valid during the call.
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
	Waited  atomic.Uint64         // for how long the keys that do not any more have, nanoseconds
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

// Now is the latest time that the queue knows of.
func (q *Queue[K, T]) Now() uint64 { return q.now }

// Advance passes time without looking at what is due: CLOCK_MONOTONIC, ns. An earlier time than Now is ignored.
func (q *Queue[K, T]) Advance(monotonic uint64) { q.now = max(q.now, monotonic) }
