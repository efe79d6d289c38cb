package socket

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/peername"
)

// questionOf asks what the owner of an event called the address when it connected. Its At is 0 if nobody is known to have connected.
func (t *Table) questionOf(e *event.Event) peername.Question {
	if t.opts.PeerName == nil || e.Existing || e.Flow.Role == event.RoleServer || !e.Flow.Remote.IsValid() {
		return peername.Question{}
	}
	return peername.Question{Process: e.Owner, Address: e.Flow.Remote.Addr(), At: e.Started}
}

// namePeer answers a question, and returns it if it has to be asked once more.
func (t *Table) namePeer(q peername.Question) (a peername.Answer, unsettled peername.Question) {
	if q.At == 0 {
		return a, q
	}
	a, settled := t.opts.PeerName(q)
	if settled {
		q = peername.Question{}
	}
	return a, q
}
