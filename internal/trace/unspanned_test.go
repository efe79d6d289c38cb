package trace

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/event"
)

// named is what a request carries that a process has made a span of.
var named = Carried{Context: Context{Trace: [16]byte{0xaa}, Span: [8]byte{0xbb}, Flags: 1}}

// begin has requests begin, of which one carries the trace context.
func begin(e *Exchanges, named *Carried, all ...*Beginning) {
	for _, b := range all {
		e.Begin(b)
		if named != nil {
			e.Continue(b.ExchangeKey, named)
		}
	}
}

func TestServerOfAProcessThatMakesSpansIsBelowTheSpanWhichThatHasMade(t *testing.T) {
	for name, test := range map[string]struct {
		spans   Spans
		carries *Carried
		span    [8]byte // of the server's parent; zero: the client's own
		source  Source
	}{
		"it has made one":               {SpanUnlessNamed, &named, named.Span, SourceWire},
		"it has made none":              {SpanUnlessNamed, nil, [8]byte{}, SourcePeer},
		"it is not known to make spans": {SpanAlways, &named, [8]byte{}, SourcePeer},
	} {
		e, _ := newExchanges(t, Certain)
		client, server := joined(20, event.Cause{})
		client.Spans = test.spans
		begin(e, test.carries, &client, &server)
		p, ok := e.Resolve(server.ExchangeKey)
		assert.True(t, ok)
		if test.span == [8]byte{} {
			test.span = client.IDs.Own
		}
		assert.Equal(t, test.span, p.Span, name)
		assert.Equal(t, test.source, p.Source, name)
		if test.carries != nil {
			assert.Equal(t, named.Trace, p.Trace, name)
		}
		wire := Context{}
		if test.carries != nil {
			wire = test.carries.Context
		}
		_, unspanned := e.End(&client, wire, &Answer{At: 30})
		assert.Equal(t, test.source == SourceWire, unspanned, name)
	}
}

// A process serves a request with a span of its own, and sends another one of which it makes none.
func TestRequestBelowASpanThatIsNotEmittedIsBelowTheNextOne(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	client, server := joined(20, event.Cause{})
	server.Spans = SpanNever
	sent := call(calledToo, 1, 30, received(servedToo, 0, 10))
	begin(e, nil, &client, &server, &sent)
	p, _ := e.Resolve(sent.ExchangeKey)
	assert.Equal(t, Parent{Trace: client.IDs.Trace, Span: client.IDs.Own, Flags: flagsOfRoot, Source: SourceThread, Far: true}, p)
}

func TestRequestBelowARootThatIsNotEmittedIsARoot(t *testing.T) {
	e, _ := newExchanges(t, Certain)
	root := request(served, 1, 10, 0)
	root.Spans = SpanNever
	client, server := joined(20, received(served, 0, 10))
	begin(e, nil, &root, &client, &server)
	p, _ := e.Resolve(client.ExchangeKey)
	assert.Equal(t, Parent{Trace: client.IDs.Trace, Flags: flagsOfRoot}, p)
	p, _ = e.Resolve(server.ExchangeKey)
	assert.Equal(t, Parent{Trace: client.IDs.Trace, Span: client.IDs.Own, Flags: flagsOfRoot, Source: SourcePeer}, p)
	var links Candidates
	e.Candidates(client.ExchangeKey, &links)
	assert.Empty(t, links.Named)
}

// The other end is on a host that leaves out what processes make spans of, or that does not.
func TestNamesAreTrustedWhereTheOtherEndIsNotKnown(t *testing.T) {
	for _, trusts := range []bool{true, false} {
		e, ends := newExchanges(t, Certain)
		if trusts {
			e.TrustNames()
		}
		_, server := joined(20, event.Cause{})
		ends.Add(server.OtherEnd)
		begin(e, &named, &server)
		p, _ := e.Resolve(server.ExchangeKey)
		assert.Equal(t, trusts, p.Span == named.Span)
		assert.Equal(t, named.Trace, p.Trace)
	}
}
