//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/integration/workload"
	"github.com/socketflow/socketflow/internal/testenv"
)

// root of the repository, from where the tests run.
const root = "../../.."

// starts are the programs to be started, all from one thread that lives as long as the tests do: the signal that ends a program
// after its parent belongs to the thread that started it (prctl(2), PR_SET_PDEATHSIG).
var starts = make(chan func())

func TestMain(m *testing.M) {
	workload.RunIfAsked()
	go func() {
		runtime.LockOSThread()
		for start := range starts {
			start()
		}
	}()
	os.Exit(m.Run())
}

func needRoot(t testing.TB) {
	t.Helper()
	testenv.NeedRoot(t, "loading eBPF programs")
}

// openDir is a temporary directory that every user can enter, unlike the parent of the directories of t.TempDir.
func openDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	return dir
}

func writeFile(t testing.TB, path, text string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	require.NoError(t, err)
	return string(data)
}

// eventually polls until the answer is nil, and fails with the last answer at the time limit.
func eventually(t testing.TB, bound time.Duration, what string, ask func() error) {
	t.Helper()
	const pause = 50 * time.Millisecond
	for end := time.Now().Add(bound); ; time.Sleep(pause) {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v: %v", what, bound, err)
		}
	}
}

// program is a program that runs, or has ended.
type program struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	began  time.Time
	stdout string // output files
	stderr string
	ended  chan struct{}
}

// quiet is the environment of programs: no proxies, no service name, no configuration of the user's.
func quiet(home string, more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LANG=C.UTF-8", "TZ=UTC"}, more...)
}

// start runs a program until the test ends at the latest. Its environment is quiet, unless it has one.
func start(t testing.TB, cmd *exec.Cmd) *program {
	t.Helper()
	dir := t.TempDir()
	if cmd.Env == nil {
		cmd.Env = quiet(dir)
	}
	p := &program{
		t: t, name: filepath.Base(cmd.Path), cmd: cmd, ended: make(chan struct{}),
		stdout: filepath.Join(dir, "stdout"), stderr: filepath.Join(dir, "stderr"),
	}
	stdout, err := os.Create(p.stdout)
	require.NoError(t, err)
	defer stdout.Close() //nolint:errcheck // the program has it, and writes
	stderr, err := os.Create(p.stderr)
	require.NoError(t, err)
	defer stderr.Close() //nolint:errcheck // the same
	if cmd.Stdout == nil {
		cmd.Stdout = stdout
	}
	cmd.Stderr = stderr
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	started := make(chan error, 1)
	p.began = time.Now()
	starts <- func() { started <- cmd.Start() }
	require.NoError(t, <-started)
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // the exit code is read below
	}()
	t.Cleanup(func() {
		p.stop(syscall.SIGTERM, 20*time.Second)
		if t.Failed() {
			t.Logf("%s (pid %d), end of its standard error:\n%s", p.name, p.pid(), tail(readFile(t, p.stderr), 60))
		}
	})
	return p
}

func (p *program) pid() int { return p.cmd.Process.Pid }

func (p *program) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// wait returns the exit code, -1 for an end by a signal.
func (p *program) wait(bound time.Duration) int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(bound):
		p.t.Errorf("%s (pid %d) still runs after %v", p.name, p.pid(), bound)
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop sends a signal, unless the program has ended by itself, and waits for the end.
func (p *program) stop(signal os.Signal, bound time.Duration) int {
	p.t.Helper()
	_ = p.cmd.Process.Signal(signal) // ErrProcessDone: it has ended
	return p.wait(bound)
}

// output runs a program to its end and returns what it wrote on standard output.
func output(t testing.TB, cmd *exec.Cmd) (*program, string) {
	t.Helper()
	p := start(t, cmd)
	p.wait(30 * time.Second)
	return p, readFile(t, p.stdout)
}

// children are the processes that a program has forked.
func (p *program) children() []int {
	p.t.Helper()
	var pids []int
	for _, field := range strings.Fields(readFile(p.t, fmt.Sprintf("/proc/%d/task/%[1]d/children", p.pid()))) {
		pid, err := strconv.Atoi(field)
		require.NoError(p.t, err)
		pids = append(pids, pid)
	}
	return pids
}

// waitListening waits until a program listens on the ports. It does not connect, because a connection would be observed.
func (p *program) waitListening(ports ...int) {
	p.t.Helper()
	eventually(p.t, 30*time.Second, p.name+" listens", func() error {
		if !p.running() {
			return errors.New("it has ended: " + tail(readFile(p.t, p.stderr), 5))
		}
		listening := listeners(p.t)
		for _, port := range ports {
			if !listening[port] {
				return fmt.Errorf("nothing on port %d", port)
			}
		}
		return nil
	})
}

// listeners are the TCP ports with a listener.
func listeners(t testing.TB) map[int]bool {
	t.Helper()
	const stateListen = "0A"
	found := map[int]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		for line := range strings.Lines(readFile(t, table)) {
			fields := strings.Fields(line) // sl local_address rem_address st …
			if len(fields) < 4 || fields[3] != stateListen {
				continue
			}
			_, hex, _ := strings.Cut(fields[1], ":")
			port, err := strconv.ParseUint(hex, 16, 16)
			require.NoError(t, err)
			found[int(port)] = true
		}
	}
	return found
}

// freePort is a free port on 127.0.0.1 and ::1, tried by binding it.
//
// It is below the ephemeral ports (ip(7), ip_local_port_range): an ephemeral port is free only as long as it is held, and may be
// the source of another program's connection before the server starts.
func freePort(t testing.TB) int {
	t.Helper()
	var low, high int
	_, err := fmt.Sscan(readFile(t, "/proc/sys/net/ipv4/ip_local_port_range"), &low, &high)
	require.NoError(t, err)
	for range 1000 {
		port := 0
		if low > 12000 {
			port = 10000 + rand.IntN(low-10000)
		}
		if port = tryPort(port); port != 0 {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// tryPort returns the port if it is free, any free one for 0, and 0 if it is taken.
func tryPort(port int) int {
	var config net.ListenConfig
	v4, err := config.Listen(context.Background(), "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0
	}
	defer v4.Close() //nolint:errcheck // nothing was accepted
	port = v4.Addr().(*net.TCPAddr).Port
	v6, err := config.Listen(context.Background(), "tcp6", net.JoinHostPort("::1", strconv.Itoa(port)))
	if err != nil {
		return 0
	}
	defer v6.Close() //nolint:errcheck // the same
	return port
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
