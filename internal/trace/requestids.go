package trace

import (
	"sync"

	"github.com/socketflow/socketflow/internal/splitmix"
)

// requestIDs are which requests that processes have received carry which id, of those that are under way or were until lately. Ids are chosen by peers:
// several requests may have the same one, and as many may come as a peer likes.
type requestIDs struct{ parts [parts]requestIDsPart }

const (
	carriersEach  = 8  // of a bucket
	idBucketsEach = 32 // of a part
	// maxCarrying is for how long a request is served at the most while what the process sends may be about it because of its id, ns.
	maxCarrying = 60e9
)

type requestIDsPart struct {
	mu      sync.Mutex
	buckets [idBucketsEach]idBucket
}

// idBucket is where all requests with some ids are.
type idBucket struct {
	carriers [carriersEach]carrier
	// unsure is until when a request that had to give way to others may have been served (CLOCK_MONOTONIC, ns): of what was sent by then, it is not known
	// whether it is about another one.
	unsure uint64
}

// carrier is a request with an id.
type carrier struct {
	id    uint64 // and the process; 0: the place is free
	of    ExchangeKey
	began uint64 // CLOCK_MONOTONIC, ns
	ended uint64 // 0: it is under way
}

// until is when the request was served for the last time.
func (c *carrier) until() uint64 {
	if c.ended != 0 {
		return c.ended
	}
	return c.began + maxCarrying
}

func (r *requestIDs) find(n *node) (p *requestIDsPart, b *idBucket, id uint64) {
	id = splitmix.Mix(n.Process^splitmix.Mix(n.requestID)) | 1
	p = &r.parts[id>>8%parts]
	return p, &p.buckets[id>>32%idBucketsEach], id
}

// begin notes that a process has received a request with an id.
func (r *requestIDs) begin(n *node) {
	p, b, id := r.find(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	place := &b.carriers[0]
	for i := range b.carriers {
		if c := &b.carriers[i]; c.id == 0 || place.id != 0 && c.until() < place.until() {
			place = c
		}
	}
	if place.id != 0 {
		b.unsure = max(b.unsure, place.until())
	}
	*place = carrier{id: id, of: n.ExchangeKey, began: n.At}
}

// end notes that it has answered one.
func (r *requestIDs) end(n *node) {
	p, b, id := r.find(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range b.carriers {
		if c := &b.carriers[i]; c.id == id && c.of == n.ExchangeKey {
			c.ended = max(n.answer.At, 1)
		}
	}
}

// carriersOf are the requests with the id of one that the process has sent while it served them. sure is false if there may have been others.
func (r *requestIDs) carriersOf(n *node, into *[carriersEach]ExchangeKey) (count int, sure bool) {
	p, b, id := r.find(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range b.carriers {
		if c := &b.carriers[i]; c.id == id && c.began <= n.At && n.At <= c.until() {
			into[count] = c.of
			count++
		}
	}
	return count, n.At > b.unsure
}

// sameID is the only request with the id of one that the process has sent while it served it.
func (e *Exchanges) sameID(n *node) (x node, found bool) {
	if e.requestIDs == nil || n.requestID == 0 {
		return node{}, false
	}
	var all [carriersEach]ExchangeKey
	if count, sure := e.requestIDs.carriersOf(n, &all); count != 1 || !sure {
		return node{}, false
	}
	return e.get(all[0])
}
