package receiver_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/socketflow/socketflow/internal/integration/workload"
	"github.com/socketflow/socketflow/internal/testenv"
	"github.com/socketflow/socketflow/receiver"
)

// The tests of the files *_linux_test.go run the receiver against this host's kernel and real sockets. Other processes use the
// sockets, see package workload: they are this executable again.
//
// They share one harness: this file starts a receiver in a mode, and workloads; harness_collect_linux_test.go collects what the
// receiver emits; harness_wait_linux_test.go waits for conditions.
//
// An init, because TestMain is generated.
func init() { workload.RunIfAsked() }

func needPrivilege(t *testing.T) {
	t.Helper()
	testenv.NeedRoot(t, "observing the host")
}

// emulated reports whether this is a machine of internal/integration/vmtest, which is some thirty times slower than a real one.
func emulated() bool { return os.Getenv("SOCKETFLOW_TEST_EMULATED") != "" }

// raceDetector reports whether the race detector slows this executable down.
func raceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" && s.Value == "true" {
			return true
		}
	}
	return false
}

// eachMode runs a test as a subtest of each mode. Both modes have to emit the same for the same workload.
func eachMode(t *testing.T, test func(*testing.T, receiver.Mode)) {
	t.Helper()
	for _, mode := range []receiver.Mode{receiver.ModeSocket, receiver.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) {
			needPrivilege(t)
			test(t, mode)
		})
	}
}

// hostMode is the mode of tests that are not about a mode: auto, unless internal/integration/vmtest sets another. It runs them in
// each mode that a kernel supports.
// a kernel can do.
func hostMode() receiver.Mode {
	if mode := os.Getenv("SOCKETFLOW_TEST_MODE"); mode != "" {
		return receiver.Mode(mode)
	}
	return receiver.ModeAuto
}

// configuration changes the default one.
type configuration func(*receiver.Config)

// roomy has ring buffers that hold everything that a test does, however slowly this machine reads them.
func roomy(cfg *receiver.Config) { cfg.RingBuffer.Size = 32 << 20 }

// sinks receive what a receiver emits. A signal without a sink has no receiver.
type sinks struct {
	logs   consumer.ConsumeLogsFunc
	traces consumer.ConsumeTracesFunc
}

// observe starts a receiver in a mode for both signals, and collects its telemetry. It runs until the end of the test at the
// latest.
func observe(t *testing.T, mode receiver.Mode, change configuration) *observation {
	t.Helper()
	o := &observation{byPID: map[int64]*processTelemetry{}}
	o.start(t, mode, change, sinks{o.takeLogs, o.takeTraces})
	return o
}

// start starts a receiver in a mode for the signals that have a sink.
func (o *observation) start(t *testing.T, mode receiver.Mode, change configuration, to sinks) {
	t.Helper()
	needPrivilege(t)
	o.mode = mode
	o.Telemetry = componenttest.NewTelemetry()
	core, logged := observer.New(zap.InfoLevel)
	o.logged = logged
	set := receivertest.NewNopSettings(receivertest.NopType)
	set.TelemetrySettings = o.NewTelemetrySettings()
	set.Logger = zap.New(core)

	factory := receiver.NewFactory()
	set.ID = component.NewID(factory.Type())
	cfg := factory.CreateDefaultConfig().(*receiver.Config)
	cfg.Mode = mode
	cfg.ConnectionRecords = []receiver.ConnectionRecord{
		receiver.ConnectionRecordOpen, receiver.ConnectionRecordClose, receiver.ConnectionRecordFail,
	}
	// A workload's report of a new connection may come seconds later on an overloaded machine.
	cfg.Completion.Timeout = patience(cfg.Completion.Timeout)
	// The truth of the workloads is about TCP; it leaves out the Unix sockets between their processes.
	cfg.Transports = []receiver.Transport{receiver.TransportTCP}
	if emulated() { // to verify its programs takes seconds there
		cfg.TLS = receiver.TLSConfig{}
	}
	if change != nil {
		change(cfg)
	}
	require.NoError(t, cfg.Validate())
	if to.logs != nil {
		logs, err := consumer.NewLogs(to.logs)
		require.NoError(t, err)
		c, err := factory.CreateLogs(t.Context(), set, cfg, logs)
		require.NoError(t, err)
		o.components = append(o.components, c)
	}
	if to.traces != nil {
		traces, err := consumer.NewTraces(to.traces)
		require.NoError(t, err)
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

// shutdown ends the receiver. Then it has emitted everything that it has captured.
func (o *observation) shutdown(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	for _, c := range o.components {
		require.NoError(t, c.Shutdown(ctx))
	}
}

// limited ends the workloads of a hanging test before the test itself is ended.
func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience(time.Minute))
	t.Cleanup(cancel)
	return ctx
}

// command is a workload in a network namespace of its own: its ports are free, and it has room for its TIME_WAITs, whatever else
// this host does.
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

// ownExecutable is the executable of workloads by default.
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
