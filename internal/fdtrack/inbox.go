package fdtrack

import (
	"sync"
	"sync/atomic"

	"github.com/socketflow/socketflow/internal/event"
)

// message is an event, or another change, from another goroutine.
type message struct {
	event event.Event
	inode inode // the socket's; KindExisting and KindNone only
	lost  int   // holders that the socket has lost; then there is no event
}

// inbox keeps messages until the tracker's own goroutine has time for them.
type inbox struct {
	filled   atomic.Bool
	mu       sync.Mutex
	messages []message
	spare    []message
}

func (b *inbox) put(m message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, m)
	b.filled.Store(true)
}

func (b *inbox) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.messages)
}

// take empties the inbox. The caller passes the result to done when it has handled the messages.
func (b *inbox) take() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.messages
	b.messages, b.spare = b.spare[:0], nil
	b.filled.Store(false)
	return taken
}

// maxSpare bounds for how many messages an empty inbox keeps memory.
const maxSpare = 1024

func (b *inbox) done(taken []message) {
	clear(taken)
	if cap(taken) > maxSpare {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spare = taken[:0]
}

// Inject queues an event, which is handled before the next call of Handle or Tick. It may be called by any goroutine. The event must
// not have a payload. Time 0 stands for the time when it is handled.
func (t *Tracker) Inject(e event.Event) { t.inbox.put(message{event: e}) }

func (t *Tracker) drain() {
	messages := t.inbox.take()
	for i := range messages {
		m := &messages[i]
		if m.event.Time == 0 {
			m.event.Time = t.waiting.Now()
		}
		switch {
		case m.lost > 0:
			t.lose(m)
		case m.event.Kind == event.KindNone:
			t.know(m)
		default:
			t.handle(&m.event)
			if m.inode != (inode{}) {
				t.name(m)
			}
		}
	}
	t.inbox.done(messages)
}

// know begins to follow a socket of which nothing is emitted yet: it is not connected, or its datagrams make flows.
func (t *Tracker) know(m *message) {
	s := t.sockets[m.event.Flow.Cookie]
	if s == nil {
		s = t.follow(m.event.Flow.Cookie, m.event.Flow.Transport)
	}
	s.flow = m.event.Flow
	s.inode = m.inode
}

// name stores the inode by which a socket was found.
func (t *Tracker) name(m *message) {
	if s := t.sockets[m.event.Flow.Cookie]; s != nil {
		s.inode = m.inode
	}
}

// lose removes holders of a socket: messages in flight that had to be forgotten. Whether they were received and the descriptor closed
// will not be known.
func (t *Tracker) lose(m *message) {
	t.stats.HoldersLost.Add(uint64(m.lost))
	s := t.sockets[m.event.Flow.Cookie]
	if s == nil {
		return
	}
	if s.holders -= m.lost; s.holders > 0 {
		return
	}
	t.end(s, &event.Event{
		Kind: event.KindClose, Time: t.waiting.Now(), Owner: s.owner, Flow: s.flow, Ending: event.Ending{Uncounted: true},
	})
}
