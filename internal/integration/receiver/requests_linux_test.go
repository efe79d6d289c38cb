package receiver_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/integration/workload"
	"github.com/socketflow/socketflow/internal/testenv"
	"github.com/socketflow/socketflow/receiver"
)

// The sides of an exchange.
const (
	client = iota
	server
	sides
)

// ledger counts the spans of a "requests" workload by its requests, and keeps none of them.
type ledger struct {
	pause time.Duration // taken for each batch

	mu       sync.Mutex
	pid      int64
	spans    [sides]int
	seen     [sides][]uint8 // by request
	captures map[string]int // by socketflow.capture
	wrong    []string
	other    map[string]int // spans that belong to no exchange, by name
}

func newLedger(requests int) *ledger {
	l := &ledger{captures: map[string]int{}, other: map[string]int{}}
	for side := range l.seen {
		l.seen[side] = make([]uint8, requests)
	}
	return l
}

func (l *ledger) observe(t *testing.T, mode receiver.Mode, pid int, change configuration) *observation {
	t.Helper()
	l.pid = int64(pid)
	o := &observation{}
	o.start(t, mode, change, sinks{func(context.Context, plog.Logs) error { return nil }, l.take})
	return o
}

func (l *ledger) take(_ context.Context, traces ptrace.Traces) error {
	time.Sleep(l.pause)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range traces.ResourceSpans().All() {
		if number(r.Resource().Attributes(), "process.pid") != l.pid {
			continue
		}
		for _, s := range r.ScopeSpans().All() {
			for _, span := range s.Spans().All() {
				l.enter(span)
			}
		}
	}
	return nil
}

// enter checks a span. If an exchange was not captured whole, its status may be missing, and nothing else.
func (l *ledger) enter(s ptrace.Span) {
	if s.Name() != "GET" {
		l.other[s.Name()]++
		return
	}
	a := s.Attributes()
	side, path := server, text(a, "url.path")
	if s.Kind() == ptrace.SpanKindClient {
		side, path = client, strings.TrimPrefix(text(a, "url.full"), "http://workload.test")
	}
	capture := text(a, "socketflow.capture")
	l.captures[capture]++
	l.spans[side]++
	request, err := strconv.Atoi(strings.TrimPrefix(path, "/requests/"))
	status := get(a, "http.response.status_code")
	switch {
	case err != nil || request >= len(l.seen[side]):
		l.fault("%s of %q", s.Kind(), path)
		return
	case status != int64(200) && (status != nil || capture == "complete"):
		l.fault("%s of %q: status %v, capture %s", s.Kind(), path, status, capture)
	case s.Status().Code() != ptrace.StatusCodeUnset:
		l.fault("%s of %q is an error: %v", s.Kind(), path, a.AsRaw())
	case s.EndTimestamp() < s.StartTimestamp():
		l.fault("%s of %q ends before it starts", s.Kind(), path)
	}
	if l.seen[side][request]++; l.seen[side][request] > 1 {
		l.fault("%s of %q was emitted %d times", s.Kind(), path, l.seen[side][request])
	}
}

func (l *ledger) fault(format string, args ...any) {
	if len(l.wrong) < 20 {
		l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
	}
}

func (l *ledger) emitted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spans[client] + l.spans[server]
}

func requestsOf(t *testing.T, flags ...string) *workload.Run {
	return begin(t, command(t, "requests", flags...))
}

