package mysql

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// maxEarly is how many bytes of a reply are kept that is seen before its command: if one thread sends and another receives, that may be.
const maxEarly = 64 << 10

// early is such a reply. It is read once its command has been.
type early struct {
	parts framing.Parts
	bytes []byte
}

func (y *early) held() int { return cap(y.bytes) + y.parts.Held() }

// isEarly reports whether the server's bytes are a reply to a command that has not been seen.
func (p *parser) isEarly(c *protocol.Chunk) bool {
	switch {
	case len(p.early.bytes) > 0:
		return true
	case p.phase != phaseCommands, p.packed != nil, p.trailing, p.blind != nil, !p.frames[protocol.FromServer].Between(), p.goesOn[protocol.FromServer]:
		return false
	}
	return p.order.Outstanding() == 0 && p.order.Certain() && len(c.Bytes) > sequenceAt && c.Bytes[sequenceAt] == 1
}

// keep keeps bytes of an early reply.
func (p *parser) keep(c *protocol.Chunk) {
	y := &p.early
	if y.parts.Full() || len(y.bytes)+len(c.Bytes) > maxEarly {
		p.dropEarly()
		p.frames[protocol.FromServer].Lose()
		p.lose(protocol.FromServer, protocol.Truncated)
		return
	}
	y.bytes = append(y.bytes, c.Bytes...)
	y.parts.Add(framing.Part{Direction: protocol.FromServer, N: uint64(len(c.Bytes)), Stamp: c.Stamp}, 0)
}

// readEarly reads an early reply, if there is one, after the client has sent something.
func (p *parser) readEarly(sent *protocol.Stamp) {
	if len(p.early.bytes) == 0 {
		return
	}
	y := p.early
	if last := &y.parts[len(y.parts)-1].Stamp; last.Time < sent.Began || p.order.Outstanding() == 0 {
		p.dropEarly()
		return
	}
	p.early = early{}
	for i, b := 0, y.bytes; i < len(y.parts) && !p.over; i++ {
		n := y.parts[i].N
		p.take(&protocol.Chunk{Direction: protocol.FromServer, Bytes: b[:n], Stamp: y.parts[i].Stamp})
		b = b[n:]
	}
}

// dropEarly drops a reply whose command has not come.
func (p *parser) dropEarly() {
	if len(p.early.bytes) > 0 {
		p.early = early{}
		p.sink.Error(protocol.Unpaired)
	}
}
