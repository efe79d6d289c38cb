package trace

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/event"
)

// Goroutine 5 reads a request at 10, when its processor gives numbers from 35 on, and answers at 40; it reads another one at 60. Another process has
// goroutines with the same numbers.
func TestRequestOfAGoroutineIsTheCauseOfWhatItWaitsForOrHasStarted(t *testing.T) {
	const at = 20
	sent := func(number, asker, creator uint64) event.Goroutine {
		return event.Goroutine{Number: number, Asker: asker, Creator: creator}
	}
	earlier := func(number, asker, creator, at uint64) func(*Exchanges) {
		return func(e *Exchanges) {
			b := call(calledToo, 9, at, event.Cause{})
			b.Goroutine = sent(number, asker, creator)
			e.Begin(&b)
		}
	}
	numbered := func(block, next, at uint64) func(*Exchanges) {
		return func(e *Exchanges) {
			b := request(servedToo, 1, at, 0)
			b.Goroutine = event.Goroutine{Number: 9, Block: block, Next: next}
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
		"the one that waits":                                 {sent(30, 5, 1), at, nothing, SourceHandoff},
		"one that waits, and has read nothing":               {sent(30, 6, 1), at, nothing, SourceNone},
		"one that waits, after the answer":                   {sent(30, 5, 1), 50, nothing, SourceNone},
		"one that was started":                               {sent(35, 0, 5), at, nothing, SourceGoroutine},
		"one that was started elsewhere":                     {sent(60, 0, 5), at, nothing, SourceGoroutine},
		"one that was started elsewhere, of an older block":  {sent(20, 0, 5), at, nothing, SourceGoroutine},
		"one that was started waits":                         {sent(30, 36, 5), at, nothing, SourceHandoff},
		"one that was started before":                        {sent(34, 0, 5), at, nothing, SourceNone},
		"one that was started before waits":                  {sent(37, 34, 5), at, nothing, SourceNone},
		"one that was started after the answer":              {sent(35, 0, 5), 50, nothing, SourceNone},
		"one that was started by another one":                {sent(35, 0, 6), at, nothing, SourceNone},
		"nobody knows who has started it":                    {sent(35, 0, 0), at, nothing, SourceNone},
		"it has sent before":                                 {sent(60, 0, 5), at, earlier(60, 0, 5, 9), SourceNone},
		"it has sent since":                                  {sent(60, 0, 5), at, earlier(60, 0, 5, 15), SourceGoroutine},
		"it has waited before":                               {sent(30, 60, 5), at, earlier(31, 60, 5, 9), SourceNone},
		"another processor had given its number before":      {sent(60, 0, 5), at, numbered(55, 61, 9), SourceNone},
		"another processor was going to give it":             {sent(60, 0, 5), at, numbered(55, 60, 9), SourceGoroutine},
		"another processor has given it since":               {sent(60, 0, 5), at, numbered(55, 61, 15), SourceGoroutine},
		"another processor had given numbers of other parts": {sent(60, 0, 5), at, numbered(40, 56, 9), SourceGoroutine},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := newExchanges(t, direct)
			first := requestOf5(1, 10)
			e.Begin(&first)
			e.End(&first, Context{}, &Answer{First: 1, End: 2, Began: 40, At: 41, Goroutine: event.Goroutine{Block: 32, Next: 40}})
			second := requestOf5(2, 60)
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

func requestOf5(id, time uint64) Beginning {
	b := request(served, id, time, 10*id)
	b.Goroutine = event.Goroutine{Number: 5, Block: 32, Next: 35}
	return b
}

// What a goroutine that one request has started sends after that one's answer is not about the next one.
func TestGoroutineThatOutlivesItsRequestIsNotOfTheNextOne(t *testing.T) {
	e, _ := newExchanges(t, direct)
	first, second := requestOf5(1, 10), requestOf5(2, 60)
	e.Begin(&first)
	e.End(&first, Context{}, &Answer{First: 1, End: 2, Began: 40, At: 41, Goroutine: event.Goroutine{Number: 5, Block: 48, Next: 51}})
	second.Goroutine.Next = 36
	e.Begin(&second)
	for number, want := range map[uint64]Source{35: SourceNone, 36: SourceGoroutine, 50: SourceNone, 51: SourceGoroutine} {
		c := call(called, number, 70, event.Cause{})
		c.Goroutine = event.Goroutine{Number: number, Creator: 5}
		e.Begin(&c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, want, p.Source, "%d", number)
	}
}

// A number that is much smaller than those that are given is not of a new goroutine.
func TestGoroutineOfAMuchOlderBlockIsNotNew(t *testing.T) {
	for next, want := range map[uint64]Source{mostBehind + 50: SourceGoroutine, mostBehind + 51: SourceNone, 0: SourceNone} {
		e, _ := newExchanges(t, direct)
		r, c := requestOf5(1, 10), call(called, 1, 20, event.Cause{})
		r.Goroutine.Next, c.Goroutine = next, event.Goroutine{Number: 50, Creator: 5}
		e.Begin(&r)
		e.Begin(&c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, want, p.Source, "%d", next)
	}
}
