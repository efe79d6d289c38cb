package process

import (
	"fmt"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Table keeps the processes that own sockets. It is not safe for concurrent use: each shard has its own, used by its one
// goroutine.
//
// Changes of the table do not affect an Info that a socket already holds.
type Table struct {
	capacity int
	grace    time.Duration
	// live is ordered by use. exited is ordered by the time of exit, which is also the order of expiry; only Peek reads it, so
	// that the order never changes.
	live   *simplelru.LRU[ID, *Info]
	exited *simplelru.LRU[ID, *exitedProcess]

	evictedExited, evictedLive uint64
}

type exitedProcess struct {
	info  *Info
	until time.Time
}

// NewTable returns an empty table for at most capacity processes, living and exited. An exited process is kept for the grace
// period, because its last connections may close later.
func NewTable(capacity int, grace time.Duration) (*Table, error) {
	if grace < 0 {
		return nil, fmt.Errorf("process table: the grace period (%s) must not be negative", grace)
	}
	live, err := simplelru.NewLRU[ID, *Info](capacity, nil)
	if err != nil {
		return nil, fmt.Errorf("process table: capacity %d: %w", capacity, err)
	}
	exited, err := simplelru.NewLRU[ID, *exitedProcess](capacity, nil)
	if err != nil {
		return nil, fmt.Errorf("process table: capacity %d: %w", capacity, err)
	}
	return &Table{capacity: capacity, grace: grace, live: live, exited: exited}, nil
}

// Add adds a process, or replaces the one with the same ID: an exec changes the program but keeps pid and start time. If the
// table is full, Add evicts the process that exited first, or else the least recently used one.
func (t *Table) Add(i *Info) {
	if e, ok := t.exited.Peek(i.ID); ok { // described after its exit: the time of expiry stays
		e.info = i
		return
	}
	if !t.live.Contains(i.ID) && t.Len() >= t.capacity {
		t.evict()
	}
	t.live.Add(i.ID, i)
}

// Get returns the description of a process, living or exited.
func (t *Table) Get(id ID) (*Info, bool) {
	if i, ok := t.live.Get(id); ok {
		return i, true
	}
	if e, ok := t.exited.Peek(id); ok {
		return e.info, true
	}
	return nil, false
}

// Exited starts the grace period of a process. A second call for the same process changes nothing.
func (t *Table) Exited(id ID, now time.Time) {
	i, ok := t.live.Peek(id)
	if !ok {
		return
	}
	t.live.Remove(id)
	t.exited.Add(id, &exitedProcess{info: i, until: now.Add(t.grace)})
}

// Expire removes the exited processes whose grace period is over, and returns their number.
func (t *Table) Expire(now time.Time) int {
	n := 0
	for {
		_, e, ok := t.exited.GetOldest()
		if !ok || e.until.After(now) {
			return n
		}
		t.exited.RemoveOldest()
		n++
	}
}

// Len is the number of processes, living and exited.
func (t *Table) Len() int { return t.live.Len() + t.exited.Len() }

// Evicted returns how many processes were evicted in their grace period, and how many before their exit was seen. The latter
// are described again at their next event, if they still live.
func (t *Table) Evicted() (exited, live uint64) { return t.evictedExited, t.evictedLive }

func (t *Table) evict() {
	if _, _, ok := t.exited.RemoveOldest(); ok {
		t.evictedExited++
		return
	}
	if _, _, ok := t.live.RemoveOldest(); ok {
		t.evictedLive++
	}
}
