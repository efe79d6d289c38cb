package otlp

import (
	"net/netip"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/metrics"
	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// unjoined is the span of an exchange whose place in a trace is not known yet. It is when the batch is taken.
type unjoined struct {
	span   ptrace.Span // not in the batch
	layout *attrLayout // of its attributes
	to     ptrace.SpanSlice
	key    trace.ExchangeKey
	role   event.Role
	asks   bool           // its end began the exchange
	far    trace.End      // whose address may be another than remote; 0: it is not
	remote netip.AddrPort // of the socket

	tally *metrics.Tally // whose exemplar it may be
}

// tracelessRecord is the record of a connection, which has the trace of its last exchange.
type tracelessRecord struct {
	record plog.LogRecord
	key    trace.ExchangeKey
}

// placeBytes is by how many bytes its place makes a span larger at the most: the parent's id, how it is known, and how its trace was sampled.
const placeBytes = 64 + sampling.MaxStateBytes

// roomForPlace is the room for a place that may come.
func (b *Builder) roomForPlace(r *report) int {
	if b.options.Resolve == nil || r.exchange == nil {
		return 0
	}
	if b.asksEndpoint(r.connection.FarEnd) {
		return placeBytes + endpointBytes
	}
	return placeBytes
}

func (b *Builder) asksEndpoint(far trace.End) bool { return far != 0 && b.options.Endpoint != nil }

// awaitsJoin reports whether the span of an exchange has a place in a trace, which is not known yet.
func (b *Builder) awaitsJoin(r *report) bool {
	return b.options.Resolve != nil && r.connection.Key != (trace.ExchangeKey{})
}

// awaitJoin notes that.
func (b *Builder) awaitJoin(r *report, u unjoined) {
	c := r.connection
	u.key, u.role, u.asks, u.tally = c.Key, c.Role, c.Exchange.Asks, r.tally
	u.far, u.remote = c.FarEnd, c.Remote
	b.unjoined = append(b.unjoined, u)
	if c.Exchange.Joined || c.Exchange.Asks {
		b.latestQuestion = max(b.latestQuestion, r.exchange.Start.Began, c.JoinedAt)
	}
	if b.asksEndpoint(c.FarEnd) && c.Exchanges <= 1 { // it may have been accepted once the request had begun
		b.latestQuestion = max(b.latestQuestion, r.exchange.End.Time)
	}
}

// joinSpans gives the spans of a batch their places, and adds those that sampling keeps to it.
func (b *Builder) joinSpans(c *content) {
	whole := true
	for i := range c.unjoined {
		u := &c.unjoined[i]
		p, ok := b.options.Resolve(u.key)
		if !ok {
			p = placeOf(u.span)
		}
		switch {
		case !b.sample(c, u.span, &p):
			whole = false
			b.attrLayouts.leaveOut(u.span, u.layout)
			continue
		case ok:
			b.place(u, &p)
			b.linkCandidates(c, u, &p)
		}
		b.placeEndpoint(u)
		u.exemplify()
		b.attrLayouts.emit(u.span, u.to)
	}
	clear(c.unjoined)
	c.unjoined = c.unjoined[:0]
	if !whole {
		removeEmpty(c.traces)
	}
	b.traceRecords(c)
}

// exemplify makes a span that is emitted an exemplar.
func (u *unjoined) exemplify() {
	if u.tally == nil {
		return
	}
	u.tally.Exemplify(&metrics.Exemplar{
		Value: time.Duration(u.span.EndTimestamp() - u.span.StartTimestamp()).Seconds(), At: int64(u.span.EndTimestamp()),
		Trace: u.span.TraceID(), Span: u.span.SpanID(),
	})
}

// place gives a span its place.
func (b *Builder) place(u *unjoined, p *trace.Parent) {
	u.span.SetTraceID(p.Trace)
	u.span.SetParentSpanID(p.Span)
	flags := uint32(p.Flags) | remoteness(p.Source, u.role)
	if p.Far {
		flags |= flagHasIsRemote | flagIsRemote
	}
	u.span.SetFlags(flags)
	b.parents[p.Source].Add(1)
	if p.Source != trace.SourceNone {
		u.span.Attributes().PutStr(parentSource, p.Source.String())
	}
}

// endpointBytes is what an endpoint takes at most: an address of IPv6 without a zone, and a port.
const endpointBytes = 2*attributeBytes + len(peerAddress+peerPort) + len("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") + 10

// placeEndpoint says where the other end was accepted, if an address was translated. There is room for it.
func (b *Builder) placeEndpoint(u *unjoined) {
	if !b.asksEndpoint(u.far) {
		return
	}
	at, known := b.options.Endpoint(u.far)
	if !known || at == u.remote {
		return
	}
	u.span.Attributes().PutStr(peerAddress, b.texts.of(at.Addr()))
	u.span.Attributes().PutInt(peerPort, int64(at.Port()))
}

// candidateBytes is what a link to a candidate takes at most.
const candidateBytes = linkBytes + attributeBytes + len(parentSource) + maxName

// linkCandidates links a request's span that has no parent to those one of which may be it.
func (b *Builder) linkCandidates(c *content, u *unjoined, p *trace.Parent) {
	if p.Source != trace.SourceNone || !u.asks || b.options.Candidates == nil {
		return
	}
	all := &b.candidates
	b.options.Candidates(u.key, all)
	dropped := all.Beyond
	for i := range all.Named {
		of := &all.Named[i]
		if c.room < candidateBytes {
			dropped++
			continue
		}
		c.room -= candidateBytes
		appendLink(u.span, of.Trace, of.Span, uint32(of.Flags)|flagHasIsRemote).Attributes().PutStr(parentSource, of.Source.String())
	}
	if dropped > 0 {
		u.span.SetDroppedLinksCount(uint32(dropped))
	}
}

// traceRecords gives the records of connections the traces of their last exchanges, also if their spans are left out.
func (b *Builder) traceRecords(c *content) {
	for _, u := range c.traceless {
		if p, ok := b.options.Resolve(u.key); ok {
			u.record.SetTraceID(p.Trace)
		}
	}
	clear(c.traceless)
	c.traceless = c.traceless[:0]
}

// awaitTrace notes that a record has the trace of its connection's last exchange.
func (b *Builder) awaitTrace(c *socket.Connection, record plog.LogRecord) {
	if b.options.Resolve != nil && c.Last.Key != (trace.ExchangeKey{}) && record.SpanID() == c.Last.SpanID {
		b.traceless = append(b.traceless, tracelessRecord{record, c.Last.Key})
	}
}

// remoteness says whether the parent is in another process. A trace context of the wire names a span of the process that sent it, the client.
func remoteness(source trace.Source, role event.Role) uint32 {
	switch {
	case source == trace.SourceWire && role == event.RoleUnknown:
		return 0
	case source == trace.SourcePeer, source == trace.SourceWire && role == event.RoleServer:
		return flagHasIsRemote | flagIsRemote
	default:
		return flagHasIsRemote
	}
}
