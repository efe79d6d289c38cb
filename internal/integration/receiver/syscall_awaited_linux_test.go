package receiver_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/integration/workload"
	"github.com/socketflow/socketflow/receiver"
)

// awaited is how many requests are made before a call shows the address.
const awaited = 20

// awaiting follows connections that wait at most so long for an address, without a lookup.
func awaiting(timeout time.Duration) configuration {
	return func(cfg *receiver.Config) {
		roomy(cfg)
		cfg.PollInterval = 10 * time.Millisecond
		cfg.Batch.Timeout = time.Millisecond
		cfg.Completion.Timeout = timeout
		cfg.Completion.LookupAfter = time.Hour
	}
}

// emittedOfServer is the telemetry of the server's end so far: the number of records, and paths of requests in the order of
// emission.
func (o *observation) emittedOfServer(pid int) (records int, paths []string) {
	p := o.of(pid)
	for _, r := range p.records {
		if text(r.Attributes(), "socketflow.role.name") == "server" {
			records++
		}
	}
	for _, s := range p.spans {
		if s.Kind() == ptrace.SpanKindServer {
			paths = append(paths, (&emittedFlow{spans: []span{s}}).paths()[0])
		}
	}
	return records, paths
}

// delayedPaths are those of the first requests of "delayed-address".
func delayedPaths(count int) []string {
	paths := make([]string, count)
	for i := range paths {
		paths[i] = "/delayed/" + strconv.Itoa(i)
	}
	return paths
}

// The events of a connection wait for its address, and are emitted in the order in which they came.
func TestEventsWaitForAddresses(t *testing.T) {
	needPrivilege(t)
	scenarios := newScenarioRunner(t)
	o := observe(t, receiver.ModeSyscall, scenarios.only(awaiting(30*time.Second)))
	run := scenarios.run("delayed-address", "late", strconv.Itoa(awaited))
	require.NoError(t, run.Await("exchanged"))
	await(t, "the server's end waits", func() bool { return o.metric(t, "addresses_waiting") > 0 })
	const delay = 300 * time.Millisecond
	for until := time.Now().Add(delay); time.Now().Before(until); time.Sleep(pause) {
		records, paths := o.emittedOfServer(run.PID())
		require.Zero(t, records, "before the address is known")
		require.Empty(t, paths, "before the address is known")
	}
	require.NoError(t, run.Continue())
	require.NoError(t, run.Await("named"))
	await(t, "what has waited is emitted", func() bool {
		records, paths := o.emittedOfServer(run.PID())
		return records == 1 && len(paths) == awaited
	})
	require.NoError(t, run.Continue())
	flows := flowsOf(t, run)
	assert.Zero(t, o.awaitFlows(flows))
	completed, incomplete := o.metric(t, "addresses_completed", "source", "getsockname"), o.metric(t, "addresses_incomplete")
	o.shutdown(t)
	_, paths := o.emittedOfServer(run.PID())
	assert.Equal(t, delayedPaths(awaited+2), paths, "in the order they went in, none lost")
	o.verifyFlows(t, flows, workload.TCP)
	for _, r := range o.of(run.PID()).records {
		if text(r.Attributes(), "socketflow.role.name") == "server" {
			assert.Equal(t, "getsockname", text(r.Attributes(), "socketflow.address.source"), r.Body().Str())
		}
	}
	assert.Positive(t, completed)
	assert.Zero(t, incomplete)
}

