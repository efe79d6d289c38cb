//go:build e2e && linux

package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

// programsDir has the programs that make and answer requests, a folder for each language.
const programsDir = "testdata/programs"

// builder builds programs, each once. It is for several goroutines.
type builder struct {
	dir   string
	mu    sync.Mutex
	built map[string]bool
}

func newBuilder(t testing.TB) *builder {
	t.Helper()
	return &builder{dir: openDir(t), built: map[string]bool{}}
}

// sources are the programs that tests build: their names in a command, their folders, how to build them.
var sources = map[string]struct {
	dir   string
	build string
}{
	"gohttp":          {"gohttp", "go build -o OUTPUT ."},
	"grpc":            {"grpc", "go build -o OUTPUT ."},
	"otelgo":          {"otelgo", "go build -o OUTPUT ."},
	"upgrade":         {"grpc", "go build -o OUTPUT ./upgrade"},
	"c-server":        {"c", "gcc -O1 -Wall -Wextra -Werror -o OUTPUT server.c common.c -pthread"},
	"gohttp-stripped": {"gohttp", "go build -ldflags=-s -o OUTPUT ."},
	"gohttp-static":   {"gohttp", "env CGO_ENABLED=0 go build -ldflags=-s -o OUTPUT ."},
	"gohttp-pie":      {"gohttp", "go build -buildmode=pie -ldflags=-s -o OUTPUT ."},
	"c-client":        {"c", "gcc -O1 -Wall -Wextra -Werror -o OUTPUT client.c common.c -pthread"},
	"uring-server":    {"c", "gcc -O1 -Wall -Wextra -Werror -DURING -o OUTPUT server.c common.c uring.c -luring -pthread"},
	"tls-server":      {"c", "gcc -O1 -Wall -Wextra -Werror -DTLS -o OUTPUT server.c common.c tls.c confined.c -lssl -lcrypto -pthread"},
	"tls-client":      {"c", "gcc -O1 -Wall -Wextra -Werror -DTLS -o OUTPUT client.c common.c tls.c confined.c -lssl -lcrypto -pthread"},
	"tls-fibers":      {"c", "gcc -O1 -Wall -Wextra -Werror -DTLS -o OUTPUT fibers.c common.c tls.c confined.c -lssl -lcrypto -pthread"},
	"tls-leaves":      {"c", "gcc -O1 -Wall -Wextra -Werror -DTLS -o OUTPUT leaves.c common.c tls.c confined.c -lssl -lcrypto -pthread"},
	"gnutls-fibers":   {"c", "gcc -O1 -Wall -Wextra -Werror -DTLS -o OUTPUT fibers.c common.c gnutls.c -lgnutls -pthread"},
	"gnutls-leaves":   {"c", "gcc -O1 -Wall -Wextra -Werror -DTLS -o OUTPUT leaves.c common.c gnutls.c -lgnutls"},
	"uring-client":    {"c", "gcc -O1 -Wall -Wextra -Werror -DURING -o OUTPUT client.c common.c uring.c -luring -pthread"},
}

// headers are what programs are built with that are linked so, and their Debian packages.
var headers = []struct{ flag, file, debian string }{
	{"-luring", "liburing.h", "liburing-dev"}, {"-lssl", "openssl/ssl.h", "libssl-dev"},
	{"-lgnutls", "gnutls/gnutls.h", "libgnutls28-dev"},
}

func needHeaders(t testing.TB, build string) {
	t.Helper()
	for _, h := range headers {
		if _, err := os.Stat("/usr/include/" + h.file); err != nil && strings.Contains(build, h.flag) {
			testenv.Lacking(t, "%s is needed: %v", h.debian, err)
		}
	}
}

// path is the path of a program, which is built if that has not been done.
func (b *builder) path(t testing.TB, name string) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	path := filepath.Join(b.dir, name)
	if !b.built[name] {
		source := sources[name]
		needHeaders(t, source.build)
		words := strings.Fields(strings.ReplaceAll(source.build, "OUTPUT", path))
		cmd := exec.Command(testenv.NeedProgram(t, words[0], words[0]), words[1:]...)
		cmd.Dir = filepath.Join(programsDir, source.dir)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		b.built[name] = true
	}
	return path
}

