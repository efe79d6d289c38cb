package trace

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/sampling"
)

const most = 4096

// direct are the kinds of evidence that say something about one request.
var direct = Certain &^ SourcesOf(SourceOnly)

func newExchanges(t testing.TB, trusted Sources) (*Exchanges, *Ends) {
	t.Helper()
	ends := NewEnds(most)
	e, err := NewExchanges(most, ends, trusted, func(uint64) bool { return true })
	require.NoError(t, err)
	return e, ends
}

// Sockets of a process: two that serve, and two to which it sends requests.
const (
	served = 8 + iota
	servedToo
	called
	calledToo
)

// at makes the beginning of an exchange, with ids of its own.
func at(socket, id, time, position uint64, asks bool) Beginning {
	return Beginning{
		ExchangeKey: ExchangeKey{socket, 1, id}, At: time, Position: position, Process: 1,
		IDs: Exchange{Trace: [16]byte{byte(socket), byte(id)}, Own: [8]byte{byte(socket), byte(id)}, Asks: asks},
	}
}

// request is one that the process has received, and call one that it sends.
func request(socket, id, time, position uint64) Beginning {
	return at(socket, id, time, position, false)
}

func call(socket, id, time uint64, cause event.Cause) Beginning {
	b := at(socket, id, time, 0, true)
	b.Cause = cause
	return b
}

func answer(first, end, began, at uint64) Answer {
	return Answer{First: first, End: end, Began: began, At: at}
}

// received is a cause: the last call has received the bytes from begin to end.
func received(socket, begin, end uint64, change ...func(*event.Cause)) event.Cause {
	c := event.Cause{Socket: socket, Position: end, Length: uint32(end - begin), Pending: 1, Row: 1}
	for _, f := range change {
		f(&c)
	}
	return c
}

