//go:build e2e && linux

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func init() {
	sources["mongodb"] = struct{ dir, build string }{"mongodb", "go build -o OUTPUT ."}
}

// mongoSecret is the password, and in every document: it must be in no telemetry.
const mongoSecret = "correct-horse-battery-staple"

// mongoCommands counts the commands that the server has printed: name, database, collection, and code of the error.
func mongoCommands(text string) map[string]int {
	counts := map[string]int{}
	for line := range strings.Lines(text) {
		words := strings.Split(strings.TrimSpace(line), " ")
		if words[0] == "frobnicate" { // which nobody knows, and whose value is no collection
			words[0], words[2] = "_OTHER", ""
		}
		if words[3] == "0" {
			words[3] = ""
		}
		counts[strings.Join(words, " ")]++
	}
	return counts
}

// mongoEnds are both ends of a scene's commands.
func mongoEnds(s *scene) []func(c *requestCollector) map[string]int {
	pids := [2]map[int]bool{{}, {s.actors[0].pid(): true}}
	for _, a := range s.actors[1:] {
		pids[0][a.pid()] = true
	}
	var ends []func(c *requestCollector) map[string]int
	for i, kind := range []ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer} {
		ends = append(ends, func(c *requestCollector) map[string]int {
			found := map[string]int{}
			for _, span := range c.of(s.t, pids[i]) {
				if span.text("db.system.name") == "mongodb" && span.kind == kind {
					found[strings.Join([]string{span.text("db.operation.name"), span.text("db.namespace"), span.text("db.collection.name"), span.text("db.response.status_code")}, " ")]++
				}
			}
			return found
		})
	}
	return ends
}

// awaitMongo waits until both ends of all modes have what the server has printed. What is missing after some time is said by requireMongo.
func awaitMongo(s *scene, modes []*requestCollector) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		want, complete := mongoCommands(readFile(s.t, s.actors[0].stdout)), true
		for _, c := range modes {
			for _, emitted := range mongoEnds(s) {
				complete = complete && assert.ObjectsAreEqual(want, emitted(c))
			}
		}
		if complete {
			return
		}
	}
}

func requireMongo(s *scene, modes []*requestCollector) {
	want := mongoCommands(readFile(s.t, s.actors[0].stdout))
	require.NotEmpty(s.t, want)
	for i, c := range modes {
		for j, emitted := range mongoEnds(s) {
			assert.Equal(s.t, want, emitted(c), "mode %d, end %d", i, j)
		}
	}
}

// TestMongoDBCommands compares the spans with what a server has got from the official drivers for Go and Node.js, compressed and not: each
// command is emitted once at each end.
func TestMongoDBCommands(t *testing.T) {
	builder := newBuilder(t)
	b := runBothModes(t)
	s := newScene(t, builder, "mongodb")
	port := freePort(t)
	s.serve(s.command("mongodb serve ADDRESS", "127.0.0.1", port), port)
	for role, cmd := range map[string]*exec.Cmd{
		"go":   s.command("mongodb ask ADDRESS "+mongoSecret, "127.0.0.1", port),
		"node": s.npm("mongodbjs", "commands.js", "127.0.0.1", strconv.Itoa(port), mongoSecret),
	} {
		a := s.start(role, cmd)
		require.Zero(t, a.wait(60*time.Second), readFile(t, a.stderr))
	}
	modes := b.modes[:]
	awaitMongo(s, modes)
	modes[0].finish(t)
	requireMongo(s, modes)
	for _, mode := range comparedModes {
		spans := readFile(t, filepath.Join(b.cmd.Dir, "traces-"+mode+".jsonl"))
		for _, expected := range []string{"insert orders", "getMore large", "commitTransaction"} {
			assert.Contains(t, spans, fmt.Sprintf("%q:%q", "name", expected))
		}
	}
	b.requireSecret(t, mongoSecret)
}

// TestMongoDBWithinTLS is TestMongoDBCommands for clients that speak TLS.
func TestMongoDBWithinTLS(t *testing.T) {
	builder := newBuilder(t)
	over := newSecure(t)
	c := runRequestCollector(t, secureConfig(t, builder))
	over.collector = c
	over.awaitShared(c)
	s := newScene(t, builder, "mongodb-tls")
	s.secure = over
	port := freePort(t)
	s.serve(s.command("mongodb serve ADDRESS "+over.certificate+" "+over.key, "127.0.0.1", port), port)
	for _, cmd := range []*exec.Cmd{
		s.command("mongodb ask ADDRESS "+mongoSecret+" tls", "127.0.0.1", port),
		s.npm("mongodbjs", "commands.js", "127.0.0.1", strconv.Itoa(port), mongoSecret, "tls"),
	} {
		s.ask(cmd, []string{"begin"})
	}
	modes := []*requestCollector{c}
	awaitMongo(s, modes)
	c.finish(t)
	requireMongo(s, modes)
	c.requireSecret(t, mongoSecret)
}
