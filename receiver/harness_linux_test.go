package receiver_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/socketflow/socketflow/internal/hosttest"
	"github.com/socketflow/socketflow/internal/workload"
	"github.com/socketflow/socketflow/receiver"
	"github.com/socketflow/socketflow/receiver/internal/metadatatest"
)

// The tests of the files *_linux_test.go run the receiver against this host's kernel and real sockets. What the sockets
// do is done by other processes, see package workload: this executable again.
//
// An init, because TestMain is generated.
func init() { workload.RunIfAsked() }

func needPrivilege(t *testing.T) {
	t.Helper()
	hosttest.NeedRoot(t, "observing the host")
}

// emulated reports whether this is a machine that internal/vmtest has made, some thirty times slower than a real one.
func emulated() bool { return os.Getenv("SOCKETFLOW_TEST_EMULATED") != "" }

// bound is the longest wait for anything that has to come.
var bound = patience(20 * time.Second)

// pause is how long to wait before looking again.
const pause = 5 * time.Millisecond

// patience is what a limit on a real machine is on this one.
func patience(limit time.Duration) time.Duration {
	if emulated() {
		return 5 * limit
	}
	return limit
}

// await waits for a condition.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(bound); !holds(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", bound, what)
		}
	}
}

// limited ends the workloads of a test that hangs before the test itself is ended.
func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience(time.Minute))
	t.Cleanup(cancel)
	return ctx
}

// command is a workload in a network namespace of its own: its ports are free, and it has room for its TIME_WAITs,
// whatever else this host does.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	return workload.Isolate(workload.Command(limited(t), name, args...))
}

// begin starts a workload.
func begin(t *testing.T, cmd *exec.Cmd) *workload.Run {
	t.Helper()
	run, err := workload.Start(cmd)
	require.NoError(t, err)
	return run
}

// end waits for a workload that has no more gates.
func end(t *testing.T, run *workload.Run) []workload.End {
	t.Helper()
	ends, err := run.Wait()
	require.NoError(t, err)
	return ends
}

// pass waits for a workload at a gate, and lets it through.
func pass(t *testing.T, run *workload.Run, gate string, words ...string) {
	t.Helper()
	require.NoError(t, run.Await(gate))
	require.NoError(t, run.Continue(words...))
}

// ownExecutable is what workloads are, unless they are another.
func ownExecutable(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return path
}

// executableNamed is a copy of this executable, so that a workload's executable has another path.
func executableNamed(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if os.Link(ownExecutable(t), path) == nil {
		return path
	}
	content, err := os.ReadFile(ownExecutable(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, content, 0o700))
	return path
}

// commandOf is a workload run by a copy of this executable.
func commandOf(t *testing.T, executable, name string, args ...string) *exec.Cmd {
	cmd := command(t, name, args...)
	cmd.Path, cmd.Args[0] = executable, executable
	return cmd
}

// record is a log record and the resource it came with.
type record struct {
	plog.LogRecord
	resource pcommon.Map
}

// span is a span and the resource it came with.
type span struct {
	ptrace.Span
	resource pcommon.Map
}

func get(m pcommon.Map, key string) any {
	v, found := m.Get(key)
	if !found {
		return nil
	}
	return v.AsRaw()
}

func text(m pcommon.Map, key string) string {
	s, _ := get(m, key).(string)
	return s
}

func number(m pcommon.Map, key string) int64 {
	n, _ := get(m, key).(int64)
	return n
}

func (r record) id() string { return text(r.Attributes(), "socketflow.connection.id") }

// Event names.
const (
	opened = "socketflow.connection.open"
	closed = "socketflow.connection.close"
	failed = "socketflow.connection.fail"
)

// told is all that was told of one process.
type told struct {
	records []record
	spans   []span
}

func (p told) events(name string) []record {
	var those []record
	for _, r := range p.records {
		if r.EventName() == name {
			those = append(those, r)
		}
	}
	return those
}

// observation is a receiver at work, and what has come out of it.
type observation struct {
	*componenttest.Telemetry
	components []component.Component
	logged     *observer.ObservedLogs

	mu    sync.Mutex
	byPID map[int64]*told
}

// configuration changes the default one.
type configuration func(*receiver.Config)

// observe starts a receiver for both signals. It runs until the end of the test at the latest.
func observe(t *testing.T, change configuration) *observation {
	t.Helper()
	o := &observation{byPID: map[int64]*told{}}
	logs, err := consumer.NewLogs(o.takeLogs)
	require.NoError(t, err)
	traces, err := consumer.NewTraces(o.takeTraces)
	require.NoError(t, err)
	o.start(t, change, logs, traces)
	return o
}