func TestCauseOfARequestIsWhatItsThreadHadReceived(t *testing.T) {
	pending := func(n uint8) func(*event.Cause) { return func(c *event.Cause) { c.Pending = n } }
	row := func(n uint8) func(*event.Cause) { return func(c *event.Cause) { c.Row = n } }
	waited := func(c *event.Cause) { c.Waited = true }
	polled := func(c *event.Cause) { c.Polled = true }
	answered := func(c *event.Cause) { c.Answered = true }
	deferred := func(c *event.Cause) { c.Deferred = true }
	carrier := func(c *event.Cause) { c.Carrier = true }
	connect := func(c *event.Cause) { c.Connect = true }
	ended := func(id uint64) func(*Exchanges) {
		return func(e *Exchanges) {
			b := request(served, id, 10+10*id, 100*(id-1))
			e.End(&b, Context{}, &Answer{First: 1, End: 9, Began: 35, At: 36})
		}
	}
	for name, test := range map[string]struct {
		cause  event.Cause
		before func(*Exchanges)
		want   uint64 // the request that is the parent
		source Source
	}{
		"the only one that is pending":                         {received(served, 100, 150), nil, 2, SourceThread},
		"the only one, and it has waited":                      {received(served, 100, 150, waited), nil, 2, SourceThread},
		"the only one, and it has looked for others":           {received(served, 100, 150, polled), nil, 0, SourceNone},
		"the only one, behind others that were not acted upon": {received(served, 100, 150, deferred), nil, 2, SourceThread},
		"a body, and two requests are under way":               {received(served, 120, 150), nil, 0, SourceNone},
		"a body of the only one that is under way":             {received(served, 120, 150), ended(1), 2, SourceThread},
		"the request before":                                   {received(served, 0, 50), nil, 1, SourceThread},
		"two requests in one call":                             {received(served, 0, 150), nil, 0, SourceNone},
		"one of several that are pending":                      {received(served, 100, 150, pending(2)), nil, 2, SourceCallback},
		"one of several, and it has looked for others":         {received(served, 100, 150, pending(2), polled), nil, 0, SourceNone},
		"one of several that were received in a row":           {received(served, 100, 150, pending(2), row(2)), nil, 2, SourceLast},
		"of a row, and it has waited":                          {received(served, 100, 150, pending(2), row(2), waited), nil, 0, SourceNone},
		"one of several, and it has waited":                    {received(served, 100, 150, pending(2), waited), nil, 0, SourceNone},
		"it is answered, and was the last":                     {received(served, 100, 150, pending(0), answered), ended(2), 0, SourceNone},
		"one of several, behind others not acted upon":         {received(served, 100, 150, pending(2), deferred), nil, 0, SourceNone},
		"it is answered":                                       {received(served, 100, 150, pending(0)), ended(2), 2, SourceCallback},
		"it is answered, and another one is pending":           {received(served, 100, 150), ended(2), 2, SourceCallback},
		"it is answered, and the thread has looked for others": {received(served, 100, 150, polled), ended(2), 0, SourceNone},
		"a virtual thread":                                     {received(served, 100, 150, carrier), nil, 0, SourceNone},
		"a thread has connected, and the request is answered":  {received(served, 100, 150, connect, pending(0)), ended(2), 0, SourceNone},
		"a thread has connected":                               {received(served, 100, 150, connect), nil, 2, SourceThread},
		"nothing is known":                                     {event.Cause{}, nil, 0, SourceNone},
		"another socket":                                       {received(servedToo, 100, 150), nil, 0, SourceNone},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := newExchanges(t, Likely)
			for id, position := range []uint64{0, 100, 200} {
				b := request(served, uint64(id+1), 20+10*uint64(id), position)
				e.Begin(&b)
			}
			if test.before != nil {
				test.before(e)
			}
			c := call(called, 7, 40, test.cause)
			e.Begin(&c)
			p, ok := e.Resolve(c.ExchangeKey)
			require.True(t, ok)
			want := Parent{Trace: c.IDs.Trace, Flags: flagsOfRoot}
			if test.want != 0 {
				want = Parent{Trace: [16]byte{served, byte(test.want)}, Span: [8]byte{served, byte(test.want)}, Flags: flagsOfRoot, Source: test.source}
			}
			assert.Equal(t, want, p)
		})
	}
}

// Requests of HTTP/2 come frame by frame, with others in between.
func TestCauseOfARequestBeganOrEndedInTheCallAlone(t *testing.T) {
	for name, test := range map[string]struct {
		begin, end uint64 // bytes that the thread has received last
		want       uint64 // the request that is the parent
	}{
		"a beginning, and the end of an earlier one":     {100, 150, 0},
		"a beginning, and the body of an earlier one":    {100, 140, 2},
		"the end of one, and others are under way":       {140, 150, 1},
		"the end of one whose next one began long after": {145, 155, 1},
		"ends of two":             {140, 320, 0},
		"beginning and end":       {200, 220, 3},
		"the body of one or more": {120, 130, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := newExchanges(t, direct)
			for i, r := range []struct{ from, to uint64 }{{0, 150}, {100, 310}, {200, 220}} {
				b := request(served, uint64(i+1), 20+uint64(i), r.from)
				b.Interleaved = true
				e.Begin(&b)
				e.Requested(b.ExchangeKey, r.to, b.At)
			}
			c := call(called, 7, 40, received(served, test.begin, test.end))
			c.Thread = 9 // which has read nothing
			e.Begin(&c)
			p, ok := e.Resolve(c.ExchangeKey)
			require.True(t, ok)
			want := Parent{Trace: c.IDs.Trace, Flags: flagsOfRoot}
			if test.want != 0 {
				want = Parent{Trace: [16]byte{served, byte(test.want)}, Span: [8]byte{served, byte(test.want)}, Flags: flagsOfRoot, Source: SourceCallback}
			}
			assert.Equal(t, want, p)
		})
	}
}

