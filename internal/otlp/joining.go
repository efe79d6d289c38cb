package otlp

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// unjoined is the span of an exchange that the other end of the connection began. Whether that end has a span is known when the batch is taken.
type unjoined struct {
	span     ptrace.Span
	otherEnd trace.End
	parent   [8]byte
}

// awaitJoin notes that the span at the other end may be the parent of a span.
func (b *Builder) awaitJoin(c *socket.Connection, x *protocol.Exchange, span ptrace.Span) {
	if c.OtherEnd == 0 || c.Exchange.Asks || c.Exchange.Own == [8]byte{} || b.options.Observes == nil {
		return
	}
	b.unjoined = append(b.unjoined, unjoined{span, c.OtherEnd, c.Exchange.Other})
	b.latestQuestion = max(b.latestQuestion, x.Start.Began, c.OtherEndAt)
}

// joinEnds gives a parent to the spans of a batch whose other end has one.
func (b *Builder) joinEnds(c *content) {
	for _, u := range c.unjoined {
		if b.options.Observes(u.otherEnd) {
			u.span.SetParentSpanID(u.parent)
			u.span.SetFlags(u.span.Flags() | flagHasIsRemote | flagIsRemote)
		}
	}
	clear(c.unjoined)
	c.unjoined = c.unjoined[:0]
}
