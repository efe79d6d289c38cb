package trace

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/event"
)

const someID, otherID = 77, 78

// serveWithID begins a request of a process that carries an id, and ends it, if it does.
func serveWithID(e *Exchanges, b Beginning, id, to uint64) {
	e.Begin(&b)
	e.Continue(b.ExchangeKey, &Carried{RequestID: id})
	if to != 0 {
		e.End(&b, Context{}, &Answer{First: 1, End: 2, Began: to, At: to})
	}
}

// callWithID sends a request that carries an id, from a thread that has read nothing, and resolves it.
func callWithID(t testing.TB, e *Exchanges, at, id uint64, change func(*Beginning)) (p Parent, c Candidates) {
	t.Helper()
	b := call(called, 7, at, event.Cause{})
	b.Thread = 9
	if change != nil {
		change(&b)
	}
	e.Begin(&b)
	e.Continue(b.ExchangeKey, &Carried{RequestID: id})
	p, ok := e.Resolve(b.ExchangeKey)
	require.True(t, ok)
	e.Candidates(b.ExchangeKey, &c)
	return p, c
}

func TestRequestWithTheSameIDIsTheParent(t *testing.T) {
	first, second := request(served, 1, 10, 0), request(servedToo, 1, 20, 0)
	const at = 100
	for name, test := range map[string]struct {
		before func(*Exchanges)
		call   func(*Beginning)
		want   *Beginning
		source Source
	}{
		"one of two":              {func(e *Exchanges) { serveWithID(e, first, someID, 0); serveWithID(e, second, otherID, 0) }, nil, &first, SourceRequestID},
		"the other has none":      {func(e *Exchanges) { serveWithID(e, first, someID, 0); serve(e, second, 0) }, nil, &first, SourceRequestID},
		"it was answered later":   {func(e *Exchanges) { serveWithID(e, first, someID, at+1); serve(e, second, 0) }, nil, &first, SourceRequestID},
		"it has lasted for long":  {func(e *Exchanges) { serveWithID(e, first, someID, 0) }, func(b *Beginning) { b.At = 10 + maxCarrying }, &first, SourceRequestID},
		"it has lasted for ever":  {func(e *Exchanges) { serveWithID(e, first, someID, 0) }, func(b *Beginning) { b.At = 11 + maxCarrying }, nil, SourceNone},
		"two have it":             {func(e *Exchanges) { serveWithID(e, first, someID, 0); serveWithID(e, second, someID, 0) }, nil, nil, SourceNone},
		"one of two was answered": {func(e *Exchanges) { serveWithID(e, first, someID, 0); serveWithID(e, second, someID, 90) }, nil, &first, SourceRequestID},
		"it was answered": {func(e *Exchanges) {
			serveWithID(e, first, someID, 90)
			serve(e, second, 0)
			serve(e, request(served, 2, 30, 9), 0)
		}, nil, nil, SourceNone},
		"it comes later":         {func(e *Exchanges) { serveWithID(e, request(served, 1, at+1, 0), someID, 0) }, nil, nil, SourceNone},
		"another process has it": {func(e *Exchanges) { serveWithID(e, first, someID, 0) }, func(b *Beginning) { b.Process = 2 }, nil, SourceNone},
		"its thread has read another one": {func(e *Exchanges) { serveWithID(e, first, someID, 0); serve(e, second, 0) },
			func(b *Beginning) { b.Cause = received(servedToo, 0, 10) }, &second, SourceThread},
		"its event loop has received another one": {func(e *Exchanges) { serveWithID(e, first, someID, 0); serve(e, second, 0) },
			func(b *Beginning) { b.Cause = received(servedToo, 0, 10, func(c *event.Cause) { c.Pending = 2 }) }, &first, SourceRequestID},
		"two have it, and its event loop has received one": {func(e *Exchanges) { serveWithID(e, first, someID, 0); serveWithID(e, second, someID, 0) },
			func(b *Beginning) { b.Cause = received(servedToo, 0, 10, func(c *event.Cause) { c.Pending = 2 }) }, &second, SourceCallback},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := newExchanges(t, Certain)
			test.before(e)
			p, _ := callWithID(t, e, at, someID, test.call)
			assert.Equal(t, test.source, p.Source)
			if test.want != nil {
				assert.Equal(t, test.want.IDs.Own, p.Span)
				assert.Equal(t, test.want.IDs.Trace, p.Trace)
			}
		})
	}
}

