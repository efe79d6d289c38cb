package socket

import "github.com/socketflow/socketflow/internal/event"

func (t *Table) fail(e *event.Event) {
	t.refused.add(e.Flow.Cookie)
	if c := t.connections[e.Flow.Cookie]; c != nil && c.early {
		t.failEarly(c, e)
	}
	t.emitFailed(e, e.Flow.Cookie)
}

// failEarly ends the conversation of a connection whose handshake failed after its first bytes were sent.
func (t *Table) failEarly(c *connection, e *event.Event) {
	if !c.ignored {
		c.each(func(l *layer) { l.end(&e.Ending, e.Time, e.Ending.Errno, closers[endOfAttempt(&e.Ending).By]) })
	}
	t.ended.add(c.flow.Cookie)
	t.remove(c)
}

// connectError handles an error that connect(2) returned. If the connection was refused while connect waited, the socket's
// KindFail came before.
func (t *Table) connectError(e *event.Event) {
	if e.Flow.Cookie != 0 && t.refused.take(e.Flow.Cookie) {
		return
	}
	cookie := e.Flow.Cookie
	if cookie == 0 {
		t.unnamed++
		cookie = t.unnamed << 32 // cookies count up from 1
	}
	if e.Started == 0 {
		e.Started = e.Time
	}
	if e.Flow.AddressSource == event.AddressSourceSock { // the kernel has cleared the socket's remote address
		e.Flow.AddressSource = event.AddressSourceConnect
	}
	t.emitFailed(e, cookie)
}

// refusals remembers the sockets whose connects failed last, until connect(2) returns the error.
type refusals struct {
	cookies [256]uint64
	next    int
}

func (r *refusals) add(cookie uint64) {
	r.cookies[r.next] = cookie
	r.next = (r.next + 1) % len(r.cookies)
}

// take reports whether the socket's failure has been emitted, and forgets it.
func (r *refusals) take(cookie uint64) bool {
	for i := range r.cookies {
		if r.cookies[i] == cookie {
			r.cookies[i] = 0
			return true
		}
	}
	return false
}
