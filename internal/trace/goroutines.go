package trace

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/splitmix"
)

// block is how many numbers a processor of Go's runtime takes at a time, to give them to the goroutines that are started there.
const block = 16

// numbers are the largest numbers of goroutines that a process may have given, in the order of their times and of themselves.
type numbers struct {
	all  [128]givenNumber
	used int
}

type givenNumber struct{ at, number uint64 } // CLOCK_MONOTONIC, ns

// mostNumbers bounds the processes whose numbers are remembered, 2 KiB each.
const mostNumbers = 1024

type numbersPart struct {
	mu    sync.Mutex
	known *simplelru.LRU[uint64, *numbers] // by process
}

func (e *Exchanges) numbersPart(process uint64) *numbersPart {
	return &e.numbers[splitmix.Finalize(process)%parts]
}

// noteNumbers notes which numbers a process may have given at a time.
func (e *Exchanges) noteNumbers(process uint64, g *event.Goroutine, at uint64) {
	number := max(g.Number, g.Asker)
	if g.Next != 0 {
		number = max(number, g.Block+block-1)
	}
	if number == 0 {
		return
	}
	p := e.numbersPart(process)
	p.mu.Lock()
	defer p.mu.Unlock()
	known, found := p.known.Get(process)
	if !found {
		known = &numbers{}
		p.known.Add(process, known)
	}
	known.add(givenNumber{at, number})
}

// add notes a number. Shards do not keep the order.
func (n *numbers) add(x givenNumber) {
	i := n.used
	for i > 0 && n.all[i-1].at > x.at {
		i--
	}
	if i > 0 && n.all[i-1].number >= x.number {
		return
	}
	end := i
	for end < n.used && n.all[end].number <= x.number {
		end++
	}
	switch {
	case end > i:
		n.used = i + 1 + copy(n.all[i+1:], n.all[end:n.used])
	case n.used < len(n.all):
		copy(n.all[i+1:], n.all[i:n.used])
		n.used++
	case i == 0:
		return // older than all
	default:
		copy(n.all[:], n.all[1:i])
		i--
	}
	n.all[i] = x
}

// givenAt is the largest number that a process may have given by a time. found is false if that was too long ago.
func (e *Exchanges) givenAt(process, at uint64) (number uint64, found bool) {
	p := e.numbersPart(process)
	p.mu.Lock()
	defer p.mu.Unlock()
	known, found := p.known.Get(process)
	if !found {
		return 0, false
	}
	for i := known.used - 1; i >= 0; i-- {
		if known.all[i].at <= at {
			return known.all[i].number, true
		}
	}
	return 0, false
}

// startedFor reports whether a goroutine was started after its creator had read a request: its number was the next one where that one ran, or is beyond
// all of that time.
func (e *Exchanges) startedFor(number uint64, x *node) bool {
	g := &x.Goroutine
	if g.Next == 0 {
		return false
	}
	if number >= g.Next && number < g.Block+block {
		return true
	}
	given, found := e.givenAt(x.Process, x.At)
	return found && number > given
}

// causeOfGoroutine is the parent of a request that a goroutine has sent: the request that it has read itself, or the one that waits for it, or who has
// started one of these meanwhile. It is decided, too, if these have read or started nothing that is under way, but could have.
func (e *Exchanges) causeOfGoroutine(n *node, depth int) (p Parent, decided bool) {
	g := &n.Goroutine
	switch x, owed := e.owedBy(n.reader(), n.At); owed {
	case 0:
	case 1:
		return e.asParent(n, &x, SourceGoroutine, depth), true
	default:
		return Parent{}, true
	}
	started, source := g.Number, SourceGoroutine
	if g.Asker != 0 {
		switch x, owed := e.owedBy(goroutine(n.Process, g.Asker), n.At); owed {
		case 0:
		case 1:
			return e.asParent(n, &x, SourceHandoff, depth), true
		default:
			return Parent{}, true
		}
		started, source = g.Asker, SourceHandoff
	}
	if _, reads := e.lastSocket(goroutine(n.Process, g.Creator), n.At); !reads {
		return Parent{}, false
	}
	x, found := e.readBy(goroutine(n.Process, g.Creator), n.At)
	if !found || !e.startedFor(started, &x) {
		return Parent{}, true
	}
	return e.asParent(n, &x, source, depth), true
}
