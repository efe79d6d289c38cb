//go:build amd64 || arm64

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/testenv"
	"github.com/socketflow/socketflow/internal/trace"
)

// Aspects of the telemetry that is emitted for the workload of this test. The counts are exact.
const (
	tcpRequests  = "requests over TCP"
	unixRequests = "requests over Unix sockets"
	tcpCloses    = "closes of TCP connections"
	failures     = "failed connects"
	udpFlows     = "openings of UDP flows"
	udpEnds      = "ends of UDP flows"
	olderCloses  = "closes of connections older than the engine"
	olderOpens   = "connections older than the engine"
)

const requests, refusals = 20, 5

// whole is the telemetry of the workload if no program is refused.
var whole = map[string]int{
	tcpRequests: 2 * requests, unixRequests: 2 * requests, tcpCloses: 2 * requests, failures: refusals, udpFlows: 2, udpEnds: 2,
	olderCloses: 2,
}

// engineUnderTest is an engine with what it has emitted.
type engineUnderTest struct {
	*refusal
	*engine.Engine
	logged *observer.ObservedLogs
	older  pair // is older than the engine, as other tests' connections may be

	mu   sync.Mutex
	seen map[string]int
}

func (u *engineUnderTest) Deliver(_ context.Context, from *otlp.Builder) {
	logs, traces := from.Take()
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, resource := range logs.ResourceLogs().All() {
		if !isOwn(resource.Resource()) {
			continue
		}
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				if aspect := aspectOfRecord(record); aspect != olderOpens && aspect != olderCloses || u.isOlder(record) {
					u.seen[aspect]++
				}
			}
		}
	}
	for _, resource := range traces.ResourceSpans().All() {
		if !isOwn(resource.Resource()) {
			continue
		}
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				u.seen[aspectOfSpan(span)]++
			}
		}
	}
}

// isOwn reports whether a resource is this process. The host may have others with older connections.
func isOwn(resource pcommon.Resource) bool {
	return text(resource.Attributes(), "process.pid") == strconv.Itoa(os.Getpid())
}

// isOlder reports whether the record is of the connection that is to be older than the engine; any is if there is none.
func (u *engineUnderTest) isOlder(record plog.LogRecord) bool {
	if u.older.client == nil {
		return true
	}
	_, port, _ := net.SplitHostPort(u.older.client.LocalAddr().String())
	return text(record.Attributes(), "network.local.port") == port || text(record.Attributes(), "network.peer.port") == port
}

func text(attributes pcommon.Map, key string) string {
	if value, found := attributes.Get(key); found {
		return value.AsString()
	}
	return ""
}

func aspectOfRecord(record plog.LogRecord) string {
	joined := text(record.Attributes(), "socketflow.capture") == "joined_midstream"
	switch event, transport := record.EventName(), text(record.Attributes(), "network.transport"); {
	case event == "socketflow.connection.fail":
		return failures
	case transport == "udp" && event == "socketflow.connection.open":
		return udpFlows
	case transport == "udp" && event == "socketflow.connection.close":
		return udpEnds
	case transport == "tcp" && event == "socketflow.connection.close":
		if joined {
			return olderCloses
		}
		return tcpCloses
	case transport == "tcp" && joined:
		return olderOpens
	}
	return ""
}

func aspectOfSpan(span ptrace.Span) string {
	_, isRequest := span.Attributes().Get("http.request.method")
	status, _ := span.Attributes().Get("http.response.status_code")
	switch transport := text(span.Attributes(), "network.transport"); {
	case !isRequest || status.Int() != http.StatusOK:
		return ""
	case transport == "unix":
		return unixRequests
	default:
		return tcpRequests
	}
}

func (u *engineUnderTest) count(aspect string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen[aspect]
}

// lacks describes what is missing or wrong.
func (u *engineUnderTest) lacks() (wrong []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, aspect := range slices.Sorted(maps.Keys(whole)) {
		want := whole[aspect]
		if slices.Contains(u.lost, aspect) {
			want = 0
		}
		if got := u.seen[aspect]; got != want {
			wrong = append(wrong, fmt.Sprintf("%s: %d, want %d", aspect, got, want))
		}
	}
	return wrong
}

// roomy is a number of sockets that leaves room for the UDP flows of other packages' tests.
const roomy = 16384

func startEngine(t *testing.T, r *refusal, older pair) *engineUnderTest {
	t.Helper()
	return startEngineFor(t, r, older, roomy)
}

