package fdtrack

import (
	"net/netip"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/pending"
	"github.com/socketflow/socketflow/internal/procfs"
)

// askedSocket is a socket about which procfs has been asked.
type askedSocket struct {
	cookie   uint64
	query    *procfs.Query
	answered bool // at the last poll already
}

// reminders say when procfs is asked about a socket whose events wait: after LookupAfter and, if the answer did not help, shortly
// before the timeout.
func (t *Tracker) reminders() []pending.Reminder[*socket] {
	if t.limits.LookupAfter >= t.limits.Timeout {
		return nil
	}
	reminders := []pending.Reminder[*socket]{{After: t.limits.LookupAfter, Call: t.ask}}
	beforeExpiry := min(t.limits.Timeout/4, 250*time.Millisecond)
	if again := t.limits.Timeout - beforeExpiry; again > t.limits.LookupAfter {
		reminders = append(reminders, pending.Reminder[*socket]{After: again, Call: t.askAgain})
	}
	return reminders
}

func (t *Tracker) ask(s *socket) {
	s.query = t.opts.Resolver.Ask(s.owner.PID, s.fd)
	t.asked = append(t.asked, askedSocket{cookie: s.flow.Cookie, query: s.query})
}

func (t *Tracker) askAgain(s *socket) {
	if _, answered, _ := s.query.Answered(); answered {
		t.ask(s)
	}
}

// pollAsked takes in the answers. An answer describes the present, but events are handled with a delay. So an answer is used one poll
// later: a close that came in between is handled first, and the next socket with the same descriptor is not taken for this one.
func (t *Tracker) pollAsked() {
	kept := t.asked[:0]
	for _, a := range t.asked {
		s := t.sockets[a.cookie]
		if s == nil || s.waiting == nil || s.query != a.query {
			t.stats.Lookups[LookupUnneeded].Add(1)
			continue
		}
		found, answered, err := a.query.Answered()
		if !answered || !a.answered {
			a.answered = answered
			kept = append(kept, a)
			continue
		}
		t.answered(s, &found, err)
	}
	clear(t.asked[len(kept):])
	t.asked = kept
}

func (t *Tracker) answered(s *socket, found *procfs.Socket, err error) {
	switch {
	case err != nil:
		t.notFound(s, lookupOf(err))
	case !consistent(&s.flow, found):
		t.notFound(s, LookupReused)
	default:
		t.stats.Lookups[LookupFound].Add(1)
		other := event.Flow{Local: found.Local, Remote: found.Remote, AddressSource: event.AddressSourceProc}
		if mergeFlow(&s.flow, &other) {
			t.completed(s)
		}
		if s.waiting != nil && unbound(found) { // no call will name its address
			t.waiting.GiveUp(s.waiting, pending.CauseTimeout)
		}
	}
}

// notFound ends the wait of a UDP flow whose descriptor is closed: no call will name its address, and its end is reported later, when it has
// been idle. For other sockets, the close is on its way.
func (t *Tracker) notFound(s *socket, l Lookup) {
	t.stats.Lookups[l].Add(1)
	if s.flow.Transport == event.UDP && (l == LookupGone || l == LookupReused) {
		t.waiting.GiveUp(s.waiting, pending.CauseEnded)
	}
}

// consistent reports whether a socket that was found can be that of a flow whose addresses are not all known.
func consistent(f *event.Flow, found *procfs.Socket) bool {
	return f.Transport == transportOf(found) && agree(f.Local, found.Local) &&
		(!found.Connected() && f.Transport == event.UDP || agree(f.Remote, found.Remote))
}

// unbound reports whether it is a UDP socket with no fixed local and no fixed remote address.
func unbound(found *procfs.Socket) bool {
	return found.Transport == procfs.UDP && !found.Connected() && !known(found.Local.Addr())
}

// agree reports whether the known parts of an address match the whole one.
func agree(part, all netip.AddrPort) bool {
	return (!known(part.Addr()) || part.Addr() == all.Addr()) && (part.Port() == 0 || part.Port() == all.Port())
}