// nginx acts on the ends of bodies when nothing is left to be received.
func TestBodyThatEndedShortlyBeforeMakesTheCauseLessCertain(t *testing.T) {
	const now = 2 * longestTurn
	for name, test := range map[string]struct {
		change func(body *Beginning, answer *Answer) // of the request whose body has ended
		endAt  uint64
		want   Source
	}{
		"in a call before":           {func(*Beginning, *Answer) {}, now - longestTurn, SourceLast},
		"of another connection":      {func(b *Beginning, _ *Answer) { b.Socket = servedToo }, now - 1, SourceLast},
		"it is answered":             {func(_ *Beginning, a *Answer) { *a = Answer{First: 1, End: 2, Began: now - 2, At: now - 1} }, now - 3, SourceThread},
		"it is answered only then":   {func(_ *Beginning, a *Answer) { *a = Answer{First: 1, End: 2, Began: now, At: now} }, now - 3, SourceLast},
		"it was a head alone":        {func(b *Beginning, _ *Answer) { b.At = now - 1 }, now - 1, SourceCallback},
		"long before":                {func(*Beginning, *Answer) {}, now - longestTurn - 1, SourceCallback},
		"after the request was sent": {func(*Beginning, *Answer) {}, now + 1, SourceCallback},
		"of another process":         {func(b *Beginning, _ *Answer) { b.Socket, b.Process = servedToo, 2 }, now - 1, SourceThread},
	} {
		e, _ := newExchanges(t, Likely)
		body, x := request(served, 1, 20, 0), request(served, 2, now-10, 200)
		body.Interleaved, x.Interleaved = true, true
		var answer Answer
		test.change(&body, &answer)
		e.Begin(&body)
		e.Requested(body.ExchangeKey, 100, test.endAt)
		if answer.At != 0 {
			e.End(&body, Context{}, &answer)
		}
		e.Begin(&x)
		e.Requested(x.ExchangeKey, 250, now-5)
		c := call(called, 7, now, received(served, 200, 250))
		e.Begin(&c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, test.want, p.Source, name)
		assert.Equal(t, x.IDs.Own, p.Span, name)
	}
}

// A ring buffer may be behind: what led to a request is then known in part only.
func TestParentIsNotGuessedBeforeEarlierEventsAreHandled(t *testing.T) {
	for name, test := range map[string]struct {
		settled uint64 // until then
		want    Source
		count   uint64
	}{
		"all of them":            {20, SourceThread, 0},
		"not those right before": {19, SourceNone, 1},
	} {
		e, _ := newExchanges(t, Certain)
		e.settled = func(at uint64) bool { return at <= test.settled }
		r, c := request(served, 1, 10, 0), call(called, 1, 20, received(servedToo, 0, 10)) // the request of the other socket is not known
		e.Begin(&r)
		e.Begin(&c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, test.want, p.Source, name)
		assert.Equal(t, test.count, e.Unsettled(), name)
	}
}

func TestEndThatLacksItsParentIsCountedWhileEarlierEventsAreNotHandled(t *testing.T) {
	for _, settled := range []bool{true, false} {
		e, _ := newExchanges(t, Certain)
		e.settled = func(uint64) bool { return settled }
		_, server := joined(20, event.Cause{})
		e.Begin(&server)
		p, _ := e.Resolve(server.ExchangeKey)
		assert.Equal(t, SourceNone, p.Source)
		assert.Equal(t, map[bool]uint64{false: 1}[settled], e.Unsettled())
	}
}

