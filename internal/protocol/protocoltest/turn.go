package protocoltest

import "github.com/socketflow/socketflow/internal/protocol"

// Turn returns a function that transfers a request and its response, in calls of so many bytes at most, on one conversation, again and
// again. The steps come before. Nothing is recorded, so that what is measured is the parser.
func Turn(p protocol.Protocol, limits protocol.Limits, side protocol.Side, before []Step, request, response string, piece int) func() {
	parser := p.Start(Settings(p, nil, limits))(&protocol.Session{Side: side, Sink: &Discard{}})
	var c protocol.Chunk
	send := func(d protocol.Direction, b []byte) {
		for len(b) > 0 {
			n := min(piece, len(b))
			c = protocol.Chunk{Direction: d, Bytes: b[:n], Stamp: protocol.Stamp{Time: c.Time + 1, Began: c.Time + 1}}
			parser.Data(&c)
			b = b[n:]
		}
	}
	for _, x := range before {
		send(x.Direction, []byte(x.Bytes))
	}
	a, b := []byte(request), []byte(response)
	return func() {
		send(protocol.FromClient, a)
		send(protocol.FromServer, b)
	}
}
