package main

import (
	"slices"
)

// truth is what has to be found of a cell.
type truth struct {
	first, requests int  // numbers of the requests
	calls           int  // of each request
	forwards        bool // the service passes the request on: the call has the request's path
	backend         int  // its pid
}

// tally counts parents of CLIENT spans.
type tally struct{ asserted, right int }

// score is what was found of a cell.
type score struct {
	requests, calls int // expected
	spans           int // expected: of the service's requests, its calls, and the backend's requests
	found           int // calls with a CLIENT span
	servers         int // requests with a SERVER span of the service
	answers         int // calls with a SERVER span of the backend
	extra           int // spans beyond those
	asserted        int // calls whose span has a parent
	right           int // and it is the right one
	unjudged        int // and it is not known, because the service's SERVER span is missing
	linked          int // calls without a parent that link to the right one
	joined          int // calls whose span is the parent of the backend's
	connections     int // over which the calls were made
	whole           int // requests all of whose spans are in one trace
	evidence        map[string]tally
}

// missing is how many spans were not emitted.
func (s *score) missing() int { return s.spans - s.found - s.servers - s.answers }

// none is how many calls have no parent.
func (s *score) none() int { return s.found - s.asserted - s.unjudged }

// precision is the part of right ones among the parents asserted; 1 if there are none.
func (s *score) precision() float64 { return ratio(s.right, s.asserted) }

// recall is the part of calls that have the right parent.
func (s *score) recall() float64 { return ratio(s.right, s.calls) }

func ratio(part, all int) float64 {
	if all == 0 {
		return 1
	}
	return float64(part) / float64(all)
}

func (t *truth) score(requests map[int][]span) *score {
	s := &score{requests: t.requests, calls: t.requests * t.calls, evidence: map[string]tally{}}
	s.spans = s.requests + 2*s.calls
	connections := map[string]bool{}
	for n := range t.requests {
		all := requests[t.first+n]
		t.request(s, t.first+n, all)
		for i := range all {
			if all[i].client {
				connections[all[i].over] = true
			}
		}
	}
	s.connections = len(connections)
	return s
}

// request adds one request to the score.
func (t *truth) request(s *score, id int, all []span) {
	servers := t.named(all, target{id, itself}, false, false)
	whole := len(servers) > 0
	expected := 0
	if whole {
		s.servers++
		expected++
	}
	for k := range t.calls {
		at := t.call(id, k)
		calls, answers := t.named(all, at, true, false), t.named(all, at, false, true)
		if len(answers) > 0 {
			s.answers++
			expected++
		}
		if len(calls) > 0 {
			s.found++
			expected++
			s.judge(&calls[0], servers)
		}
		if len(calls) > 0 && len(answers) > 0 && answers[0].parent == calls[0].id && answers[0].trace == calls[0].trace {
			s.joined++
		}
		whole = whole && len(calls) > 0 && len(answers) > 0 && calls[0].trace == servers[0].trace && answers[0].trace == servers[0].trace
	}
	s.extra += len(all) - expected
	if whole {
		s.whole++
	}
}

// call is the target of a request's call.
func (t *truth) call(id, k int) target {
	if t.forwards {
		return target{id, itself}
	}
	return target{id, k}
}

// named are the spans of a target at one end, in the backend or not.
func (t *truth) named(all []span, at target, client, backend bool) (found []span) {
	for i := range all {
		if all[i].target == at && all[i].client == client && (all[i].pid == t.backend) == backend {
			found = append(found, all[i])
		}
	}
	return found
}

// judge compares the parent of a call with the SERVER spans of its request.
func (s *score) judge(call *span, servers []span) {
	same := slices.DeleteFunc(slices.Clone(servers), func(server span) bool { return server.pid != call.pid })
	isServer := func(server span) bool { return server.id == call.parent }
	switch {
	case call.parent.IsEmpty():
		if slices.ContainsFunc(same, func(server span) bool { return slices.Contains(call.links, server.id) }) {
			s.linked++
		}
		return
	case len(servers) == 0:
		s.unjudged++
		return
	}
	source := call.source
	if source == "" {
		source = "unnamed"
	}
	e := s.evidence[source]
	s.asserted++
	e.asserted++
	if slices.ContainsFunc(same, isServer) {
		s.right++
		e.right++
	}
	s.evidence[source] = e
}