// The answer to a call is the cause of the next one, which has the same parent.
func TestAnswersLeadToTheParentOfTheirRequest(t *testing.T) {
	for name, test := range map[string]struct {
		answers [2]Answer // of two calls, on one connection
		cause   event.Cause
		want    Source
	}{
		"the answer":                 {[2]Answer{answer(0, 50, 21, 22), answer(50, 90, 31, 32)}, received(called, 50, 90), SourceThread},
		"the end of the answer":      {[2]Answer{answer(0, 50, 21, 22), answer(50, 90, 31, 32)}, received(called, 80, 90), SourceThread},
		"the middle of the answer":   {[2]Answer{answer(0, 50, 21, 22), answer(50, 90, 31, 32)}, received(called, 60, 70), SourceThread},
		"the answer before":          {[2]Answer{answer(0, 50, 21, 22), answer(50, 90, 31, 32)}, received(called, 0, 50), SourceNone},
		"an answer that goes on":     {[2]Answer{answer(0, 50, 21, 22), {}}, received(called, 50, 90), SourceThread},
		"answers in one call":        {[2]Answer{answer(0, 50, 21, 22), answer(50, 90, 31, 32)}, received(called, 0, 90), SourceNone},
		"less evidence for the call": {[2]Answer{answer(0, 50, 21, 22), answer(50, 90, 31, 32)}, received(called, 50, 90, func(c *event.Cause) { c.Pending = 2 }), SourceCallback},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := newExchanges(t, direct)
			r := request(served, 1, 10, 0)
			e.Begin(&r)
			for i, cause := range []event.Cause{{}, received(served, 0, 10)} {
				c := call(called, uint64(i+1), 20+10*uint64(i), cause)
				e.Begin(&c)
				if test.answers[i].At != 0 {
					e.End(&c, Context{}, &test.answers[i])
				}
			}
			next := call(calledToo, 1, 40, test.cause)
			next.Thread = 9 // which has read nothing
			e.Begin(&next)
			p, ok := e.Resolve(next.ExchangeKey)
			require.True(t, ok)
			want := Parent{Trace: next.IDs.Trace, Flags: flagsOfRoot}
			if test.want != SourceNone {
				want = Parent{Trace: r.IDs.Trace, Span: r.IDs.Own, Flags: flagsOfRoot, Source: test.want}
			}
			assert.Equal(t, want, p)
		})
	}
}

// A thread of a pool gets an answer, and has the next thing to do, which is about another request.
func TestAnswerThatAPoolHasGotSaysNothingAboutItsNextRequest(t *testing.T) {
	for name, first := range map[string]func(*Exchanges, *Beginning){
		"its parent was the only one": func(*Exchanges, *Beginning) {},
		"its parent has the same id": func(e *Exchanges, c *Beginning) {
			e.Continue(ExchangeKey{served, 1, 1}, &Carried{RequestID: someID})
			e.Continue(c.ExchangeKey, &Carried{RequestID: someID})
		},
	} {
		e, _ := newExchanges(t, Certain)
		r := request(served, 1, 10, 0)
		e.Begin(&r)
		c := call(called, 1, 20, event.Cause{})
		e.Begin(&c)
		first(e, &c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, r.IDs.Own, p.Span, name)
		e.End(&c, Context{}, &Answer{First: 0, End: 50, Began: 22, At: 22})
		e.Begin(&Beginning{ExchangeKey: ExchangeKey{servedToo, 1, 1}, At: 25, Process: 1})
		next := call(calledToo, 1, 40, received(called, 0, 50, func(c *event.Cause) { c.Pending = 0 }))
		next.Thread = 9
		e.Begin(&next)
		p, _ = e.Resolve(next.ExchangeKey)
		assert.Zero(t, p.Source, name)
	}
}

