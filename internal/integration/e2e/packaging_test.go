//go:build e2e && linux

package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/testenv"
)

// unitFile is the packaged systemd unit.
const unitFile = root + "/packaging/systemd/otelcol-socketflow.service"

// unit are the settings of the unit's section Service, each with all its values in order (systemd.syntax(7)).
func unit(t testing.TB) map[string][]string {
	t.Helper()
	settings := map[string][]string{}
	section := ""
	for line := range strings.Lines(readFile(t, unitFile)) {
		line = strings.TrimSpace(line)
		switch key, value, found := strings.Cut(line, "="); {
		case strings.HasPrefix(line, "["):
			section = line
		case found && !strings.HasPrefix(line, "#") && section == "[Service]":
			settings[key] = append(settings[key], value)
		}
	}
	require.NotEmpty(t, settings)
	return settings
}

// unitConfinement is the confinement by the unit, for a user that owns nothing else.
func unitConfinement(t testing.TB) confinement {
	t.Helper()
	settings := unit(t)
	require.Equal(t, []string{"yes"}, settings["NoNewPrivileges"])
	require.Equal(t, []string{"yes"}, settings["DynamicUser"])
	require.Equal(t, settings["AmbientCapabilities"], settings["CapabilityBoundingSet"])
	require.Len(t, settings["AmbientCapabilities"], 1)
	return confinement{
		UID: collectorUser, Capabilities: strings.Fields(settings["AmbientCapabilities"][0]),
		Filter: filter(t, unitCalls(t, settings["SystemCallFilter"])), Tracefs: true,
	}
}

// unitCalls are the system calls that the unit allows: lists that are added up, or, with a tilde, removed (systemd.exec(5)).
// execve starts the program, and systemd always allows it.
func unitCalls(t testing.TB, lists []string) []string {
	t.Helper()
	allowed := map[string]bool{}
	for i, list := range lists {
		list, takesAway := strings.CutPrefix(list, "~")
		require.False(t, takesAway && i == 0, "the first list says what is allowed")
		for _, name := range strings.Fields(list) {
			for _, call := range callsOf(t, name) {
				allowed[call] = !takesAway
			}
		}
	}
	// @default is always allowed, and a filter must not keep the program from being started.
	for _, call := range append(callsOf(t, "@default"), "execve") {
		allowed[call] = true
	}
	var calls []string
	for call, isAllowed := range allowed {
		if isAllowed {
			calls = append(calls, call)
		}
	}
	return calls
}

// callsOf are the calls of a systemd set, and of the sets in it, or the call of that name.
func callsOf(t testing.TB, name string) (calls []string) {
	t.Helper()
	if !strings.HasPrefix(name, "@") {
		return []string{name}
	}
	text, err := exec.Command(testenv.NeedProgram(t, "systemd", "systemd-analyze"), "syscall-filter", name).Output()
	require.NoError(t, err, name)
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); i > 0 && line != "" && line[0] != '#' {
			calls = append(calls, callsOf(t, line)...)
		}
	}
	require.NotEmpty(t, calls, name)
	return calls
}

// containerCalls are the system calls that container runtimes allow a container with these capabilities: those of Debian's
// profile, with the later additions of Docker and containerd for two capabilities (moby/moby profiles/seccomp). Calls that depend
// on arguments count as allowed.
func containerCalls(t testing.TB, capabilities []string) []string {
	t.Helper()
	const file = "/usr/share/containers/seccomp.json"
	if _, err := os.Stat(file); err != nil {
		testenv.Lacking(t, "needs %s: apt-get install golang-github-containers-common", file)
	}
	type condition struct{ Caps, Arches []string }
	var profile struct {
		Syscalls []struct {
			Names              []string
			Action             string
			Includes, Excludes condition
		}
	}
	require.NoError(t, json.Unmarshal([]byte(readFile(t, file)), &profile))
	anyOf := func(names []string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(capabilities, name) })
	}
	var allowed []string
	for _, rule := range profile.Syscalls {
		applies := (len(rule.Includes.Caps) == 0 || anyOf(rule.Includes.Caps)) && !anyOf(rule.Excludes.Caps)
		if rule.Action == "SCMP_ACT_ALLOW" && applies {
			allowed = append(allowed, rule.Names...)
		}
	}
	require.Greater(t, len(allowed), 200)
	for capability, call := range map[string]string{"CAP_BPF": "bpf", "CAP_PERFMON": "perf_event_open"} {
		if slices.Contains(capabilities, capability) {
			allowed = append(allowed, call)
		}
	}
	return allowed
}

