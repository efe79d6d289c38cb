package receiver_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/testenv"
	"github.com/socketflow/socketflow/receiver"
)

// transfer collects the spans of requests of a "bulk" workload.
type transfer struct {
	pid int64

	mu       sync.Mutex
	captures []string // socketflow.capture of each
}

func (b *transfer) take(_ context.Context, traces ptrace.Traces) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range traces.ResourceSpans().All() {
		if number(r.Resource().Attributes(), "process.pid") != b.pid {
			continue
		}
		for _, s := range r.ScopeSpans().All() {
			for _, span := range s.Spans().All() {
				if span.Name() == "GET" {
					b.captures = append(b.captures, text(span.Attributes(), "socketflow.capture"))
				}
			}
		}
	}
	return nil
}

func (b *transfer) emitted() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.captures
}

// No more than the first bytes of gigabytes over one connection are copied, whatever they are, and the requests that are made
// meanwhile are emitted as spans all the same.
func TestBulkTransferIsCapturedInPart(t *testing.T) {
	needPrivilege(t)
	for name, test := range map[string]struct {
		flags    []string
		captures []string // of the spans of the transfer itself, at either end
		enough   int      // bytes of it that may be captured
	}{
		// At either end, the limit of captured bytes before the protocol is known: 1 MiB.
		"of no protocol that is parsed": {nil, nil, 3 << 20},
		// At either end, the bytes that enter a ring buffer until its reader has read that a body of known length has begun.
		"the body of a response": {[]string{"-http"}, []string{"complete", "complete"}, 16 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			// Bytes of other programs of this host, before these have been matched against the rules, count as captured too.
			testenv.Repeat(t, 3, func(last bool) string {
				captured := besideRequests(t, test.flags, test.captures)
				if captured >= test.enough && !last {
					return fmt.Sprintf("%d bytes were captured beside the requests, %d may be", captured, test.enough)
				}
				assert.Less(t, captured, test.enough, "bytes captured of the transfer")
				return ""
			})
		})
	}
}

// besideRequests has bytes transferred while requests are made, and returns how many captured bytes are not the requests'.
func besideRequests(t *testing.T, flags, captures []string) int {
	t.Helper()
	const requests, rate = 2000, 500
	size := 4 << 30
	if raceDetector() {
		size = 256 << 20
	}
	beside := requestsOf(t, "-n", strconv.Itoa(requests), "-rate", strconv.Itoa(rate))
	bulk := begin(t, command(t, "bulk", append([]string{"-bytes", strconv.Itoa(size)}, flags...)...))
	l, b := newLedger(requests), &transfer{pid: int64(bulk.PID())}
	l.pid = int64(beside.PID())
	o := &observation{}
	o.start(t, hostMode(), include(receiver.Selector{PID: beside.PID()}, receiver.Selector{PID: bulk.PID()}),
		sinks{traces: func(ctx context.Context, traces ptrace.Traces) error {
			return errors.Join(l.take(ctx, traces), b.take(ctx, traces))
		}})

	pass(t, beside, "ready")
	pass(t, bulk, "ready")
	require.NoError(t, bulk.Await("done"))
	require.NoError(t, beside.Await("done"))
	did, meanwhile := bulk.Load(), beside.Load()
	await(t, "the requests and the transfer have been emitted", func() bool {
		return l.emitted() >= 2*requests && len(b.emitted()) >= len(captures)
	})
	captured := int(o.metric(t, "payload_bytes", "result", "captured")) - 2*meanwhile.Bytes
	lost := o.metric(t, "kernel_events_lost") + o.metric(t, "payload_missing", "cause", "ring_full")
	require.NoError(t, bulk.Continue())
	require.NoError(t, beside.Continue())
	end(t, bulk)
	end(t, beside)
	o.shutdown(t)
	t.Logf("%d MiB at %.0f MiB a second beside %d requests; %d bytes were captured that are not the requests'", size>>20,
		float64(size>>20)/did.Elapsed.Seconds(), requests, captured)
	assert.Zero(t, lost)
	assert.Equal(t, [sides]int{requests, requests}, l.spans)
	assert.Equal(t, map[string]int{"complete": 2 * requests}, l.captures)
	assert.Empty(t, l.wrong)
	assert.Equal(t, captures, b.emitted())
	return captured
}
