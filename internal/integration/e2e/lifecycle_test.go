//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestShutdownUnderLoad ends the collector by SIGTERM in the midst of connections.
func TestShutdownUnderLoad(t *testing.T) {
	// Events lost for want of room were not captured: other programs on this machine may be the cause, so this test allows them.
	config := strings.Replace(toFiles, "socketflow:\n", "socketflow:\n    ring_buffer:\n      size: 16MiB\n", 1)
	c := runFileCollector(t, config)

	load := startWorkload(t, workloadCommand(t, "load", "-n", "10000000", "-rate", "3000"))
	t.Cleanup(func() { _ = load.Kill() })
	require.NoError(t, load.Await("ready"))
	require.NoError(t, load.Continue())
	eventually(t, 20*time.Second, "the load is seen", func() error {
		metrics, err := c.scrape()
		if n := metrics.sum("socketflow_connections", "receiver", "socketflow", "result", "closed"); err == nil && n < 1000 {
			err = fmt.Errorf("%d connections", n)
		}
		return err
	})

	// These connections have ended before the signal, by a few milliseconds at most.
	ends := runWorkload(t, workloadCommand(t, "connections"))
	last := c.scrapeToTheEnd()
	c.terminate()
	final, complete := last()
	require.NoError(t, load.Kill())
	final.requireHealthy(t, "socketflow")

	records, spans := c.records(), c.spans()
	ended := group(t, records, spans, pidsOf(ends))
	ended.requireTruth(t, ends)
	ended.requireSound(t)

	// Connections of the load were open when the collector ended. All others are complete.
	inFlight := map[string]bool{}
	for _, r := range records {
		if r.event == opened {
			inFlight[r.connection()] = true
		}
	}
	closes := 0
	for _, r := range records {
		if r.event == closed {
			closes++
			delete(inFlight, r.connection())
		}
	}
	assert.Less(t, len(inFlight), 100, "connections that were not closed when the collector went")
	var whole []record
	for _, r := range records {
		if !inFlight[r.connection()] {
			whole = append(whole, r)
		}
	}
	group(t, whole, spans, map[int]bool{load.PID(): true}).requireSound(t)

	captured := final.sum("socketflow_kernel_events", "receiver", "socketflow", "kind", "close")
	t.Logf("%d closes captured, %d in the file, last seen of the metrics is final: %t", captured, closes, complete)
	// The other ends of the connections over which the metrics were read are left out, if they have ended.
	leftOut := final.sum("socketflow_left_out", "receiver", "socketflow", "cause", "other_end")
	require.LessOrEqual(t, captured, closes+leftOut, "closes that the kernel side reported, and closes in the file")
	if complete {
		require.GreaterOrEqual(t, captured, closes)
	}
}

// scrapeToTheEnd reads the collector's metrics repeatedly. When the collector has ended it returns the last ones, and whether
// they are final: from after the kernel programs were detached, when no event was captured any more.
func (c *collector) scrapeToTheEnd() (last func() (s scrape, final bool)) {
	var mu sync.Mutex
	var latest scrape
	var final bool
	var scraping sync.WaitGroup
	for range 4 {
		scraping.Go(func() {
			for c.running() {
				s, err := c.scrape()
				if err != nil {
					continue // it is about to end
				}
				const name = "socketflow_kernel_events"
				mu.Lock()
				if n := s.sum(name); n > 0 && n >= latest.sum(name) {
					latest = s
					final = s.sum("socketflow_kernel_programs") == 0
				}
				mu.Unlock()
			}
		})
	}
	return func() (scrape, bool) {
		scraping.Wait()
		return latest, final
	}
}

