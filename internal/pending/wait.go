package pending

import "github.com/socketflow/socketflow/internal/intrusive"

// Wait is a key whose items wait. It is valid from Start until Complete, or until Options.GivenUp is called.
type Wait[K, T any] struct {
	key         K
	first, last *item[T]
	items       int
	bytes       int
	since       uint64 // CLOCK_MONOTONIC, ns
	links       intrusive.Links[Wait[K, T]]
}

// Start makes the items of a key wait from now on. The caller keeps the Wait and does not start a second one for the key.
func (q *Queue[K, T]) Start(key K) *Wait[K, T] {
	w := q.free.Take()
	if w == nil {
		w = &Wait[K, T]{}
	}
	w.key, w.since = key, q.now
	q.waits.Append(&w.links, w)
	for i := range q.due {
		if q.due[i] == nil {
			q.due[i] = w
		}
	}
	q.stats.Keys.Add(1)
	return w
}

// Add puts a copy of an item behind the waiting items of its key. If there is no room, the key is given up, and the item goes on behind
// the others.
func (q *Queue[K, T]) Add(w *Wait[K, T], one *T) {
	size := footprint(len(*q.opts.Payload(one)))
	if cause, full := q.full(w, size); full {
		key := w.key
		q.GiveUp(w, cause)
		q.opts.Next(key, one)
		return
	}
	i := q.memory.copyOf(one)
	if w.last == nil {
		w.first = i
	} else {
		w.last.next = i
	}
	w.last = i
	w.items++
	w.bytes += size
	q.stats.Items.Add(1)
	q.stats.Bytes.Add(int64(size))
}

// full reports which bound leaves no room for another item. If there is room, full takes it from the budget.
func (q *Queue[K, T]) full(w *Wait[K, T], size int) (Cause, bool) {
	switch {
	case w.items >= q.opts.Limits.Items || w.bytes+size > q.opts.Limits.Bytes:
		return CauseKeyBound, true
	case !q.opts.Budget.take(1, size):
		return CauseTotalBound, true
	default:
		return 0, false
	}
}

// Complete hands on the items of a key because what they lacked has come.
func (q *Queue[K, T]) Complete(w *Wait[K, T]) {
	q.end(w)
	q.handOn(w)
}

// GiveUp hands on the items of a key without what they lack.
func (q *Queue[K, T]) GiveUp(w *Wait[K, T], cause Cause) {
	q.end(w)
	q.stats.GivenUp[cause].Add(1)
	q.opts.GivenUp(w.key, cause)
	q.handOn(w)
}

// Flush gives up all keys, those first that have waited for the longest.
func (q *Queue[K, T]) Flush() {
	for w := q.waits.First(); w != nil; w = q.waits.First() {
		q.GiveUp(w, CauseFlushed)
	}
}

// end takes a wait out of the queue, with its items.
func (q *Queue[K, T]) end(w *Wait[K, T]) {
	for i := range q.due {
		if q.due[i] == w {
			q.due[i] = w.links.Next()
		}
	}
	q.waits.Remove(&w.links)
	q.stats.Keys.Add(-1)
	q.stats.Waited.Add(q.now - w.since)
	q.stats.Items.Add(int64(-w.items))
	q.stats.Bytes.Add(int64(-w.bytes))
	q.opts.Budget.giveBack(w.items, w.bytes)
}

// handOn passes on the items of a wait that has ended.
func (q *Queue[K, T]) handOn(w *Wait[K, T]) {
	for i := w.first; i != nil; {
		next := i.next
		q.opts.Next(w.key, &i.value)
		q.memory.put(i)
		i = next
	}
	*w = Wait[K, T]{}
	if q.free.Len() < spareWaits {
		q.free.Put(&w.links, w)
	}
}

// spareWaits are kept for others. What a flood has taken beyond that is given back.
const spareWaits = 1024

// Tick passes time: CLOCK_MONOTONIC, ns. It calls the reminders that are due, and gives up the keys whose time is up.
func (q *Queue[K, T]) Tick(monotonic uint64) {
	q.Advance(monotonic)
	for i := range q.due {
		q.remind(i)
	}
	for w := q.waits.First(); w != nil && w.since+uint64(q.opts.Limits.Time) <= q.now; w = q.waits.First() {
		q.GiveUp(w, CauseTimeout)
	}
}

func (q *Queue[K, T]) remind(i int) {
	r := &q.opts.Reminders[i]
	for q.due[i] != nil && q.due[i].since+uint64(r.After) <= q.now {
		w := q.due[i]
		q.due[i] = w.links.Next()
		r.Call(w.key)
	}
}
