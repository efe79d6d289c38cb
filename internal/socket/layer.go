package socket

import (
	"slices"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/trace"
)

// layer is a conversation that a connection carries: in its bytes, in the plaintext of its TLS records, or in that of records within it.
type layer struct {
	connection *connection
	conv       *conversation.Conversation // nil: its data is not parsed
	cookie     uint64                     // of its data events; 0: it has not begun
	spoken     bool                       // an exchange on it has ended
	joined     bool                       // what it carried before is not known
}

// The layers of a connection.
const (
	plain  = iota // as the socket transfers it
	within        // TLS
	inner         // TLS within TLS
	layers
)

// layerBits are what a layer has in the cookie of its events.
var layerBits = [layers]uint64{within: event.LayerTLS, inner: event.LayerMask}

func (l *layer) encrypted() bool { return l != &l.connection.layers[plain] }

// bits set the positions and numbers of the exchanges of a layer apart from those of the others.
func (l *layer) bits() uint64 { return l.cookie & event.LayerMask }

// outer is the layer whose bytes are the TLS records of this one; nil: those of the connection are not TLS.
func (l *layer) outer() *layer {
	for i := range layers - 1 {
		if l == &l.connection.layers[i+1] {
			return &l.connection.layers[i]
		}
	}
	return nil
}

// tls is what is known of the TLS that the layer is in; nil: nothing.
func (l *layer) tls() *protocol.TLS {
	if o := l.outer(); o != nil {
		return o.facts()
	}
	return nil
}

// facts are what the bytes of the layer have shown of TLS; nil: nothing.
func (l *layer) facts() *protocol.TLS {
	if l.conv == nil || l.cookie == 0 {
		return nil
	}
	return l.conv.TLS()
}

// protocol names what the connection carries: as the innermost layer has shown it.
func (c *connection) protocol() protocol.Identity {
	for i := layers - 1; i >= 0; i-- {
		if l := &c.layers[i]; l.conv != nil && l.cookie != 0 {
			if found := l.conv.Identity(); found.Name != "" {
				return found
			}
		}
	}
	return protocol.Identity{}
}

// begin begins the layer. Memory of an earlier conversation is reused.
func (l *layer) begin(c *connection, cookie uint64, joined bool, position [event.Directions]uint64) {
	*l = layer{connection: c, conv: l.conv, cookie: cookie, joined: joined}
	l.conv = c.table.conversations.Begin(l.conv, conversation.Connection{
		Cookie: cookie, Role: c.flow.Role, Local: c.flow.Local, Remote: c.flow.Remote, Joined: joined,
		Datagrams: transports[c.flow.Transport].datagrams, Position: position, TLS: l.encrypted(),
	}, l)
}

// layerOf is the layer that a data event is about. One within another begins with its first event. The bytes of the other, in which no hello was
// seen, are then ciphertext; or they are plaintext for a second time, if the kernel encrypts them (kTLS).
func (c *connection) layerOf(e *event.Event) *layer {
	if c.flow.Transport == event.UDP {
		return &c.layers[plain]
	}
	l := &c.layers[max(0, slices.Index(layerBits[:], e.Flow.Cookie&event.LayerMask))]
	if l.cookie != 0 {
		l.joined = l.joined || e.Data.Joined
		return l
	}
	l.begin(c, e.Flow.Cookie, e.Data.Joined, [event.Directions]uint64{})
	if o := l.outer(); o != nil && o.conv != nil && o.cookie != 0 {
		o.conv.IgnoreUnrecognised()
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
