package socket

import (
	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/trace"
)

// layer is a conversation that a connection carries: in its bytes, or in the plaintext of its TLS records.
type layer struct {
	connection *connection
	conv       *conversation.Conversation // nil: its data is not parsed
	cookie     uint64                     // of its data events; 0: it has not begun
	joined     bool                       // what it carried before is not known
}

// The layers of a connection.
const (
	plain  = iota // as the socket transfers it
	within        // TLS
	layers
)

func (l *layer) encrypted() bool { return l == &l.connection.layers[within] }

// bit sets the positions and numbers of the exchanges of a layer apart from those of the other.
func (l *layer) bit() uint64 {
	if l.encrypted() {
		return event.LayerTLS
	}
	return 0
}

// begin begins the layer. Memory of an earlier conversation is reused.
func (l *layer) begin(c *connection, cookie uint64, joined bool, position [event.Directions]uint64) {
	*l = layer{connection: c, conv: l.conv, cookie: cookie, joined: joined}
	l.conv = c.table.conversations.Begin(l.conv, conversation.Connection{
		Cookie: cookie, Role: c.flow.Role, Local: c.flow.Local, Remote: c.flow.Remote, Joined: joined,
		Datagrams: transports[c.flow.Transport].datagrams, Position: position, TLS: l.encrypted(),
	}, l)
}

// layerOf is the layer that a data event is about. One within another begins with its first event.
func (c *connection) layerOf(e *event.Event) *layer {
	if e.Flow.Cookie&event.LayerTLS == 0 || c.flow.Transport == event.UDP {
		return &c.layers[plain]
	}
	l := &c.layers[within]
	if l.cookie == 0 {
		l.begin(c, e.Flow.Cookie, e.Data.Joined, [event.Directions]uint64{})
	}
	return l
}

// isSpeaking reports whether more data of any layer is of interest.
func (c *connection) isSpeaking() bool {
	for i := range c.layers {
		if l := &c.layers[i]; l.cookie != 0 && l.conv != nil && !l.conv.Mute() {
			return true
		}
	}
	return false
}

// each calls a function with the layers that are parsed, the innermost first.
func (c *connection) each(do func(l *layer)) {
	for i := layers - 1; i >= 0; i-- {
		if l := &c.layers[i]; l.cookie != 0 && l.conv != nil {
			do(l)
		}
	}
}

// end ends the conversation, as conversation.End does with the positions of the connection's ending. Those of a layer within are not known: all its
// data has come.
func (l *layer) end(e *event.Ending, at uint64, errno uint32, by conversation.Closer) {
	if l.encrypted() {
		within := *e
		within.Position = [event.Directions]uint64{}
		e = &within
	}
	l.conv.End(e, at, errno, by)
}

func (l *layer) key(id protocol.ID) trace.ExchangeKey {
	return trace.ExchangeKey{Socket: l.cookie, Serial: l.connection.serial, ID: uint64(id)}
}
