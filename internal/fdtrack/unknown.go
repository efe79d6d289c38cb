package fdtrack

import (
	"errors"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procfs"
)

type descriptor struct{ pid, fd uint32 }

// question asks what a descriptor leads to. Its identity is needed because the number may be another file's by the time of the answer.
type question struct {
	descriptor
	identity uint64
}

// unknown is a descriptor about which procfs has been asked.
type unknown struct {
	owner    process.ID
	fd       uint32
	question uint64
	time     uint64 // CLOCK_MONOTONIC, ns
	query    *procfs.Query
}

func (u *unknown) asked() question { return question{descriptor{u.owner.PID, u.fd}, u.question} }

// maxUnknown bounds how many descriptors are asked about at once.
const maxUnknown = 1024

// unknown asks what a descriptor leads to.
func (t *Tracker) unknown(e *event.Event) {
	q := question{descriptor{e.Owner.PID, e.FD}, e.Flow.Cookie}
	if _, asked := t.resolves[q]; asked {
		return
	}
	if len(t.unknowns) >= maxUnknown {
		t.stats.Unknown[ResultDropped].Add(1)
		return
	}
	u := unknown{t.owners.of(e.Owner).id, e.FD, e.Flow.Cookie, e.Time, t.opts.Resolver.Ask(q.pid, q.fd)}
	if found, answered, err := u.query.Answered(); answered {
		t.resolve(&u, &found, err)
		return
	}
	t.resolves[q] = struct{}{}
	t.unknowns = append(t.unknowns, u)
}

func (t *Tracker) pollUnknown() {
	kept := t.unknowns[:0]
	for i := range t.unknowns {
		u := t.unknowns[i]
		found, answered, err := u.query.Answered()
		if !answered {
			kept = append(kept, u)
			continue
		}
		delete(t.resolves, u.asked())
		t.resolve(&u, &found, err)
	}
	clear(t.unknowns[len(kept):])
	t.unknowns = kept
}

// resolve answers the kernel side's question what a descriptor leads to.
func (t *Tracker) resolve(u *unknown, found *procfs.Socket, err error) {
	defer t.drain() // of what this may have put into the inbox
	var result Result
	switch {
	case err == nil:
		result = t.socketFound(u, found)
	case errors.Is(err, procfs.ErrGone), errors.Is(err, procfs.ErrClosed):
		result = ResultGone
	case errors.Is(err, procfs.ErrTooMany):
		result = ResultDropped
	case errors.Is(err, procfs.ErrNotSocket), errors.Is(err, procfs.ErrNotListed):
		result = ResultNotSocket
	default: // most likely a privilege is missing, and will be the next time
		result = ResultFailed
	}
	t.stats.Unknown[result].Add(1)
	if result == ResultNotSocket || result == ResultFailed {
		_ = t.opts.Kernel.Reject(u.owner.PID, u.fd, u.question) // if it fails, the question stays open, which does no harm
	}
}

func (t *Tracker) socketFound(u *unknown, found *procfs.Socket) Result {
	if !t.opts.Kernel.Asked(u.owner.PID, u.fd, u.question) {
		return ResultKnown // a call has made it a socket since, which may be closed by now; or there is a later question
	}
	if _, known := t.shared.inodes.get(inodeOf(found)); !known {
		if flow, by, ok := t.shared.inFlightFDs.claim(found); ok {
			t.claimed(u, found, &flow, by)
			return ResultInFlight
		}
	}
	if t.takeIn(found, u.owner, u.fd, u.question, u.time) {
		return ResultKnown
	}
	return ResultSocket
}

// claimed answers with a socket that a message has brought. If the tracker that follows it waits for an address, it gets it now.
func (t *Tracker) claimed(u *unknown, found *procfs.Socket, f *event.Flow, by *Tracker) {
	if !complete(f) {
		other := event.Flow{Cookie: f.Cookie, Local: found.Local, Remote: found.Remote, AddressSource: event.AddressSourceProc}
		mergeFlow(f, &other)
		by.Inject(event.Event{Kind: event.KindAddress, Flow: other})
	}
	t.adopt(u.owner.PID, u.fd, u.question, f, false)
}

// takeIn makes a tracker follow a socket to which a descriptor was found. Any goroutine may call it. The message is in the inbox of
// that tracker before the kernel side can report anything about the socket.
func (t *Tracker) takeIn(found *procfs.Socket, owner process.ID, fd uint32, question, time uint64) (known bool) {
	key := inodeOf(found)
	s, known := t.shared.inodes.get(key)
	if !known {
		s = knownSocket{flow: flowOf(found), tracker: t, listening: found.Listening()}
		s.flow.Cookie = t.opts.NewCookie()
		s, known = t.shared.inodes.claim(key, s)
	}
	m := message{event: event.Event{Time: time, Owner: owner, FD: fd}}
	switch {
	case known:
		m.event.Kind, m.event.Flow.Cookie = event.KindHold, s.flow.Cookie
	case found.Connected() && found.Transport != procfs.UDP: // a flow begins with its first datagram, and has a cookie of its own
		m.inode = key
		m.event.Kind, m.event.Flow, m.event.Existing = event.KindExisting, s.flow, true
		m.event.Ending.LastState = event.StateEstablished
	default: // there is nothing to emit yet
		m.inode = key
		m.event.Flow = s.flow
	}
	s.tracker.inbox.put(m)
	t.adopt(owner.PID, fd, question, &s.flow, s.listening)
	return known
}

func (t *Tracker) adopt(pid, fd uint32, question uint64, f *event.Flow, listening bool) {
	if err := t.opts.Kernel.Adopt(pid, fd, question, f, listening); err != nil {
		t.stats.AdoptsFailed.Add(1)
	}
}

func inodeOf(s *procfs.Socket) inode { return inode{s.NetNS, s.Inode} }

// transportOf is the transport of a socket that was found: both packages number them alike.
func transportOf(s *procfs.Socket) event.Transport { return event.Transport(s.Transport) }

// flowOf is the flow of a socket that was found. A TCP or UDP socket is a server if somebody listens at its local end, and a client if
// somebody does at its remote end. If nobody is known to, the listener is gone or on another host: the payload will show the role. A Unix
// socket is a server if its end has a name: clients seldom bind.
func flowOf(s *procfs.Socket) event.Flow {
	f := event.Flow{
		Local: s.Local, Remote: s.Remote, NetNS: s.NetNS, Transport: transportOf(s), AddressSource: event.AddressSourceProc,
	}
	if s.Transport == procfs.UnixStream {
		f.Unix = &event.Unix{Local: s.Name}
	}
	switch {
	case !s.Connected(), s.Transport == procfs.UnixStream && s.Name == "":
		return f
	case s.Listened:
		f.Role = event.RoleServer
	case s.PeerListened:
		f.Role = event.RoleClient
	default:
		return f
	}
	f.RoleSource = event.RoleSourceListener
	return f
}
