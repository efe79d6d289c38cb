//go:build amd64 || arm64

package engine_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/ports"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/testenv"
)

// toDial makes this test binary a program that connects to an address, and ends at once, or with toStay at the end of its input.
const (
	toDial = "SOCKETFLOW_ENGINE_TEST_DIAL"
	toStay = "SOCKETFLOW_ENGINE_TEST_STAY"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(toDial); address != "" {
		conn, err := net.Dial("tcp", address)
		if err == nil && os.Getenv(toStay) != "" {
			_, err = io.Copy(io.Discard, os.Stdin)
		}
		if err != nil || conn.Close() != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// clients gathers the resources of the ends that connected, by pid.
type clients struct {
	mu sync.Mutex
	of map[int64][]map[string]any
}

func (c *clients) Deliver(_ context.Context, from *otlp.Builder) {
	logs, _ := from.Take()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range logs.ResourceLogs().All() {
		attributes := resource.Resource().Attributes().AsRaw()
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				if record.EventName() == "socketflow.connection.open" && text(record.Attributes(), "socketflow.role.name") == "client" {
					pid := attributes["process.pid"].(int64)
					c.of[pid] = append(c.of[pid], attributes)
				}
			}
		}
	}
}

// await returns the resource of a process' nth connection.
func (c *clients) await(t *testing.T, pid, n int) (resource map[string]any) {
	t.Helper()
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		if all := c.of[int64(pid)]; len(all) > n {
			resource = all[n]
		}
		return resource != nil
	}, 10*time.Second, 5*time.Millisecond, "connection %d of process %d", n, pid)
	return resource
}

// dialScene is an engine that observes the connections to a listener.
type dialScene struct {
	*clients
	address string
}

func newDialScene(t *testing.T, mode kernel.Mode, exclude ...selection.Rule) *dialScene {
	t.Helper()
	testenv.NeedRoot(t, "loading eBPF programs")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}()
		}
	}()
	s := &dialScene{&clients{of: map[int64][]map[string]any{}}, listener.Addr().String()}
	port := uint16(listener.Addr().(*net.TCPAddr).Port)
	options := optionsOf(t, mode, s)
	options.Rules = slices.Concat(exclude, []selection.Rule{{RemotePort: ports.Range{Low: port, High: port}}})
	options.Unix, options.UDP, options.Protocols = false, false, nil
	options.Telemetry, options.PollInterval = otlp.Options{Records: otlp.RecordAll}, 100*time.Millisecond
	e := engine.New(options)
	require.NoError(t, e.Start())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		whole, err := e.Drain(ctx)
		assert.True(t, whole)
		assert.NoError(t, err)
		assert.NoError(t, e.Close())
		assert.NoError(t, listener.Close())
		<-done
	})
	return s
}

// program makes this test binary a program of another name, in so many nested directories.
func program(t *testing.T, depth int, name string) string {
	t.Helper()
	own, err := os.Executable()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), strings.Repeat("d/", depth), name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	if os.Link(own, path) != nil {
		data, err := os.ReadFile(own)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, data, 0o755))
	}
	return path
}

// start starts a program. If it does not stay, it connects, ends and is waited for.
func (s *dialScene) start(t *testing.T, path string, stay bool, environ ...string) (pid int) {
	t.Helper()
	return s.run(t, exec.Command(path), stay, environ...)
}

func (s *dialScene) run(t *testing.T, cmd *exec.Cmd, stay bool, environ ...string) (pid int) {
	t.Helper()
	cmd.Env = append([]string{toDial + "=" + s.address}, environ...)
	if !stay {
		require.NoError(t, cmd.Run())
		return cmd.Process.Pid
	}
	cmd.Env = append(cmd.Env, toStay+"=1")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, in.Close())
		assert.NoError(t, cmd.Wait())
	})
	return cmd.Process.Pid
}

func eachMode(t *testing.T, test func(*testing.T, kernel.Mode)) {
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) { test(t, mode) })
	}
}

// A path that is deeper than the kernel side looks does not evade a rule, and is emitted as it is.
func TestDeepExecutableEvadesNoRule(t *testing.T) {
	eachMode(t, func(t *testing.T, mode kernel.Mode) {
		secret := program(t, 70, "app")
		top := strings.SplitAfterN(secret, "/", 5)
		s := newDialScene(t, mode, selection.Rule{Exclude: true, Executable: strings.Join(top[:4], "") + "**/app"})
		other := program(t, 70, "other")
		var excluded []int
		for _, stay := range []bool{false, true} {
			excluded = append(excluded, s.start(t, secret, stay))
		}
		resource := s.await(t, s.start(t, other, true), 0)
		assert.Equal(t, other, resource["process.executable.path"])
		resource = s.await(t, s.start(t, other, false), 0)
		assert.Equal(t, "other", resource["service.name"])
		if path := resource["process.executable.path"].(string); path != other {
			rest, marked := strings.CutPrefix(path, "...")
			assert.True(t, marked && strings.HasSuffix(other, rest), path)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, pid := range excluded {
			assert.Empty(t, s.of[int64(pid)])
		}
	})
}

// newCgroup makes nested cgroups and returns the innermost.
func newCgroup(t *testing.T, elements ...string) (innermost *os.File) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	_, path, found := strings.Cut(string(mounts), "cgroup2 ") // the device's name
	require.True(t, found, "there is no unified hierarchy")
	path, _, _ = strings.Cut(path, " ")
	for _, element := range elements {
		path = filepath.Join(path, element)
		made := path
		require.NoError(t, os.Mkdir(made, 0o755))
		t.Cleanup(func() { assert.NoError(t, os.Remove(made)) })
	}
	innermost, err = os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, innermost.Close()) })
	return innermost
}

