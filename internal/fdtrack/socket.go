package fdtrack

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/intrusive"
	"github.com/socketflow/socketflow/internal/pending"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procfs"
)

// socket is what is remembered of one that a descriptor leads to.
type socket struct {
	flow        event.Flow
	owner       process.ID // who opened it
	fd          uint32     // its descriptor
	inode       inode      // known only of those that were found by it
	holders     int        // descriptors that lead to it, and messages that carry one
	opened      bool
	wasInFlight bool                                // a message has carried it
	transport   event.Transport                     // under whose bound it counts: TCP if nothing but a descriptor is known of it
	waiting     *pending.Wait[*socket, event.Event] // nil: its events do not wait
	query       *procfs.Query                       // the last of this wait; nil: procfs has not been asked
	links       intrusive.Links[socket]
}

// bounded is the sockets that count under one bound, the one that was used least recently first.
type bounded struct {
	intrusive.List[socket]
	count int
}

// follow begins to follow a socket with one holder.
func (t *Tracker) follow(cookie uint64, transport event.Transport) *socket {
	list := &t.byUse[transport]
	if list.count >= t.opts.Sockets {
		old := list.First()
		if old.waiting != nil {
			t.waiting.GiveUp(old.waiting, pending.CauseEvicted)
		}
		t.stats.Evicted.Add(1)
		t.forget(old)
	}
	s := t.free.Take()
	if s == nil {
		s = &socket{}
	}
	*s = socket{holders: 1, transport: transport}
	s.flow.Cookie = cookie
	t.sockets[cookie] = s
	list.Append(&s.links, s)
	list.count++
	t.stats.Sockets.Add(1)
	return s
}

// used notes that a socket is the one that was used last.
func (t *Tracker) used(s *socket) {
	list := &t.byUse[s.transport]
	if list.Last() != s {
		list.Remove(&s.links)
		list.Append(&s.links, s)
	}
}

func (t *Tracker) forget(s *socket) {
	if s.wasInFlight {
		t.shared.inFlightFDs.drop(s.flow.Cookie)
	}
	if s.inode != (inode{}) {
		t.shared.inodes.drop(s.inode, s.flow.Cookie)
	}
	delete(t.sockets, s.flow.Cookie)
	list := &t.byUse[s.transport]
	list.Remove(&s.links)
	list.count--
	t.stats.Sockets.Add(-1)
	*s = socket{}
	if t.free.Len() < spareSockets {
		t.free.Put(&s.links, s)
	}
}

// spareSockets are kept for others. What a flood has taken beyond that is given back.
const spareSockets = 4096
