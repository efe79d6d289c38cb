package trace

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/event"
)

// proxied is a request that a proxy has received, and sent is one that it sends.
func proxied(socket, id, time, content uint64) Beginning {
	b := request(socket, id, time, 0)
	b.Content = content
	return b
}

func sent(socket, id, time, content uint64, cause event.Cause) Beginning {
	b := call(socket, id, time, cause)
	b.Content = content
	return b
}

// A proxy receives requests for 1 at 10 and for 2 at 20, and answers them at 90. At 50 it sends a request.
func TestProxySendsOnTheOnlyRequestWithTheSameContent(t *testing.T) {
	begin := func(b Beginning) func(*Exchanges) { return func(e *Exchanges) { e.Begin(&b) } }
	otherProcess := func(b Beginning) Beginning {
		b.Process = 2
		return b
	}
	for name, test := range map[string]struct {
		content uint64
		before  func(*Exchanges)
		want    Source
	}{
		"the same content":                                         {1, func(*Exchanges) {}, SourceForward},
		"no content is known":                                      {0, func(*Exchanges) {}, SourceNone},
		"other content":                                            {3, func(*Exchanges) {}, SourceNone},
		"another one with the same":                                {1, begin(proxied(servedToo, 1, 30, 1)), SourceNone},
		"another one with the same comes later":                    {1, begin(proxied(servedToo, 1, 60, 1)), SourceForward},
		"another one of another process":                           {1, begin(otherProcess(proxied(servedToo, 1, 30, 1))), SourceForward},
		"it has been sent already":                                 {1, begin(sent(calledToo, 1, 40, 1, event.Cause{})), SourceNone},
		"it is sent again":                                         {1, begin(sent(calledToo, 1, 60, 1, event.Cause{})), SourceNone},
		"the same was sent before it had come":                     {1, begin(sent(calledToo, 1, 5, 1, event.Cause{})), SourceForward},
		"another process sends the same":                           {1, begin(otherProcess(sent(calledToo, 1, 40, 1, event.Cause{}))), SourceForward},
		"others were sent":                                         {1, begin(sent(calledToo, 1, 40, 2, event.Cause{})), SourceForward},
		"so many have come that it is forgotten":                   {1, func(e *Exchanges) { floodForwards(e, false, 30) }, SourceNone},
		"so many were sent since that nobody knows about this one": {1, func(e *Exchanges) { floodForwards(e, true, 30) }, SourceNone},
		"many were sent before":                                    {1, func(e *Exchanges) { floodForwards(e, true, 1) }, SourceForward},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := newExchanges(t, direct)
			for content := range uint64(2) {
				b := proxied(served+10*content, 1, 10+10*content, 1+content)
				e.Begin(&b)
				e.End(&b, Context{}, &Answer{First: 1, End: 2, Began: 90, At: 91})
			}
			test.before(e)
			c := sent(called, 1, 50, test.content, event.Cause{})
			e.Begin(&c)
			p, _ := e.Resolve(c.ExchangeKey)
			assert.Equal(t, test.want, p.Source)
			assert.Equal(t, test.want != SourceNone, p.Span == [8]byte{served, 1})
		})
	}
}

// floodForwards fills the table with others.
func floodForwards(e *Exchanges, asks bool, at uint64) {
	for i := range uint64(len(forwardings{}.all)) {
		b := Beginning{ExchangeKey: ExchangeKey{1000, 1, i}, Content: 100 + i, At: at, Process: 1, IDs: Exchange{Asks: asks}}
		e.noteForward(&b)
	}
}

// Of many with the same content none is chosen, and the table stays bounded.
func TestManyRequestsWithTheSameContentAreNotCompared(t *testing.T) {
	e, _ := newExchanges(t, direct)
	for i := range uint64(maxSame) {
		b := proxied(served, i, 10+i, 1)
		e.Begin(&b)
		e.End(&b, Context{}, &Answer{First: 1, End: 2, Began: 11 + i, At: 11 + i})
	}
	last := proxied(servedToo, 1, 200, 1)
	e.Begin(&last)
	c := sent(called, 1, 300, 1, event.Cause{})
	e.Begin(&c)
	p, _ := e.Resolve(c.ExchangeKey)
	assert.Equal(t, SourceNone, p.Source)
	floodForwards(e, false, 400)
	floodForwards(e, false, 500)
	f, _ := e.proxies.known.Get(1)
	require.NotNil(t, f)
	assert.Len(t, f.received.last, len(f.received.all))
}

// What the thread of a proxy has received last is the cause only of the same: it may have others left to send on.
func TestWhatAThreadOfAProxyHasReceivedIsTheCauseOfTheSameContent(t *testing.T) {
	for content, want := range map[uint64]Source{1: SourceCallback, 2: SourceNone} {
		e, _ := newExchanges(t, Certain&^SourcesOf(SourceOnly, SourceForward))
		r := proxied(served, 1, 10, 1)
		e.Begin(&r)
		cause := received(served, 0, 10)
		cause.Pending = 2
		c := sent(called, 1, 20, content, cause)
		e.Begin(&c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, want, p.Source)
	}
}
