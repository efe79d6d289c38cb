package trace

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/event"
)

func requestOf5(id, time uint64) Beginning {
	b := request(served, id, time, 10*id)
	b.Goroutine = event.Goroutine{Number: 5, Block: 32, Next: 35}
	return b
}

// Goroutine 5 reads a request at 10, where numbers from 35 to 47 are given next, and answers at 40; it reads another one at 60. Another process has
// goroutines with the same numbers.
func TestRequestOfAGoroutineIsTheCauseOfWhatItWaitsForOrHasStarted(t *testing.T) {
	const at = 20
	sent := func(number, asker, creator uint64) event.Goroutine {
		return event.Goroutine{Number: number, Asker: asker, Creator: creator}
	}
	earlier := func(number, asker, at uint64) func(*Exchanges) {
		return func(e *Exchanges) {
			b := call(calledToo, 9, at, event.Cause{})
			b.Goroutine = sent(number, asker, 5)
			e.Begin(&b)
		}
	}
	elsewhere := func(block, at uint64) func(*Exchanges) {
		return func(e *Exchanges) {
			b := request(servedToo, 1, at, 0)
			b.Goroutine = event.Goroutine{Number: 9, Block: block, Next: block + 2}
			e.Begin(&b)
		}
	}
	nothing := func(*Exchanges) {}
	for name, test := range map[string]struct {
		by     event.Goroutine
		at     uint64
		before func(*Exchanges)
		want   Source
	}{
		"the one that waits":                            {sent(30, 5, 1), at, nothing, SourceHandoff},
		"one that waits, and has read nothing":          {sent(30, 6, 1), at, nothing, SourceNone},
		"one that waits, after the answer":              {sent(30, 5, 1), 50, nothing, SourceNone},
		"the next one that was started":                 {sent(35, 0, 5), at, nothing, SourceGoroutine},
		"the last one of the block":                     {sent(47, 0, 5), at, nothing, SourceGoroutine},
		"one of a new block":                            {sent(48, 0, 5), at, nothing, SourceGoroutine},
		"one of an older block":                         {sent(20, 0, 5), at, nothing, SourceNone},
		"one that was started waits":                    {sent(30, 36, 5), at, nothing, SourceHandoff},
		"one that was started before":                   {sent(34, 0, 5), at, nothing, SourceNone},
		"one that was started before waits":             {sent(37, 34, 5), at, nothing, SourceNone},
		"one that was started, after the answer":        {sent(35, 0, 5), 50, nothing, SourceNone},
		"one that was started by another one":           {sent(35, 0, 6), at, nothing, SourceNone},
		"nobody knows who has started it":               {sent(35, 0, 0), at, nothing, SourceNone},
		"it has sent before":                            {sent(60, 0, 5), at, earlier(60, 0, 9), SourceNone},
		"it has sent since":                             {sent(60, 0, 5), at, earlier(60, 0, 15), SourceGoroutine},
		"it has waited before":                          {sent(30, 60, 5), at, earlier(31, 60, 9), SourceNone},
		"elsewhere numbers up to its own were given":    {sent(60, 0, 5), at, elsewhere(45, 9), SourceNone},
		"elsewhere smaller numbers were given":          {sent(61, 0, 5), at, elsewhere(45, 9), SourceGoroutine},
		"elsewhere its number has been given since":     {sent(60, 0, 5), at, elsewhere(45, 15), SourceGoroutine},
		"larger ones elsewhere, but it is the next one": {sent(35, 0, 5), at, elsewhere(45, 9), SourceGoroutine},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := newExchanges(t, direct)
			first, second := requestOf5(1, 10), requestOf5(2, 60)
			e.Begin(&first)
			e.End(&first, Context{}, &Answer{First: 1, End: 2, Began: 40, At: 41})
			e.Begin(&second)
			test.before(e)
			for process, want := range map[uint64]Source{first.Process: test.want, 2: SourceNone} {
				c := call(called, process, test.at, event.Cause{})
				c.Goroutine, c.Process = test.by, process
				e.Begin(&c)
				p, _ := e.Resolve(c.ExchangeKey)
				assert.Equal(t, want, p.Source)
				assert.Equal(t, want != SourceNone, p.Span == first.IDs.Own)
			}
		})
	}
}