// Users that own nothing else.
const collectorUser, serverUser, clientUser = 64101, 64102, 64103

// partyKey is the environment variable that makes this test binary a server or a client.
const partyKey = "SOCKETFLOW_E2E_PARTY"

func init() {
	switch os.Getenv(partyKey) {
	case "server":
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		if err == nil {
			fmt.Println(listener.Addr())
			err = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "hello\n")
			}))
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	case "client": // requests each URL that it is given, and lives until there are no more
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			status, body, err := get(lines.Text())
			fmt.Println(status, strings.TrimSpace(body), err)
		}
		os.Exit(0)
	}
}

// parties are a server that is older than the collector and a client that is younger. Each has a user of its own, and a service
// name in the environment.
type parties struct {
	t      testing.TB
	binary string
	server *program
	url    string
	client *program
	ask    io.Writer
}

// openBinary copies a program to a directory that every user may enter.
func openBinary(t testing.TB, path, name string) string {
	t.Helper()
	binary := filepath.Join(openDir(t), name)
	require.NoError(t, exec.Command("cp", path, binary).Run())
	require.NoError(t, os.Chmod(binary, 0o755))
	return binary
}

func startServer(t testing.TB) *parties {
	t.Helper()
	own, err := os.Executable()
	require.NoError(t, err)
	p := &parties{t: t, binary: openBinary(t, own, "party")}
	p.server = start(t, p.command("server", serverUser))
	eventually(t, 10*time.Second, "the server listens", func() error {
		p.url = "http://" + strings.TrimSpace(readFile(t, p.server.stdout))
		if !strings.Contains(p.url, ".") {
			return errors.New("it does not say where")
		}
		return nil
	})
	return p
}

