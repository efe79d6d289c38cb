package trace

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/event"
)

func TestIDsThatOthersKnowStay(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	r, c := request(served, 1, 10, 0), call(called, 1, 20, received(served, 0, 10))
	e.Begin(&r)
	early := r.IDs
	e.Begin(&c)
	p, _ := e.Resolve(c.ExchangeKey)
	assert.Equal(t, early.Own, p.Span)
	r.IDs = Pair(7).Of(0, event.RoleClient, false)
	ids, _ := e.End(&r, Context{}, &Answer{At: 30})
	assert.Equal(t, early, ids, "a child has them")

	other := request(servedToo, 1, 10, 0)
	e.Begin(&other)
	other.IDs = Pair(8).Of(0, event.RoleClient, false)
	ids, _ = e.End(&other, Context{}, &Answer{At: 30})
	assert.Equal(t, other.IDs, ids, "nobody has them")

	asks := call(called, 2, 40, event.Cause{})
	asks.IDs = Pair(9).Of(0, event.RoleClient, true)
	e.Begin(&asks)
	before, known := e.IDs(asks.ExchangeKey)
	assert.True(t, known)
	asks.IDs = Pair(10).Of(0, event.RoleClient, true)
	e.End(&asks, Context{}, &Answer{At: 50})
	_, found := e.otherEnd(&node{Beginning: Beginning{IDs: Exchange{Joined: true, Other: before.Own}}})
	assert.False(t, found, "the other end does not find it by those that it has not any more")
	_, found = e.otherEnd(&node{Beginning: Beginning{IDs: Exchange{Joined: true, Other: asks.IDs.Own}}})
	assert.True(t, found)
}

func TestForgottenExchangeIsNoParent(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	r, c := request(served, 1, 10, 0), call(called, 1, 20, received(served, 0, 10))
	e.Begin(&r)
	e.Begin(&c)
	e.Forget(r.ExchangeKey)
	p, ok := e.Resolve(c.ExchangeKey)
	assert.True(t, ok)
	assert.Equal(t, SourceNone, p.Source)
	_, ok = e.Resolve(r.ExchangeKey)
	assert.False(t, ok)
}

func TestExchangesAreForgottenSomeTimeAfterTheirEnd(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	ended, underWay := request(served, 1, 10, 0), request(served, 2, 20, 10)
	e.Begin(&ended)
	e.Begin(&underWay)
	e.End(&ended, Context{}, &Answer{At: 30})
	expire := func(now uint64) {
		for turn := range uint64(parts) {
			e.Expire(now, turn)
		}
	}
	has := func(b *Beginning) bool { _, ok := e.Resolve(b.ExchangeKey); return ok }
	expire(30 + remembered)
	assert.True(t, has(&ended))
	expire(31 + remembered)
	assert.False(t, has(&ended))

	assert.True(t, has(&underWay), "it has not ended")
	c := call(called, 1, 40+remembered, received(served, 10, 20))
	e.Begin(&c)
	p, _ := e.Resolve(c.ExchangeKey)
	assert.Equal(t, SourceThread, p.Source, "and causes what comes late")
	e.End(&underWay, Context{}, &Answer{At: 50 + remembered})
	expire(51 + 2*remembered)
	assert.False(t, has(&underWay))
	assert.Zero(t, e.Forgotten())
	assert.EqualValues(t, 1, e.count.Load(), "the call is under way")
}

// A conversation may be given up with requests under way, which then have no end.
func TestExchangesOfASocketThatIsGoneAreForgotten(t *testing.T) {
	for _, long := range []bool{false, true} {
		e, _ := newExchanges(t, Certain)
		r, kept := request(served, 1, 10, 0), request(servedToo, 1, 10, 0)
		e.Begin(&r)
		e.Begin(&kept)
		if long {
			for turn := range uint64(parts) {
				e.Expire(20+remembered, turn)
			}
		}
		e.Leave(served)
		_, ok := e.Resolve(r.ExchangeKey)
		assert.False(t, ok)
		_, ok = e.Resolve(kept.ExchangeKey)
		assert.True(t, ok)
		c := call(called, 1, 30, event.Cause{})
		e.Begin(&c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, SourceOnly, p.Source, "the process has one request left")
		assert.Equal(t, kept.IDs.Own, p.Span)
		for turn := range uint64(parts) {
			e.Expire(40+2*remembered, turn)
		}
		assert.EqualValues(t, 2, e.count.Load(), "the other one and the call are under way")
	}
}

