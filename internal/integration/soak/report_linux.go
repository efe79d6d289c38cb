package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/socketflow/socketflow/internal/integration/otelcol"
)

// tally counts sides of requests: each request has two.
type tally struct {
	requests, expected, emitted          int
	down, export, kernel, unexplained    int // without a span
	duplicates, split, wrong, unanswered int
}

func (t *tally) add(o tally) {
	t.requests += o.requests
	t.expected += o.expected
	t.emitted += o.emitted
	t.down += o.down
	t.export += o.export
	t.kernel += o.kernel
	t.unexplained += o.unexplained
	t.duplicates += o.duplicates
	t.split += o.split
	t.wrong += o.wrong
	t.unanswered += o.unanswered
}

// shown is how many examples are printed.
const shown = 60

const head = "requests | sides | with a span | not observed: collector down | counted: export | counted: kernel, parser | unexplained | duplicates | split by a restart | wrong | unanswered |"

func (t tally) print(name string) {
	fmt.Printf("| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d |\n", name, t.requests, t.expected, t.emitted, t.down, t.export, t.kernel,
		t.unexplained, t.duplicates, t.split, t.wrong, t.unanswered)
}

// Slack around the times at which a signal was sent, and at which the collector was ready.
const (
	beforeSignal = int64(50 * time.Millisecond)
	afterReady   = int64(time.Second)
	beforeKill   = int64(3 * time.Second) // what was still in the collector
)

// observed reports in which segment the collector observed all of the request; -1: in none.
func (x *soak) observed(r *request) int {
	for i, s := range x.segments {
		end := s.end - beforeSignal
		if s.how == "SIGKILL" {
			end = s.end - beforeKill
		}
		if r.begin >= s.begin+afterReady && r.end <= end {
			return i
		}
	}
	return -1
}

// take spends one of the budget, and reports whether there was one.
func take(n *int) bool {
	*n--
	return *n >= 0
}

// miss counts a missing side by its reason.
func (t *tally) miss(r *request, b *otelcol.Losses) (explained bool) {
	switch {
	case take(&b.Export):
		t.export++
	case take(&b.Kernel), r.kind == dns && take(&b.Flows):
		t.kernel++
	default:
		t.unexplained++
		return false
	}
	return true
}

func (x *soak) phaseOf(at int64) string {
	for _, s := range x.spans {
		if at >= s.begin && (s.end == 0 || at < s.end) {
			return s.phase
		}
	}
	return "calm"
}

// report prints what became of all requests, and returns an error unless all of it is true.
func (x *soak) report() error {
	x.ledger.mu.Lock()
	defer x.ledger.mu.Unlock()
	byKind, byPhase := map[string]*tally{}, map[string]*tally{}
	budgets := make([]otelcol.Losses, len(x.segments))
	for i := range x.segments {
		budgets[i] = x.segments[i].counters.Losses()
	}
	var total tally
	var examples []string
	orphans := 0
	for _, run := range slices.Sorted(maps.Keys(x.ledger.requests)) {
		for n := range x.ledger.requests[run] {
			r := &x.ledger.requests[run][n]
			if r.end == 0 {
				orphans++
				continue
			}
			t, notes := x.judge(r, budgets)
			total.add(t)
			for _, m := range []struct {
				all map[string]*tally
				key string
			}{{byKind, kindNames[r.kind]}, {byPhase, x.phaseOf(r.end)}} {
				if m.all[m.key] == nil {
					m.all[m.key] = &tally{}
				}
				m.all[m.key].add(t)
			}
			for _, note := range notes[:min(len(notes), max(0, shown-len(examples)))] {
				examples = append(examples, fmt.Sprintf("r%dx%d %s %s (%s): %s, client port %d %+v", run, n,
					time.Unix(0, r.end).UTC().Format("15:04:05.000"), kindNames[r.kind], x.phaseOf(r.end), note, r.port, r.sides))
			}
		}
	}
	for _, table := range []map[string]*tally{byKind, byPhase} {
		fmt.Println("\n| | " + head + "\n|---|" + strings.Repeat("---:|", 11))
		for _, name := range slices.Sorted(maps.Keys(table)) {
			table[name].print(name)
		}
		total.print("all")
	}
	x.printSegments()
	x.mu.Lock()
	defer x.mu.Unlock()
	grown := flat(x.samples)
	fmt.Printf("\nspans of requests %d, sent twice by the exporter %d, other spans %d, unreadable exports %d, requests without a client's line %d\n",
		x.ledger.spans, x.ledger.resent, x.ledger.others, x.sink.Errors.Load(), orphans)
	for _, list := range [][]string{x.ledger.strange, examples, x.troubles} {
		for _, line := range list {
			fmt.Println(line)
		}
	}
	return total.verdict(grown, len(x.troubles))
}

