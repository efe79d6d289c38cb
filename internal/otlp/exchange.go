package otlp

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// Bits of the span flags: whether the parent is in another process (OTLP, trace.proto, SpanFlags).
const (
	flagHasIsRemote = 0x100
	flagIsRemote    = 0x200
)

// remoteness has the flags of the parent, by role: traceparent names a span of the process that sent it, the client.
var remoteness = [...]uint32{
	event.RoleUnknown: 0,
	event.RoleClient:  flagHasIsRemote,
	event.RoleServer:  flagHasIsRemote | flagIsRemote,
}

// Exchanged adds the span of the c.Exchanges-th exchange of a connection, from start to end (Unix time, ns).
func (b *Builder) Exchanged(c *socket.Connection, x *protocol.Exchange, start, end int64) {
	if !b.options.Traces {
		return
	}
	r := &b.report
	r.read(c, &exchanging, &b.texts)
	r.readExchange(x)
	r.group = b.groupOf(c.Process)
	r.id = b.ids.of(c.ID, &b.identity)
	r.interned = &b.interned

	span := b.spansOf(r.group, c.Process).AppendEmpty()
	b.spans++
	traceID, spanID := b.identity.exchangeIDs(c.ID, c.Exchanges)
	if p := &x.Parent; p.Valid() {
		traceID = p.TraceID
		span.SetParentSpanID(p.SpanID)
		span.SetFlags(uint32(p.Flags) | entry(remoteness[:], c.Role))
		if p.State != "" {
			span.TraceState().FromRaw(p.State)
		}
	}
	span.SetTraceID(traceID)
	span.SetSpanID(spanID)
	span.SetName(x.Name)
	span.SetKind(entry(kinds[:], c.Role))
	span.SetStartTimestamp(pcommon.Timestamp(start))
	span.SetEndTimestamp(pcommon.Timestamp(max(start, end)))
	if r.err.name != "" {
		span.Status().SetCode(ptrace.StatusCodeError)
		if x.Description != "" {
			span.Status().SetMessage(x.Description)
		}
	}
	b.attrLayouts.writeExchange(span.Attributes(), r)
	r.connection, r.exchange, r.group = nil, nil, nil // keep no reference
}

// putAttribute copies the value of an attribute.
func putAttribute(v pcommon.Value, a *protocol.Attribute, texts *interned) {
	switch a.Kind {
	case protocol.IntAttribute:
		v.SetInt(a.Int)
	case protocol.ListAttribute:
		list := v.SetEmptySlice()
		list.EnsureCapacity(len(a.List))
		for _, text := range a.List {
			list.AppendEmpty().SetStr(text)
		}
	default:
		v.SetStr(texts.of(a.Text))
	}
}