// A thread of a pool receives the answer to a call of the only request that there was. Its next call is of another one.
func TestAnswerToACallOfTheOnlyRequestSaysNothingOfTheNextCall(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	var requests, calls [2]Beginning
	for i := range requests {
		at := 10 + 100*uint64(i)
		requests[i], calls[i] = request(served, uint64(i), at, 50*uint64(i)), call(called, uint64(i), at+10, event.Cause{})
		if i > 0 {
			calls[i].Cause = received(called, 0, 50)
			calls[i].Cause.Pending = 0
		}
		e.Begin(&requests[i])
		e.Begin(&calls[i])
		e.End(&calls[i], Context{}, &Answer{First: 50 * uint64(i), End: 50 * uint64(i+1), Began: at + 20, At: at + 20})
		e.End(&requests[i], Context{}, &Answer{First: 1, End: 2, Began: at + 30, At: at + 30})
	}
	for i, c := range calls {
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, SourceOnly, p.Source)
		assert.Equal(t, requests[i].IDs.Own, p.Span)
	}
}

// nginx and Node.js act on what they receive before they receive more, also if they have waited for a helper in between.
func TestEventLoopThatActsAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*event.Cause)
		want   Source
	}{
		"behind others":                {func(c *event.Cause) { c.Row = 3 }, SourceCallback},
		"it has answered":              {func(c *event.Cause) { c.Answered = true }, SourceCallback},
		"it has waited":                {func(c *event.Cause) { c.Waited = true }, SourceCallback},
		"it has looked for others":     {func(c *event.Cause) { c.Polled = true }, SourceNone},
		"behind one that it postponed": {func(c *event.Cause) { c.Deferred = true }, SourceNone},
	} {
		e, _ := newExchanges(t, direct)
		r := request(served, 1, 10, 0)
		e.Begin(&r)
		c := call(called, 1, 20, received(served, 0, 10, func(c *event.Cause) { c.Pending = 2 }, test.change))
		c.Immediate = true
		e.Begin(&c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, test.want, p.Source, name)
	}
}

// A pool's thread calls for one request, and then, without having received anything else, for another one.
func TestOnlyRequestOnceIsNotTheParentOfWhatFollows(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	first, second, third := request(served, 1, 10, 0), request(served, 2, 50, 10), request(servedToo, 1, 51, 0)
	before := at(called, 1, 20, 0, true)
	e.Begin(&first)
	e.Begin(&before)
	e.End(&before, Context{}, &Answer{0, 50, 30, 31})
	e.End(&first, Context{}, &Answer{First: 1, End: 9, Began: 40, At: 41})
	e.Begin(&second)
	e.Begin(&third)
	after := call(called, 2, 60, received(called, 0, 50, func(c *event.Cause) { c.Pending = 0 }))
	e.Begin(&after)
	p, _ := e.Resolve(before.ExchangeKey)
	assert.Equal(t, SourceOnly, p.Source)
	p, _ = e.Resolve(after.ExchangeKey)
	assert.Equal(t, SourceNone, p.Source)
}

// A shard that is behind does not know yet that a request was answered, and another one came.
func TestNothingIsACauseWhileEventsFromBeforeAreMissing(t *testing.T) {
	for _, reached := range []uint64{19, 20} {
		e, _ := newExchanges(t, Certain)
		e.settled = func(at uint64) bool { return at <= reached }
		r, c := request(served, 1, 10, 0), call(called, 1, 20, received(served, 100, 110))
		e.Begin(&r)
		e.Begin(&c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, reached == 20, p.Source != SourceNone, reached)
	}
}