func (p *parties) command(role string, uid uint32) *exec.Cmd {
	cmd := exec.Command(p.binary)
	cmd.Dir = "/"
	cmd.Env = quiet("/", partyKey+"="+role, "OTEL_SERVICE_NAME=the-"+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return cmd
}

// request has the client make a request to the server. It starts the client if it does not run.
func (p *parties) request(path string) {
	p.t.Helper()
	if p.client == nil {
		cmd := p.command("client", clientUser)
		p.ask = pipe(p.t, cmd)
		p.client = start(p.t, cmd)
	}
	_, err := fmt.Fprintln(p.ask, p.url+path)
	require.NoError(p.t, err)
}

// confinedCollector runs a collector that writes spans to a file.
type confinedCollector struct {
	*collector
	traces jsonLines[requestSpan]
}

func startConfined(t testing.TB, mode string, c confinement) *confinedCollector {
	t.Helper()
	dir := openDir(t)
	require.NoError(t, os.Chown(dir, c.UID, c.UID))
	config := strings.NewReplacer("socketflow:\n", "socketflow:\n    mode: "+mode+"\n", "path: ", "path: "+dir+"/").Replace(toFiles)
	own, err := os.Executable()
	require.NoError(t, err)
	binary := openBinary(t, collectorBinary(t), "otelcol-socketflow")
	return &confinedCollector{
		collector: startCollector(t, config, collectorOptions{binary: own, env: []string{c.variable(t, binary)}}),
		traces:    jsonLines[requestSpan]{path: filepath.Join(dir, "traces.jsonl"), parse: parseRequestSpans},
	}
}

// requests waits until both sides of a request are emitted, and returns them: the client's and the server's.
func (c *confinedCollector) requests(p *parties, path string) (client, server requestSpan) {
	c.t.Helper()
	eventually(c.t, 15*time.Second, "both sides of "+path+" are emitted", func() error {
		found := 0
		for _, s := range c.traces.all(c.t) {
			switch {
			case s.pid() == p.client.pid() && s.kind == ptrace.SpanKindClient && strings.HasSuffix(s.text("url.full"), path):
				client = s
				found |= 1
			case s.pid() == p.server.pid() && s.kind == ptrace.SpanKindServer && s.text("url.path") == path:
				server = s
				found |= 2
			}
		}
		if found != 3 {
			return fmt.Errorf("found are %b of 11, client and server; %s", found, readFile(c.t, p.client.stdout))
		}
		return nil
	})
	return client, server
}

// requireFullResult requires both ends, both addresses of each, and both processes.
func (c *confinedCollector) requireFullResult(p *parties, path string) {
	c.t.Helper()
	p.request(path)
	client, server := c.requests(p, path)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(p.url, "http://"))
	require.NoError(c.t, err)
	for _, s := range []requestSpan{client, server} {
		assert.Equal(c.t, "127.0.0.1", s.text("network.peer.address"))
		assert.Equal(c.t, "127.0.0.1", s.text("network.local.address"))
		assert.Equal(c.t, 200, s.number("http.response.status_code"))
		assert.Equal(c.t, p.binary, s.process["process.executable.path"])
	}
	assert.Equal(c.t, port, fmt.Sprint(client.number("network.peer.port")))
	assert.Equal(c.t, port, fmt.Sprint(server.number("network.local.port")))
	assert.Positive(c.t, client.number("network.local.port"))
	assert.Equal(c.t, client.number("network.local.port"), server.number("network.peer.port"))
	assert.Equal(c.t, "the-client", client.process["service.name"])
	assert.Equal(c.t, "the-server", server.process["service.name"])
}

// TestPackagedPrivileges: the capabilities of the unit suffice, with its filter of system calls and with those of container
// runtimes.
func TestPackagedPrivileges(t *testing.T) {
	asUnit := unitConfinement(t)
	inContainer := asUnit
	inContainer.Filter = filter(t, containerCalls(t, asUnit.Capabilities))
	rootInContainer := inContainer
	rootInContainer.UID = 0
	untraced := inContainer
	untraced.Tracefs = false
	// Podman and CRI-O until the end of 2025: perf_event_open needs CAP_SYS_ADMIN as well.
	unperfed := inContainer
	unperfed.Filter = filter(t, slices.DeleteFunc(containerCalls(t, asUnit.Capabilities), func(name string) bool {
		return name == "perf_event_open"
	}))
	const cheap, dear = "tracepoint/syscalls/sys_exit_accept4", "tp_btf/sys_exit"
	for _, test := range []struct {
		name, mode string
		confinement
		hook string // at the exits of calls
	}{
		{"unit", "socket", asUnit, cheap},
		{"unit", "syscall", asUnit, cheap},
		{"container", "socket", inContainer, cheap},
		{"container", "syscall", inContainer, cheap},
		{"container without tracefs", "socket", untraced, dear},
		{"container that refuses perf_event_open", "socket", unperfed, dear},
		{"root in a container", "socket", rootInContainer, cheap}, // as in packaging/kubernetes
		{"root in a container", "syscall", rootInContainer, cheap},
	} {
		t.Run(test.name+", "+test.mode, func(t *testing.T) {
			p := startServer(t)
			c := startConfined(t, test.mode, test.confinement)
			c.waitReady(1)
			assert.Contains(t, c.log(), `"`+test.hook+`"`)
			c.requireConfined(test.confinement)
			c.requireFullResult(p, "/full")
			c.terminate()
		})
	}
}