// interpreters run the programs that are not built. Each has the Debian package that it is in.
var interpreters = map[string]string{
	"node": "nodejs", "java": "default-jdk-headless", "ruby": "ruby ruby-webrick puma", "php": "php-cli", "etcdctl": "etcd-client",
}

// folders are those of the programs of an interpreter, by file name extension.
var folders = map[string]string{".py": "python", ".js": "node", ".java": "java", ".rb": "ruby", ".php": "php"}

// command makes a command of words, the first of which is a program that tests build, or an interpreter. ADDRESS, HOST and PORT
// are replaced.
func (s *scene) command(words, host string, port int) *exec.Cmd {
	s.t.Helper()
	fields := strings.Fields(strings.NewReplacer(
		"ADDRESS", net.JoinHostPort(host, strconv.Itoa(port)), "HOST", host, "PORT", strconv.Itoa(port)).Replace(words))
	for i, field := range fields[1:] {
		if folder := folders[filepath.Ext(field)]; folder != "" {
			path, err := filepath.Abs(filepath.Join(programsDir, folder, field))
			require.NoError(s.t, err)
			fields[i+1] = path
		}
	}
	var program string
	switch _, built := sources[fields[0]]; {
	case built:
		program = s.builder.path(s.t, fields[0])
	case fields[0] == "python3":
		program = needPython(s.t)
	case strings.HasPrefix(fields[0], "node-"): // of npm, of this version
		program = testenv.NPMNode(s.t, strings.TrimPrefix(fields[0], "node-"))
	default:
		program = testenv.NeedProgram(s.t, interpreters[fields[0]], fields[0])
	}
	return exec.Command(program, fields[1:]...)
}

// scene is a running workload: its programs, and their accounts.
type scene struct {
	t       testing.TB
	name    string // of the workload
	builder *builder
	actors  []*actor
	// traceparents are those that plans have clients send, by target.
	traceparents map[string]string
	// environment is what the programs have beside what all have.
	environment []string
	// secure: over TLS. The programs have their TLS libraries observed before they are asked for anything.
	secure *secure
	// mirrors are the ends without accounts: those of their counterparts describe them.
	mirrors []mirror
	// more are accounts that no program writes.
	more []account
}

// actor is a program with its accounts of requests.
type actor struct {
	*program
	service  string
	accounts string // file
	parse    func(line []byte) (account, error)
	known    []account // accounts that it does not write, but that are known
}

type mirror struct {
	of      *actor
	pid     int
	service string
}

func newScene(t testing.TB, b *builder, name string) *scene {
	t.Helper()
	return &scene{t: t, name: name, builder: b, traceparents: map[string]string{}}
}

// start starts a program as a part of the workload. Its service name is the workload's name with the role.
func (s *scene) start(role string, cmd *exec.Cmd) *actor {
	s.t.Helper()
	a := &actor{service: s.name + "-" + role, parse: parseAccount}
	cmd.Env = quiet(s.t.TempDir(), "OTEL_SERVICE_NAME="+a.service, "ETCDCTL_API=3", "PYTHONDONTWRITEBYTECODE=1")
	cmd.Env = append(cmd.Env, s.environment...)
	if s.secure != nil {
		cmd.Env = append(cmd.Env, s.secure.environment()...)
	}
	a.program = start(s.t, cmd)
	a.accounts = a.stdout
	s.actors = append(s.actors, a)
	return a
}

// serve starts a server and waits until it listens.
func (s *scene) serve(cmd *exec.Cmd, ports ...int) *actor {
	s.t.Helper()
	a := s.start("server", cmd)
	a.awaitListening(ports...)
	s.secure.awaitObserved(a)
	return a
}

