//go:build e2e && linux

package e2e

import (
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/testenv"
)

func init() {
	sources["redis"] = struct{ dir, build string }{"redis", "go build -o OUTPUT ."}
}

// redisPassword must be in no telemetry.
const redisPassword = "correct-horse-battery-staple"

// redisLines are typed, one after the other. The script calls no commands: the server would count those too.
const redisLines = `AUTH ` + redisPassword + `
HELLO 3
SET key value
MULTI
SET key other
INCR number
EXEC
MULTI
GET key
DISCARD
EVAL "return ARGV[1]" 1 key value
LRANGE key 0 -1
SELECT 3
DBSIZE
CONFIG GET maxmemory
CLIENT LIST
OBJECT ENCODING key
ACL WHOAMI
`

// TestRedisCommands compares the spans with the server's own count of commands: each is emitted once at each end.
func TestRedisCommands(t *testing.T) {
	builder := newBuilder(t)
	b := runBothModes(t)
	s := newScene(t, builder, "redis")
	port := freePort(t)
	server := s.serve(exec.Command(testenv.NeedProgram(t, "redis-server", "redis-server"), "--port", strconv.Itoa(port), "--bind", "127.0.0.1",
		"--save", "", "--dir", openDir(t), "--requirepass", redisPassword), port)
	client := func(role, program, stdin string, arguments ...string) *actor {
		arguments = append([]string{"-h", "127.0.0.1", "-p", strconv.Itoa(port)}, arguments...)
		cmd := exec.Command(testenv.NeedProgram(t, "redis-tools", program), arguments...)
		cmd.Stdin = strings.NewReader(stdin)
		return s.start(role, cmd)
	}
	done := func(a *actor) string {
		require.Zero(t, a.wait(60*time.Second), readFile(t, a.stderr))
		return readFile(t, a.stdout)
	}
	cli := func(stdin string, arguments ...string) string {
		return done(client("cli", "redis-cli", stdin, append([]string{"--no-auth-warning", "-a", redisPassword}, arguments...)...))
	}
	// It waits until a command has one of the other clients as the answer.
	await := func(want string, words ...string) {
		eventually(t, 10*time.Second, strings.Join(words, " "), func() error {
			if got := strings.TrimSpace(cli("", words...)); !strings.Contains(got, want) {
				return fmt.Errorf("got %q", got)
			}
			return nil
		})
	}
	for _, depth := range []string{"1", "16", "128"} {
		done(client("benchmark", "redis-benchmark", "", "-a", redisPassword, "-q", "-t", "set,get", "-n", "3072", "-c", "4", "-P", depth))
	}
	require.Contains(t, done(client("typed", "redis-cli", redisLines)), "value")
	cli("", "-3", "PING")
	waiting := client("blpop", "redis-cli", "AUTH "+redisPassword+"\nBLPOP queue 60\n")
	await("cmd=blpop", "CLIENT", "LIST")
	cli("", "RPUSH", "queue", "element")
	require.Contains(t, done(waiting), "element")
	for name, words := range map[string]string{"subscribe": "SUBSCRIBE channel", "monitor": "MONITOR"} {
		a := client(name, "redis-cli", "AUTH "+redisPassword+"\n"+words+"\n")
		await("cmd="+name, "CLIENT", "LIST")
		await("", "PUBLISH", "channel", "message")
		a.stop(syscall.SIGINT, 10*time.Second)
	}
	goClient := s.start("client", s.command("redis ADDRESS "+redisPassword, "127.0.0.1", port))
	done(goClient)

	want := commandCounts(cli("", "INFO", "commandstats"))
	want["INFO"]++ // this one
	want["GET"]++  // queued, and discarded
	clients := map[int]bool{}
	for _, a := range s.actors[1:] {
		clients[a.pid()] = true
	}
	ends := []struct {
		kind ptrace.SpanKind
		pids map[int]bool
	}{{ptrace.SpanKindClient, clients}, {ptrace.SpanKindServer, map[int]bool{server.pid(): true}}}
	emitted := func(c *requestCollector, end int) map[string]int {
		found := map[string]int{}
		for _, span := range c.of(t, ends[end].pids) {
			if span.text("db.system.name") == "redis" && span.kind == ends[end].kind {
				found[span.text("db.operation.name")]++
			}
		}
		return found
	}
	// What is missing after some time is said below.
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		complete := true
		for _, c := range b.modes {
			complete = complete && maps.Equal(want, emitted(c, 0)) && maps.Equal(want, emitted(c, 1))
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
	}
	b.requireSecret(t, redisPassword)
}

var commandCount = regexp.MustCompile(`(?m)^cmdstat_([^:]+):calls=(\d+),.*rejected_calls=(\d+),`)

// commandCounts reads the answer to INFO commandstats: how many of each command the server has executed or refused.
func commandCounts(text string) map[string]int {
	counts := map[string]int{}
	for _, match := range commandCount.FindAllStringSubmatch(text, -1) {
		calls, _ := strconv.Atoi(match[2]) // they are digits
		rejected, _ := strconv.Atoi(match[3])
		counts[strings.ToUpper(strings.ReplaceAll(match[1], "|", " "))] = calls + rejected
	}
	return counts
}