// requireConfined checks the kernel's view of the collector's confinement.
func (c *confinedCollector) requireConfined(want confinement) {
	c.t.Helper()
	status := map[string]string{}
	for line := range strings.Lines(readFile(c.t, fmt.Sprintf("/proc/%d/status", c.pid()))) {
		key, value, _ := strings.Cut(line, ":")
		status[key] = strings.TrimSpace(value)
	}
	var set uint64
	for _, name := range want.Capabilities {
		set |= 1 << capabilityNumbers[name]
	}
	for _, key := range []string{"CapPrm", "CapEff", "CapBnd"} {
		assert.Equal(c.t, fmt.Sprintf("%016x", set), status[key], key)
	}
	assert.Equal(c.t, "1", status["NoNewPrivs"])
	assert.Equal(c.t, "2", status["Seccomp"], "filtered")
	assert.Equal(c.t, fmt.Sprint(want.UID), strings.Fields(status["Uid"])[1])
}

// TestEachCapability: the losses without each of the unit's capabilities are those of docs/privileges.md, and socketflow-check
// reports for each what the collector does.
func TestEachCapability(t *testing.T) {
	all := unitConfinement(t)
	check := buildCheck(t)
	refused := func(named string, others ...string) func(*testing.T, *confinedCollector, *parties) {
		return func(t *testing.T, c *confinedCollector, _ *parties) {
			require.Equal(t, 1, c.wait(30*time.Second), "exit code")
			message := c.log()[strings.LastIndex(c.log(), "Error: "):]
			require.Contains(t, message, named)
			for _, other := range others {
				require.NotContains(t, message, other)
			}
		}
	}
	for _, test := range []struct {
		mode, capability string
		lost             func(*testing.T, *confinedCollector, *parties)
	}{
		{"socket", "CAP_BPF", refused("CAP_BPF", "CAP_PERFMON")},
		{"socket", "CAP_PERFMON", refused("CAP_PERFMON", "CAP_BPF")},
		{"socket", "CAP_SYS_PTRACE", func(t *testing.T, c *confinedCollector, p *parties) {
			p.request("/older-connection")
			for _, s := range both(c.requests(p, "/older-connection")) {
				assert.NotContains(t, s.process, "process.executable.path")
			}
			p.reconnect()
			c.requireFullResult(p, "/newer-connection")
		}},
		{"socket", "CAP_DAC_READ_SEARCH", func(t *testing.T, c *confinedCollector, p *parties) {
			assert.Contains(t, c.log(), `"tp_btf/sys_exit"`, "the dearer hook, for want of tracefs")
			p.request("/older-connection")
			for _, s := range both(c.requests(p, "/older-connection")) {
				assert.Equal(t, p.binary, s.process["process.executable.path"])
				assert.Equal(t, filepath.Base(p.binary), s.process["service.name"], "for want of the environment")
			}
			p.reconnect()
			c.requireFullResult(p, "/newer-connection")
		}},
		{"syscall", "CAP_BPF", refused("CAP_BPF", "CAP_PERFMON")},
		{"syscall", "CAP_PERFMON", refused("CAP_PERFMON", "CAP_BPF")},
		{"syscall", "CAP_SYS_PTRACE", func(t *testing.T, c *confinedCollector, p *parties) {
			p.request("/older-connection")
			p.reconnect()
			p.request("/newer-connection")
			client, server := c.requests(p, "/newer-connection")
			assert.Equal(t, p.binary, client.process["process.executable.path"], "it is younger than the collector")
			assert.NotContains(t, server.process, "process.executable.path")
			for _, s := range c.traces.all(t) {
				assert.NotContains(t, s.text("url.path")+s.text("url.full"), "/older-connection")
			}
		}},
		{"syscall", "CAP_DAC_READ_SEARCH", refused("CAP_DAC_READ_SEARCH", "CAP_BPF")},
	} {
		t.Run(test.mode+" without "+test.capability, func(t *testing.T) {
			limited := all.without(test.capability)
			p := startServer(t)
			p.request("/before")
			p.awaitAnswer()
			c := startConfined(t, test.mode, limited)
			starts := c.startsOrNot()
			if starts {
				c.waitHealthy()
			}
			test.lost(t, c, p)
			report := check.run(t, limited, test.mode)
			assert.Equal(t, starts, report.Starts, "%+v", report)
			if starts {
				c.terminate()
				return
			}
			require.Len(t, report.Attempts, 1)
			assert.Contains(t, c.log(), report.Attempts[0].Error[:40], "the same reason")
			assert.Contains(t, strings.Join(report.Advice, " "), test.capability)
		})
	}
}