func startEngineFor(t *testing.T, r *refusal, older pair, sockets int) *engineUnderTest {
	t.Helper()
	u := newEngineFor(t, r, older, sockets)
	require.NoError(t, u.Start(), r)
	return u
}

// startEngines starts one for each refusal, as many at a time as there are processors: each has to load all programs.
func startEngines(t *testing.T, batch []*refusal, older pair) (all []*engineUnderTest) {
	t.Helper()
	errs := make([]error, len(batch))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var starting sync.WaitGroup
	for i, r := range batch {
		u := newEngineFor(t, r, older, roomy)
		all = append(all, u)
		slots <- struct{}{}
		starting.Go(func() {
			errs[i] = u.Start()
			<-slots
		})
	}
	starting.Wait()
	require.NoError(t, errors.Join(errs...))
	return all
}

func newEngineFor(t *testing.T, r *refusal, older pair, sockets int) *engineUnderTest {
	t.Helper()
	core, logged := observer.New(zapcore.InfoLevel)
	u := &engineUnderTest{refusal: r, logged: logged, older: older, seen: map[string]int{}}
	options := optionsOf(t, r.asked, u)
	options.PollInterval, options.BatchTimeout, options.Sockets = 50*time.Millisecond, 50*time.Millisecond, sockets
	options.Logger, options.Fault = zap.New(core), r.fault
	u.Engine = engine.New(options)
	return u
}

func (u *engineUnderTest) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	whole, err := u.Drain(ctx)
	assert.NoError(t, err, u.refusal)
	assert.True(t, whole, u.refusal)
	assert.NoError(t, u.Close(), u.refusal)
}

// TestRefusedProgramCostsItsOwnFunction refuses each program, as a kernel would when it is loaded or attached. The engine starts
// without any of them. The log, own telemetry and the program's status name what is lost, and all other telemetry is exact.
func TestRefusedProgramCostsItsOwnFunction(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	all := []*refusal{ // two programs, of which the second would do the work of the first
		{asked: kernel.ModeAuto, programs: []string{"accept_exit", "any_exit"}, mode: kernel.ModeSocket, named: []string{"accept_exit"}},
	}
	all = append(all, refusalsOfSocketMode(programsOf(t, kernel.ModeSocket))...)
	all = append(all, refusalsOfSyscallMode(programsOf(t, kernel.ModeSyscall))...)
	starts := func(r *refusal) bool { return r.mode != "" }
	for _, r := range all {
		if !starts(r) {
			testFailure(t, r)
		}
	}
	all = slices.DeleteFunc(all, func(r *refusal) bool { return !starts(r) })
	const together, attempts = 12, 3
	for batch := range slices.Chunk(all, together) {
		testenv.Repeat(t, attempts, func(last bool) string {
			if batch = testRefusals(t, batch, last); len(batch) > 0 {
				return fmt.Sprint("events were lost, and counted, with ", batch)
			}
			return ""
		})
	}
}

// testFailure starts an engine that lacks a program that its mode needs. What it would observe makes no difference: of each program the
// kernel is given the least.
func testFailure(t *testing.T, r *refusal) {
	t.Helper()
	u := &engineUnderTest{refusal: r, seen: map[string]int{}}
	options := optionsOf(t, r.asked, u)
	options.Protocols, options.Unix, options.UDP, options.Parents, options.Fault = nil, false, false, trace.Off, r.fault
	err := engine.New(options).Start()
	require.ErrorIs(t, err, kernel.ErrUnsupported, r)
	require.ErrorContains(t, err, r.programs[0], r)
	var refused int
	for _, p := range kernel.ProgramsOf(err) {
		if p.Program == r.programs[0] {
			refused++
			assert.Equal(t, kernel.ProgramRefused, p.State, r)
		}
	}
	assert.NotZero(t, refused, r)
	t.Logf("%v: %v", r, err)
}

// programsOf returns the programs that a mode reports.
func programsOf(t *testing.T, mode kernel.Mode) (names []string) {
	t.Helper()
	u := startEngine(t, &refusal{asked: mode}, pair{})
	defer u.stop(t)
	for _, p := range u.Snapshot().Statuses {
		require.Equal(t, kernel.ProgramAttached, p.State, "this host refuses %s at %s: %v", p.Program, p.Hook, p.Err)
		if !slices.Contains(names, p.Program) {
			names = append(names, p.Program)
		}
	}
	require.Greater(t, len(names), 15)
	return names
}

