package http

import "github.com/socketflow/socketflow/internal/protocol"

// body is what is known of the body of a request or a response.
type body struct {
	bytes uint64
	whole bool // it has ended
	cut   bool // some of it is not known
}

// AddBody counts bytes that a message's body has.
func (m *Message) AddBody(from protocol.Direction, n uint64) { m.bodies[from].bytes += n }

// EndBody notes that a message has ended, with all that its body has.
func (m *Message) EndBody(from protocol.Direction) { m.bodies[from].whole = true }

// CutBody notes that the size of a message's body will not be known.
func (m *Message) CutBody(from protocol.Direction) { m.bodies[from].cut = true }

func (b *body) size() protocol.Size {
	if !b.whole || b.cut {
		return protocol.Size{}
	}
	return protocol.Size{Bytes: b.bytes, Known: true}
}