func both(client, server requestSpan) []requestSpan { return []requestSpan{client, server} }

// awaitAnswer waits until the client has had an answer.
func (p *parties) awaitAnswer() {
	p.t.Helper()
	eventually(p.t, 10*time.Second, "the client has an answer", func() error {
		if answers := readFile(p.t, p.client.stdout); !strings.Contains(answers, "200 hello") {
			return fmt.Errorf("answers: %s", answers)
		}
		return nil
	})
}

// reconnect replaces the client.
func (p *parties) reconnect() {
	p.t.Helper()
	p.client.stop(syscall.SIGTERM, 10*time.Second)
	p.client = nil
}

// startsOrNot waits until the collector is ready or has ended.
func (c *confinedCollector) startsOrNot() (ready bool) {
	c.t.Helper()
	eventually(c.t, 60*time.Second, "the collector is ready or has ended", func() error {
		ready = strings.Contains(c.log(), "Everything is ready.")
		if !ready && c.running() {
			return errors.New(tail(c.log(), 1))
		}
		return nil
	})
	return ready
}

// preflightCheck is the program socketflow-check.
type preflightCheck string

func buildCheck(t testing.TB) preflightCheck {
	t.Helper()
	binary := filepath.Join(openDir(t), "socketflow-check")
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/socketflow-check")
	cmd.Dir = root
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", text)
	return preflightCheck(binary)
}

// checked is the part of the report that a test checks.
type checked struct {
	Chosen   string
	Starts   bool
	Attempts []struct{ Error string }
	Advice   []string
}

// run runs the program in a confinement. Its exit code has to agree with its report.
func (p preflightCheck) run(t testing.TB, c confinement, mode string) (report checked) {
	t.Helper()
	own, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(own, "--json", "--mode="+mode)
	cmd.Env = quiet("/", c.variable(t, string(p)))
	ran, text := output(t, cmd)
	require.NoError(t, json.Unmarshal([]byte(text), &report), "%s%s", text, readFile(t, ran.stderr))
	require.Equal(t, report.Starts, ran.cmd.ProcessState.ExitCode() == 0)
	return report
}

// TestCheckCommandChoosesMode: the program's report on mode auto agrees with the collector.
func TestCheckCommandChoosesMode(t *testing.T) {
	check := buildCheck(t)
	all := unitConfinement(t)
	for _, test := range []struct {
		name string
		confinement
		mode, advice string
	}{
		{"everything", all, "socket", ""},
		{"nothing", confinement{UID: collectorUser}, "", "CAP_BPF and CAP_PERFMON"},
		{"half", all.without("CAP_PERFMON"), "", "CAP_PERFMON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			report := check.run(t, test.confinement, "auto")
			assert.Equal(t, test.mode, report.Chosen)
			assert.Contains(t, strings.Join(report.Advice, " "), test.advice)
			c := startConfined(t, "auto", test.confinement)
			require.Equal(t, report.Starts, c.startsOrNot())
			if report.Starts {
				assert.Contains(t, c.log(), fmt.Sprintf("%q: %q", "mode", test.mode))
				c.waitHealthy()
				c.terminate()
			}
		})
	}
}
