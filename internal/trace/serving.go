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
	idle   uint64 // CLOCK_MONOTONIC, ns: when the process last sent a request though it had none to answer; 0: never
}

type servedRequest struct {
	key   ExchangeKey
	began uint64 // CLOCK_MONOTONIC, ns
	ended uint64 // 0: it is under way
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
		case r.began == 0, r.began > n.At, r.ended != 0 && r.ended < n.At:
		case found || n.At > r.began+maxServing:
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
