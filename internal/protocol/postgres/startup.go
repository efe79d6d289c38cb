package postgres

import (
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// start reads a message without a type.
func (p *parser) start(m *framing.Prefix) {
	if len(m.Body) < 4 {
		return
	}
	p.typed()
	if binary.BigEndian.Uint32(m.Body) == cancelRequest {
		p.cancel = p.newExchange(&m.First)
		p.cancel.requestEnd = m.Last
		return
	}
	user, database := parameters(m.Body[4:])
	if len(database) == 0 {
		database = user
	}
	p.database = append(p.database[:0], toText(database[:min(len(database), maxDatabase)])...)
	x := p.cycle(m)
	if x == nil {
		return
	}
	e := p.newExchange(&m.First)
	e.requestEnd, e.executed = m.Last, true
	p.add(x, operation{kind: starts, exchange: e})
	p.ends()
}

// maxDatabase is how many bytes of the name of a database are kept; PostgreSQL's have 63.
const maxDatabase = 256

// parameters returns two of those in a StartupMessage.
func parameters(b []byte) (user, database []byte) {
	for len(b) > 0 {
		var key, value []byte
		whole := false
		if key, b, whole = text(b); !whole || len(key) == 0 {
			return user, database
		}
		if value, b, whole = text(b); !whole {
			return user, database
		}
		switch string(key) {
		case "user":
			user = value
		case "database":
			database = value
		}
	}
	return user, database
}

// cancelEnds hands over the request to cancel what another connection waits for. The server only closes the connection.
func (p *parser) cancelEnds() {
	e := p.cancel
	if p.cancel = nil; e == nil {
		return
	}
	if p.rejected {
		p.drop(e)
		return
	}
	e.cancels = true
	if p.ending != nil && p.ending.Unknown {
		e.capture = p.loss
	}
	e.end = p.now
	p.emit(e)
}
