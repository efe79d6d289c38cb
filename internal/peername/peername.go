// Package peername remembers what DNS has answered to the processes of this host. It gives a name to an address that a process connects
// to: the one that this process has asked for before.
package peername

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/progress"
	"github.com/socketflow/socketflow/internal/protocol"
)

// The bounds of how long an answer holds. Answers with a TTL of 0 are common, and programs try the addresses of one answer one after the
// other, for seconds.
const (
	minTTL = 10 * time.Second
	maxTTL = time.Hour
)

// All answers of a process are in one part of the table. A process that is answered more than a part holds removes its own oldest
// answers, and those of the processes that share the part: one in 32.
const (
	parts       = 32
	partEntries = 512
)

// Table has the answers. It is safe for concurrent use.
type Table struct {
	seed     maphash.Seed
	parts    [parts]part
	progress progress.Shards
}

type part struct {
	mu      sync.Mutex
	names   *simplelru.LRU[key, name]
	evicted uint64
}

type key struct {
	process process.ID
	address netip.Addr
}

// name is the only one of its address that holds from one time to another (CLOCK_MONOTONIC, ns).
type name struct {
	text        string
	from, until uint64
	lookup      lookup // the latest one that led to the address
}

// New returns an empty table, which shards fill that come as far as this.
func New(p progress.Shards) (*Table, error) {
	t := &Table{seed: maphash.MakeSeed(), progress: p}
	for i := range t.parts {
		names, err := simplelru.NewLRU[key, name](partEntries, nil)
		if err != nil {
			return nil, err
		}
		t.parts[i].names = names
	}
	return t, nil
}

func (t *Table) partOf(id process.ID) *part {
	return &t.parts[maphash.Comparable(t.seed, id)%parts]
}

// Learn takes what a process has been answered.
func (t *Table) Learn(r *protocol.Resolution) {
	id := process.ID{PID: r.Asked.PID, Start: r.Asked.Start}
	if id.PID == 0 {
		return
	}
	p := t.partOf(id)
	text := ""
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range r.Addresses {
		k := key{id, a.Address}
		ttl := min(max(time.Duration(a.TTL)*time.Second, minTTL), maxTTL)
		learned := name{from: r.Answered.Time, until: r.Answered.Time + uint64(ttl)}
		latest := lookup{asked: r.Asked.Began, answered: r.Answered.Time, thread: r.Asked.TID}
		known, found := p.names.Peek(k)
		switch {
		case found && known.text == string(r.Name):
			learned.text = known.text
		case text == "":
			text = string(r.Name)
			fallthrough
		default:
			learned.text = text
		}
		if found {
			learned, latest = known.followedBy(learned), known.lookup.followedBy(latest)
		} else {
			p.makeRoom(learned.from)
		}
		learned.lookup = latest
		p.names.Add(k, learned)
	}
}

// followedBy is what is known of an address after one more answer. While two names lead to it, neither of them is the one.
func (n name) followedBy(next name) name {
	switch {
	case next.from >= n.until:
		return next
	case next.text == n.text:
		next.from = n.from
		return next
	case next.until > n.until:
		next.from = max(next.from, n.from, n.until)
		return next
	default:
		n.from = max(n.from, next.until)
		return n
	}
}

// makeRoom removes the least recently used name if the part is full. It is counted if it would still hold.
func (p *part) makeRoom(now uint64) {
	if p.names.Len() < partEntries {
		return
	}
	if _, oldest, ok := p.names.RemoveOldest(); ok && oldest.until > now {
		p.evicted++
	}
}

// Stats are counts of a Table.
type Stats struct {
	Remembered int    // names remembered now, among them some that do not hold any more
	Evicted    uint64 // names that made room for others while they held
}

// Stats may be called at any time.
func (t *Table) Stats() (s Stats) {
	for i := range t.parts {
		p := &t.parts[i]
		p.mu.Lock()
		s.Remembered += p.names.Len()
		s.Evicted += p.evicted
		p.mu.Unlock()
	}
	return s
}

// Question is what a process called an address at a time (CLOCK_MONOTONIC, ns). What it is answered later does not matter.
type Question struct {
	Process process.ID
	Address netip.Addr
	At      uint64
}

// Answer is what is known of an address that a process has connected to.
type Answer struct {
	Name string // "": it has none
	// Lookup is how long the query took that the process waited for before it connected; 0: it asked none, or that is not known.
	Lookup time.Duration
}

// Ask returns what is known. As long as settled is false, a shard may still have to handle an answer from before.
func (t *Table) Ask(q Question) (a Answer, settled bool) {
	settled = t.progress.Settled(q.At) // before the names are looked at: a shard may learn one meanwhile
	p := t.partOf(q.Process)
	k := key{q.Process, q.Address}
	p.mu.Lock()
	defer p.mu.Unlock()
	n, found := p.names.Get(k)
	if !found || q.At < n.from || q.At >= n.until {
		return Answer{}, settled
	}
	a.Name = n.text
	if n.lookup.precedes(q.At) {
		a.Lookup = n.lookup.took()
		n.lookup.began = q.At
		p.names.Add(k, n)
	}
	return a, true
}