func TestDeepCgroupHidesNoContainer(t *testing.T) {
	eachMode(t, func(t *testing.T, mode kernel.Mode) {
		id := strings.Repeat("0123456789abcdef", 4)
		deep := newCgroup(t, append([]string{"docker-" + id + ".scope"}, slices.Repeat([]string{"d"}, 70)...)...)
		app := program(t, 0, "app")
		inContainer := func() *exec.Cmd {
			cmd := exec.Command(app)
			cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(deep.Fd())}
			return cmd
		}
		t.Run("known", func(t *testing.T) {
			s := newDialScene(t, mode)
			resource := s.await(t, s.run(t, inContainer(), true), 0)
			assert.Equal(t, id, resource["container.id"])
			assert.Equal(t, "docker", resource["container.runtime.name"])
		})
		t.Run("excluded", func(t *testing.T) {
			s := newDialScene(t, mode, selection.Rule{Exclude: true, ContainerID: id[:12]})
			// In the syscall mode only /proc has the cgroup, and only of a process that lives.
			excluded := s.run(t, inContainer(), mode == kernel.ModeSyscall)
			s.await(t, s.start(t, app, true), 0)
			s.mu.Lock()
			defer s.mu.Unlock()
			assert.Empty(t, s.of[int64(excluded)])
		})
	})
}

// serviceLinks is an environment as Kubernetes makes it for a pod in a namespace with that many services.
func serviceLinks(n int) (environ []string) {
	for i := range n {
		name := fmt.Sprintf("BACKEND_FOR_FRONTEND_%d", i)
		for _, suffix := range []string{"SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_80_TCP", "PORT_80_TCP_PROTO", "PORT_80_TCP_PORT", "PORT_80_TCP_ADDR"} {
			environ = append(environ, name+"_"+suffix+"=tcp://10.96.100.200:80")
		}
	}
	return environ
}

// The process has ended before user space reads its description.
func TestServiceNameBehindServiceLinks(t *testing.T) {
	eachMode(t, func(t *testing.T, mode kernel.Mode) {
		s := newDialScene(t, mode)
		app := program(t, 0, "app")
		for _, services := range []int{0, 20, 100} {
			environ := append(serviceLinks(services), "OTEL_RESOURCE_ATTRIBUTES=team=a,empty=", "OTEL_SERVICE_NAME=checkout")
			resource := s.await(t, s.start(t, app, false, environ...), 0)
			assert.Equal(t, "checkout", resource["service.name"], "%d services", services)
			assert.Equal(t, "OTEL_SERVICE_NAME", resource["socketflow.service.source"])
			assert.Equal(t, "a", resource["team"])
		}
		resource := s.await(t, s.start(t, app, false, serviceLinks(600)...), 0)
		assert.Equal(t, "app", resource["service.name"])
		assert.Equal(t, "executable", resource["socketflow.service.source"])
	})
}

func TestResourceOfAProcess(t *testing.T) {
	eachMode(t, func(t *testing.T, mode kernel.Mode) {
		s := newDialScene(t, mode)
		app := program(t, 0, "app")
		pid := s.start(t, app, true)
		resource := s.await(t, pid, 0)
		assert.Equal(t, "root", resource["process.owner"])
		created, err := time.Parse(time.RFC3339, resource["process.creation.time"].(string))
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now(), created, time.Minute)
		assert.Len(t, resource["service.instance.id"], 36)
		name, err := os.Hostname()
		require.NoError(t, err)
		assert.Equal(t, name, resource["host.name"])
	})
}

// A pid that is used again at once, while the events of the former process are read.
func TestPidThatIsUsedAgainHasItsOwnName(t *testing.T) {
	eachMode(t, func(t *testing.T, mode kernel.Mode) {
		s := newDialScene(t, mode)
		shell, err := exec.LookPath("bash")
		require.NoError(t, err)
		data, err := os.ReadFile(shell)
		require.NoError(t, err)
		dir := t.TempDir()
		run := func(name string) int {
			cmd := exec.Command(filepath.Join(dir, name), "-c", "exec 3<>/dev/tcp/"+strings.ReplaceAll(s.address, ":", "/"))
			require.NoError(t, cmd.Run())
			return cmd.Process.Pid
		}
		for _, name := range []string{"first", "second"} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o755))
		}
		seen := map[int]int{} // connections of a pid
		reused := 0
		for attempt := 0; reused < 40 && attempt < 1000; attempt++ {
			pid := run("first")
			require.NoError(t, os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0))
			next := run("second")
			n := seen[pid]
			seen[pid]++
			seen[next]++
			if next != pid { // another process was faster
				continue
			}
			reused++
			require.Equal(t, "first", s.await(t, pid, n)["service.name"])
			require.Equal(t, "second", s.await(t, pid, n+1)["service.name"])
		}
		assert.Equal(t, 40, reused)
	})
}
