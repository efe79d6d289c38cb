package fdtrack

import (
	"net/netip"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/list"
	"github.com/socketflow/socketflow/internal/procnet"
)

// waiting is a socket whose events wait.
type waiting struct {
	socket      *socket
	first, last *item
	items       int
	bytes       int
	since       uint64         // CLOCK_MONOTONIC, ns
	query       *procnet.Query // the last; nil: procfs has not been asked
	links       list.Links[waiting]
}

// waitingList keeps the waiting sockets by the time since when they wait, and knows which are to be asked about next: for the
// first time, and right before their time is up.
type waitingList struct {
	list.List[waiting]
	toAsk, toAskAgain *waiting
}

func (l *waitingList) append(w *waiting) {
	l.Append(&w.links, w)
	if l.toAsk == nil {
		l.toAsk = w
	}
	if l.toAskAgain == nil {
		l.toAskAgain = w
	}
}

func (l *waitingList) remove(w *waiting) {
	if l.toAsk == w {
		l.toAsk = w.links.Next()
	}
	if l.toAskAgain == w {
		l.toAskAgain = w.links.Next()
	}
	l.Remove(&w.links)
}

// wait has the events of a socket wait from now on.
func (t *Tracker) wait(s *socket) {
	w := t.freeWait.Take()
	if w == nil {
		w = &waiting{}
	}
	*w = waiting{socket: s, since: t.now}
	s.waiting = w
	t.waiting.append(w)
	t.stats.Waiting.Add(1)
}

// enqueue has an event wait. If there is no room, those that wait go on, and it goes on behind them.
func (t *Tracker) enqueue(s *socket, e *event.Event) {
	w := s.waiting
	size := footprint(len(e.Data.Payload))
	if w.items >= t.limits.SocketItems || w.bytes+size > t.limits.SocketBytes {
		t.release(s, CauseSocketBound)
		t.pass(s, e)
		return
	}
	if !t.shared.take(1, size) {
		t.release(s, CauseTotalBound)
		t.pass(s, e)
		return
	}
	i := t.memory.copyOf(e)
	if w.last == nil {
		w.first = i
	} else {
		w.last.next = i
	}
	w.last = i
	w.items++
	w.bytes += size
	t.stats.Items.Add(1)
	t.stats.Bytes.Add(int64(size))
}

// release passes on what waits for the addresses of a socket, as complete as it is by now. cause is why it does not wait for
// what may still be missing.
func (t *Tracker) release(s *socket, cause Cause) {
	w := s.waiting
	s.waiting = nil
	t.waiting.remove(w)
	t.stats.Waiting.Add(-1)
	t.stats.WaitedTime.Add(t.now - w.since)
	t.stats.Items.Add(int64(-w.items))
	t.stats.Bytes.Add(int64(-w.bytes))
	t.shared.giveBack(w.items, w.bytes)
	if !complete(&s.flow) {
		t.finish(&s.flow, s.owner.PID)
	}
	if complete(&s.flow) {
		t.stats.Completed[s.flow.AddressSource].Add(1)
	} else {
		t.stats.Incomplete[cause].Add(1)
	}
	for i := w.first; i != nil; {
		next := i.next
		t.pass(s, &i.event)
		t.memory.put(i)
		i = next
	}
	*w = waiting{}
	t.freeWait.Put(&w.links, w)
}

// askedSocket is one of which an answer is awaited.
type askedSocket struct {
	cookie uint64
	query  *procnet.Query
	told   bool // at the last look already
}

// beforeExpiry is how long before the time is up procfs is asked again.
func (t *Tracker) beforeExpiry() time.Duration {
	return min(t.limits.Timeout/4, 250*time.Millisecond)
}

// askDue asks procfs about the sockets that have waited long enough.
func (t *Tracker) askDue() {
	if t.limits.LookupAfter >= t.limits.Timeout {
		return
	}
	l := &t.waiting
	for l.toAsk != nil && l.toAsk.since+uint64(t.limits.LookupAfter) <= t.now {
		w := l.toAsk
		l.toAsk = w.links.Next()
		t.ask(w)
	}
	again := t.limits.Timeout - t.beforeExpiry()
	if again <= t.limits.LookupAfter {
		return
	}
	for l.toAskAgain != nil && l.toAskAgain.since+uint64(again) <= t.now {
		w := l.toAskAgain
		l.toAskAgain = w.links.Next()
		if _, told, _ := w.query.Told(); told {
			t.ask(w)
		}
	}
}

func (t *Tracker) ask(w *waiting) {
	s := w.socket
	w.query = t.opts.Resolver.Ask(s.owner.PID, s.fd)
	t.asked = append(t.asked, askedSocket{cookie: s.flow.Cookie, query: w.query})
}

// pollAsked takes in the answers. An answer is as of now, the events are as of some time ago: before it is believed, the
// close that may have come in between has to have its turn, lest the next socket with the same descriptor be taken for this
// one.
func (t *Tracker) pollAsked() {
	kept := t.asked[:0]
	for _, a := range t.asked {
		s := t.sockets[a.cookie]
		if s == nil || s.waiting == nil || s.waiting.query != a.query {
			t.stats.Lookups[LookupUnneeded].Add(1)
			continue
		}
		found, told, err := a.query.Told()
		if !told || !a.told {
			a.told = told
			kept = append(kept, a)
			continue
		}
		t.answered(s, &found, err)
	}
	clear(t.asked[len(kept):])
	t.asked = kept
}

func (t *Tracker) answered(s *socket, found *procnet.Socket, err error) {
	switch {
	case err != nil:
		t.stats.Lookups[lookupOf(err)].Add(1)
	case !consistent(&s.flow, found):
		t.stats.Lookups[LookupReused].Add(1)
	default:
		t.stats.Lookups[LookupFound].Add(1)
		told := event.Flow{Local: found.Local, Remote: found.Remote, AddressSource: event.AddressSourceProc}
		if mergeFlow(&s.flow, &told) {
			t.completed(s)
		}
		if s.waiting != nil && unbound(found) { // nothing will tell more
			t.release(s, CauseTimeout)
		}
	}
}

// consistent reports whether a socket that was found can be the one of a flow, of which less is known.
func consistent(f *event.Flow, found *procnet.Socket) bool {
	return f.Transport == found.Transport && agree(f.Local, found.Local) &&
		(!found.Connected() && f.Transport == event.UDP || agree(f.Remote, found.Remote))
}

// unbound: a socket for datagrams that sends from any address of the host, and to any other.
func unbound(found *procnet.Socket) bool {
	return found.Transport == event.UDP && !found.Connected() && !known(found.Local.Addr())
}

// agree compares what is known of an address with all of it.
func agree(part, all netip.AddrPort) bool {
	return (!known(part.Addr()) || part.Addr() == all.Addr()) && (part.Port() == 0 || part.Port() == all.Port())
}

// expire releases the sockets whose time is up.
func (t *Tracker) expire() {
	for w := t.waiting.First(); w != nil && w.since+uint64(t.limits.Timeout) <= t.now; w = t.waiting.First() {
		t.release(w.socket, CauseTimeout)
	}
}
