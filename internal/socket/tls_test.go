package socket

import (
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

// securing says at the end what its first bytes were.
type securing struct {
	transcript
	facts protocol.TLS
}

func (p *securing) Data(c *protocol.Chunk) { p.facts.ServerName = string(c.Bytes) }
func (p *securing) Close(protocol.Ending) {
	p.facts.Failed = true
	p.sink.Secured(&p.facts)
}

func TestClosedConnectionHasWhatIsKnownOfTLS(t *testing.T) {
	h := newHeard(t)
	h.made = func(s *protocol.Session) protocol.Parser { return &securing{transcript: transcript{sink: s.Sink}} }
	var closed []protocol.TLS
	h.table.sink = sinkFuncs{func(*Connection) {}, func(c *Connection) {
		if c.TLS == nil {
			closed = append(closed, protocol.TLS{})
			return
		}
		closed = append(closed, *c.TLS)
	}}
	h.table.Handle(clientOpen(1, 10))
	h.table.Handle(sent(0, "ask>a"))
	h.table.Handle(closeAt(5, 0))
	h.table.Flush(99)
	h.table.Handle(clientOpen(1, 10)) // its memory is used again
	h.table.Handle(closeAt(0, 0))
	h.table.Flush(99)
	if len(closed) != 2 || closed[0].ServerName != "ask>a" || !closed[0].Failed || closed[1].ServerName != "" || closed[1].Failed {
		t.Errorf("closed with %+v", closed)
	}
}
