package completion

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
func (c *Completer) wait(s *socket) {
	w := c.freeWait.Take()
	if w == nil {
		w = &waiting{}
	}
	*w = waiting{socket: s, since: c.now}
	s.waiting = w
	c.waiting.append(w)
	c.stats.Waiting.Add(1)
}

// enqueue has an event wait. If there is no room, those that wait go on, and it goes on behind them.
func (c *Completer) enqueue(s *socket, e *event.Event) {
	w := s.waiting
	size := footprint(len(e.Data.Payload))
	if w.items >= c.limits.SocketItems || w.bytes+size > c.limits.SocketBytes {
		c.release(s, CauseSocketBound)
		c.pass(s, e)
		return
	}
	if !c.shared.take(1, size) {
		c.release(s, CauseTotalBound)
		c.pass(s, e)
		return
	}
	i := c.memory.copyOf(e)
	if w.last == nil {
		w.first = i
	} else {
		w.last.next = i
	}
	w.last = i
	w.items++
	w.bytes += size
	c.stats.Items.Add(1)
	c.stats.Bytes.Add(int64(size))
}

// release passes on what waits for the addresses of a socket, as complete as it is by now. cause is why it does not wait for
// what may still be missing.
func (c *Completer) release(s *socket, cause Cause) {
	w := s.waiting
	s.waiting = nil
	c.waiting.remove(w)
	c.stats.Waiting.Add(-1)
	c.stats.WaitedTime.Add(c.now - w.since)
	c.stats.Items.Add(int64(-w.items))
	c.stats.Bytes.Add(int64(-w.bytes))
	c.shared.giveBack(w.items, w.bytes)
	if !complete(&s.flow) {
		c.finish(&s.flow, s.owner.PID)
	}
	if complete(&s.flow) {
		c.stats.Completed[s.flow.AddressSource].Add(1)
	} else {
		c.stats.Incomplete[cause].Add(1)
	}
	for i := w.first; i != nil; {
		next := i.next
		c.pass(s, &i.event)
		c.memory.put(i)
		i = next
	}
	*w = waiting{}
	c.freeWait.Put(&w.links, w)
}

// askedSocket is one of which an answer is awaited.
type askedSocket struct {
	cookie uint64
	query  *procnet.Query
	told   bool // at the last look already
}

// beforeExpiry is how long before the time is up procfs is asked again.
func (c *Completer) beforeExpiry() time.Duration {
	return min(c.limits.Timeout/4, 250*time.Millisecond)
}

// askDue asks procfs about the sockets that have waited long enough.
func (c *Completer) askDue() {
	if c.limits.LookupAfter >= c.limits.Timeout {
		return
	}
	l := &c.waiting
	for l.toAsk != nil && l.toAsk.since+uint64(c.limits.LookupAfter) <= c.now {
		w := l.toAsk
		l.toAsk = w.links.Next()
		c.ask(w)
	}
	again := c.limits.Timeout - c.beforeExpiry()
	if again <= c.limits.LookupAfter {
		return
	}
	for l.toAskAgain != nil && l.toAskAgain.since+uint64(again) <= c.now {
		w := l.toAskAgain
		l.toAskAgain = w.links.Next()
		if _, told, _ := w.query.Told(); told {
			c.ask(w)
		}
	}
}

func (c *Completer) ask(w *waiting) {
	s := w.socket
	w.query = c.opts.Resolver.Ask(s.owner.PID, s.fd)
	c.asked = append(c.asked, askedSocket{cookie: s.flow.Cookie, query: w.query})
}

// pollAsked takes in the answers. An answer is as of now, the events are as of some time ago: before it is believed, the
// close that may have come in between has to have its turn, lest the next socket with the same descriptor be taken for this
// one.
func (c *Completer) pollAsked() {
	kept := c.asked[:0]
	for _, a := range c.asked {
		s := c.sockets[a.cookie]
		if s == nil || s.waiting == nil || s.waiting.query != a.query {
			c.stats.Lookups[LookupUnneeded].Add(1)
			continue
		}
		found, told, err := a.query.Told()
		if !told || !a.told {
			a.told = told
			kept = append(kept, a)
			continue
		}
		c.answered(s, &found, err)
	}
	clear(c.asked[len(kept):])
	c.asked = kept
}

func (c *Completer) answered(s *socket, found *procnet.Socket, err error) {
	switch {
	case err != nil:
		c.stats.Lookups[lookupOf(err)].Add(1)
	case !consistent(&s.flow, found):
		c.stats.Lookups[LookupReused].Add(1)
	default:
		c.stats.Lookups[LookupFound].Add(1)
		told := event.Flow{Local: found.Local, Remote: found.Remote, AddressSource: event.AddressSourceProc}
		if mergeFlow(&s.flow, &told) {
			c.completed(s)
		}
		if s.waiting != nil && unbound(found) { // nothing will tell more
			c.release(s, CauseTimeout)
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
func (c *Completer) expire() {
	for w := c.waiting.First(); w != nil && w.since+uint64(c.limits.Timeout) <= c.now; w = c.waiting.First() {
		c.release(w.socket, CauseTimeout)
	}
}