// ask runs a client with a plan to its end.
func (s *scene) ask(cmd *exec.Cmd, plan []string) *actor {
	s.t.Helper()
	input := pipe(s.t, cmd)
	a := s.start("client", cmd)
	s.secure.awaitObserved(a)
	go func() { // a client that ends early is seen by its exit code, and a plan that it got a part of by its accounts
		_, _ = io.WriteString(input, strings.Join(plan, "\n")+"\n")
		_ = input.Close()
	}()
	require.Zero(s.t, a.wait(90*time.Second), "exit code of %s: %s", a.service, readFile(s.t, a.stderr))
	s.remember(plan)
	return a
}

// remember stores the traceparents of a plan: the last word of each line.
func (s *scene) remember(plan []string) {
	for _, line := range plan {
		words := strings.Fields(line)
		if traceparent := words[len(words)-1]; strings.Count(traceparent, "-") == 3 {
			s.traceparents[words[1]] = traceparent
		}
	}
}

// awaitListening waits until the program listens, in its network namespace. It does not connect.
func (a *actor) awaitListening(ports ...int) {
	a.t.Helper()
	eventually(a.t, 30*time.Second, a.service+" listens", func() error {
		if !a.running() {
			return errors.New("it has ended: " + tail(readFile(a.t, a.stderr), 5))
		}
		sockets := readFile(a.t, fmt.Sprintf("/proc/%d/net/tcp", a.pid())) + readFile(a.t, fmt.Sprintf("/proc/%d/net/tcp6", a.pid()))
		for _, port := range ports {
			// sl local_address rem_address st …
			listens := regexp.MustCompile(fmt.Sprintf(`\d+: [0-9A-F]+:%04X [0-9A-F]+:[0-9A-F]+ 0A `, port))
			if !listens.MatchString(sockets) {
				return fmt.Errorf("nothing on port %d", port)
			}
		}
		return nil
	})
}

// mirror adds, for each account of an actor, the account of the other end.
func (s *scene) mirror(of *actor, pid int, service string) {
	s.mirrors = append(s.mirrors, mirror{of, pid, service})
}

