package fdtrack

import (
	"fmt"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/procfs"
)

// maxInFlightFDs bounds how many sockets are remembered whose descriptors are in messages (SCM_RIGHTS) from one process to another.
const maxInFlightFDs = 1024

// inFlightFD is a socket of which descriptors are in messages.
type inFlightFD struct {
	flow     event.Flow
	opened   bool // flow is known
	tracker  *Tracker
	messages int
}

// inFlightFDs are the sockets in flight, oldest first.
type inFlightFDs struct {
	mu    sync.Mutex
	byAge *simplelru.LRU[uint64, *inFlightFD] // by cookie
	lost  []*inFlightFD
}

func (f *inFlightFDs) init() (err error) {
	f.byAge, err = simplelru.NewLRU(maxInFlightFDs, func(_ uint64, lost *inFlightFD) { f.lost = append(f.lost, lost) })
	if err != nil {
		return fmt.Errorf("fdtrack: sockets in flight: %w", err)
	}
	return nil
}

// add counts a message. If there are too many sockets in flight, the holders of the oldest are given up.
func (f *inFlightFDs) add(t *Tracker, s *socket) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = f.lost[:0]
	if known, ok := f.byAge.Peek(s.flow.Cookie); ok {
		known.messages++
		return
	}
	f.byAge.Add(s.flow.Cookie, &inFlightFD{flow: s.flow, opened: s.opened, tracker: t, messages: 1})
	for _, lost := range f.lost {
		lost.tracker.inbox.put(message{lost: lost.messages, event: event.Event{Flow: event.Flow{Cookie: lost.flow.Cookie}}})
	}
	f.lost = f.lost[:0]
}

// update stores what has become known of a socket that may be in flight.
func (f *inFlightFDs) update(flow *event.Flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if known, ok := f.byAge.Peek(flow.Cookie); ok {
		known.flow, known.opened = *flow, true
	}
}

// drop forgets a socket.
func (f *inFlightFDs) drop(cookie uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byAge.Remove(cookie)
	f.lost = f.lost[:0]
}

// claim matches a socket that was found in a process with one in flight, and takes one of its messages. If the addresses of the
// candidates are not complete, only one of them may fit. by is the tracker that follows the socket.
func (f *inFlightFDs) claim(found *procfs.Socket) (flow event.Flow, by *Tracker, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fits := f.find(found)
	if fits == nil {
		return event.Flow{}, nil, false
	}
	if fits.messages--; fits.messages == 0 {
		f.byAge.Remove(fits.flow.Cookie)
		f.lost = f.lost[:0]
	}
	return fits.flow, fits.tracker, true
}

func (f *inFlightFDs) find(found *procfs.Socket) *inFlightFD {
	var one *inFlightFD
	several := false
	for _, cookie := range f.byAge.Keys() {
		candidate, _ := f.byAge.Peek(cookie)
		switch {
		case !candidate.fits(found):
		case candidate.exact():
			return candidate
		default:
			several = several || one != nil
			one = candidate
		}
	}
	if several {
		return nil
	}
	return one
}

// exact reports whether no other socket of the network namespace can have these addresses.
func (f *inFlightFD) exact() bool { return f.flow.Transport != event.UnixStream && complete(&f.flow) }

func (f *inFlightFD) fits(found *procfs.Socket) bool {
	switch {
	case !f.opened || f.flow.Transport != transportOf(found) || f.flow.NetNS != 0 && f.flow.NetNS != found.NetNS:
		return false
	case found.Transport == procfs.UnixStream:
		return f.flow.Unix != nil && f.flow.Unix.Local == found.Name
	default:
		return agree(f.flow.Local, found.Local) && agree(f.flow.Remote, found.Remote)
	}
}
