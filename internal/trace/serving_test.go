package trace

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOnlyRequestThatAProcessServesIsTheParentOfWhatItSends(t *testing.T) {
	const many = 1000
	serve := func(e *Exchanges, id, from, to uint64) {
		b := request(served, id, from, id)
		e.Begin(&b)
		if to != 0 {
			e.End(&b, Context{}, &Answer{At: to})
		}
	}
	for name, test := range map[string]struct {
		before func(*Exchanges)
		want   uint64
	}{
		"none":                 {func(*Exchanges) {}, 0},
		"one":                  {func(e *Exchanges) { serve(e, 1, 10, 0) }, 1},
		"one that has ended":   {func(e *Exchanges) { serve(e, 1, 10, 90) }, 0},
		"one that ended later": {func(e *Exchanges) { serve(e, 1, 10, 110) }, 1},
		"one that came later":  {func(e *Exchanges) { serve(e, 1, 101, 0) }, 0},
		"one of another process": {func(e *Exchanges) {
			b := request(served, 1, 10, 0)
			b.Process = 2
			e.Begin(&b)
		}, 0},
		"two":                         {func(e *Exchanges) { serve(e, 1, 10, 0); serve(e, 2, 20, 0) }, 0},
		"two, one of which has ended": {func(e *Exchanges) { serve(e, 1, 10, 0); serve(e, 2, 20, 90) }, 1},
		"two, and one is forgotten": {func(e *Exchanges) {
			serve(e, 1, 10, 0)
			serve(e, 2, 20, 0)
			e.Forget(ExchangeKey{served, 1, 1})
		}, 2},
		"two, one of which ended later": {func(e *Exchanges) { serve(e, 1, 10, 110); serve(e, 2, 20, 0) }, 0},
		"many that ended before": {func(e *Exchanges) {
			for id := range uint64(many) {
				serve(e, 10+id, 20, 30)
			}
			serve(e, 1, 40, 0)
		}, 1},
		"one before many that ended": {func(e *Exchanges) {
			serve(e, 1, 10, 0)
			for id := range uint64(many) {
				serve(e, 10+id, 20, 30)
			}
		}, 0}, // it is not among those that are remembered
		"one, and another has ended among many": {func(e *Exchanges) {
			serve(e, 2, 10, 0)
			for id := range uint64(many) {
				serve(e, 10+id, 20, 30)
			}
			serve(e, 1, 40, 0)
			b := request(served, 2, 10, 2)
			e.End(&b, Context{}, &Answer{At: 90})
		}, 1},
		"one, and another ended later among many": {func(e *Exchanges) {
			serve(e, 2, 10, 0)
			for id := range uint64(many) {
				serve(e, 10+id, 20, 30)
			}
			serve(e, 1, 40, 0)
			b := request(served, 2, 10, 2)
			e.End(&b, Context{}, &Answer{At: 110})
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := newExchanges(t, Certain)
			test.before(e)
			c := at(called, 7, 100, 0, true)
			e.Begin(&c)
			p, _ := e.Resolve(c.ExchangeKey)
			want := Parent{Trace: c.IDs.Trace, Flags: flagsOfRoot}
			if test.want != 0 {
				want = Parent{Trace: [16]byte{served, byte(test.want)}, Span: [8]byte{served, byte(test.want)}, Flags: flagsOfRoot, Source: SourceOnly}
			}
			assert.Equal(t, want, p)
		})
	}
}

// It polls, or refreshes something, and does so while it has a request to answer, too.
func TestProcessThatSendsRequestsOfItsOwn(t *testing.T) {
	for name, test := range map[string]struct {
		own  uint64 // when it sent one though it had none to answer
		want Source
	}{
		"before":   {20, SourceNone},
		"long ago": {20, SourceOnly},
		"later":    {20 + 3*ownWork, SourceNone},
	} {
		e, _ := newExchanges(t, Certain)
		earlier := request(served, 1, 10, 0)
		e.Begin(&earlier)
		e.End(&earlier, Context{}, &Answer{At: 11})
		begin := uint64(30)
		if name == "long ago" {
			begin += ownWork
		}
		r, c, own := request(served, 2, begin, 1), at(called, 2, begin+1, 0, true), at(calledToo, 1, test.own, 0, true)
		e.Begin(&r)
		e.End(&r, Context{}, &Answer{At: begin + 2})
		e.Begin(&own)
		e.Begin(&c)
		e.Resolve(own.ExchangeKey)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, test.want, p.Source, name)
	}
}

func TestRequestThatLastsLongIsNoCauseOfWhatElseHappens(t *testing.T) {
	for _, after := range []uint64{maxServing, maxServing + 1} {
		e, _ := newExchanges(t, Certain)
		b, c := request(served, 1, 10, 0), at(called, 7, 10+after, 0, true)
		e.Begin(&b)
		e.Begin(&c)
		p, _ := e.Resolve(c.ExchangeKey)
		assert.Equal(t, after == maxServing, p.Source == SourceOnly, after)
	}
}