// testRefusals returns the refusals to repeat: their engines have counted losses. Others' traffic may fill their buffers and tables.
func testRefusals(t *testing.T, batch []*refusal, last bool) (again []*refusal) {
	t.Helper()
	older := newPair(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0") // hosts have servers that are older
	require.NoError(t, err)
	defer func() { assert.NoError(t, listener.Close()) }()
	engines := startEngines(t, batch, older)
	knowsOlder := func(u *engineUnderTest) bool { return u.count(olderOpens) == 2 || slices.Contains(u.lost, olderCloses) }
	waitFor(engines, knowsOlder)
	older.close(t)
	runWorkload(t)
	isWhole := func(u *engineUnderTest) bool { return knowsOlder(u) && len(u.lacks()) == 0 }
	waitFor(engines, isWhole)
	for _, u := range engines {
		u.verifyNamed(t)
		if counted := u.Snapshot(); !isWhole(u) && !last && lossesIn(&counted) > 0 {
			again = append(again, u.refusal)
		} else if !assert.Empty(t, u.lacks(), u.refusal) || !assert.True(t, knowsOlder(u), "%v: an older connection", u.refusal) {
			t.Logf("%v has counted: %+v", u.refusal, counted)
		}
	}
	var stopping sync.WaitGroup
	for _, u := range engines {
		stopping.Go(func() { u.stop(t) })
	}
	stopping.Wait()
	return again
}

// lossesIn is how many events, calls and sockets were lost for want of room.
func lossesIn(s *engine.Snapshot) uint64 {
	all := s.Missed + s.CallsRingFull + s.CallsNoBuffer + s.DescriptorsFull + s.SocketsEvictedTableFull
	for _, n := range s.RingFull {
		all += n
	}
	return all
}

// waitFor waits until all engines are ready, or a timeout has passed.
func waitFor(engines []*engineUnderTest, ready func(*engineUnderTest) bool) {
	all := func() bool {
		return !slices.ContainsFunc(engines, func(u *engineUnderTest) bool { return !ready(u) })
	}
	for deadline := time.Now().Add(20 * time.Second); !all() && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
}

// await fails unless all engines are ready before a timeout has passed.
func await(t *testing.T, engines []*engineUnderTest, ready func(*engineUnderTest) bool) {
	t.Helper()
	waitFor(engines, ready)
	for _, u := range engines {
		assert.True(t, ready(u), u.refusal)
	}
}

// verifyNamed compares the programs that the engine reports as lost with those that were refused.
func (u *engineUnderTest) verifyNamed(t *testing.T) {
	t.Helper()
	mode, why := u.Mode()
	assert.Equal(t, u.mode, mode, u.refusal)
	if why != nil {
		assert.True(t, slices.ContainsFunc(u.programs, func(p string) bool { return strings.Contains(why.Error(), p) }),
			"%v: %v", u.refusal, why)
	}
	for _, program := range u.programs {
		states := u.verifyStates(t, program)
		t.Logf("%v: mode %s; %s: %s; lost: %s", u.refusal, mode, program, strings.Join(states, ", "), strings.Join(u.lost, ", "))
	}
}

// verifyStates returns the states of a program, at its hooks. If its loss is to be named, it is.
func (u *engineUnderTest) verifyStates(t *testing.T, program string) (states []string) {
	t.Helper()
	for _, p := range u.Snapshot().Statuses {
		if p.Program != program {
			continue
		}
		states = append(states, p.State.String())
		if !slices.Contains(u.named, program) {
			continue
		}
		assert.Equal(t, kernel.ProgramRefused, p.State, "%v: %s", u.refusal, program)
		assert.NotEmpty(t, p.Without, "%v: %s", u.refusal, program)
		assert.ErrorIs(t, p.Err, syscall.EPERM, "%v: %s", u.refusal, program)
		named := u.logged.FilterMessageSnippet("less be seen").Filter(func(entry observer.LoggedEntry) bool {
			return strings.Contains(fmt.Sprint(entry.ContextMap()["error"]), p.Without)
		})
		assert.NotZero(t, named.Len(), "%v: no log line says %q", u.refusal, p.Without)
	}
	assert.True(t, len(states) > 0 || !slices.Contains(u.named, program), "%v: nothing is said of %s", u.refusal, program)
	return slices.Compact(states)
}