// verdict is an error unless all is explained, once, and flat.
func (t tally) verdict(grown, troubles int) error {
	if t.requests == 0 {
		return errors.New("no requests")
	}
	if t.unexplained+t.duplicates+t.wrong+grown+troubles > 0 {
		return fmt.Errorf("FAILED: %d unexplained, %d duplicates, %d wrong, %d figures grown, %d troubles", t.unexplained, t.duplicates, t.wrong,
			grown, troubles)
	}
	fmt.Println("\nPASSED: each request is emitted once at each end, or counted")
	return nil
}

// judge compares what was emitted of a request with what its client says.
func (x *soak) judge(r *request, budgets []otelcol.Losses) (t tally, notes []string) {
	t.requests, t.expected = 1, int(sides)
	if !r.answered {
		t.unanswered++
	}
	segment := x.observed(r)
	for which := range sides {
		s := &r.sides[which]
		name := [sides]string{"CLIENT", "SERVER"}[which]
		switch {
		case s.spans == 0 && segment < 0:
			t.down++
		case s.spans == 0:
			if !t.miss(r, &budgets[segment]) {
				notes = append(notes, name+" missing")
			}
		default:
			t.emitted++
		}
		if s.spans > 1 && segment < 0 && s.cut {
			t.split++
		} else if s.spans > 1 {
			t.duplicates++
			notes = append(notes, name+" duplicate")
		}
		if s.spans > 0 && (s.wrong || !x.portsAreTrue(r, which)) {
			t.wrong++
			notes = append(notes, name+" wrong")
		}
	}
	return t, notes
}

func (x *soak) portsAreTrue(r *request, which side) bool {
	server := map[kind]int{keepAlive: x.at.HTTP, short: x.at.HTTP, http2: x.at.HTTP2, grpc: x.at.HTTP2, redis: x.at.Redis, dns: x.at.DNS}[r.kind]
	local, peer := r.port, uint16(server)
	if which == serverSide {
		local, peer = peer, local
	}
	return r.sides[which].local == local && r.sides[which].peer == peer
}

// printSegments prints the counters of losses that are not 0.
func (x *soak) printSegments() {
	fmt.Println("\n| segment | life | seconds | ended by | accepted | sent | with the backend | counted losses |\n|---:|---:|---:|---|---:|---:|---:|---|")
	for i := range x.segments {
		s := &x.segments[i]
		c := s.counters
		var losses []string
		for _, series := range slices.Sorted(maps.Keys(c)) {
			if c[series] > 0 && otelcol.IsLoss(series) {
				losses = append(losses, fmt.Sprintf("%s %.0f", strings.ReplaceAll(series, `receiver="socketflow"`, ""), c[series]))
			}
		}
		before := 0
		if i > 0 {
			before = x.segments[i-1].received
		}
		fmt.Printf("| %d | %d | %.0f | %s | %d | %d | %d | %s |\n", i, s.life, float64(s.end-s.begin)/1e9, s.how, c.Sum("receiver_accepted_spans", ""),
			c.Sum("exporter_sent_spans", ""), s.received-before, strings.Join(losses, "; "))
	}
}