func TestRequestsWithTheSameIDAreTheBestCandidates(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	for i, id := range []uint64{someID, otherID, someID, 0, 0} {
		serveWithID(e, request(served, uint64(1+i), uint64(10+i), uint64(i)), id, 0)
	}
	p, c := callWithID(t, e, 100, someID, nil)
	assert.Zero(t, p.Source)
	var got []Source
	for _, x := range c.Named {
		got = append(got, x.Source)
	}
	assert.Equal(t, []Source{SourceRequestID, SourceRequestID, SourceOnly, SourceOnly}, got)
	assert.Equal(t, 1, c.Beyond)
}

func TestRequestIDsAreNotReadIfTheyAreNotTrusted(t *testing.T) {
	e, _ := newExchanges(t, Off)
	serveWithID(e, request(served, 1, 10, 0), someID, 0)
	p, c := callWithID(t, e, 100, someID, nil)
	assert.Zero(t, p.Source)
	assert.Empty(t, c.Named)
}

// A peer may know the id of somebody else's request, and send as many as it likes with it, whatever becomes of those.
func TestFloodOfEqualIDsGivesNoWrongParent(t *testing.T) {
	const at = 1000
	for name, flood := range map[string]func(e *Exchanges){
		"all are under way": func(e *Exchanges) {
			for i := range uint64(100) {
				serveWithID(e, request(servedToo, i, 20+i, i), someID, 0)
			}
		},
		"all but the last one are answered before": func(e *Exchanges) {
			for i := range uint64(100) {
				serveWithID(e, request(servedToo, i, 20+i, i), someID, 0)
			}
			for i := range uint64(99) {
				b := request(servedToo, i, 20+i, i)
				e.End(&b, Context{}, &Answer{First: 1, End: 2, Began: 900, At: 900})
			}
		},
		"all but the last one are answered behind": func(e *Exchanges) {
			for i := range uint64(100) {
				serveWithID(e, request(servedToo, i, 20+i, i), someID, 0)
			}
			for i := range uint64(99) {
				b := request(servedToo, i, 20+i, i)
				e.End(&b, Context{}, &Answer{First: 1, End: 2, Began: at + 900, At: at + 900})
			}
		},
		"among many others": func(e *Exchanges) {
			for i := range uint64(3000) {
				serveWithID(e, request(servedToo, i, 20, i), 1000+i, 0)
			}
			serveWithID(e, request(servedToo, 3000, 30, 3000), someID, 0)
		},
		"among many others that are answered": func(e *Exchanges) {
			for i := range uint64(3000) {
				serveWithID(e, request(servedToo, i, 20, i), 1000+i, 50)
			}
			serveWithID(e, request(servedToo, 3000, 30, 3000), someID, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := newExchanges(t, Certain)
			truth := request(served, 1, 10, 0)
			serveWithID(e, truth, someID, 0)
			flood(e)
			if p, _ := callWithID(t, e, at, someID, nil); p.Source != SourceNone {
				assert.Equal(t, truth.IDs.Own, p.Span)
			}
		})
	}
}

// Of ids that are not the same, a flood costs parents, and that only until those are answered.
func TestIDsAreFoundAgainAfterAFlood(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	for i := range uint64(30000) {
		serveWithID(e, request(servedToo, i, 20, i), 1000+i, 50)
	}
	found := 0
	const n = 200
	for i := range uint64(n) {
		b := request(1000+i, 1, 100+i, i)
		b.IDs.Own = [8]byte{1, byte(i)}
		serveWithID(e, b, i+1, 0)
	}
	for i := range uint64(n) {
		p, _ := callWithID(t, e, 1000, i+1, func(b *Beginning) { b.ID = i })
		if p.Source == SourceRequestID {
			found++
			assert.Equal(t, [8]byte{1, byte(i)}, p.Span)
		}
	}
	assert.Equal(t, n, found)
}

func TestRequestIDsAreKeptWithoutAllocation(t *testing.T) {
	r := new(requestIDs)
	id := uint64(0)
	var all [carriersEach]ExchangeKey
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		id++
		n := node{Beginning: request(served, id, id, id), requestID: id}
		r.begin(&n)
		count, sure := r.carriersOf(&n, &all)
		assert.Equal(t, 1, count)
		assert.True(t, sure)
		n.answer.At = id + 1
		r.end(&n)
	}))
}

// TestRequestIDsConcurrently is for the race detector.
func TestRequestIDsConcurrently(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	var all sync.WaitGroup
	for shard := range uint64(4) {
		all.Go(func() {
			for i := range uint64(1000) {
				serveWithID(e, request(served+shard, i, i, i), i%16+1, i+5)
				c := call(called+shard, 1e6+i, i+1, event.Cause{})
				e.Begin(&c)
				e.Continue(c.ExchangeKey, &Carried{RequestID: i%16 + 1})
				e.Resolve(c.ExchangeKey)
			}
		})
	}
	all.Wait()
}
