package trace

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// forwards are the requests that a proxy has received and sent lately.
type forwards struct{ received, sent *forwardings }

// forwardings have numbers that count up from 1, and are by these, modulo the length.
type forwardings struct {
	all  [4096]forwarding
	next uint64
	last map[uint64]uint64 // by content: the number of the one that was added last
}

type forwarding struct {
	key            ExchangeKey
	content, began uint64 // CLOCK_MONOTONIC, ns
	before         uint64 // number of the one with the same content that was added before
}

// mostForwards bounds the proxies whose requests are remembered, some 600 KiB each.
const mostForwards = 16

// maxSame bounds how many requests with the same content are compared.
const maxSame = 64

type proxies struct {
	mu    sync.Mutex
	known *simplelru.LRU[uint64, *forwards] // by process
}

func newForwardings() *forwardings { return &forwardings{next: 1, last: make(map[uint64]uint64)} }

func (f *forwardings) at(number uint64) *forwarding { return &f.all[number%uint64(len(f.all))] }

// has reports whether a number is still there.
func (f *forwardings) has(number uint64) bool {
	return number != 0 && number+uint64(len(f.all)) >= f.next
}

func (f *forwardings) add(b *Beginning) {
	if old := f.at(f.next); old.content != 0 && f.last[old.content]+uint64(len(f.all)) == f.next {
		delete(f.last, old.content)
	}
	*f.at(f.next) = forwarding{b.ExchangeKey, b.Content, b.At, f.last[b.Content]}
	f.last[b.Content] = f.next
	f.next++
}

// noteForward notes a request that a proxy has received or sent.
func (e *Exchanges) noteForward(b *Beginning) {
	if b.Content == 0 {
		return
	}
	e.proxies.mu.Lock()
	defer e.proxies.mu.Unlock()
	f, found := e.proxies.known.Get(b.Process)
	if !found {
		f = &forwards{newForwardings(), newForwardings()}
		e.proxies.known.Add(b.Process, f)
	}
	if b.IDs.Asks {
		f.sent.add(b)
	} else {
		f.received.add(b)
	}
}

// forwardOf is the request that a proxy has sent on: the only one with its content that was under way, and it is the only one with that content that was
// sent since.
func (e *Exchanges) forwardOf(n *node) (x node, found bool) {
	if n.Content == 0 {
		return node{}, false
	}
	e.proxies.mu.Lock()
	defer e.proxies.mu.Unlock()
	f, known := e.proxies.known.Get(n.Process)
	if !known {
		return node{}, false
	}
	number, steps := f.received.last[n.Content], 0
	for ; f.received.has(number); number, steps = f.received.at(number).before, steps+1 {
		if steps == maxSame {
			return node{}, false
		}
		r := f.received.at(number)
		if r.began > n.At {
			continue
		}
		if y, exists := e.get(r.key); exists && y.isOwedAt(n.At) {
			if found {
				return node{}, false
			}
			x, found = y, true
		}
	}
	return x, found && f.sent.isOnlySince(x.At, n)
}

// isOnlySince reports whether a request is the only one with its content that has begun since a time.
func (f *forwardings) isOnlySince(at uint64, n *node) bool {
	oldest := f.at(f.next)
	if oldest.content != 0 && oldest.began >= at {
		return false // there were more
	}
	number, count := f.last[n.Content], 0
	for steps := 0; f.has(number); number, steps = f.at(number).before, steps+1 {
		if steps == maxSame {
			return false
		}
		if f.at(number).began >= at {
			count++
		}
	}
	return count == 1
}
