//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/integration/workload"
)

// comparedModes are the two modes. The second is compared with the first.
var comparedModes = [2]string{"socket", "syscall"}

// modePrograms are the executables of the workloads. Other programs on this host are left out.
func modePrograms(t *testing.T, b *builder) string {
	t.Helper()
	own, err := os.Executable()
	require.NoError(t, err)
	return fmt.Sprintf(`[{executable: %q}, {executable: %q}, `+
		`{executable: "/**/{python3*,node,java,ruby*,php*,nginx,curl,postgres,psql}"}]`, own, b.dir+"/*")
}

// modePipelines has one collector observe programs in both modes, and write the telemetry of each to files of its own.
func modePipelines(programs string) string {
	var receivers, exporters, pipelines strings.Builder
	for _, mode := range comparedModes {
		fmt.Fprintf(&receivers, `
  socketflow/as-%[1]s:
    mode: %[1]s
    include: %[2]s
    connection_records: [open, close, fail]
    udp_idle_timeout: 1s
    ring_buffer:
      size: 32MiB`, mode, programs)
		for _, signal := range []string{"logs", "traces"} {
			fmt.Fprintf(&exporters, `
  file/%[1]s-%[2]s:
    path: %[1]s-%[2]s.jsonl
    flush_interval: 100ms`, signal, mode)
			fmt.Fprintf(&pipelines, `
    %[1]s/%[2]s:
      receivers: [socketflow/as-%[2]s]
      exporters: [file/%[1]s-%[2]s]`, signal, mode)
		}
	}
	return "receivers:" + receivers.String() + "\nexporters:" + exporters.String() + "\nservice:\n  pipelines:" + pipelines.String() + "\n"
}

// modeWorkloads are observed in both modes at the same time: some of requestWorkloads, and others that differ only between modes.
var modeWorkloads = []struct {
	name string
	play func(*modeScene)
}{
	{"go", played("go")},
	{"go-h2c", played("go-h2c")},
	{"python", played("python")},
	{"python-asyncio", played("python-asyncio")},
	{"python-chain", playChain},
	{"ruby-puma", played("ruby-puma")},
	{"ruby-webrick", played("ruby-webrick")},
	{"node", played("node")},
	{"java", played("java")},
	{"java-blocking", playPlain("java mode_Blocking.java server ADDRESS 5", "java mode_Blocking.java client ADDRESS 5 java-blocking")},
	{"php", played("php")},
	{"c", played("c-write")},
	{"c-messages", played("c-messages")},
	{"c-plain", playPlain("c-plain server HOST PORT 20", "c-plain client HOST PORT 20 c-plain")},
	{"nginx-curl", played("nginx")},
	{"grpc", played("grpc")},
	{"postgresql", playPostgres},
	{"fork", playScenario("fork-serves")},
	{"prefork", playScenario("fork-accepts")},
	{"cycles", playScenario("cycles", "1000")},
	{"duplicates", playScenario("duplicates")},
	{"families", playScenario("families")},
	{"connections", playConnections},
}

func init() {
	sources["c-plain"] = sources["c-server"]
	plain := sources["c-plain"]
	plain.build = "gcc -O1 -Wall -Wextra -Werror -o OUTPUT mode_plain.c"
	sources["c-plain"] = plain
}

// modeScene is a scene whose processes are known when it has been played.
type modeScene struct {
	*scene
	pids     map[int]bool
	services map[string]bool
	// executable and port are of processes with unknown ids: forked by a program that has overwritten its environment.
	executable string
	port       int
}

// owns reports whether an item is about a process of the scene.
func (s *modeScene) owns(i *item) bool {
	service, _ := i.process["service.name"].(string)
	switch {
	case s.pids[i.pid()], s.services[service]:
		return true
	case s.executable == "":
		return false
	}
	path, _ := i.process["process.executable.path"].(string)
	return path == s.executable && (i.number("network.local.port") == s.port || i.number("network.peer.port") == s.port)
}

// know records the processes of the actors, and their children.
func (s *modeScene) know() {
	for _, a := range s.actors {
		s.pids[a.pid()], s.services[a.service] = true, true
		if a.running() {
			for _, pid := range a.children() {
				s.pids[pid] = true
			}
		}
	}
}

