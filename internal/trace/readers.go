package trace

import (
	"iter"
	"slices"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/socketflow/socketflow/internal/splitmix"
)

// reader is a goroutine, or else a thread, that has read a request. Another thread may get its number.
type reader struct{ process, number uint64 }

// goroutineFlag is set in the number of a goroutine.
const goroutineFlag = 1 << 63

func goroutine(process, number uint64) reader { return reader{process, goroutineFlag | number} }

func (b *Beginning) reader() reader {
	if b.Goroutine.Number != 0 {
		return goroutine(b.Process, b.Goroutine.Number)
	}
	return reader{b.Process, uint64(b.Thread)}
}

// readings are when a reader has read requests from which sockets, the latest first.
type readings [16]reading

// reading is the requests from one socket with no others in between.
type reading struct{ socket, first, last uint64 } // CLOCK_MONOTONIC, ns

type readersPart struct {
	mu    sync.Mutex
	known *simplelru.LRU[reader, *readings]
}

func (e *Exchanges) readersPart(r reader) *readersPart {
	return &e.readers[splitmix.Finalize(r.process^splitmix.Finalize(r.number))%parts]
}

// noteReader notes who has read a request.
func (e *Exchanges) noteReader(b *Beginning) {
	r := b.reader()
	p := e.readersPart(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	all, found := p.known.Get(r)
	if !found {
		all = &readings{}
		p.known.Add(r, all)
	}
	all.add(b.Socket, b.At)
}

// add notes that a request was read. Shards do not keep the order.
func (all *readings) add(socket, at uint64) {
	i := 0
	for i < len(all) && all[i].first > at {
		i++
	}
	if i == len(all) {
		return // older than all
	}
	r := &all[i]
	switch {
	case r.socket == socket:
		r.last = max(r.last, at)
	case at < r.last: // within what seemed to be one
		later := reading{r.socket, r.last, r.last}
		r.last = r.first
		all.insert(i, reading{socket, at, at})
		all.insert(i, later)
	case i > 0 && all[i-1].socket == socket:
		all[i-1].first = at
	default:
		all.insert(i, reading{socket, at, at})
	}
}

func (all *readings) insert(i int, r reading) {
	copy(all[i+1:], all[i:])
	all[i] = r
}

// lastSocket is the socket that a reader had read a request from last at a time.
func (e *Exchanges) lastSocket(r reader, at uint64) (socket uint64, found bool) {
	p := e.readersPart(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	all, found := p.known.Get(r)
	if !found {
		return 0, false
	}
	for _, reading := range all {
		if reading.first <= at && reading.socket != 0 {
			return reading.socket, true
		}
	}
	return 0, false
}

// readingsOf are a copy of what a reader has read.
func (e *Exchanges) readingsOf(r reader) (all readings, found bool) {
	p := e.readersPart(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	known, found := p.known.Get(r)
	if !found {
		return all, false
	}
	return *known, true
}

// readBy is the request that a goroutine or a thread had read, and that was not answered at a time. It is the only one.
func (e *Exchanges) readBy(r reader, at uint64) (x node, found bool) {
	x, owed := e.owedBy(r, at)
	return x, owed == 1
}

// owedBy are the requests that a goroutine or a thread had read, and that were not answered at a time: how many there are, 2 or more is 2, and one of
// them.
func (e *Exchanges) owedBy(r reader, at uint64) (x node, owed int) {
	all, found := e.readingsOf(r)
	if !found {
		return node{}, 0
	}
	for i, read := range all {
		if read.first > at || read.socket == 0 || slices.ContainsFunc(all[:i], func(before reading) bool { return before.socket == read.socket }) {
			continue
		}
		y, n := e.owedOn(read.socket, r, at)
		if n > 0 {
			x, owed = y, owed+n
		}
		if owed > 1 {
			return x, 2
		}
	}
	return x, owed
}

// owesOthers reports whether other requests of a connection than one were not answered when another one was sent.
func (e *Exchanges) owesOthers(n, x *node) bool {
	p := e.part(x.Socket)
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.lastBefore(x.Socket, n.At)
	if i < p.first {
		return false
	}
	last := p.at(i)
	if last.ExchangeKey != x.ExchangeKey && last.isOwedAt(n.At) {
		return true
	}
	for y := range p.before(last) {
		if y.ExchangeKey != x.ExchangeKey && y.isOwedAt(n.At) {
			return true
		}
	}
	return false
}

// owedOn are those of one connection: the last one, unless somebody else has read that.
func (e *Exchanges) owedOn(socket uint64, r reader, at uint64) (x node, owed int) {
	p := e.part(socket)
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.lastBefore(socket, at)
	if i < p.first {
		return node{}, 0
	}
	last := p.at(i)
	if last.reader() != r || !last.isOwedAt(at) {
		return node{}, 0
	}
	for y := range p.before(last) {
		if y.isOwedAt(at) {
			return node{}, 2
		}
	}
	return *last, 1
}

// isOwedAt reports whether a request that was received was not answered at a time.
func (n *node) isOwedAt(at uint64) bool {
	return !n.IDs.Asks && !n.gone && (n.answer.At == 0 || n.answer.At >= at)
}

// before are the exchanges of a socket that began before one of them, the last ones first, and those that have been under way for long.
func (p *exchangesPart) before(n *node) iter.Seq[*node] {
	return func(yield func(*node) bool) {
		i := n.before
		for steps := 0; i >= p.first && steps < maxLookBack; steps++ {
			if n := p.at(i); !yield(n) {
				return
			}
			i = p.at(i).before
		}
		for i := range p.long[n.Socket] {
			if !yield(&p.long[n.Socket][i]) {
				return
			}
		}
	}
}
