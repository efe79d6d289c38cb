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

// refusal is a set of refused programs and their effect on an engine.
type refusal struct {
	asked    kernel.Mode
	programs []string
	stage    kernel.Stage
	// mode that is chosen.
	mode kernel.Mode
	// named says that the loss of a function is named.
	named bool
	// lost are the aspects that are not emitted.
	lost []string
}

func (r *refusal) String() string {
	return fmt.Sprintf("%s asked, %s refused at %s", r.asked, strings.Join(r.programs, " and "),
		map[kernel.Stage]string{kernel.StageLoad: "load", kernel.StageAttach: "attach"}[r.stage])
}

func (r *refusal) fault(stage kernel.Stage, program string) error {
	if stage == r.stage && slices.Contains(r.programs, program) {
		return syscall.EPERM
	}
	return nil
}

// transfersOfSocketMode is refused in addition to others, so that mode auto chooses the syscall mode.
const transfersOfSocketMode = "socket_sent"

// lostBySocketMode are the aspects that are lost with a program of the socket mode. Without a program that is not listed nothing is lost.
var lostBySocketMode = map[string][]string{
	"existing_descriptors": {olderCloses},
	"flow_pass":            {udpEnds},
}

// essentialToSocketMode are the programs without which mode auto does not choose the socket mode.
var essentialToSocketMode = []string{"sock_state", "socket_sent", "socket_received"}

// lostBySyscallMode are the optional programs of the syscall mode; all others are essential to it.
var lostBySyscallMode = map[string][]string{
	"enter_ioctl":        nil,
	"enter_control_of_5": nil, // getsockopt
	"enter_execve":       nil,
	"enter_execveat":     nil,
	"exit_batch":         nil,
	"look_up":            {olderCloses},
	"adopt":              {olderCloses},
	"reject":             {olderCloses},
	"vanish":             nil,
	"locate":             nil,
	"leave_out":          nil,
	"enter_blocked":      nil,
	"leave_blocked":      nil,
	"ask_datagrams":      {udpEnds},
	"tcp_state":          nil,
	"tcp_receive":        nil,
	"compat_enter":       nil,
	"compat_exit":        nil,
}

// attachedOneIn is how many of the programs that load are refused when they are attached: what follows is the same for all of them, and each
// takes an engine of its own.
const attachedOneIn = 3

// refusalsOf lists all programs of a mode, refused when they are loaded, and some of them when they are attached.
func refusalsOf(mode kernel.Mode, programs []string) (all []*refusal) {
	tried := false // to refuse an essential program when it is attached
	for _, stage := range []kernel.Stage{kernel.StageLoad, kernel.StageAttach} {
		for i, program := range programs {
			if stage == kernel.StageAttach && i%attachedOneIn != 0 && !slices.Contains(essentialToSocketMode, program) {
				continue
			}
			r := &refusal{asked: kernel.ModeAuto, programs: []string{program}, stage: stage, mode: mode, named: true}
			if mode == kernel.ModeSocket {
				r.lost = lostBySocketMode[program]
				r.named = !strings.HasSuffix(program, "_exit") || program == "process_exit" // any_exit does the work of those of calls
				if slices.Contains(essentialToSocketMode, program) {
					r.mode, r.named = kernel.ModeSyscall, false
				}
			} else {
				r.programs = append(r.programs, transfersOfSocketMode)
				lost, optional := lostBySyscallMode[program]
				r.lost = lost
				if essential := !optional && program != "self_pid"; essential && stage == kernel.StageAttach && tried {
					continue // which one cannot be attached makes no difference: the mode is not taken
				} else if essential { // connections only, by the socket mode
					tried = stage == kernel.StageAttach
					r.mode = kernel.ModeSocket
					r.lost = []string{tcpRequests, unixRequests, udpFlows, udpEnds}
				}
			}
			if program == "self_pid" { // this test has the pids of the host
				r.named = false
			}
			all = append(all, r)
		}
	}
	return all
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

// TestRefusedProgramCostsItsOwnFunction refuses each program in turn, as a kernel would when it is loaded or attached. The engine starts
// without any of them. The log, own telemetry and the program's status name what is lost, and all other telemetry is exact.
func TestRefusedProgramCostsItsOwnFunction(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	all := []*refusal{ // two programs, of which the second would do the work of the first
		{asked: kernel.ModeAuto, programs: []string{"accept_exit", "any_exit"}, mode: kernel.ModeSocket, named: true},
	}
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		all = append(all, refusalsOf(mode, programsOf(t, mode))...)
	}
	const together = 24
	for batch := range slices.Chunk(all, together) {
		testRefusals(t, batch)
	}
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

func testRefusals(t *testing.T, batch []*refusal) {
	t.Helper()
	older := newPair(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0") // hosts have servers that are older
	require.NoError(t, err)
	defer func() { assert.NoError(t, listener.Close()) }()
	engines := startEngines(t, batch, older)
	await(t, engines, func(u *engineUnderTest) bool { return u.count(olderOpens) == 2 || slices.Contains(u.lost, olderCloses) })
	older.close(t)
	runWorkload(t)
	await(t, engines, func(u *engineUnderTest) bool { return len(u.lacks()) == 0 })
	for _, u := range engines {
		assert.Empty(t, u.lacks(), u.refusal)
		u.verifyNamed(t)
	}
	var stopping sync.WaitGroup
	for _, u := range engines {
		stopping.Go(func() { u.stop(t) })
	}
	stopping.Wait()
}

// await waits until all engines are ready, or a timeout has passed.
func await(t *testing.T, engines []*engineUnderTest, ready func(*engineUnderTest) bool) {
	t.Helper()
	all := func() bool {
		return !slices.ContainsFunc(engines, func(u *engineUnderTest) bool { return !ready(u) })
	}
	for deadline := time.Now().Add(20 * time.Second); !all() && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
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
	var states []string
	for _, p := range u.Snapshot().Statuses {
		if p.Program != u.programs[0] {
			continue
		}
		states = append(states, p.State.String())
		if !u.named {
			continue
		}
		assert.Equal(t, kernel.ProgramRefused, p.State, u.refusal)
		assert.NotEmpty(t, p.Without, u.refusal)
		assert.ErrorIs(t, p.Err, syscall.EPERM, u.refusal)
		named := u.logged.FilterMessageSnippet("less be seen").Filter(func(entry observer.LoggedEntry) bool {
			return strings.Contains(fmt.Sprint(entry.ContextMap()["error"]), p.Without)
		})
		assert.NotZero(t, named.Len(), "%v: no log line says %q", u.refusal, p.Without)
	}
	t.Logf("%v: mode %s; %s: %s; lost: %s", u.refusal, mode, u.programs[0], strings.Join(slices.Compact(states), ", "),
		strings.Join(u.lost, ", "))
}