// With the default configuration nothing is lost of 20,000 requests a second over 64 connections, both ends of which are on this
// host: each request is one span on either side.
func TestEveryRequestIsTwoSpans(t *testing.T) {
	needPrivilege(t)
	for name, test := range map[string]struct {
		count, slow int // requests; with the race detector
		rate        float64
		flags       []string
	}{
		"20,000 a second over 64 connections": {100_000, 5_000, 20_000, nil},
		"1,000 connections at once":           {10_000, 2_000, 5_000, []string{"-connections", "1000"}},
		"pipelined, 1,000 in one write":       {20_000, 4_000, 5_000, []string{"-connections", "4", "-pipeline", "1000"}},
		"bodies beyond what is captured":      {2_000, 500, 500, []string{"-body", "300000"}},
	} {
		t.Run(name, func(t *testing.T) {
			count, rate := test.count, test.rate
			if raceDetector() || emulated() {
				count, rate = test.slow, min(test.rate, 1000)
			}
			var tune func(*receiver.Config)
			if emulated() { // its CPUs take turns of a tenth of a second
				rate, tune = min(test.rate/5, 1000), roomy
			}
			// On a shared machine this process may be suspended for a while.
			testenv.Repeat(t, 3, func(last bool) string {
				flags := []string{"-n", strconv.Itoa(count), "-rate", strconv.FormatFloat(rate, 'f', -1, 64)}
				run := requestsOf(t, append(flags, test.flags...)...)
				l := newLedger(count)
				o := l.observe(t, hostMode(), run.PID(), tune)
				used := processorTime(t)
				pass(t, run, "ready")
				require.NoError(t, run.Await("done"))
				did := run.Load()
				within(func() bool { return l.emitted() >= 2*count || o.metric(t, "kernel_events_lost") > 0 })
				used = processorTime(t) - used
				lost := o.metric(t, "kernel_events_lost") + o.metric(t, "payload_missing", "cause", "ring_full")
				parseErrors := o.metric(t, "parse_errors")
				require.NoError(t, run.Continue())
				end(t, run)
				o.shutdown(t)
				t.Logf("%d requests in %s, %.0f a second; the receiver used %s of processor time, %s for each; lost %d",
					count, did.Elapsed.Round(time.Millisecond), float64(count)/did.Elapsed.Seconds(),
					used.Round(time.Millisecond), used/time.Duration(count), lost)
				if lost > 0 && !last {
					return fmt.Sprintf("%d events or payloads were lost", lost)
				}
				assert.Zero(t, lost)
				assert.Zero(t, parseErrors)
				assert.Equal(t, [sides]int{count, count}, l.spans)
				assert.Equal(t, map[string]int{"complete": 2 * count}, l.captures)
				assert.Empty(t, l.wrong)
				assert.Empty(t, l.other, "connections whose requests are spans have none of their own")
				return ""
			})
		})
	}
}

// With a ring buffer that is far too small, losses are counted to the byte, and the remaining spans are right.
func TestLostDataIsCounted(t *testing.T) {
	needPrivilege(t)
	// All programs of this host share the ring buffer: the opening of a connection may be lost, and with it the connection.
	testenv.Repeat(t, 5, func(bool) string { return loseData(t) })
}

// loseData returns what was lost, if it was more than data.
func loseData(t *testing.T) string {
	const count = 20_000
	run := requestsOf(t, "-n", strconv.Itoa(count), "-connections", "8")
	l := newLedger(count)
	l.pause = 20 * time.Millisecond // a slow pipeline
	o := l.observe(t, hostMode(), run.PID(), func(cfg *receiver.Config) {
		cfg.Include = []receiver.Selector{{PID: run.PID()}}
		cfg.RingBuffer.Size = receiver.ByteSize(4 * unix.Getpagesize())
		cfg.RingBuffer.Shards = 1
		cfg.Batch.Size = 64
	})
	pass(t, run, "ready")
	require.NoError(t, run.Await("done"))
	did := run.Load()
	await(t, "the ring buffer has been read", func() bool {
		before := l.emitted()
		time.Sleep(10 * pause)
		return before == l.emitted()
	})
	require.NoError(t, run.Continue())
	end(t, run)
	var captured, lost, skipped int64
	until(time.Now().Add(5*time.Second), func() bool {
		captured, lost = o.metric(t, "payload_bytes", "result", "captured"), o.metric(t, "payload_bytes", "result", "lost")
		skipped = o.metric(t, "payload_bytes", "result", "skipped") // after the parser has stopped following the conversation
		return captured+lost+skipped >= int64(2*did.Bytes)
	})
	parseErrors := o.metric(t, "parse_errors")
	lostEvents, unbuffered := o.metric(t, "kernel_events_lost", "kind", "data"), o.metric(t, "payload_missing", "cause", "ring_full")
	others := int64(0)
	for _, kind := range kernelEvents {
		others += o.metric(t, "kernel_events_lost", "kind", kind)
	}
	o.shutdown(t) // the ledger may be read only after that
	if others > 0 {
		return fmt.Sprintf("other processes left no room for %d openings or ends of connections", others)
	}
	t.Logf("of %d bytes %d were captured, %d lost, %d skipped; %v spans of %d requests, captures %v; %d parse errors; %d events lost, %d without payload",
		2*did.Bytes, captured, lost, skipped, l.spans, count, l.captures, parseErrors, lostEvents, unbuffered)
	assert.Equal(t, int64(2*did.Bytes), captured+lost+skipped, "every byte was captured, or is counted as lost")
	assert.Positive(t, lost)
	assert.Positive(t, l.spans[client])
	assert.Positive(t, l.spans[server])
	assert.Empty(t, l.wrong)
	return ""
}
