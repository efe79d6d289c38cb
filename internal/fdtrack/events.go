package fdtrack

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/pending"
)

func (t *Tracker) data(e *event.Event) {
	e.Owner = t.owners.of(e.Owner).id
	s := t.sockets[e.Flow.Cookie&^event.LayerMask] // the plaintext of a socket waits with its bytes
	if s != nil {
		t.used(s)
	}
	if s != nil && s.waiting != nil {
		t.waiting.Add(s.waiting, e)
		return
	}
	t.opts.Next(e)
}

// open also handles connections that are older than the kernel programs.
func (t *Tracker) open(e *event.Event) {
	t.own(e)
	toItself(&e.Flow)
	s := t.sockets[e.Flow.Cookie]
	switch {
	case s == nil:
		s = t.follow(e.Flow.Cookie, e.Flow.Transport)
	case s.opened && e.Existing:
		t.describeAgain(s, e)
		return
	case s.waiting != nil:
		t.waiting.GiveUp(s.waiting, pending.CauseReplaced)
	case !s.opened:
		mergeFlow(&e.Flow, &s.flow)
	}
	s.opened, s.flow, s.owner, s.fd = true, e.Flow, e.Owner, e.FD
	if s.wasInFlight {
		t.shared.inFlightFDs.update(&s.flow)
	}
	if complete(&s.flow) {
		t.next(e)
		return
	}
	t.wait(s)
	t.waiting.Add(s.waiting, e)
}

// describeAgain passes on the description of a socket that the kernel side was asked for, with what is known of it by now.
func (t *Tracker) describeAgain(s *socket, e *event.Event) {
	mergeFlow(&s.flow, &e.Flow)
	e.Flow = s.flow
	if s.waiting != nil {
		t.waiting.Add(s.waiting, e)
		return
	}
	t.next(e)
}

// close handles the end of one descriptor. The end of the last one is the socket's.
func (t *Tracker) close(e *event.Event) {
	t.own(e)
	s := t.sockets[e.Flow.Cookie]
	switch {
	case s == nil && neverOpened(e):
		return
	case s == nil: // its open was lost, or it had to give way
		t.stray(e)
		return
	}
	if s.holders--; s.holders > 0 {
		return
	}
	t.end(s, e)
}

// neverOpened reports whether the closed socket was never connected, for instance a listener that processes share.
func neverOpened(e *event.Event) bool {
	if e.Started != 0 || e.Established != 0 {
		return false
	}
	f, n := &e.Flow, &e.Ending
	return !e.Existing || f.Role == event.RoleUnknown && !known(f.Remote.Addr()) && n.BytesSent == 0 && n.BytesReceived == 0
}

// end passes on the end of a socket that no descriptor leads to any more, and forgets it.
func (t *Tracker) end(s *socket, e *event.Event) {
	if !s.opened {
		t.forget(s)
		return
	}
	if s.waiting != nil { // no more of its addresses will become known
		t.waiting.GiveUp(s.waiting, pending.CauseEnded)
	}
	t.pass(s, e)
	t.forget(s)
}

// address adds an address that a call has named, if it was not known.
func (t *Tracker) address(e *event.Event) {
	s := t.sockets[e.Flow.Cookie]
	if s == nil || s.opened && s.waiting == nil && complete(&s.flow) {
		return // nobody needs it
	}
	if !mergeFlow(&s.flow, &e.Flow) {
		return
	}
	toItself(&s.flow)
	t.completed(s)
}

// inFlight in place of a descriptor stands for a message that carries one.
const inFlight = ^uint32(0)

// hold counts one more descriptor of a socket, which need not be open.
func (t *Tracker) hold(e *event.Event) {
	s := t.sockets[e.Flow.Cookie]
	if s == nil {
		s = t.follow(e.Flow.Cookie, e.Flow.Transport)
	}
	s.holders++
	if e.FD == inFlight {
		s.wasInFlight = true
		t.shared.inFlightFDs.add(t, s)
	}
}

// fail completes an attempt with what can be had at once.
func (t *Tracker) fail(e *event.Event) {
	e.Ending.Uncounted = true
	t.own(e)
	toItself(&e.Flow)
	s := t.sockets[e.Flow.Cookie]
	switch {
	case s != nil && s.waiting != nil:
		t.waiting.Add(s.waiting, e)
		return
	case s != nil && !s.opened:
		mergeFlow(&e.Flow, &s.flow)
	}
	t.stray(e)
}

func (t *Tracker) describe(e *event.Event) {
	name := e.Owner
	o := t.owners.refresh(name, e.Flow.NetNS)
	if e.Flow.NetNS == 0 && o.netns != 0 {
		t.opts.Kernel.Locate(name, o.netns)
	}
	e.Owner, e.Flow.NetNS = o.id, o.netns
	if e.Process != nil {
		e.Process.ID = e.Owner
	}
	t.opts.Next(e)
}

// other passes on an event of any other kind, behind those that wait.
func (t *Tracker) other(e *event.Event) {
	t.own(e)
	s := t.sockets[e.Flow.Cookie]
	switch {
	case s == nil:
		t.stray(e)
	case s.waiting != nil:
		t.waiting.Add(s.waiting, e)
	default:
		t.pass(s, e)
	}
}

// own sets the owner of an event and its network namespace.
func (t *Tracker) own(e *event.Event) {
	o := t.owners.of(e.Owner)
	e.Owner = o.id
	if e.Flow.NetNS == 0 {
		e.Flow.NetNS = o.netns
	}
}

// stray passes on an event of a socket that is not followed. Such an event has to be complete in itself.
func (t *Tracker) stray(e *event.Event) {
	if e.Kind != event.KindLive && !complete(&e.Flow) {
		t.finish(&e.Flow, e.Owner.PID)
	}
	t.opts.Next(e)
}

// pass passes on an event of a socket that does not wait.
func (t *Tracker) pass(s *socket, e *event.Event) {
	if s.opened && e.Kind != event.KindData && e.Kind != event.KindLive {
		e.Flow = s.flow
	}
	t.next(e)
}

// next passes on an event. The socket mode reports that a TCP connection was opened, and later who accepted it. Here accept
// is the call that opened it, so both events are emitted at once.
func (t *Tracker) next(e *event.Event) {
	t.opts.Next(e)
	if e.Kind == event.KindOpen && e.Flow.Transport == event.TCP && e.Flow.Role == event.RoleServer {
		e.Kind = event.KindAccept
		t.opts.Next(e)
	}
}
