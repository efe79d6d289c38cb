package receiver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/receiver"
)

// toBeKilled is set, to a mode, in a process of this executable that observes until it is killed.
const toBeKilled = "SOCKETFLOW_TEST_TO_BE_KILLED"

func init() {
	if mode, asked := os.LookupEnv(toBeKilled); asked {
		panic(observeUntilKilled(receiver.Mode(mode)))
	}
}

// observeUntilKilled writes one line when it observes, and another when it has emitted a connection of its parent's.
func observeUntilKilled(mode receiver.Mode) error {
	emitted := make(chan struct{}, 1)
	logs, err := consumer.NewLogs(func(_ context.Context, logs plog.Logs) error {
		for _, r := range logs.ResourceLogs().All() {
			if number(r.Resource().Attributes(), "process.pid") == int64(os.Getppid()) {
				select {
				case emitted <- struct{}{}:
				default: // the signal is already pending
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	factory := receiver.NewFactory()
	cfg := factory.CreateDefaultConfig().(*receiver.Config)
	cfg.Mode = mode
	cfg.ConnectionRecords = []receiver.ConnectionRecord{receiver.ConnectionRecordOpen}
	settings := receivertest.NewNopSettings(factory.Type())
	ofLogs, logsErr := factory.CreateLogs(context.Background(), settings, cfg, logs)
	ofTraces, tracesErr := factory.CreateTraces(context.Background(), settings, cfg, consumertest.NewNop())
	if err := errors.Join(logsErr, tracesErr); err != nil {
		return err
	}
	host := componenttest.NewNopHost()
	if err := errors.Join(ofLogs.Start(context.Background(), host), ofTraces.Start(context.Background(), host)); err != nil {
		return err
	}
	fmt.Println("ready")
	<-emitted
	fmt.Println("emitted")
	_, err = io.Copy(io.Discard, os.Stdin) // until the parent has ended
	return errors.Join(errors.New("nobody has killed this process"), err)
}

// A killed collector leaves nothing in the kernel: no program, map, link or probe, and no pinned object, even while sockets that
// it has followed live on.
func TestKilledLeavesNothing(t *testing.T) {
	eachMode(t, func(t *testing.T, mode receiver.Mode) {
		others, before := kernelObjects(t), traces(t)
		victim := observeElsewhere(t, mode)
		objects, events := heldBy(t, victim.pid()), victim.perfEvents(t)
		kinds := map[string]int{}
		all := kernelObjects(t)
		for o := range objects {
			kinds[o.kind]++
			require.True(t, all[o] && !others[o], "the kernel has %v since then", o)
		}
		t.Logf("it holds %v, and %d perf events", kinds, events)
		require.NotZero(t, kinds["prog_id"])
		require.NotZero(t, kinds["map_id"])
		// Before Linux 5.15 a program on a perf event has no link.
		require.NotZero(t, kinds["link_id"]+events)

		require.NoError(t, victim.cmd.Process.Kill())
		require.Error(t, victim.cmd.Wait(), "it was killed")
		for o := range objects {
			await(t, fmt.Sprintf("the kernel has let go of %v", o), func() bool { return !o.exists() })
		}
		if emulated() { // no other program makes any there
			await(t, "the kernel has no others than before", func() bool {
				now := kernelObjects(t)
				maps.DeleteFunc(now, func(o kernelObject, _ bool) bool { return others[o] })
				return len(now) == 0
			})
		}
		assert.Subset(t, before, traces(t))
	})
}

// victim is a process that observes.
type victim struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

func (v *victim) pid() string { return strconv.Itoa(v.cmd.Process.Pid) }

// perfEvents is how many perf events it has descriptors of.
func (v *victim) perfEvents(t *testing.T) (n int) {
	t.Helper()
	dir := filepath.Join("/proc", v.pid(), "fd")
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, name := range names {
		if to, err := os.Readlink(filepath.Join(dir, name.Name())); err == nil && to == "anon_inode:[perf_event]" {
			n++
		}
	}
	return n
}

func (v *victim) await(t *testing.T, line string) {
	t.Helper()
	require.True(t, v.out.Scan(), "it has ended: %v", v.out.Err())
	require.Equal(t, line, v.out.Text())
}

// observeElsewhere starts a victim, which emits a connection that lasts until the end of the test.
func observeElsewhere(t *testing.T, mode receiver.Mode) *victim {
	t.Helper()
	cmd := exec.CommandContext(limited(t), "/proc/self/exe")
	cmd.Env = append(os.Environ(), toBeKilled+"="+string(mode))
	cmd.Stderr = os.Stderr
	_, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	v := &victim{cmd, bufio.NewScanner(stdout)}
	v.await(t, "ready")

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	client, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	server, err := listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	_, err = client.Write([]byte("GET / HTTP/1.1\r\n"))
	require.NoError(t, err)
	v.await(t, "emitted")
	return v
}

// listing has the commands that list all of the kernel's objects (bpf(2)).
var listing = map[string]uintptr{
	"prog_id": unix.BPF_PROG_GET_NEXT_ID, "map_id": unix.BPF_MAP_GET_NEXT_ID, "link_id": unix.BPF_LINK_GET_NEXT_ID,
}

func kernelObjects(t *testing.T) map[kernelObject]bool {
	t.Helper()
	all := map[kernelObject]bool{}
	for kind, command := range listing {
		attr := struct{ start, next, flags uint32 }{}
		for {
			_, _, err := unix.Syscall(unix.SYS_BPF, command, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
			if errors.Is(err, unix.ENOENT) {
				break
			}
			require.Zero(t, err, "list the kernel's objects: %s", kind)
			all[kernelObject{kind, attr.next}] = true
			attr.start = attr.next
		}
	}
	return all
}

// traces are what a process can leave in file systems of the kernel: dynamic probes, and pinned objects.
func traces(t *testing.T) []string {
	t.Helper()
	all := []string{}
	tracing := tracefs(t)
	for _, name := range [...]string{"dynamic_events", "kprobe_events", "uprobe_events"} {
		content, err := os.ReadFile(filepath.Join(tracing, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // the kernel has no such probes
		}
		require.NoError(t, err)
		all = slices.AppendSeq(all, strings.Lines(string(content)))
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		mount := strings.Fields(line)
		if mount[2] != "bpf" {
			continue
		}
		require.NoError(t, filepath.WalkDir(mount[1], func(path string, _ fs.DirEntry, err error) error {
			all = append(all, path)
			return err
		}))
	}
	return all
}

// tracefs is where it is mounted, or else a mount that is attached nowhere.
func tracefs(t *testing.T) string {
	t.Helper()
	const usual = "/sys/kernel/tracing"
	if _, err := os.Stat(filepath.Join(usual, "events")); err == nil {
		return usual
	}
	mount, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(mount) //nolint:errcheck // of no use any more
	require.NoError(t, unix.FsconfigCreate(mount))
	root, err := unix.Fsmount(mount, unix.FSMOUNT_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(root) })
	return filepath.Join("/proc/self/fd", strconv.Itoa(root))
}
