//go:build e2e && linux

package e2e

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/testenv"
)

func init() {
	sources["memcached"] = struct{ dir, build string }{"memcached", "go build -o OUTPUT ."}
}

// memcachedSecret is the value that is stored, which must be in no telemetry.
const memcachedSecret = "correct-horse-battery-staple"

// memcachedCommands are those that the client sends, by its program.
var memcachedCommands = map[string]int{
	"set": 10*50 + 2 + 200, "get": 200 + 1 + 1, "gets": 10*50*3 + 1, "cas": 10 * 50, "touch": 10*50 + 1, "add": 10 * 50, "delete": 10*50 + 1, "incr": 3, "version": 1,
	"mg": 2, "ms": 1, "mn": 1, "_OTHER": 1, "setq": 1, "getq": 2, "noop": 3, "stat": 1, "quit": 2,
}

// TestMemcachedCommands compares the spans with what the client sends, and with the server's own statistics.
func TestMemcachedCommands(t *testing.T) {
	builder := newBuilder(t)
	b := runBothModes(t)
	s := newScene(t, builder, "memcached")
	port := freePort(t)
	server := s.serve(exec.Command(testenv.NeedProgram(t, "memcached", "memcached"), "-u", "root", "-l", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "0"), port)
	client := s.start("client", s.command("memcached ADDRESS "+memcachedSecret, "127.0.0.1", port))
	require.Zero(t, client.wait(60*time.Second), readFile(t, client.stderr))

	ends := []struct {
		kind ptrace.SpanKind
		pid  int
	}{{ptrace.SpanKindClient, client.pid()}, {ptrace.SpanKindServer, server.pid()}}
	emitted := func(c *requestCollector, end int) map[string]int {
		found := map[string]int{}
		for _, span := range c.of(t, map[int]bool{ends[end].pid: true}) {
			if span.text("db.system.name") == "memcached" && span.kind == ends[end].kind {
				found[span.text("db.operation.name")]++
			}
		}
		return found
	}
	want := memcachedCommands
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		complete := true
		for _, c := range b.modes {
			complete = complete && assert.ObjectsAreEqual(want, emitted(c, 0)) && assert.ObjectsAreEqual(want, emitted(c, 1))
		}
		if complete {
			break
		}
	}
	b.modes[0].finish(t)
	for i, c := range b.modes {
		for end := range ends {
			assert.Equal(t, want, emitted(c, end), "%s mode, %s", comparedModes[i], ends[end].kind)
		}
		spans := readFile(t, filepath.Join(b.cmd.Dir, "traces-"+comparedModes[i]+".jsonl"))
		if strings.Contains(spans, memcachedSecret) {
			t.Errorf("%s mode: the value is in the spans", comparedModes[i])
		}
	}
}