// What a thread has received last may be an answer that nobody can read.
func TestRequestThatAThreadOwesIsTheParentOfWhatItSends(t *testing.T) {
	unread := func(change ...func(*event.Cause)) event.Cause { return received(calledToo, 500, 600, change...) }
	another := received(servedToo, 500, 600) // a request that was lost, behind two that are known
	for name, test := range map[string]struct {
		cause event.Cause
		call  func(*Beginning)
		want  Source
	}{
		"the only one":                {unread(), func(*Beginning) {}, SourceThread},
		"its position is not known":   {event.Cause{Socket: calledToo, Pending: 1}, func(*Beginning) {}, SourceThread},
		"another thread":              {unread(), func(b *Beginning) { b.Thread = 6 }, SourceNone},
		"it has read others since":    {another, func(*Beginning) {}, SourceNone},
		"a thread of another process": {unread(), func(b *Beginning) { b.Process = 2 }, SourceNone},
		"it has looked for others":    {unread(func(c *event.Cause) { c.Polled = true }), func(*Beginning) {}, SourceNone},
		"one of two":                  {unread(func(c *event.Cause) { c.Pending = 2 }), func(*Beginning) {}, SourceNone},
		"a virtual thread":            {unread(func(c *event.Cause) { c.Carrier = true }), func(*Beginning) {}, SourceNone},
		"a goroutine":                 {unread(), func(b *Beginning) { b.Goroutine.Number = 7 }, SourceNone},
		"it is answered":              {unread(), func(b *Beginning) { b.At = 50 }, SourceNone},
		"it has not come":             {unread(), func(b *Beginning) { b.At = 5 }, SourceNone},
	} {
		e, _ := newExchanges(t, direct)
		r := request(served, 1, 10, 0)
		r.Thread = 5
		e.Begin(&r)
		e.End(&r, Context{}, &Answer{First: 1, End: 2, Began: 40, At: 41})
		for id := range uint64(2) {
			other := request(servedToo, id, 2+id, 10*id)
			e.Begin(&other)
		}
		c := call(called, 1, 20, test.cause)
		c.Thread = 5
		test.call(&c)
		e.Begin(&c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, test.want, p.Source, name)
		assert.Equal(t, test.want != SourceNone, p.Span == r.IDs.Own, name)
	}
}

func TestEvidenceThatIsNotTrustedMakesNoParent(t *testing.T) {
	for _, test := range []struct {
		trusted Sources
		want    Source
	}{{Off, SourceNone}, {Certain, SourceThread}, {Likely, SourceThread}} {
		e, _ := newExchanges(t, test.trusted)
		r, c := request(served, 1, 10, 0), call(called, 1, 20, received(served, 0, 10))
		e.Begin(&r)
		e.Begin(&c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, test.want, p.Source)
	}
}

func TestGoroutineThatHasReadARequestSendsItsCalls(t *testing.T) {
	for name, test := range map[string]struct {
		call func(*Beginning)
		want Source
	}{
		"the same goroutine":                {func(*Beginning) {}, SourceGoroutine},
		"on a thread that received another": {func(b *Beginning) { b.Cause = received(servedToo, 0, 10) }, SourceGoroutine},
		"another goroutine":                 {func(b *Beginning) { b.Goroutine.Number = 6 }, SourceNone},
		"another process":                   {func(b *Beginning) { b.Process = 2 }, SourceNone},
		"after the answer":                  {func(b *Beginning) { b.At = 50 }, SourceNone},
		"before the request":                {func(b *Beginning) { b.At = 5 }, SourceNone},
	} {
		e, _ := newExchanges(t, direct)
		r := request(served, 1, 10, 0)
		r.Goroutine.Number = 5
		e.Begin(&r)
		e.End(&r, Context{}, &Answer{First: 1, End: 2, Began: 40, At: 41})
		later := request(served, 2, 60, 10)
		later.Goroutine.Number = 5
		e.Begin(&later)
		c := call(called, 1, 20, event.Cause{})
		c.Goroutine.Number = 5
		test.call(&c)
		e.Begin(&c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, test.want, p.Source, name)
		assert.Equal(t, test.want != SourceNone, p.Span == r.IDs.Own, name)
	}
}

// joined are both ends of a request between two processes.
func joined(time uint64, cause event.Cause) (client, server Beginning) {
	pair := Pair(42)
	client = call(called, 1, time, cause)
	client.IDs = pair.Of(0, event.RoleClient, true)
	server = request(servedToo, 1, time+1, 0)
	server.IDs, server.OtherEnd, server.Process = pair.Of(0, event.RoleClient, false), pair.End(event.RoleClient), 2
	return client, server
}

