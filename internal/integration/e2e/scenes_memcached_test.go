//go:build e2e && linux

package e2e

import (
	"bufio"
	"io"
	"net"
	"os/exec"
	"slices"
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
	own := ownStatistics(t, port)
	for i, c := range b.modes {
		for end := range ends {
			assert.Equal(t, want, emitted(c, end), "%s mode, %s", comparedModes[i], ends[end].kind)
		}
		for end := range ends {
			found, unknown := memcachedStatistics(c.of(t, map[int]bool{ends[end].pid: true}))
			missing := own["get_hits"] - found["get_hits"]
			assert.True(t, missing >= 0 && missing <= unknown, "%s mode, %s: %d hits are not known, of %d gets", comparedModes[i], ends[end].kind, missing, unknown)
			found["get_hits"] += missing
			assert.Equal(t, own, found, "%s mode, %s", comparedModes[i], ends[end].kind)
		}
	}
	b.requireSecret(t, memcachedSecret)
}

// memcachedMany are the commands of many connections at once, by the client's program.
var memcachedMany = map[string]int{"set": 50 * 20, "get": 2 * 50 * 20, "delete": 50 * 20}

// memcachedEnds counts the commands that are emitted at both ends.
func memcachedEnds(t testing.TB, c *requestCollector, client, server *actor) (ends [2]map[string]int) {
	for i, pid := range []int{client.pid(), server.pid()} {
		ends[i] = map[string]int{}
		for _, span := range c.of(t, map[int]bool{pid: true}) {
			if span.text("db.system.name") == "memcached" && span.kind == []ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer}[i] {
				ends[i][span.text("db.operation.name")]++
			}
		}
	}
	return ends
}

// TestMemcachedWithinTLS has a client of many connections at once speak TLS.
func TestMemcachedWithinTLS(t *testing.T) {
	builder := newBuilder(t)
	over := newSecure(t)
	c := runRequestCollector(t, secureConfig(t, builder))
	over.collector = c
	over.awaitShared(c)
	s := newScene(t, builder, "memcached-tls")
	s.secure = over
	port := freePort(t)
	server := s.serve(exec.Command(testenv.NeedProgram(t, "memcached", "memcached"), "-u", "root", "-l", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "0",
		"-Z", "-o", "ssl_chain_cert="+over.certificate+",ssl_key="+over.key), port)
	client := s.ask(s.command("memcached ADDRESS "+memcachedSecret+" tls", "127.0.0.1", port), []string{"begin"})
	want := [2]map[string]int{memcachedMany, memcachedMany}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if assert.ObjectsAreEqual(want, memcachedEnds(t, c, client, server)) {
			break
		}
	}
	c.finish(t)
	assert.Equal(t, want, memcachedEnds(t, c, client, server))
	c.requireSecret(t, memcachedSecret)
}

// ownStatistics asks a server for those that memcachedStatistics has.
func ownStatistics(t testing.TB, port int) map[string]int {
	t.Helper()
	c, err := net.DialTimeout("tcp", loopback(port), 5*time.Second)
	require.NoError(t, err)
	defer c.Close() //nolint:errcheck // it is only read from
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(c, "stats\r\n")
	require.NoError(t, err)
	all := map[string]int{}
	for lines := bufio.NewScanner(c); lines.Scan() && lines.Text() != "END"; {
		if words := strings.Fields(lines.Text()); len(words) == 3 && slices.Contains(memcachedCounted, words[1]) {
			all[words[1]], err = strconv.Atoi(words[2])
			require.NoError(t, err)
		}
	}
	return all
}

// memcachedCounted are the statistics of the server that spans show, too.
var memcachedCounted = []string{"cmd_get", "get_hits", "cmd_set", "cmd_touch"}

// memcachedStatistics are what the spans say. The server counts keys that are asked for, not commands. What a quiet meta get has found is
// not known if its reply has no key, and what was found is not if the reply was not captured whole: the span says so.
func memcachedStatistics(spans []requestSpan) (all map[string]int, unknown int) {
	all = map[string]int{}
	for i := range spans {
		s := &spans[i]
		found := s.number("db.response.returned_rows")
		if op := s.text("db.operation.name"); found < 0 && (op == "mg" || op == "gets" && s.text("socketflow.capture") != "complete") {
			unknown++
			found = 0
		}
		switch s.text("db.operation.name") {
		case "get", "gets", "getq":
			all["cmd_get"] += len(strings.Fields(s.text("db.query.text"))) - 1
			all["get_hits"] += found
		case "mg":
			all["cmd_get"]++
			all["get_hits"] += found
		case "set", "cas", "add", "ms", "setq":
			all["cmd_set"]++
		case "touch":
			all["cmd_touch"]++
		}
	}
	return all, unknown
}