// played is one of requestWorkloads.
func played(name string) func(*modeScene) {
	i := slices.IndexFunc(requestWorkloads, func(w struct {
		name string
		play func(s *scene)
	},
	) bool {
		return w.name == name
	})
	return func(s *modeScene) {
		requestWorkloads[i].play(s.scene)
		s.accounts() // both ends have answered
	}
}

// playPlain has a client and a server without accounts. Both end by themselves.
func playPlain(server, client string) func(*modeScene) {
	return func(s *modeScene) {
		port := freePort(s.t)
		serving := s.serve(s.command(server, "127.0.0.1", port), port)
		asking := s.start("client", s.command(client, "127.0.0.1", port))
		require.Zero(s.t, asking.wait(60*time.Second), readFile(s.t, asking.stderr))
		require.Zero(s.t, serving.wait(60*time.Second), readFile(s.t, serving.stderr))
	}
}

// playChain has a server make a request to another one while it serves.
func playChain(s *modeScene) {
	front, behind := freePort(s.t), freePort(s.t)
	s.serve(s.command("python3 server.py ADDRESS", "127.0.0.1", behind), behind)
	s.serve(s.command(fmt.Sprintf("python3 mode_chain.py ADDRESS 127.0.0.1:%d", behind), "127.0.0.1", front), front)
	var targets []string
	for i := range 20 {
		targets = append(targets, fmt.Sprintf("/%s/%d?status=%d", s.name, i, 200+i%2*4))
	}
	s.curl(front, targets)
}

// playPostgres has a database's forked processes serve clients.
func playPostgres(s *modeScene) {
	server, port := startPostgres(s.t)
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", server.pid()))
	require.NoError(s.t, err)
	s.executable, s.port = path, port
	s.pids[server.pid()] = true
	for range 3 {
		s.pids[runPSQL(s.t, port).pid()] = true
	}
}

// playScenario runs a scenario of package workload, in a namespace of its own.
func playScenario(words ...string) func(*modeScene) {
	return func(s *modeScene) {
		run := startWorkload(s.t, s.workload("scenario", words...))
		_, err := run.Wait()
		require.NoError(s.t, err)
		require.NotEmpty(s.t, run.Flows())
		for _, f := range run.Flows() {
			s.pids[f.PID] = true
			if f.ServedBy != 0 {
				s.pids[f.ServedBy] = true
			}
		}
	}
}

// playConnections opens connections in many ways, and ends them in all.
func playConnections(s *modeScene) {
	for _, words := range []string{"connections -n 200 -split -fixed", "refused", "reset", "half-closed", "canceled"} {
		fields := strings.Fields(words)
		for _, end := range runWorkload(s.t, s.workload(fields[0], fields[1:]...)) {
			s.pids[end.PID] = true
		}
	}
}

func (s *modeScene) workload(name string, arguments ...string) *exec.Cmd {
	cmd := workload.Isolate(workloadCommand(s.t, name, arguments...))
	service := s.name + "-workload"
	s.services[service] = true
	cmd.Env = append(cmd.Env, "OTEL_SERVICE_NAME="+service)
	return cmd
}

// emittedIn is the telemetry of the receiver in a mode.
type emittedIn struct {
	logs   jsonLines[record]
	traces jsonLines[span]
}

// awaitFewTimeWaits waits until the connections of earlier tests have left TIME_WAIT, which takes a minute. Each reading of /proc lists
// them, and the syscall mode rests after a reading for ten times as long: with 12,000 of them it found some ports too late.
func awaitFewTimeWaits(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		text, err := os.ReadFile("/proc/net/sockstat")
		if err != nil {
			return false
		}
		_, rest, found := strings.Cut(string(text), " tw ")
		var waiting int
		if _, err := fmt.Sscan(rest, &waiting); !found || err != nil {
			return false
		}
		return waiting < 1000
	}, 2*time.Minute, time.Second, "fewer than 1,000 sockets in TIME_WAIT")
}

