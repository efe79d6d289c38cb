package otlp

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/metrics"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// Bits of the span flags: those of the trace (W3C Trace Context Level 2, "trace-flags"), and whether the parent is in another process
// (OTLP, trace.proto, SpanFlags).
const (
	flagSampled     = 0x1
	flagRandom      = 0x2 // the trace id looks random
	flagHasIsRemote = 0x100
	flagIsRemote    = 0x200

	// rootFlags are those of a span without a parent, which therefore is in no other process.
	rootFlags = flagSampled | flagRandom | flagHasIsRemote
)

// exchangeKinds are the kinds of spans by the kind of the exchange, and whether the observed end sent the request.
var exchangeKinds = [...][2]ptrace.SpanKind{
	protocol.Call:    {ptrace.SpanKindServer, ptrace.SpanKindClient},
	protocol.Message: {ptrace.SpanKindConsumer, ptrace.SpanKindProducer},
}

// kindOf is the kind of an exchange's span at an end with this role.
func kindOf(x *protocol.Exchange, r event.Role) ptrace.SpanKind {
	if r == event.RoleUnknown {
		return ptrace.SpanKindInternal
	}
	sent := 0
	if asksIn(x, r) {
		sent = 1
	}
	return row(exchangeKinds[:], x.Kind)[sent]
}

// Exchanged adds the span of an exchange of a connection, from start to end (Unix time, ns).
func (b *Builder) Exchanged(c *socket.Connection, x *protocol.Exchange, start, end int64) {
	b.Measured(nil, c, x, start, end)
}

// Measured is Exchanged of an exchange whose span becomes an exemplar of a tally; nil: of none.
func (b *Builder) Measured(t *metrics.Tally, c *socket.Connection, x *protocol.Exchange, start, end int64) {
	if !b.options.Traces {
		return
	}
	r := &b.report
	r.read(c, &exchanging, &b.texts)
	r.tally = t
	r.readExchange(x, &b.texts)
	if b.options.Phases {
		r.readPhases()
	}
	r.id = b.ids.of(c.ID, b.identity)
	r.interned, r.bound = &b.interned, &b.bound

	layout := b.attrLayouts.ofReport(r)
	span, filled := b.attrLayouts.draft(layout)
	size := b.writeExchange(span, r, start, end)
	if filled {
		size += layout.overwrite(span.Attributes(), r)
	} else {
		size += layout.write(span.Attributes(), r)
	}
	b.appendExchange(r, span, layout, size)
	r.connection, r.exchange, r.tally = nil, nil, nil // keep no reference
}

// writeExchange writes the span of an exchange without its attributes, and returns how many bytes it has at most. The span may have been that of another
// exchange.
func (b *Builder) writeExchange(span ptrace.Span, r *report, start, end int64) (size int) {
	c, x := r.connection, r.exchange
	size = spanBytes
	traceID, parent, flags, state := c.Exchange.Trace, pcommon.SpanID{}, uint32(rootFlags), ""
	if p := &x.Parent; p.Valid() {
		traceID, parent, state = p.TraceID, p.SpanID, soundState(p.State)
		flags = uint32(p.Flags) | remoteness(trace.SourceWire, c.Role)
		size += len(state)
	}
	span.SetTraceID(traceID)
	span.SetParentSpanID(parent)
	span.SetFlags(flags)
	span.TraceState().FromRaw(state)
	span.SetSpanID(c.Exchange.Own)
	name := sound(x.Name)
	span.SetName(name)
	size += len(name)
	span.SetKind(kindOf(x, c.Role))
	span.SetStartTimestamp(pcommon.Timestamp(start))
	span.SetEndTimestamp(pcommon.Timestamp(max(start, end)))
	code, message := ptrace.StatusCodeUnset, ""
	if r.err.name != "" {
		code, message = ptrace.StatusCodeError, sound(x.Description)
		size += len(message)
	}
	span.Status().SetCode(code)
	span.Status().SetMessage(message)
	if b.options.ConnectionSpans == SpansAlways {
		traceID, spanID := b.traceIDs.Of(c.Serial, trace.Whole)
		appendLink(span, traceID, spanID, rootFlags)
		size += linkBytes
	}
	for i := range x.Links {
		link := &x.Links[i]
		state := soundState(link.State)
		appendLink(span, link.TraceID, link.SpanID, uint32(link.Flags)).TraceState().FromRaw(state)
		size += linkBytes + len(state)
	}
	return size
}

func appendLink(to ptrace.Span, traceID pcommon.TraceID, spanID pcommon.SpanID, flags uint32) ptrace.SpanLink {
	l := to.Links().AppendEmpty()
	l.SetTraceID(traceID)
	l.SetSpanID(spanID)
	l.SetFlags(flags)
	return l
}