// If nothing shows the address, waiting events are emitted at the timeout, in order, marked and counted.
func TestEventsStopWaitingForAddresses(t *testing.T) {
	needPrivilege(t)
	for _, test := range []struct {
		name    string
		timeout time.Duration
		cause   string
		close   bool // the connection is closed before
		change  func(*receiver.CompletionConfig)
	}{
		{name: "time", timeout: time.Second, cause: "timeout"},
		{name: "close", timeout: 30 * time.Second, cause: "closed", close: true},
		{name: "events of a connection", timeout: 30 * time.Second, cause: "socket_bound", change: func(cfg *receiver.CompletionConfig) {
			cfg.SocketEvents = 4
		}},
		{name: "events of all", timeout: 30 * time.Second, cause: "total_bound", change: func(cfg *receiver.CompletionConfig) {
			cfg.Events = 4
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			scenarios := newScenarioRunner(t)
			o := observe(t, receiver.ModeSyscall, scenarios.only(func(cfg *receiver.Config) {
				awaiting(test.timeout)(cfg)
				if test.change != nil {
					test.change(&cfg.Completion)
				}
			}))
			run := scenarios.run("delayed-address", "never", strconv.Itoa(awaited))
			require.NoError(t, run.Await("exchanged"))
			require.NoError(t, run.Continue())
			require.NoError(t, run.Await("named"))
			released := func() bool {
				records, paths := o.emittedOfServer(run.PID())
				return records >= 1 && len(paths) >= awaited
			}
			if !test.close {
				await(t, "what has waited is emitted", released)
			} else {
				assert.False(t, released())
			}
			require.NoError(t, run.Continue())
			flows := flowsOf(t, run)
			assert.Zero(t, o.awaitFlows(flows))
			counted := o.metric(t, "addresses_incomplete", "cause", test.cause)
			o.shutdown(t)
			_, paths := o.emittedOfServer(run.PID())
			assert.Equal(t, delayedPaths(awaited+2), paths, "in the order they went in, none lost")
			o.verifyFlows(t, flows, workload.TCP)
			o.assertMarked(t, run.PID(), test.timeout, test.cause)
			assert.Positive(t, counted, "counted as incomplete by cause %s", test.cause)
		})
	}
}

// assertMarked checks that the telemetry of the server's end says that its address is not known, and, if the timeout was the
// reason, that it came in time.
func (o *observation) assertMarked(t *testing.T, pid int, timeout time.Duration, cause string) {
	t.Helper()
	const slack = 2 * time.Second // this machine may be busy
	marked := []string{"unknown", "container"}
	for _, r := range o.of(pid).records {
		if text(r.Attributes(), "socketflow.role.name") != "server" {
			continue
		}
		source := text(r.Attributes(), "socketflow.address.source")
		assert.True(t, slices.Contains(marked, source), "%s: source %s", r.Body().Str(), source)
		if cause == "timeout" && r.EventName() == opened {
			waited := r.ObservedTimestamp().AsTime().Sub(r.Timestamp().AsTime())
			assert.GreaterOrEqual(t, waited, timeout, "emitted before its time")
			assert.Less(t, waited, timeout+slack, "emitted after its time")
		}
	}
}

// An address that no call shows is looked up while the socket lives. Lookups and their results are counted.
func TestAddressesAreLookedUpInProcfs(t *testing.T) {
	needPrivilege(t)
	scenarios := newScenarioRunner(t)
	o := observe(t, receiver.ModeSyscall, scenarios.only(func(cfg *receiver.Config) {
		awaiting(30 * time.Second)(cfg)
		cfg.Completion.LookupAfter = 10 * time.Millisecond
	}))
	run := scenarios.run("delayed-address", "never", strconv.Itoa(awaited))
	require.NoError(t, run.Await("exchanged"))
	await(t, "what has waited is emitted", func() bool {
		records, paths := o.emittedOfServer(run.PID())
		return records == 1 && len(paths) == awaited
	})
	require.NoError(t, run.Continue())
	require.NoError(t, run.Await("named"))
	require.NoError(t, run.Continue())
	flows := flowsOf(t, run)
	assert.Zero(t, o.awaitFlows(flows))
	found, read := o.metric(t, "addresses_looked_up", "result", "found"), o.metric(t, "proc_tables_read")
	o.shutdown(t)
	o.verifyFlows(t, flows, workload.TCP)
	for _, r := range o.of(run.PID()).records {
		if text(r.Attributes(), "socketflow.role.name") == "server" {
			assert.Equal(t, "proc", text(r.Attributes(), "socketflow.address.source"), r.Body().Str())
		}
	}
	assert.Positive(t, found)
	assert.Positive(t, read)
}
