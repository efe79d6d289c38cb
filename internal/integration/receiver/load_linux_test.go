package receiver_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
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

// tally counts a receiver's telemetry, and keeps none of it.
type tally struct {
	pause time.Duration // taken for each batch of records

	mu     sync.Mutex
	pid    int64
	own    map[string]int // records of the process, by event name
	all    map[string]int // records of any process
	spans  int            // of the process
	seen   map[uint64]uint8
	repeat int // records of the process that were emitted before
	// gaps are the closes without an emitted opening; unmarked are those of them that do not say so.
	gaps, unmarked int
}

// The bits of tally.seen, by connection id.
const (
	seenOpened = 1 << iota
	seenClosed
)

func newTally() *tally {
	return &tally{own: map[string]int{}, all: map[string]int{}, seen: map[uint64]uint8{}}
}

// observe starts a receiver whose telemetry is counted.
func (c *tally) observe(t *testing.T, mode receiver.Mode, change configuration) *observation {
	t.Helper()
	o := &observation{}
	o.start(t, mode, change, sinks{c.takeLogs, c.takeTraces})
	return o
}

func (c *tally) takeLogs(_ context.Context, logs plog.Logs) error {
	time.Sleep(c.pause)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range logs.ResourceLogs().All() {
		own := number(r.Resource().Attributes(), "process.pid") == c.pid
		for _, s := range r.ScopeLogs().All() {
			for _, l := range s.LogRecords().All() {
				c.all[l.EventName()]++
				if own {
					c.own[l.EventName()]++
					c.take(l)
				}
			}
		}
	}
	return nil
}

func (c *tally) take(l plog.LogRecord) {
	id, _ := strconv.ParseUint(text(l.Attributes(), "socketflow.connection.id"), 16, 64)
	bit := uint8(seenOpened)
	if l.EventName() == closed {
		bit = seenClosed
		if c.seen[id]&seenOpened == 0 {
			c.gaps++
			if text(l.Attributes(), "socketflow.capture") != "gap" {
				c.unmarked++
			}
		}
	}
	if c.seen[id]&bit != 0 {
		c.repeat++
	}
	c.seen[id] |= bit
}

func (c *tally) takeTraces(_ context.Context, traces ptrace.Traces) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range traces.ResourceSpans().All() {
		if number(r.Resource().Attributes(), "process.pid") == c.pid {
			for _, s := range r.ScopeSpans().All() {
				c.spans += s.Spans().Len()
			}
		}
	}
	return nil
}

// of counts the records of the process; total counts those of all.
func (c *tally) of(event string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.own[event]
}

func (c *tally) total(event string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[event]
}

// follow sets the process whose records are counted.
func (c *tally) follow(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pid = int64(pid)
}

