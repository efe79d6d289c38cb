package receiver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/receiver"
)

// kernelObject is a program, map or link of the kernel.
type kernelObject struct {
	kind string // as in /proc/<pid>/fdinfo
	id   uint32
}

// commands get a descriptor of an object by its id (bpf(2)).
var commands = map[string]uintptr{
	"prog_id": unix.BPF_PROG_GET_FD_BY_ID, "map_id": unix.BPF_MAP_GET_FD_BY_ID, "link_id": unix.BPF_LINK_GET_FD_BY_ID,
}

// exists reports whether the kernel still has the object.
func (o kernelObject) exists() bool {
	attr := struct{ id, next, flags uint32 }{id: o.id}
	fd, _, err := unix.Syscall(unix.SYS_BPF, commands[o.kind], uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if err != 0 {
		return !errors.Is(err, unix.ENOENT)
	}
	_ = unix.Close(int(fd))
	return true
}

// held are the kernel objects that this process has descriptors of.
func held(t *testing.T) map[kernelObject]bool {
	t.Helper()
	return heldBy(t, "self")
}

// heldBy are the kernel objects that a process has descriptors of.
func heldBy(t *testing.T, pid string) map[kernelObject]bool {
	t.Helper()
	objects := map[kernelObject]bool{}
	dir := filepath.Join("/proc", pid, "fdinfo")
	infos, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, info := range infos {
		text, err := os.ReadFile(filepath.Join(dir, info.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		for line := range strings.Lines(string(text)) {
			kind, value, _ := strings.Cut(line, ":")
			if id, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32); err == nil && commands[kind] != 0 {
				objects[kernelObject{kind, uint32(id)}] = true
			}
		}
	}
	return objects
}

// descriptors are the open files of this process.
func descriptors(t testing.TB) []string {
	names, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	var files []string
	for _, n := range names {
		if to, err := os.Readlink("/proc/self/fd/" + n.Name()); err == nil {
			files = append(files, n.Name()+" "+to)
		}
	}
	return files
}

// mappedMaps is how many of the kernel's maps, or parts of them, are mapped into this process.
func mappedMaps(t *testing.T) int {
	mappings, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	return strings.Count(string(mappings), "bpf-map")
}

// Stopped receivers release all that they held: programs, maps, links, descriptors, memory, goroutines.
func TestStartAndStopLeaveNothingBehind(t *testing.T) {
	needPrivilege(t)
	const starts, atOnce = 50, 5
	goroutines := goleak.IgnoreCurrent()
	var files []string
	var mu sync.Mutex
	all := map[kernelObject]bool{}
	for first := 0; first < starts; first += atOnce {
		t.Run("", func(t *testing.T) {
			for i := first; i < first+atOnce; i++ {
				t.Run("", func(t *testing.T) {
					t.Parallel()
					objects := startAndStop(t, i)
					mu.Lock()
					defer mu.Unlock()
					maps.Copy(all, objects)
				})
			}
		})
		if first == 0 { // the runtime and the standard library keep some memory from now on
			files = descriptors(t)
		}
	}
	assert.Empty(t, held(t))
	await(t, "nothing of the kernel's is mapped any more", func() bool {
		runtime.GC() // here the library unmaps the variables of the programs
		return mappedMaps(t) == 0
	})
	assert.Len(t, descriptors(t), len(files), "%v, and in the beginning %v", descriptors(t), files)
	goleak.VerifyNone(t, goroutines)

	kinds := map[string]int{}
	for object := range all {
		kinds[object.kind]++
		await(t, fmt.Sprintf("the kernel has let go of %v", object), func() bool { return !object.exists() })
	}
	t.Logf("kernel objects that were made and are gone: %v", kinds)
	assert.Len(t, kinds, len(commands))
}

// startAndStop starts and stops each receiver, and returns what was held meanwhile.
func startAndStop(t *testing.T, i int) map[kernelObject]bool {
	o := &observation{byPID: map[int64]*processTelemetry{}}
	to := sinks{o.takeLogs, o.takeTraces}
	switch i % 4 {
	case 0:
		to.traces = nil
	case 1:
		to.logs = nil
	}
	o.start(t, hostMode(), func(cfg *receiver.Config) {
		cfg.RingBuffer.Shards = 1 << (i % 4)
		if i%5 == 0 {
			cfg.Exclude = []receiver.Selector{{Executable: "/none"}}
		}
	}, to)
	objects := held(t)
	if i%10 == 2 {
		ends := end(t, begin(t, command(t, "connections", "-n", "10")))
		o.awaitEnds(t, ends)
	}
	o.shutdown(t)
	o.shutdown(t)
	return objects
}

// Everything that the kernel had reported when the receiver is stopped is emitted, even in the middle of a load.
func TestShutdownUnderLoadLosesNothing(t *testing.T) {
	needPrivilege(t)
	run := beginLoad(t, 200_000, 10_000)
	counted := newTally()
	counted.follow(run.PID())
	o := &observation{}
	var mu sync.Mutex
	reported := map[string]int64{} // as of the last batch: the programs had been detached before
	o.start(t, hostMode(), roomy, sinks{logs: func(ctx context.Context, records plog.Logs) error {
		err := counted.takeLogs(ctx, records)
		mu.Lock()
		defer mu.Unlock()
		for _, kind := range [...]string{"open", "existing", "close"} {
			n, reading := o.readMetric("kernel_events", "kind", kind)
			err = errors.Join(err, reading)
			reported[kind] = n
		}
		return err
	}})
	pass(t, run, "ready")
	const enough = 5_000
	await(t, "the load is under way", func() bool { return counted.of(closed) > enough })
	o.shutdown(t)
	require.NoError(t, run.Kill())
	assert.EqualValues(t, reported["open"]+reported["existing"], counted.total(opened))
	assert.EqualValues(t, reported["close"], counted.total(closed))
	assert.Zero(t, counted.repeat)
	t.Logf("%d openings and %d ends were emitted for a load that was still running", counted.of(opened), counted.of(closed))
}

// Shutdown returns when its context ends, even if the pipeline blocks; the receiver ends as soon as the pipeline returns.
func TestShutdownHonoursItsContext(t *testing.T) {
	needPrivilege(t)
	stuck := make(chan struct{}, 100)
	logs, err := consumer.NewLogs(func(ctx context.Context, _ plog.Logs) error {
		stuck <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	require.NoError(t, err)
	factory := receiver.NewFactory()
	r, err := factory.CreateLogs(t.Context(), receivertest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig(), logs)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	end(t, begin(t, command(t, "connections", "-n", "10")))
	<-stuck

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	require.ErrorIs(t, r.Shutdown(ctx), context.DeadlineExceeded)
	assert.Less(t, time.Since(began), 5*time.Second)
	await(t, "the receiver has let go of everything", func() bool { return len(held(t)) == 0 })
	require.NoError(t, r.Shutdown(t.Context()))
}

// muteSinks are pipelines that take nothing.
var muteSinks = map[string]func(ctx context.Context, end <-chan struct{}) error{
	"returns when its context ends": func(ctx context.Context, _ <-chan struct{}) error {
		<-ctx.Done()
		return ctx.Err()
	},
	"ignores its context": func(_ context.Context, end <-chan struct{}) error {
		<-end
		return nil
	},
}

// A collector stops, and loads another configuration, without a deadline. With a pipeline that takes nothing, the receiver ends by itself,
// and says what is lost. It returns no error: a reload would end the collector.
func TestShutdownHasABoundOfItsOwn(t *testing.T) {
	for name, mute := range muteSinks {
		t.Run(name, func(t *testing.T) {
			stuck, over := make(chan struct{}, 100), make(chan struct{})
			o := &observation{}
			o.start(t, hostMode(), func(cfg *receiver.Config) { cfg.ShutdownTimeout = 100 * time.Millisecond },
				sinks{logs: func(ctx context.Context, _ plog.Logs) error {
					stuck <- struct{}{}
					return mute(ctx, over)
				}})
			end(t, begin(t, command(t, "connections", "-n", "10")))
			<-stuck
			o.shutdown(t)
			lost := o.logged.FilterMessageSnippet("did not take everything within shutdown_timeout").All()
			require.Len(t, lost, 1)
			assert.Positive(t, lost[0].ContextMap()["log_records"])
			assert.Empty(t, o.logged.FilterMessageSnippet("refused items").All(), "a loss is in one line")
			close(over)
			await(t, "the receiver has let go of everything", func() bool { return len(held(t)) == 0 })
		})
	}
}

// Two instances in one process see the same, each with its own configuration.
func TestTwoInstances(t *testing.T) {
	o := observe(t, hostMode(), roomy)
	other := observe(t, hostMode(), func(cfg *receiver.Config) {
		roomy(cfg)
		cfg.RingBuffer.Shards = 1
		cfg.AddressAttributes = receiver.AddressAttributesV120
		cfg.ConnectionSpans = receiver.ConnectionSpansNever
	})
	run := begin(t, command(t, "connections", "-n", "200"))
	ends := end(t, run)
	require.Len(t, ends, 400)
	o.awaitEnds(t, ends)
	other.awaitEnds(t, ends)
	o.shutdown(t)
	o.verify(t, ends, closings)

	more := end(t, begin(t, command(t, "connections", "-n", "10")))
	other.awaitEnds(t, more)
	other.shutdown(t)
	assert.Empty(t, o.of(more[0].PID).records, "the first has ended")
	p := other.of(run.PID())
	assert.Empty(t, p.spans)
	assert.Len(t, p.events(opened), len(ends))
	assert.Len(t, p.events(closed), len(ends))
	emitted := map[tuple]int{}
	for _, e := range ends {
		emitted[tupleOf(e)]++
	}
	for _, r := range p.events(closed) {
		a := r.Attributes()
		assert.Nil(t, get(a, "network.peer.address"))
		emitted[tuple{
			pid: run.PID(), netns: number(a, "socketflow.netns"), role: text(a, "socketflow.role.name"),
			local:  endpoint(a, "net.sock.host.addr", "net.sock.host.port"),
			remote: endpoint(a, "net.sock.peer.addr", "net.sock.peer.port"),
		}]--
	}
	for k, n := range emitted {
		assert.Zero(t, n, "%+v", k)
	}
}

// asNobody is set in a process of this executable that has no privileges, and reports what the receiver does then.
const asNobody = "SOCKETFLOW_TEST_AS_NOBODY"

// outsider is its report.
type outsider struct {
	Error    string   // Start's
	Statuses []string // that were reported
	Leaked   int      // descriptors
}

func init() {
	if how, asked := os.LookupEnv(asNobody); asked {
		err := json.NewEncoder(os.Stdout).Encode(startAsNobody(receiver.OnUnsupported(how)))
		if err != nil {
			panic(err)
		}
		os.Exit(0)
	}
}

// statusHost keeps the statuses that are reported.
type statusHost struct {
	component.Host
	reported []string
}

func (h *statusHost) Report(e *componentstatus.Event) {
	h.reported = append(h.reported, e.Status().String())
}

func startAsNobody(how receiver.OnUnsupported) (out outsider) {
	factory := receiver.NewFactory()
	cfg := factory.CreateDefaultConfig().(*receiver.Config)
	cfg.OnUnsupported = how
	host := &statusHost{Host: componenttest.NewNopHost()}
	once := func() error {
		settings := receivertest.NewNopSettings(factory.Type())
		logs, err := factory.CreateLogs(context.Background(), settings, cfg, consumertest.NewNop())
		if err != nil {
			return err
		}
		return errors.Join(logs.Start(context.Background(), host), logs.Shutdown(context.Background()))
	}
	count := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return -1
		}
		return len(files)
	}
	_ = once() // things that are opened only once are open now
	before := count()
	host.reported = nil
	if err := once(); err != nil {
		out.Error = err.Error()
	}
	out.Statuses, out.Leaked = host.reported, count()-before
	return out
}

// Without privileges Start says what is missing and what would help. If configured to, the collector runs on.
func TestWithoutPrivileges(t *testing.T) {
	needPrivilege(t)
	for how, want := range map[receiver.OnUnsupported]outsider{
		receiver.OnUnsupportedFail: {Error: "CAP_BPF"},
		receiver.OnUnsupportedWarn: {Statuses: []string{"StatusPermanentError"}},
	} {
		t.Run(string(how), func(t *testing.T) {
			// Through /proc, because only root may enter the directory of this executable.
			cmd := exec.CommandContext(limited(t), "/proc/self/exe")
			cmd.Env = append(os.Environ(), asNobody+"="+string(how))
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			cmd.Dir = "/"
			printed, err := cmd.Output()
			require.NoError(t, err)
			var got outsider
			require.NoError(t, json.Unmarshal(printed, &got))
			t.Log(got.Error)
			assert.Equal(t, want.Error == "", got.Error == "", "%s", got.Error)
			assert.Contains(t, got.Error, want.Error)
			assert.Equal(t, want.Statuses, got.Statuses)
			assert.Zero(t, got.Leaked)
		})
	}
}

// The kernel memory of a receiver with the default configuration stays within 62 MiB, in every mode.
func TestKernelMemory(t *testing.T) {
	const most = 62 << 20
	eachMode(t, func(t *testing.T, mode receiver.Mode) {
		o := observe(t, mode, func(cfg *receiver.Config) {
			cfg.Transports = []receiver.Transport{receiver.TransportTCP, receiver.TransportUDP, receiver.TransportUnix}
		})
		held := o.metric(t, "kernel_memory")
		o.shutdown(t)
		t.Logf("%.1f MiB", float64(held)/(1<<20))
		assert.Greater(t, held, int64(16<<20), "the ring buffers alone")
		assert.LessOrEqual(t, held, int64(most))
	})
}
