package trace

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/splitmix"
)

// births identifies goroutines of a process whose numbers follow each other.
type births struct{ process, part uint64 }

// birthTimes are when it was first seen that these had been started, CLOCK_MONOTONIC, ns; 0: not yet.
type birthTimes [16]uint64

// mostBirths bounds those that are remembered, 200 bytes each.
const mostBirths = 16384

type birthsPart struct {
	mu    sync.Mutex
	known *simplelru.LRU[births, *birthTimes]
}

// placeOf is where a goroutine is.
func placeOf(process, number uint64) (b births, place uint64) {
	const each = uint64(len(birthTimes{}))
	return births{process, number / each}, number % each
}

func (e *Exchanges) birthsPart(b births) *birthsPart {
	return &e.births[splitmix.Finalize(b.process^splitmix.Finalize(b.part))%parts]
}

// noteBirths notes which goroutines there are when an exchange begins.
func (e *Exchanges) noteBirths(b *Beginning) {
	g := &b.Goroutine
	e.noteBlock(b.Process, g, b.At)
	if started := startedOne(g); b.IDs.Asks && g.Creator != 0 {
		e.noteBorn(b.Process, started, started+1, b.At)
	}
}

// noteBlock notes that at a time the goroutines had been started that have smaller numbers than the next one.
func (e *Exchanges) noteBlock(process uint64, g *event.Goroutine, at uint64) {
	if g.Next > g.Block && g.Next-g.Block <= uint64(len(birthTimes{})) {
		e.noteBorn(process, g.Block, g.Next, at)
	}
}

// noteBorn notes that goroutines had been started, from one number up to another one.
func (e *Exchanges) noteBorn(process, from, to, at uint64) {
	for from < to {
		from = e.noteBornTogether(process, from, to, at)
	}
}

// noteBornTogether does so for those whose times are in one place, and returns which one is the next one.
func (e *Exchanges) noteBornTogether(process, from, to, at uint64) uint64 {
	b, place := placeOf(process, from)
	p := e.birthsPart(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	times, found := p.known.Get(b)
	if !found {
		times = &birthTimes{}
		p.known.Add(b, times)
	}
	for ; from < to && place < uint64(len(times)); from, place = from+1, place+1 {
		if times[place] == 0 || times[place] > at {
			times[place] = at
		}
	}
	return from
}

// wasBorn reports whether a goroutine is known to have been started by a time.
func (e *Exchanges) wasBorn(process, number, at uint64) bool {
	b, place := placeOf(process, number)
	p := e.birthsPart(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	times, found := p.known.Get(b)
	return found && times[place] != 0 && times[place] <= at
}

// mostBehind is by how much the number of a new goroutine may be smaller than those which other processors of the runtime give at the time.
const mostBehind = 4096

// causeOfGoroutine is the parent of a request that a goroutine has sent: the request that it has read itself, or the one that waits for it, or who has
// started one of these meanwhile.
func (e *Exchanges) causeOfGoroutine(n *node, depth int) Parent {
	g := &n.Goroutine
	if x, found := e.readBy(n.reader(), n.At); found {
		return e.asParent(n, &x, SourceGoroutine, depth)
	}
	if g.Asker != 0 {
		if x, found := e.readBy(goroutine(n.Process, g.Asker), n.At); found {
			return e.asParent(n, &x, SourceHandoff, depth)
		}
	}
	if g.Creator == 0 {
		return Parent{}
	}
	x, found := e.readBy(goroutine(n.Process, g.Creator), n.At)
	started := startedOne(g)
	if !found || x.Goroutine.Next == 0 || started+mostBehind < x.Goroutine.Next || e.wasBorn(n.Process, started, x.At) {
		return Parent{}
	}
	if g.Asker != 0 {
		return e.asParent(n, &x, SourceHandoff, depth)
	}
	return e.asParent(n, &x, SourceGoroutine, depth)
}

// startedOne is the goroutine that the creator of one has started.
func startedOne(g *event.Goroutine) uint64 {
	if g.Asker != 0 {
		return g.Asker
	}
	return g.Number
}