// processorTime is the processor time used by this process.
func processorTime(t *testing.T) time.Duration {
	var usage unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// beginLoad starts a load.
func beginLoad(t *testing.T, count int, rate float64) *workload.Run {
	return begin(t, command(t, "load", "-n", strconv.Itoa(count), "-rate", strconv.FormatFloat(rate, 'f', -1, 64)))
}

// With the default configuration nothing is lost of 14,000 short connections a second. Both ends of each are in this process's
// host.
func TestNothingIsLostUnderLoad(t *testing.T) {
	eachMode(t, nothingIsLostUnderLoad)
}

func nothingIsLostUnderLoad(t *testing.T, mode receiver.Mode) {
	count, rate := 140_000, 14_000.0
	if raceDetector() {
		count, rate = 10_000, 2_000
	}
	// On a shared machine this process may be suspended for a while. One good attempt is enough.
	testenv.Repeat(t, 3, func(last bool) string {
		run := beginLoad(t, count, rate)
		counted := newTally()
		counted.follow(run.PID())
		o := counted.observe(t, mode, nil)
		used := processorTime(t)
		pass(t, run, "ready")
		end(t, run)
		did := run.Load()
		within(func() bool { return counted.of(closed) >= 2*count || o.metric(t, "kernel_events_lost") > 0 })
		used = processorTime(t) - used
		lost := o.metric(t, "kernel_events_lost")
		evicted := o.metric(t, "sockets_evicted")
		o.shutdown(t)
		t.Logf("%d connections in %s, %.0f a second (at most %s late); the receiver used %s of processor time, %s for each; %d events lost",
			did.Connections, did.Elapsed.Round(time.Millisecond), did.PerSecond(), did.Behind, used.Round(time.Millisecond),
			used/time.Duration(count), lost)
		if lost > 0 && !last {
			return fmt.Sprintf("%d events were lost", lost)
		}
		assert.Zero(t, lost)
		assert.Zero(t, evicted)
		assert.Equal(t, map[string]int{opened: 2 * count, closed: 2 * count}, counted.own)
		assert.Equal(t, 2*count, counted.spans)
		assert.Zero(t, counted.repeat)
		assert.Len(t, counted.seen, 2*count)
		return ""
	})
}

// kernelEvents are the kinds of events of a connection. Each is reported once.
var kernelEvents = [...]string{"open", "accept", "close", "fail", "connect_error"}

// reported is how many events of each kind the kernel had to report, lost or not.
func (o *observation) reported(t *testing.T) (counts [len(kernelEvents)]int64) {
	t.Helper()
	for i, kind := range kernelEvents {
		counts[i] = o.metric(t, "kernel_events", "kind", kind) + o.metric(t, "kernel_events_lost", "kind", kind)
	}
	return counts
}

// With a ring buffer that is far too small, losses are counted: emitted and lost events add up to the truth, and no table grows.
func TestLossesAreCounted(t *testing.T) {
	needPrivilege(t)
	const count = 5_000
	run := beginLoad(t, count, 0)
	truth, counted := newTally(), newTally()
	truth.follow(run.PID())
	counted.follow(run.PID())
	counted.pause = 2 * time.Millisecond // a slow pipeline
	// The witness loses nothing. It also sees the other processes of this host.
	witness := truth.observe(t, hostMode(), roomy)
	o := counted.observe(t, hostMode(), func(cfg *receiver.Config) {
		cfg.RingBuffer.Size = receiver.ByteSize(unix.Getpagesize())
		cfg.Limits.Sockets, cfg.Limits.Processes = 64, 64
		cfg.Batch.Size = 64
	})
	require.NoError(t, run.Await("ready"))
	// No event may come between the two reads.
	var before, witnessBefore [len(kernelEvents)]int64
	await(t, "a moment in which nothing happens on this host", func() bool {
		before = o.reported(t)
		witnessBefore = witness.reported(t)
		return before == o.reported(t)
	})
	heap := heapInUse()

	require.NoError(t, run.Continue())
	end(t, run)
	await(t, "the witness has emitted all connections", func() bool { return truth.of(closed) == 2*count })
	assert.Equal(t, 2*count, truth.of(opened))
	assert.Zero(t, witness.metric(t, "kernel_events_lost"))

	await(t, "what was reported and what was lost is the truth, of each kind", func() bool {
		now, witnessNow := o.reported(t), witness.reported(t)
		for i := range now {
			now[i], witnessNow[i] = now[i]-before[i], witnessNow[i]-witnessBefore[i]
		}
		return now == witnessNow
	})
	await(t, "all reported ends are emitted", func() bool {
		return int64(counted.total(closed)) == o.metric(t, "kernel_events", "kind", "close")
	})
	full := o.metric(t, "sockets_evicted", "cause", "table_full")
	lost := map[string]int64{}
	for _, kind := range kernelEvents {
		lost[kind] = o.metric(t, "kernel_events_lost", "kind", kind)
	}
	t.Logf("of %d connections: %d openings and %d ends emitted; lost: %v; %d made room in the table",
		count, counted.of(opened), counted.of(closed), lost, full)
	assert.Positive(t, lost["open"])
	assert.Positive(t, lost["accept"])
	assert.Positive(t, lost["close"])
	assert.Positive(t, counted.of(closed), "something gets through")
	assert.Zero(t, counted.repeat)
	assert.Positive(t, counted.gaps)
	assert.Zero(t, counted.unmarked, "ends whose beginning was lost, and which do not say so")
	assert.LessOrEqual(t, o.metric(t, "sockets_tracked"), int64(64))
	assert.LessOrEqual(t, o.metric(t, "processes_tracked"), int64(64))
	assert.Less(t, heapInUse(), heap+16<<20)
	await(t, "sockets of which the end was lost are forgotten", func() bool {
		return o.metric(t, "sockets_evicted", "cause", "close_lost") > 0
	})
	began := time.Now()
	o.shutdown(t)
	assert.Less(t, time.Since(began), 5*time.Second)
}

// heapInUse is the memory that the heap's live objects take.
func heapInUse() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapInuse
}