// What a goroutine that one request has started sends after that one's answer is not about the next one, even if this is the only one.
func TestGoroutineThatOutlivesItsRequestIsNotOfTheNextOne(t *testing.T) {
	e, _ := newExchanges(t, Likely)
	first, second := requestOf5(1, 10), requestOf5(2, 60)
	e.Begin(&first)
	e.End(&first, Context{}, &Answer{First: 1, End: 2, Began: 40, At: 41})
	second.Goroutine.Next = 36
	e.Begin(&second)
	other := call(called, 1, 50, event.Cause{})
	other.Goroutine = event.Goroutine{Number: 60}
	e.Begin(&other)
	for number, want := range map[uint64]Source{35: SourceNone, 36: SourceGoroutine, 50: SourceNone, 64: SourceGoroutine} {
		c := call(called, number, 70, event.Cause{})
		c.Goroutine = event.Goroutine{Number: number, Creator: 5}
		e.Begin(&c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, want, p.Source, "%d", number)
	}
}

// Goroutines whose creator has read no request may work for anybody: there is only one.
func TestGoroutinesOfAPoolMayWorkForTheOnlyRequest(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	r, c := requestOf5(1, 10), call(called, 1, 20, event.Cause{})
	c.Goroutine = event.Goroutine{Number: 20, Creator: 1}
	e.Begin(&r)
	e.Begin(&c)
	p, _ := e.Resolve(c.ExchangeKey)
	assert.Equal(t, SourceOnly, p.Source)
}

func TestNumbersOfGoroutinesAreInOrderWhateverTheirOrderOfArrival(t *testing.T) {
	given := []givenNumber{{10, 15}, {20, 31}, {30, 20}, {40, 47}, {50, 47}, {60, 16}, {70, 63}}
	for range 100 {
		rand.Shuffle(len(given), func(i, j int) { given[i], given[j] = given[j], given[i] })
		e, _ := newExchanges(t, Certain)
		for _, x := range given {
			e.noteNumbers(1, &event.Goroutine{Number: x.number}, x.at)
		}
		for at, want := range map[uint64]uint64{5: 0, 10: 15, 19: 15, 20: 31, 35: 31, 45: 47, 69: 47, 70: 63, 99: 63} {
			got, found := e.givenAt(1, at)
			assert.Equal(t, want, got, "at %d, of %v", at, given)
			assert.Equal(t, want != 0, found)
		}
	}
}

// The oldest ones make room.
func TestNumbersOfGoroutinesAreBounded(t *testing.T) {
	n := &numbers{}
	most := uint64(len(n.all))
	for i := range 2 * most {
		n.add(givenNumber{10 * i, i + 1})
	}
	n.add(givenNumber{1, 1})
	assert.Equal(t, len(n.all), n.used)
	assert.Equal(t, givenNumber{10 * most, most + 1}, n.all[0])
	n.add(givenNumber{20*most - 15, 2*most - 1}) // of the time before the last one, which has a larger number
	assert.Equal(t, givenNumber{20*most - 10, 2 * most}, n.all[most-1])
}

// A goroutine that has read several requests, and answers none before another one has called for all of them.
func TestGoroutineThatOwesTwoRequestsIsNoCause(t *testing.T) {
	for name, by := range map[string]event.Goroutine{
		"it sends itself": {Number: 5}, "it waits for the one that sends": {Number: 30, Asker: 5}, "it has started the one that sends": {Number: 35, Creator: 5},
	} {
		e, _ := newExchanges(t, Certain)
		first := requestOf5(1, 10)
		second := request(servedToo, 1, 11, 0)
		second.Goroutine = first.Goroutine
		e.Begin(&first)
		e.Begin(&second)
		c := call(called, 1, 20, event.Cause{})
		c.Goroutine = by
		e.Begin(&c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, SourceNone, p.Source, name)
	}
}
