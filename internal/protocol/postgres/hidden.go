package postgres

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// Clients send large parameters, and what is to be done with them, in one call, of which only the beginning is captured.

// The lengths of what usually follows the Bind of the portal without a name: Describe, Execute and Sync. Without Describe, no other message
// fits behind the Execute of such a portal. The last of them may be a Flush (see guessedWrongly).
const (
	describeBytes = 7
	executeBytes  = 10
	syncBytes     = 5
)

// hiddenExecute is the Execute of the portal without a name. How many rows it asks for is not known.
var hiddenExecute = framing.Prefix{Header: []byte{executeMessage, 0, 0, 0, 9}, Body: []byte{0, 0, 0, 0, 0}}

// executesAtOnce takes the rest of a call behind a Bind, of which only the length is known, for the Execute and the Sync that it must have.
func (p *parser) executesAtOnce(n uint64, at *protocol.Stamp) bool {
	x := p.open
	if !p.bound || x == nil || n != executeBytes+syncBytes && n != describeBytes+executeBytes+syncBytes {
		return false
	}
	m := hiddenExecute
	m.First, m.Last = *at, *at
	m.Last.Position += n - 1
	p.bound, x.Value.guessed = false, true
	p.execute(&m)
	p.sync(&m)
	return true
}

// guessedWrongly notes that a cycle goes on where its end was taken to be. Cycles that began since are none, or are answered by others' answers.
func (p *parser) guessedWrongly() {
	p.forget(protocol.CaptureTruncated)
	p.cutRequests()
	p.lose(protocol.FromServer, protocol.Truncated)
}

// mayExecute notes, of a cycle whose rest is missing, that what was bound before may be executed: the answer says whether it was.
func (p *parser) mayExecute(x *item) {
	c := &x.Value
	e := c.group
	if e == nil || !e.bound || c.failed || c.strange {
		return
	}
	c.group = nil
	e.requestEnd, e.capture = p.now, max(e.capture, protocol.CaptureTruncated, p.loss)
	p.add(x, operation{kind: executes, exchange: e, subject: e.statement, parent: e.parent})
}