// accountsOf are the accounts that an actor has written so far.
func (s *scene) accountsOf(a *actor) ([]account, error) {
	if a.known != nil {
		return a.known, nil
	}
	var all []account
	for line := range strings.Lines(readFile(s.t, a.accounts)) {
		if !strings.HasSuffix(line, "\n") {
			break // it is still being written
		}
		written, err := a.parse([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("%s wrote %q: %w", a.service, line, err)
		}
		if written.PID == 0 {
			written.PID = a.pid()
		}
		if written.PID == a.pid() {
			written.service = a.service
		}
		written.secure = s.secure != nil
		if written.Traceparent == "" {
			written.Traceparent = s.traceparents[written.Target]
		}
		all = append(all, written)
	}
	return all, nil
}

// accounts waits until there are accounts of both ends of all requests, and they agree.
func (s *scene) accounts() []account {
	s.t.Helper()
	var all []account
	eventually(s.t, 10*time.Second, s.name+": the accounts of both ends agree", func() error {
		all = slices.Clone(s.more)
		for _, a := range s.actors {
			its, err := s.accountsOf(a)
			if err != nil {
				return err
			}
			all = append(all, its...)
			for _, m := range s.mirrors {
				for i := range its {
					if m.of == a {
						all = append(all, its[i].counterpart(m.pid, m.service))
					}
				}
			}
		}
		return agree(all)
	})
	return all
}

// processes are the processes whose spans are compared.
func (s *scene) processes(accounts []account) map[int]bool {
	pids := map[int]bool{}
	for _, a := range s.actors {
		pids[a.pid()] = true
	}
	for i := range accounts {
		pids[accounts[i].PID] = true
	}
	return pids
}

// requestCollector is a collector whose spans of requests are compared. It may observe several scenes at a time.
type requestCollector struct {
	*collector
	mu     sync.Mutex
	traces jsonLines[requestSpan]
	mode   string // see requestSpan
	// patience is how long await waits for the next span; 0: 15 s.
	patience time.Duration
}

// withRing is the configuration with ring buffers of that size, and spans that wait for other shards for so long. Where events are lost for want of room,
// or a shard is behind, other programs on this machine may be the cause, so most tests avoid that.
func withRing(size, wait string) string {
	return strings.Replace(toFiles, "socketflow:\n", "socketflow:\n    ring_buffer:\n      size: "+size+"\n    batch:\n      timeout: "+wait+"\n", 1)
}

func runRequestCollector(t testing.TB, config string) *requestCollector {
	t.Helper()
	c := runCollector(t, config, collectorOptions{})
	return &requestCollector{
		collector: c, traces: jsonLines[requestSpan]{path: filepath.Join(c.cmd.Dir, "traces.jsonl"), parse: parseRequestSpans},
	}
}

// finish ends the collector, and returns what it has counted as lost until then. If the test fails, it logs the collector's own telemetry.
func (c *requestCollector) finish(t testing.TB) losses {
	t.Helper()
	metrics, err := c.scrape()
	require.NoError(t, err)
	c.terminate()
	t.Cleanup(func() {
		for _, m := range metrics {
			if t.Failed() && m.value != 0 && strings.HasPrefix(m.name, "otelcol_socketflow") {
				t.Log(m.name, m.labels, m.value)
			}
		}
	})
	return metrics.losses()
}

// of are the spans of processes.
func (c *requestCollector) of(t testing.TB, pids map[int]bool) []requestSpan {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []requestSpan
	for _, s := range c.traces.all(t) {
		if pids[s.pid()] {
			s.mode = c.mode
			all = append(all, s)
		}
	}
	return all
}

// await waits until the file has as many spans of requests as there are accounts, as long as more of them come. Whether they are
// the right ones, and not too many, is compared when the collector has ended.
func (c *requestCollector) await(s *scene, accounts []account) {
	s.t.Helper()
	const pause = 50 * time.Millisecond
	patience := cmp.Or(c.patience, 15*time.Second)
	pids := s.processes(accounts)
	found := 0
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(pause) {
		before := found
		found = 0
		for _, s := range c.of(s.t, pids) {
			if s.request() {
				found++
			}
		}
		if found >= len(accounts) {
			return
		}
		if found > before {
			end = time.Now().Add(patience)
		}
	}
	s.t.Logf("%s: there are %d spans of %d, and for %v no more have come", s.name, found, len(accounts), patience)
}

// inNamespace has a command run in a network namespace. The process stays the one that is started.
func inNamespace(t testing.TB, name string, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	return exec.Command(testenv.NeedProgram(t, "iproute2", "ip", "/usr/sbin/ip"), append([]string{"netns", "exec", name, cmd.Path}, cmd.Args[1:]...)...)
}

// newNamespaces makes two network namespaces with a link between them, and returns their names and addresses.
func newNamespaces(t testing.TB) (names, addresses [2]string) {
	t.Helper()
	ip := testenv.NeedProgram(t, "iproute2", "ip", "/usr/sbin/ip")
	run := func(arguments ...string) {
		t.Helper()
		out, err := exec.Command(ip, arguments...).CombinedOutput()
		require.NoError(t, err, "ip %s: %s", strings.Join(arguments, " "), out)
	}
	unique := strconv.Itoa(syscall.Getpid())
	for i, side := range []string{"a", "b"} {
		names[i], addresses[i] = "socketflow-"+unique+side, fmt.Sprintf("10.113.0.%d", i+1)
		run("netns", "add", names[i])
		t.Cleanup(func() {
			out, err := exec.Command(ip, "netns", "del", names[i]).CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
	run("link", "add", "veth0", "netns", names[0], "type", "veth", "peer", "name", "veth0", "netns", names[1])
	for i := range names {
		run("-n", names[i], "address", "add", addresses[i]+"/24", "dev", "veth0")
		run("-n", names[i], "link", "set", "lo", "up")
		run("-n", names[i], "link", "set", "veth0", "up")
	}
	return names, addresses
}

// pipe is the standard input of a running program.
func pipe(t testing.TB, cmd *exec.Cmd) *os.File {
	t.Helper()
	read, write, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = read.Close()
		_ = write.Close()
	})
	cmd.Stdin = read
	return write
}
