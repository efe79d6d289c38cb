package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// side is an end of a request.
type side uint8

const (
	clientSide side = iota
	serverSide
	sides
)

// seen is what was emitted of one side of a request.
type seen struct {
	id          uint64 // of the first span
	local, peer uint16 // ports
	spans       uint8  // with ids that differ
	cut         bool
	wrong       bool // an address is not the one of the load, or the process is not
}

// request is what is known of one request. Times are Unix nanoseconds; it is not known to the ledger while end is 0.
type request struct {
	begin, end int64
	port       uint16
	kind       kind
	answered   bool
	sides      [sides]seen
}

// ledger holds all requests by the number of the client's run and the number within it.
type ledger struct {
	mu       sync.Mutex
	requests map[int][]request
	pids     map[int]int64 // of clients, by run
	servers  map[int64]bool
	spans    int // of requests of the load, without what was sent twice
	resent   int // by the exporter, with the same id
	others   int // spans without an id of the load
	strange  []string
}

func newLedger() *ledger {
	return &ledger{requests: map[int][]request{}, pids: map[int]int64{}, servers: map[int64]bool{}}
}

// at is the entry of an id; the lock is held.
func (l *ledger) at(run, n int) *request {
	all := l.requests[run]
	for len(all) <= n {
		all = append(all, request{})
	}
	l.requests[run] = all
	return &all[n]
}

// client notes the line of a client about a request.
func (l *ledger) client(run int, line string) error {
	var n, port int
	var k kind
	var r request
	if _, err := fmt.Sscan(line, &n, &k, &port, &r.begin, &r.end, &r.answered); err != nil {
		return fmt.Errorf("%q: %w", line, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	entry := l.at(run, n)
	entry.kind, entry.port, entry.begin, entry.end, entry.answered = k, uint16(port), r.begin, r.end, r.answered
	return nil
}

var idPattern = regexp.MustCompile(`\br(\d+)x(\d+)\b`)

// idOf finds the id of the load in a span.
func idOf(span ptrace.Span) (run, n int, ok bool) {
	for _, key := range [...]string{"url.full", "url.path", "rpc.method", "rpc.method_original", "db.query.text", "dns.question.name"} {
		value, exists := span.Attributes().Get(key)
		if !exists {
			continue
		}
		if match := idPattern.FindStringSubmatch(value.Str()); match != nil {
			run, _ = strconv.Atoi(match[1])
			n, _ = strconv.Atoi(match[2])
			return run, n, n < 10_000_000
		}
	}
	return 0, 0, false
}

// emitted notes spans that the backend has got.
func (l *ledger) emitted(traces ptrace.Traces) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, resource := range traces.ResourceSpans().All() {
		pid, _ := resource.Resource().Attributes().Get("process.pid")
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				l.span(pid, span)
			}
		}
	}
}

func (l *ledger) span(pid pcommon.Value, span ptrace.Span) {
	run, n, ok := idOf(span)
	if !ok {
		l.others++
		return
	}
	which := clientSide
	if span.Kind() == ptrace.SpanKindServer {
		which = serverSide
	}
	s := &l.at(run, n).sides[which]
	id := span.SpanID()
	number := binary.BigEndian.Uint64(id[:])
	if s.spans > 0 && s.id == number {
		l.resent++
		return
	}
	l.spans++
	s.spans++
	capture, _ := span.Attributes().Get("socketflow.capture")
	s.cut = s.cut || capture.Str() == "cut" || capture.Str() == "joined_midstream"
	if s.spans > 1 {
		return
	}
	s.id = number
	s.local, s.peer = portOf(span, "network.local.port"), portOf(span, "network.peer.port")
	known := l.pids[run] == pid.Int()
	if which == serverSide {
		known = l.servers[pid.Int()]
	}
	s.wrong = !known || !loopbackOrNone(span, "network.local.address") || !loopbackOrNone(span, "network.peer.address")
	if s.wrong && len(l.strange) < 20 {
		l.strange = append(l.strange, fmt.Sprintf("r%dx%d %s pid %d %v", run, n, span.Kind(), pid.Int(), span.Attributes().AsRaw()))
	}
}

func portOf(span ptrace.Span, key string) uint16 {
	value, ok := span.Attributes().Get(key)
	if !ok {
		return 0
	}
	return uint16(value.Int())
}

// loopbackOrNone accepts 127.0.0.1, and what is no address of IP.
func loopbackOrNone(span ptrace.Span, key string) bool {
	value, ok := span.Attributes().Get(key)
	if !ok {
		return true
	}
	address, err := netip.ParseAddr(value.Str())
	return err != nil || address == netip.AddrFrom4([4]byte{127, 0, 0, 1})
}