func TestRequestThroughTwoProcessesIsOneTrace(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	root := request(served, 1, 10, 0)
	client, server := joined(20, received(served, 0, 10))
	last := call(calledToo, 1, 30, received(servedToo, 0, 10))
	for _, b := range []*Beginning{&last, &server, &client, &root} { // shards do not keep the order
		e.Begin(b)
	}
	for _, test := range []struct {
		of     *Beginning
		span   [8]byte
		source Source
	}{{&last, server.IDs.Own, SourceThread}, {&server, client.IDs.Own, SourcePeer}, {&client, root.IDs.Own, SourceThread}, {&root, [8]byte{}, SourceNone}} {
		p, ok := e.Resolve(test.of.ExchangeKey)
		assert.True(t, ok)
		assert.Equal(t, Parent{Trace: root.IDs.Trace, Span: test.span, Flags: flagsOfRoot, Source: test.source}, p)
	}
}

func TestOtherEndWhoseExchangeIsNotKnownIsTheParentIfItIsObserved(t *testing.T) {
	for _, observed := range []bool{true, false} {
		e, ends := newExchanges(t, Certain)
		_, server := joined(20, event.Cause{})
		if observed {
			ends.Add(server.OtherEnd)
		}
		e.Begin(&server)
		p, _ := e.Resolve(server.ExchangeKey)
		want := Parent{Trace: server.IDs.Trace, Flags: flagsOfRoot}
		if observed {
			want.Span, want.Source = server.IDs.Other, SourcePeer
		}
		assert.Equal(t, want, p)
	}
}

// A shard may be behind: the span of the end that was asked is emitted before the request of the other end is known. Both stay in one trace.
func TestEndThatIsKnownTooLateStaysInTheTraceOfTheOther(t *testing.T) {
	e, ends := newExchanges(t, Certain)
	root := request(served, 1, 10, 0)
	client, server := joined(20, received(served, 0, 10))
	ends.Add(server.OtherEnd)
	e.Begin(&root)
	e.Begin(&server)
	ofServer, _ := e.Resolve(server.ExchangeKey)
	e.Begin(&client)
	ofClient, _ := e.Resolve(client.ExchangeKey)
	assert.Equal(t, Parent{Trace: client.IDs.Trace, Span: client.IDs.Own, Flags: flagsOfRoot, Source: SourcePeer}, ofServer)
	assert.Equal(t, Parent{Trace: client.IDs.Trace, Flags: flagsOfRoot}, ofClient)
}

func TestTraceContextsOfTheWire(t *testing.T) {
	wire := func(span byte) Carried {
		return Carried{
			Context:    Context{Trace: [16]byte{0xaa}, Span: [8]byte{span}, Flags: span, State: sampling.Threshold(span).State()},
			Tracestate: "vendor=" + string('a'+rune(span)),
		}
	}
	for name, test := range map[string]struct {
		in, out  Carried // by the request that was received, and by the one that is sent
		span     [8]byte // of the client's parent
		source   Source
		of       Carried // the context that names the trace
		ofClient bool    // it is the one that is sent
	}{
		"passed on as it is":        {wire(1), wire(1), [8]byte{served, 1}, SourceThread, wire(1), false},
		"of the program's own span": {wire(1), wire(2), [8]byte{2}, SourceWire, wire(2), true},
		"begun by the program":      {Carried{}, wire(2), [8]byte{2}, SourceWire, wire(2), true},
		"only received":             {wire(1), Carried{}, [8]byte{served, 1}, SourceThread, wire(1), false},
		"received without a state":  {Carried{Context: wire(1).Context}, Carried{}, [8]byte{served, 1}, SourceThread, Carried{Context: wire(1).Context}, false},
	} {
		e, _ := newExchanges(t, Certain)
		root := request(served, 1, 10, 0)
		client, server := joined(20, received(served, 0, 10))
		for b, c := range map[*Beginning]Carried{&root: test.in, &client: test.out, &server: test.out} {
			e.Begin(b)
			if c.valid() {
				e.Continue(b.ExchangeKey, &c)
			}
		}
		want := Parent{
			Trace: test.of.Trace, Span: test.span, Flags: test.of.Flags, Source: test.source, Wire: true, State: test.of.State, origin: root.ExchangeKey,
		}
		if test.ofClient {
			want.origin = client.ExchangeKey
		}
		p, _ := e.Resolve(client.ExchangeKey)
		assert.Equal(t, want, p, name)
		assert.Equal(t, test.of.Tracestate, e.Tracestate(&p), name)
		p, _ = e.Resolve(server.ExchangeKey)
		want.Span, want.Source = client.IDs.Own, SourcePeer
		assert.Equal(t, want, p, name)
		assert.Equal(t, test.of.Tracestate, e.Tracestate(&p), name)
	}
}