// start starts a receiver for the signals that have a consumer.
func (o *observation) start(t *testing.T, change configuration, logs consumer.Logs, traces consumer.Traces) {
	t.Helper()
	needPrivilege(t)
	o.Telemetry = componenttest.NewTelemetry()
	core, logged := observer.New(zap.InfoLevel)
	o.logged = logged
	set := metadatatest.NewSettings(o.Telemetry)
	set.Logger = zap.New(core)

	factory := receiver.NewFactory()
	set.ID = component.NewID(factory.Type())
	cfg := factory.CreateDefaultConfig().(*receiver.Config)
	// internal/vmtest runs tests that ask for no mode in each that the kernel can do.
	if mode := os.Getenv("SOCKETFLOW_TEST_MODE"); mode != "" {
		cfg.Mode = receiver.Mode(mode)
	}
	// What a workload says of a connection right after it was made, an overloaded machine may say seconds later.
	cfg.Completion.Timeout = patience(cfg.Completion.Timeout)
	// The truth of the workloads is about TCP; by what else their processes talk to each other they do not tell.
	cfg.Transports = []receiver.Transport{receiver.TransportTCP}
	if change != nil {
		change(cfg)
	}
	require.NoError(t, cfg.Validate())
	if logs != nil {
		c, err := factory.CreateLogs(t.Context(), set, cfg, logs)
		require.NoError(t, err)
		o.components = append(o.components, c)
	}
	if traces != nil {
		c, err := factory.CreateTraces(t.Context(), set, cfg, traces)
		require.NoError(t, err)
		o.components = append(o.components, c)
	}
	t.Cleanup(func() {
		o.shutdown(t)
		require.NoError(t, o.Shutdown(context.Background()))
	})
	for _, c := range o.components {
		require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
	}
}

// shutdown ends the receiver; then everything that it has captured has come out of it.
func (o *observation) shutdown(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	for _, c := range o.components {
		require.NoError(t, c.Shutdown(ctx))
	}
}

func (o *observation) takeLogs(_ context.Context, logs plog.Logs) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range logs.ResourceLogs().All() {
		p := o.process(r.Resource().Attributes())
		for _, s := range r.ScopeLogs().All() {
			for _, l := range s.LogRecords().All() {
				p.records = append(p.records, record{l, r.Resource().Attributes()})
			}
		}
	}
	return nil
}

func (o *observation) takeTraces(_ context.Context, traces ptrace.Traces) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range traces.ResourceSpans().All() {
		p := o.process(r.Resource().Attributes())
		for _, s := range r.ScopeSpans().All() {
			for _, l := range s.Spans().All() {
				p.spans = append(p.spans, span{l, r.Resource().Attributes()})
			}
		}
	}
	return nil
}

func (o *observation) process(resource pcommon.Map) *told {
	pid := number(resource, "process.pid")
	p := o.byPID[pid]
	if p == nil {
		p = &told{}
		o.byPID[pid] = p
	}
	return p
}

// of is what has been told of a process so far.
func (o *observation) of(pid int) told {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.byPID[int64(pid)]
	if p == nil {
		return told{}
	}
	return told{slices.Clone(p.records), slices.Clone(p.spans)}
}

// total is how many records there are of all processes.
func (o *observation) total() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, p := range o.byPID {
		n += len(p.records)
	}
	return n
}

// count is how many records of some events there are of some processes.
func (o *observation) count(pids []int, events ...string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, pid := range pids {
		if p := o.byPID[int64(pid)]; p != nil {
			for _, r := range p.records {
				if slices.Contains(events, r.EventName()) {
					n++
				}
			}
		}
	}
	return n
}

// awaitEnds waits until the end of each socket has been told.
func (o *observation) awaitEnds(t *testing.T, ends []workload.End) {
	t.Helper()
	pids := pidsOf(ends)
	for deadline := time.Now().Add(bound); ; time.Sleep(pause) {
		told := o.count(pids, closed, failed)
		switch {
		case told >= len(ends):
			return
		case time.Now().After(deadline): // verify will say which
			t.Errorf("of %d connections and attempts only %d were told to have ended within %s", len(ends), told, bound)
			return
		}
	}
}

// roomy has ring buffers in which everything fits that a test does, however slowly this machine gets to read them.
func roomy(cfg *receiver.Config) { cfg.RingBuffer.Size = 32 << 20 }

func pidsOf(ends []workload.End) []int {
	var pids []int
	for _, e := range ends {
		if !slices.Contains(pids, e.PID) {
			pids = append(pids, e.PID)
		}
	}
	return pids
}

// metric is the sum of a metric's points that have these attributes (names and values, in turns).
func (o *observation) metric(t *testing.T, name string, attributes ...string) int64 {
	t.Helper()
	n, err := o.readMetric(name, attributes...)
	require.NoError(t, err)
	return n
}

func (o *observation) readMetric(name string, attributes ...string) (int64, error) {
	m, err := o.GetMetric("otelcol_socketflow_" + name)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
		matches := true
		for i := 0; i < len(attributes); i += 2 {
			v, found := point.Attributes.Value(attribute.Key(attributes[i]))
			matches = matches && found && v.AsString() == attributes[i+1]
		}
		if matches {
			sum += point.Value
		}
	}
	return sum, nil
}