func TestExchangesMakeRoomForOthers(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	client, _ := joined(1, event.Cause{})
	e.Begin(&client)
	const all = 3 * most
	for id := range uint64(all) {
		b := request(served+id%64, 10+id, 2, id)
		e.Begin(&b)
		e.End(&b, Context{}, &Answer{At: 3})
	}
	assert.LessOrEqual(t, e.count.Load(), int64(2*most+parts))
	assert.GreaterOrEqual(t, e.Forgotten(), uint64(all-2*most-parts))
	_, ok := e.Resolve(client.ExchangeKey)
	assert.False(t, ok)
	for i := range e.asking {
		assert.Empty(t, e.asking[i].byIDs)
	}
}

// A peer may have requests without end under way.
func TestSocketWithManyExchangesLeavesRoomForOthers(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	for id := range uint64(3 * most) {
		b := request(1000+id%40, id, 2, id)
		e.Begin(&b)
	}
	for id := range uint64(64) {
		r, c := request(served, id, 10+id, id), call(called, id, 10+id, received(served, id, id+1))
		e.Begin(&r)
		e.Begin(&c)
		for more := range uint64(20) {
			b := request(1000+more, 1e6+100*id+more, 10+id, 0)
			e.Begin(&b)
		}
		p, ok := e.Resolve(c.ExchangeKey)
		assert.True(t, ok)
		assert.Equal(t, r.IDs.Own, p.Span, id)
	}
	assert.LessOrEqual(t, e.count.Load(), int64(2*most+parts))
}

func TestLastExchangeBeforeATimeIsFoundQuickly(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	const n = 2000
	for id := range uint64(n) {
		b := request(served, id, 10*id, id)
		e.Begin(&b)
	}
	p := e.part(served)
	for range 1000 {
		at := rand.Uint64N(10 * (n + 5))
		i := p.lastBefore(served, at)
		assert.Equal(t, min(at/10, n-1), p.at(i).ID)
	}
	steps := 0
	for i := p.chains[served].last; p.at(i).At > 0; steps++ {
		if n := p.at(i); n.far >= p.first && p.at(n.far).At > 0 {
			i = n.far
		} else {
			i = n.before
		}
	}
	assert.Less(t, steps, 40, "of %d", n)
}

// TestExchangesConcurrently is for the race detector.
func TestExchangesConcurrently(t *testing.T) {
	e, ends := newExchanges(t, Likely)
	var all sync.WaitGroup
	for shard := range uint64(4) {
		all.Go(func() {
			for id := range uint64(2000) {
				r := request(served+shard, id, id*1e6, id)
				c := call(served+(shard+1)%4, 1e6+id, id*1e6+1, received(served+shard, id, id+1))
				r.Goroutine.Number, c.Goroutine.Number = id, id
				e.Begin(&r)
				e.Begin(&c)
				ends.Add(End(id))
				e.Resolve(c.ExchangeKey)
				e.End(&c, Context{}, &Answer{First: id, End: id + 1, Began: 1, At: id*1e6 + 2})
				e.End(&r, Context{}, &Answer{At: id*1e6 + 3})
				e.Expire(id*1e6, id)
			}
		})
	}
	all.Wait()
}

func BenchmarkExchange(b *testing.B) {
	e, _ := newExchanges(b, Certain)
	b.ReportAllocs()
	var id uint64
	for b.Loop() {
		id++
		now := id * 1e5
		r := request(served, id, now, 10*id)
		e.Begin(&r)
		c := call(called, id, now+1, received(served, 10*id, 10*id+10))
		e.Begin(&c)
		e.End(&c, Context{}, &Answer{First: id, End: id + 1, Began: now + 2, At: now + 2})
		e.End(&r, Context{}, &Answer{First: id, End: id + 1, Began: now + 3, At: now + 3})
		if p, ok := e.Resolve(c.ExchangeKey); !ok || p.Source != SourceThread {
			b.Fatal(p, ok)
		}
		e.Resolve(r.ExchangeKey)
	}
}