func TestTracestatesAreForgottenWithTheirRequests(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	for id := range uint64(3 * most) {
		b := request(served+id%64, id, 10+id, id)
		e.Begin(&b)
		e.Continue(b.ExchangeKey, &Carried{Context: Context{Span: [8]byte{1}}, Tracestate: "a=1"})
		e.End(&b, Context{Span: [8]byte{1}}, &Answer{At: 10 + id})
	}
	states := func() (n int) {
		for i := range e.parts {
			n += len(e.parts[i].states)
		}
		return n
	}
	assert.LessOrEqual(t, states(), 2*most+parts)
	assert.Positive(t, states())
	for turn := range uint64(parts) {
		e.Expire(1e12, turn)
	}
	assert.Zero(t, states())
	assert.Empty(t, e.Tracestate(&Parent{Wire: true, origin: ExchangeKey{served, 1, 0}}))
}

// A proxy has one request to answer of which it has sent nothing, and receives what another one's answer goes on with.
func TestAnswerThatGoesOnIsNotTheCauseOfWhatTheNextRequestNeeds(t *testing.T) {
	for name, answered := range map[string]bool{"while it goes on": false, "when it has ended": true} {
		e, _ := newExchanges(t, Certain)
		first, second := request(served, 1, 10, 0), request(servedToo, 1, 30, 0)
		e.Begin(&first)
		c := call(called, 1, 20, received(served, 0, 10))
		e.Begin(&c)
		e.Begin(&second)
		if answered {
			e.End(&c, Context{}, &Answer{First: 0, End: 500, Began: 22, At: 60})
			e.End(&first, Context{}, &Answer{First: 0, End: 500, Began: 25, At: 61})
		}
		next := call(calledToo, 1, 40, received(called, 100, 200, func(c *event.Cause) { c.Row, c.Loop = 2, true }))
		e.Begin(&next)
		p, _ := e.Resolve(next.ExchangeKey)
		assert.NotEqual(t, first.IDs.Own, p.Span, name)
	}
}

// A connection brings several requests in each other's midst. The thread owes something for this connection only.
func TestOneOfManyRequestsOfAConnectionIsNotTheOnlyOneThatAThreadOwes(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Beginning)
		want   Source
	}{
		"an event loop that acts at once":      {func(b *Beginning) { b.Immediate = true }, SourceCallback},
		"one that receives all of them before": {func(b *Beginning) { b.Immediate, b.Gathers = true, true }, SourceNone},
		"it has received others since it sent": {func(b *Beginning) { b.Cause.Row = 2 }, SourceNone},
	} {
		e, _ := newExchanges(t, Certain)
		first, second := request(served, 1, 10, 0), request(served, 2, 11, 100)
		first.Interleaved, second.Interleaved = true, true
		e.Begin(&first)
		e.Begin(&second)
		c := call(called, 1, 20, received(served, 100, 150))
		test.change(&c)
		e.Begin(&c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, test.want, p.Source, name)
	}
}
