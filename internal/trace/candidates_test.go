package trace

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/event"
)

// serve begins a request of a process, and ends it, if it does.
func serve(e *Exchanges, b Beginning, to uint64) {
	e.Begin(&b)
	if to != 0 {
		e.End(&b, Context{}, &Answer{First: 1, End: 2, Began: to, At: to})
	}
}

func TestRequestsThatMayBeTheCauseAreCandidates(t *testing.T) {
	const at = 100
	first, second := request(served, 1, 10, 0), request(servedToo, 1, 20, 0)
	by := func(b Beginning, thread uint32, goroutine uint64) Beginning {
		b.Thread, b.Goroutine = thread, event.Goroutine{Number: goroutine}
		return b
	}
	of := func(process uint64) func(*Beginning) { return func(b *Beginning) { b.Process = process } }
	type named struct {
		of     Beginning
		source Source
	}
	for name, test := range map[string]struct {
		before func(*Exchanges)
		call   func(*Beginning)
		want   []named
		beyond int
	}{
		"none": {func(*Exchanges) {}, func(*Beginning) {}, nil, 0},
		"two that the process serves": {func(e *Exchanges) { serve(e, first, 0); serve(e, second, 0) }, func(*Beginning) {},
			[]named{{second, SourceOnly}, {first, SourceOnly}}, 0},
		"one was answered": {func(e *Exchanges) {
			serve(e, first, 90)
			serve(e, second, 0)
			serve(e, request(calledToo, 1, 30, 0), 0)
		}, func(*Beginning) {},
			[]named{{request(calledToo, 1, 30, 0), SourceOnly}, {second, SourceOnly}}, 0},
		"they are of another process": {func(e *Exchanges) { serve(e, first, 0); serve(e, second, 0) }, of(2), nil, 0},
		"one was answered later": {func(e *Exchanges) { serve(e, first, at+1); serve(e, second, 0) }, func(*Beginning) {},
			[]named{{second, SourceOnly}, {first, SourceOnly}}, 0},
		"one of them was read by the same thread": {func(e *Exchanges) { serve(e, by(first, 5, 0), 0); serve(e, by(second, 6, 0), 0) },
			func(b *Beginning) { b.Thread = 5 }, []named{{first, SourceThread}, {second, SourceOnly}}, 0},
		"two on a connection were read by the same goroutine": {func(e *Exchanges) {
			serve(e, by(first, 0, 7), 0)
			serve(e, by(request(served, 2, 30, 10), 0, 7), 0)
		}, func(b *Beginning) { b.Goroutine = event.Goroutine{Number: 7} }, []named{{request(served, 2, 30, 10), SourceGoroutine}, {first, SourceGoroutine}}, 0},
		"one of them was received last, behind others": {func(e *Exchanges) { serve(e, first, 0); serve(e, second, 0) },
			func(b *Beginning) {
				b.Cause = received(served, 0, 10, func(c *event.Cause) { c.Pending, c.Row = 2, 2 })
			}, []named{{first, SourceLast}, {second, SourceOnly}}, 0},
		"a call of one of them was answered last": {func(e *Exchanges) {
			serve(e, first, 0)
			c := call(called, 1, 15, received(served, 0, 10))
			serve(e, c, 40)
			serve(e, second, 0)
		}, func(b *Beginning) {
			b.Cause = received(called, 1, 2, func(c *event.Cause) { c.Pending, c.Row = 2, 2 })
		}, []named{{first, SourceLast}, {second, SourceOnly}}, 0},
		"one has lasted for long": {func(e *Exchanges) { serve(e, first, 0); serve(e, request(servedToo, 1, maxServing, 0), 0) },
			func(b *Beginning) { b.At = maxServing + 11 }, []named{{request(servedToo, 1, maxServing, 0), SourceOnly}}, 0},
		"more than can be named": {func(e *Exchanges) {
			for id := range uint64(7) {
				serve(e, request(served, 1+id, 20+id, id), 0)
			}
		}, func(*Beginning) {}, []named{
			{request(served, 7, 0, 0), SourceOnly}, {request(served, 6, 0, 0), SourceOnly}, {request(served, 5, 0, 0), SourceOnly}, {request(served, 4, 0, 0), SourceOnly},
		}, 3},
		"more than are remembered of a process": {func(e *Exchanges) {
			for id := range uint64(300) {
				serve(e, request(served, 1+id, 20, id), 0)
			}
		}, func(*Beginning) {}, []named{
			{request(served, 300, 0, 0), SourceOnly}, {request(served, 299, 0, 0), SourceOnly}, {request(served, 298, 0, 0), SourceOnly}, {request(served, 297, 0, 0), SourceOnly},
		}, 296},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := newExchanges(t, Certain)
			test.before(e)
			c := call(called, 7, at, event.Cause{})
			c.Thread = 9 // which has read nothing
			test.call(&c)
			e.Begin(&c)
			p, ok := e.Resolve(c.ExchangeKey)
			require.True(t, ok)
			require.Zero(t, p.Source)
			var got Candidates
			e.Candidates(c.ExchangeKey, &got)
			var want []Candidate
			for _, w := range test.want {
				want = append(want, Candidate{Trace: w.of.IDs.Trace, Span: w.of.IDs.Own, Flags: flagsOfRoot, Source: w.source})
			}
			assert.Equal(t, want, got.Named)
			assert.Equal(t, test.beyond, got.Beyond)
		})
	}
}