// TestModesAgree plays workloads before two receivers, one of each mode, and compares their telemetry. Each difference is a row
// of the table that it prints. allowedDifferences says what may differ, and why; each of them has to occur.
func TestModesAgree(t *testing.T) {
	awaitFewTimeWaits(t)
	builder := newBuilder(t)
	c := runCollector(t, modePipelines(modePrograms(t, builder)), collectorOptions{})
	var emitted [2]emittedIn
	for i, mode := range comparedModes {
		emitted[i] = emittedIn{
			jsonLines[record]{path: filepath.Join(c.cmd.Dir, "logs-"+mode+".jsonl"), parse: parseLogs},
			jsonLines[span]{path: filepath.Join(c.cmd.Dir, "traces-"+mode+".jsonl"), parse: parseTraces},
		}
	}
	var scenes []*modeScene
	for _, w := range modeWorkloads {
		t.Run("play "+w.name, func(t *testing.T) {
			s := &modeScene{scene: newScene(t, builder, w.name), pids: map[int]bool{}, services: map[string]bool{}}
			w.play(s)
			s.know()
			scenes = append(scenes, s)
		})
	}
	awaitEnds(t, &emitted, scenes)
	metrics, err := c.scrape()
	require.NoError(t, err)
	for _, mode := range comparedModes {
		lost := metrics.sum("socketflow_kernel_events_lost", "receiver", "socketflow/as-"+mode)
		assert.Zero(t, lost, "events that mode %s has lost: its telemetry is not complete", mode)
	}
	require.Zero(t, c.stop(syscall.SIGTERM, 30*time.Second), "exit code of the collector")
	assert.NotContains(t, strings.ReplaceAll(c.log(), "\t", " "), " error ", "errors in the collector's log")

	var all differences
	for _, s := range scenes {
		a, b := conversationsOf(t, s, &emitted[0]), conversationsOf(t, s, &emitted[1])
		require.NotEmpty(t, a, s.name)
		found := compare(s.name, a, b)
		t.Logf("%s: %d and %d connections, %d and %d exchanges, %d differences",
			s.name, len(a), len(b), exchangesOf(a), exchangesOf(b), len(found))
		all = append(all, found...)
	}
	t.Log(all)
	all.requireAllowed(t)
}

// awaitEnds waits until the end of each connection was emitted in both modes and nothing more comes, as long as there is anything
// to wait for.
func awaitEnds(t *testing.T, emitted *[2]emittedIn, scenes []*modeScene) {
	t.Helper()
	const patience, settled, pause = 10 * time.Second, 3 * time.Second, 200 * time.Millisecond
	last, limit := time.Now(), time.Now().Add(2*time.Minute)
	var open [2]map[string]*record
	read := 0
	for until := time.Now().Add(patience); time.Now().Before(until) && time.Now().Before(limit); time.Sleep(pause) {
		now := 0
		for i := range emitted {
			open[i] = map[string]*record{}
			for _, r := range emitted[i].logs.all(t) {
				if !slices.ContainsFunc(scenes, func(s *modeScene) bool { return s.owns(&r.item) }) {
					continue
				}
				now++
				if r.event == opened {
					open[i][r.connection()] = &r
				} else {
					delete(open[i], r.connection())
				}
			}
		}
		if now > read {
			last = time.Now()
			until = last.Add(patience)
		}
		if len(open[0])+len(open[1]) == 0 && time.Since(last) > settled {
			return
		}
		read = now
	}
	for i, mode := range comparedModes {
		for _, r := range open[i] {
			t.Logf("mode %s: no end was emitted for this: %s", mode, r.body)
		}
	}
}

// conversationsOf are the conversations of a scene's processes in a mode.
func conversationsOf(t *testing.T, s *modeScene, emitted *emittedIn) []*conversation {
	t.Helper()
	byID := map[string]*conversation{}
	var all []*conversation
	of := func(i *item) *conversation {
		id := i.connection() + " " + strconv.Itoa(i.number("socketflow.netns"))
		if byID[id] == nil {
			byID[id] = &conversation{}
			all = append(all, byID[id])
		}
		return byID[id]
	}
	for _, r := range emitted.logs.all(t) {
		if s.owns(&r.item) {
			of(&r.item).record(&r)
		}
	}
	for _, x := range emitted.traces.all(t) {
		if s.owns(&x.item) {
			c := of(&x.item)
			c.exchanges = append(c.exchanges, &x)
		}
	}
	return all
}
