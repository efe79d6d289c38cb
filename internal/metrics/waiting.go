package metrics

import (
	"time"

	"github.com/socketflow/socketflow/internal/peername"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// Peers finds who has the other ends of connections.
type Peers struct {
	// Of is the process of this host that has an end; nil: none that is known.
	Of func(trace.End) *process.Info
	// Name answers the questions of connections; nil: none have any.
	Name func(peername.Question) (a peername.Answer, settled bool)
	// Settled reports whether all from before a time (CLOCK_MONOTONIC, ns) has been handled.
	Settled func(at uint64) bool
	Now     func() uint64 // CLOCK_MONOTONIC, ns
}

// kind of what waits.
type kind uint8

const (
	closed kind = iota
	failed
	named
	connected
)

// waiting is what is measured as soon as it is known who has the other end of its connection.
type waiting struct {
	kind       kind
	connection socket.Connection
	measured   measured
	since      uint64 // CLOCK_MONOTONIC, ns
}

// maxWaiting bounds what waits in a shard. Beyond it the oldest does not wait any longer.
const maxWaiting = 1 << 13

// usuallyWaiting is for how many that wait memory is kept.
const usuallyWaiting = 1 << 10

// queue is a ring of those that wait.
type queue struct {
	ring        []waiting // a power of two of them
	first, next uint64
}

func (q *queue) len() int { return int(q.next - q.first) }

func (q *queue) at(i uint64) *waiting { return &q.ring[i&uint64(len(q.ring)-1)] }

// push returns the place of one more.
func (q *queue) push() *waiting {
	if q.len() == len(q.ring) {
		bigger := make([]waiting, max(64, 2*len(q.ring)))
		for i := q.first; i != q.next; i++ {
			bigger[i&uint64(len(bigger)-1)] = *q.at(i)
		}
		q.ring = bigger
	}
	q.next++
	return q.at(q.next - 1)
}

// isSettled reports whether it is known who has the other end of a connection, as far as it will be.
func isSettled(c *socket.Connection) bool { return c.PeerSettled && c.PeerQuestion.At == 0 }

// await measures something as soon as it is known who has the other end.
func (r *Recorder) await(k kind, c *socket.Connection, m *measured) {
	if r.waiting.len() >= maxWaiting {
		r.unsettled.Add(1)
		r.resume()
	}
	w := r.waiting.push()
	w.kind, w.connection, w.measured, w.since = k, *c, *m, r.peers.Now()
	w.connection.TLS = nil // valid during the call only
}

// Settle measures what has waited for long enough: until everything from before has been handled, or for as long as a time.
func (r *Recorder) Settle(most time.Duration) {
	now := r.peers.Now()
	for r.waiting.len() > 0 {
		since := r.waiting.at(r.waiting.first).since
		if !r.peers.Settled(since) && now-since < uint64(most) {
			return
		}
		r.resume()
	}
	if len(r.waiting.ring) > usuallyWaiting {
		r.waiting = queue{} // a flood is over
	}
}

// resume measures the one that has waited longest.
func (r *Recorder) resume() {
	w := r.waiting.at(r.waiting.first)
	c := &w.connection
	if !c.PeerSettled && c.OtherEnd != 0 && r.peers.Of != nil {
		c.Peer = r.peers.Of(c.OtherEnd)
	}
	if c.PeerQuestion.At != 0 && r.peers.Name != nil {
		called, _ := r.peers.Name(c.PeerQuestion)
		c.PeerName, c.PeerLookup = called.Name, called.Lookup
	}
	switch w.kind {
	case closed:
		r.closed(c)
	case failed:
		r.failed(c)
	case named:
		r.named(c, &w.measured)
	case connected:
		r.connected(c, &w.measured)
	}
	*w = waiting{} // keep no reference
	r.waiting.first++
}