// TestReload makes the collector read its configuration again (SIGHUP), while there are connections.
func TestReload(t *testing.T) {
	c := runFileCollector(t, toFiles)
	const connections = 50
	rounds := startWorkload(t, workloadCommand(t, "rounds"))
	require.NoError(t, rounds.Await("round"))
	require.NoError(t, rounds.Continue(fmt.Sprint(connections)))
	require.NoError(t, rounds.Await("round"))
	before := len(rounds.Ends())
	require.Equal(t, 2*connections, before)

	across := startWorkload(t, workloadCommand(t, "older"))
	require.NoError(t, across.Await("open"))

	config := strings.Replace(toFiles, "socketflow:\n", "socketflow:\n    resource_attributes: {process.command_args: {enabled: true}}\n", 1)
	require.NoError(t, os.WriteFile(c.config, []byte(config), 0o644))
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGHUP))
	c.waitReady(2)
	c.waitHealthy()
	// Two connections exist, and both ends are emitted again.
	eventually(t, 10*time.Second, "connections from before the reload are found", func() error {
		n := 0
		for _, r := range c.records() {
			if r.pid() == across.PID() && r.text("socketflow.capture") == "joined_midstream" {
				n++
			}
		}
		if n < 4 {
			return fmt.Errorf("%d ends", n)
		}
		return nil
	})

	require.NoError(t, across.Continue())
	acrossEnds, err := across.Wait()
	require.NoError(t, err)
	require.NoError(t, rounds.Continue(fmt.Sprint(connections)))
	require.NoError(t, rounds.Await("round"))
	require.NoError(t, rounds.Continue("end"))
	ends, err := rounds.Wait()
	require.NoError(t, err)
	require.Len(t, ends, 2*before)
	c.waitForEnds(append(acrossEnds, ends...))
	c.terminate()

	records, spans := c.records(), c.spans()
	emitted := group(t, records, spans, pidsOf(ends))
	emitted.requireTruth(t, ends)
	emitted.requireSound(t)
	withArguments := 0
	for _, c := range emitted {
		if _, ok := c.end.process["process.command_args"]; ok {
			withArguments++
		}
	}
	assert.Equal(t, len(ends)-before, withArguments, "ends that were emitted with the new configuration")

	var closes []fact
	for _, r := range records {
		if r.pid() == across.PID() && r.event == closed {
			closes = append(closes, factEmitted(t, &r, false))
		}
	}
	requireTruth(t, acrossEnds, closes)
}

// TestTwoInstances has two receivers in one collector, each with a configuration of its own.
func TestTwoInstances(t *testing.T) {
	const config = toFiles + `
    logs/2:
      receivers: [socketflow/2]
      exporters: [file/logs/2]
`
	c := runFileCollector(t, strings.NewReplacer("receivers:\n  socketflow:\n", `receivers:
  socketflow:
    connection_records: [open, close, fail]
  socketflow/2:
    include:
      - executable: `+executable(t)+`
    address_attributes: both
`, "exporters:\n", `exporters:
  file/logs/2:
    path: logs2.jsonl
    flush_interval: 100ms
`).Replace(config))

	_, port := startNginx(t)
	curl := runCurl(t, "127.0.0.1", port)
	ends := someOfEverything(t)
	c.waitForEnds(ends)
	metrics, err := c.scrape()
	require.NoError(t, err)
	for _, receiver := range []string{"socketflow", "socketflow/2"} {
		metrics.requireHealthy(t, receiver)
		assert.GreaterOrEqual(t, metrics.sum("socketflow_kernel_events", "receiver", receiver, "kind", "close"), 960, receiver)
	}
	c.terminate()

	records := c.records()
	group(t, records, c.spans(), pidsOf(ends)).requireTruth(t, ends)
	byPID := map[int]int{}
	for _, r := range records {
		require.NotContains(t, r.attributes, "net.peer.name")
		byPID[r.pid()]++
	}
	assert.Equal(t, 2, byPID[curl.pid()], "the first instance sees curl")

	var second []fact
	pids := pidsOf(ends)
	file := jsonLines[record]{path: filepath.Join(c.cmd.Dir, "logs2.jsonl"), parse: parseLogs}
	for _, r := range file.all(t) {
		require.Equal(t, executable(t), r.process["process.executable.path"], "the second instance observes workloads only")
		require.Contains(t, r.attributes, "net.peer.name", "the second instance has a configuration of its own")
		if pids[r.pid()] && r.event != opened {
			second = append(second, factEmitted(t, &r, r.event == failed))
		}
	}
	requireTruth(t, ends, second)
}

// executable is the program that workloads run as: this one.
func executable(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	path, err = filepath.EvalSymlinks(path)
	require.NoError(t, err)
	return path
}
