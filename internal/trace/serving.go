package trace

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/socketflow/socketflow/internal/splitmix"
)

// serving are the requests that a process has received lately, by their number modulo the length.
type serving struct {
	recent [256]servedRequest
	next   uint64 // number, from 1 on
	older  int    // those that are under way, and not in recent
	end    uint64 // CLOCK_MONOTONIC, ns: when the last one ended that is not in recent
	body   uint64 // CLOCK_MONOTONIC, ns: when the last body ended
	idle   uint64 // CLOCK_MONOTONIC, ns: when the process last sent a request though it had none to answer; 0: never
}

type servedRequest struct {
	key   ExchangeKey
	began uint64 // CLOCK_MONOTONIC, ns
	ended uint64 // 0: it is under way
	body  uint64 // when its body ended, if it is interleaved and came in several calls; 0: it has not
}

// mostServing bounds the processes whose requests are remembered, 10 KiB each.
const mostServing = 1024

type servingPart struct {
	mu    sync.Mutex
	known *simplelru.LRU[uint64, *serving] // by process
}

func (e *Exchanges) servingPart(process uint64) *servingPart {
	return &e.serving[splitmix.Finalize(process)%parts]
}

func (s *serving) at(number uint64) *servedRequest { return &s.recent[number%uint64(len(s.recent))] }

// beginServing notes a request that a process has received, and returns its number.
func (e *Exchanges) beginServing(b *Beginning) uint64 {
	p := e.servingPart(b.Process)
	p.mu.Lock()
	defer p.mu.Unlock()
	s, found := p.known.Get(b.Process)
	if !found {
		s = &serving{next: 1}
		p.known.Add(b.Process, s)
	}
	number := s.next
	s.next++
	if old := s.at(number); old.began != 0 && old.ended == 0 {
		s.older++
	} else {
		s.end = max(s.end, old.ended)
	}
	*s.at(number) = servedRequest{key: b.ExchangeKey, began: b.At}
	return number
}

// endServing notes that a process has answered a request.
func (e *Exchanges) endServing(process, number, at uint64) {
	p := e.servingPart(process)
	p.mu.Lock()
	defer p.mu.Unlock()
	s, found := p.known.Peek(process)
	switch {
	case !found:
	case number+uint64(len(s.recent)) >= s.next:
		s.at(number).ended = max(at, 1)
	case s.older > 0:
		s.older--
		s.end = max(s.end, at)
	}
}

// maxServing is for how long a request is served at the most while what the process sends is taken to be about it, ns. Requests that last longer wait
// for something, or are streams.
const maxServing = 5e9

func (r *servedRequest) isUnderWayAt(at uint64) bool {
	return r.began != 0 && r.began <= at && (r.ended == 0 || r.ended >= at)
}

// isServedAt reports whether what the process sends at a time may be about the request.
func (r *servedRequest) isServedAt(at uint64) bool {
	return r.isUnderWayAt(at) && at <= r.began+maxServing
}

// ownWork is for how long a process that has sent a request without one to answer is taken to do so again, ns: it polls, refreshes, or works on after
// its answers.
const ownWork = 60e9

// onlyOne is the only request that a process was serving when it sent another one.
func (e *Exchanges) onlyOne(n *node) (k ExchangeKey, found bool) {
	p := e.servingPart(n.Process)
	p.mu.Lock()
	defer p.mu.Unlock()
	s, known := p.known.Get(n.Process)
	if !known || s.older > 0 || s.end > n.At {
		return ExchangeKey{}, false
	}
	for i := range s.recent {
		r := &s.recent[i]
		switch {
		case !r.isUnderWayAt(n.At):
		case found || !r.isServedAt(n.At):
			return ExchangeKey{}, false
		default:
			k, found = r.key, true
		}
	}
	if !found {
		s.idle = max(s.idle, n.At)
	}
	return k, found && (s.idle == 0 || n.At > s.idle+ownWork)
}

// endBody notes that the body of an interleaved request has ended.
func (e *Exchanges) endBody(process, number, at uint64) {
	p := e.servingPart(process)
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, found := p.known.Peek(process); found && number+uint64(len(s.recent)) >= s.next {
		s.at(number).body, s.body = at, max(s.body, at)
	}
}

// longestTurn is how long a thread may go on receiving before it acts on what it has received, ns. nginx acts on the end of a body in HTTP/2 when it has
// received from all sockets that were ready.
const longestTurn = 100e6

// hasOwedBody reports whether a request may have been sent because the body of another request than the one with the span had ended shortly before.
func (e *Exchanges) hasOwedBody(n *node, span [8]byte) bool {
	var owed [8]ExchangeKey
	count := e.owedBodies(n, &owed)
	if count > len(owed) {
		return true
	}
	for _, k := range owed[:count] {
		if x, found := e.get(k); found && x.IDs.Own != span && !(x.unspanned() && x.resolved && x.parent.Span == span) {
			return true
		}
	}
	return false
}

// owedBodies are the requests of a process whose bodies had ended shortly before it sent a request, and that were not answered then. It returns how many
// there are.
func (e *Exchanges) owedBodies(n *node, owed *[8]ExchangeKey) (count int) {
	p := e.servingPart(n.Process)
	p.mu.Lock()
	defer p.mu.Unlock()
	s, known := p.known.Peek(n.Process)
	if !known || s.body+longestTurn < n.At {
		return 0
	}
	for i := range s.recent {
		r := &s.recent[i]
		if r.body == 0 || r.body > n.At || r.body+longestTurn < n.At || r.ended != 0 && r.ended < n.At {
			continue
		}
		if count++; count > len(owed) {
			break
		}
		owed[count-1] = r.key
	}
	return count
}

// serves reports whether a process has received requests.
func (e *Exchanges) serves(process uint64) bool {
	p := e.servingPart(process)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known.Contains(process)
}

// servedAt finds the requests that a process was serving when it sent another one, and returns how many there were. As many as there is room for are
// in latest, those that began last first.
func (e *Exchanges) servedAt(n *node, latest []ExchangeKey) (all int) {
	p := e.servingPart(n.Process)
	p.mu.Lock()
	defer p.mu.Unlock()
	s, known := p.known.Peek(n.Process)
	if !known {
		return 0
	}
	for number := s.next - 1; number > 0 && number+uint64(len(s.recent)) >= s.next; number-- {
		if !s.at(number).isServedAt(n.At) {
			continue
		}
		if all < len(latest) {
			latest[all] = s.at(number).key
		}
		all++
	}
	return all + s.older
}