// A candidate is in the trace of its own cause.
func TestCandidateHasTheTraceThatItIsIn(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	root := request(served, 1, 10, 0)
	client, server := joined(20, received(served, 0, 10))
	other := request(calledToo, 1, 22, 0)
	other.Process = server.Process
	last := call(called, 9, 30, event.Cause{})
	last.Process, last.Thread = server.Process, 9
	for _, b := range []*Beginning{&root, &client, &server, &other, &last} {
		e.Begin(b)
	}
	e.Continue(root.ExchangeKey, &Carried{Context: Context{Trace: [16]byte{0xaa}, Span: [8]byte{0xbb}, Flags: 1}})
	var got Candidates
	e.Candidates(last.ExchangeKey, &got)
	assert.Equal(t, []Candidate{
		{other.IDs.Trace, other.IDs.Own, flagsOfRoot, SourceOnly}, {[16]byte{0xaa}, server.IDs.Own, 1, SourceOnly},
	}, got.Named)
}

// The head of a request that a process is receiving may not be complete when another one looks for candidates.
func TestCandidateMayTurnOutToHaveATraceContext(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	first, second := request(served, 1, 10, 0), request(servedToo, 1, 20, 0)
	e.Begin(&first)
	e.Begin(&second)
	c := call(called, 7, 100, event.Cause{})
	e.Begin(&c)
	var got Candidates
	e.Candidates(c.ExchangeKey, &got)
	require.Len(t, got.Named, 2)
	wire := Context{Trace: [16]byte{0xaa}, Span: [8]byte{0xbb}, Flags: 1}
	e.Continue(second.ExchangeKey, &Carried{Context: wire})
	p, _ := e.Resolve(second.ExchangeKey)
	assert.Equal(t, Parent{Trace: wire.Trace, Span: wire.Span, Flags: 1, Source: SourceWire, Wire: true, origin: second.ExchangeKey}, p)
}

// A request whose client's end is not known yet is no candidate: it would stay apart from that end, because its place is fixed then.
func TestRequestWhoseClientIsNotKnownYetIsNoCandidate(t *testing.T) {
	e, ends := newExchanges(t, Certain)
	root := request(calledToo, 1, 10, 0)
	client, server := joined(20, received(calledToo, 0, 10))
	ends.Add(server.OtherEnd)
	e.Begin(&root)
	e.Begin(&server)
	other, c := request(calledToo, 2, 22, 50), call(called, 9, 30, event.Cause{})
	other.Process, c.Process, c.Thread = server.Process, server.Process, 9
	e.Begin(&other)
	e.Begin(&c)
	var got Candidates
	e.Candidates(c.ExchangeKey, &got)
	assert.Equal(t, []Candidate{{other.IDs.Trace, other.IDs.Own, flagsOfRoot, SourceOnly}}, got.Named)
	assert.Equal(t, 1, got.Beyond)
	e.Begin(&client)
	p, _ := e.Resolve(client.ExchangeKey)
	assert.Equal(t, root.IDs.Own, p.Span)
	e.Candidates(c.ExchangeKey, &got)
	assert.Len(t, got.Named, 2)
}

func TestNothingIsACandidate(t *testing.T) {
	for name, test := range map[string]struct {
		trusted Sources
		of      Beginning
	}{
		"with parents off":          {Off, call(called, 7, 100, event.Cause{})},
		"for a request of a server": {Certain, request(called, 7, 100, 0)},
	} {
		e, _ := newExchanges(t, test.trusted)
		serve(e, request(served, 1, 10, 0), 0)
		serve(e, request(servedToo, 1, 20, 0), 0)
		e.Begin(&test.of)
		var got Candidates
		e.Candidates(test.of.ExchangeKey, &got)
		assert.Empty(t, got, name)
		e.Candidates(ExchangeKey{99, 9, 9}, &got)
		assert.Empty(t, got, "of what is not known")
	}
}

// The span of the other end may have been emitted before this end was known. Then no parent can be given, because the trace is fixed.
func TestCauseThatIsKnownTooLateIsACandidate(t *testing.T) {
	e, ends := newExchanges(t, Certain)
	root := request(served, 1, 10, 0)
	client, server := joined(20, received(served, 0, 10))
	ends.Add(server.OtherEnd)
	e.Begin(&root)
	e.Begin(&server)
	e.Resolve(server.ExchangeKey)
	e.Begin(&client)
	p, _ := e.Resolve(client.ExchangeKey)
	require.Zero(t, p.Source)
	var got Candidates
	e.Candidates(client.ExchangeKey, &got)
	assert.Equal(t, []Candidate{{root.IDs.Trace, root.IDs.Own, flagsOfRoot, SourceThread}}, got.Named)
}

func TestCandidatesAreFoundWithoutAllocation(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	for id := range uint64(300) {
		serve(e, request(served, 1+id, 20, id), 0)
	}
	c := call(called, 7, 100, event.Cause{})
	e.Begin(&c)
	var got Candidates
	find := func() {
		e.Resolve(c.ExchangeKey)
		e.Candidates(c.ExchangeKey, &got)
	}
	find()
	assert.Zero(t, testing.AllocsPerRun(100, find))
	assert.Len(t, got.Named, MaxCandidates)
}

func BenchmarkCandidates(b *testing.B) {
	for name, requests := range map[string]uint64{"none": 0, "300": 300} {
		b.Run(name, func(b *testing.B) {
			e, _ := newExchanges(b, Certain)
			for id := range requests {
				serve(e, request(served, 1+id, 20, id), 0)
			}
			c := call(called, 7, 100, event.Cause{})
			e.Begin(&c)
			var got Candidates
			b.ReportAllocs()
			for b.Loop() {
				e.Candidates(c.ExchangeKey, &got)
			}
		})
	}
}
