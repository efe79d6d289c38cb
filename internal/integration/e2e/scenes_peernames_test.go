//go:build e2e && linux

package e2e

import (
	"fmt"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/testenv"
)

// TestPeerNames has redis-cli connect by name, through glibc, and by address: a request of Redis does not name its server, so what the
// process has asked DNS for does.
func TestPeerNames(t *testing.T) {
	builder := newBuilder(t)
	b := runBothModes(t, "batch: {timeout: 2s}") // longer than any shard is behind the others
	s := newScene(t, builder, "peernames")
	const host = "127.113.0.2"
	dir := openDir(t)
	s.serveNames(dir, "\tlocal-zone: \"search.test.\" static\n"+
		"\tlocal-data: 'redis.test. A "+host+"'\n"+
		"\tlocal-data: 'short.search.test. A "+host+"'\n")
	port := freePort(t)
	s.serve(exec.Command(testenv.NeedProgram(t, "redis-server", "redis-server"), "--port", strconv.Itoa(port), "--bind", host,
		"--save", "", "--dir", openDir(t), "--protected-mode", "no"), port)
	cli := testenv.NeedProgram(t, "redis-tools", "redis-cli")
	clients := []struct {
		asked, server, source string
		pid                   int
	}{
		{asked: "redis.test", server: "redis.test", source: "dns"},
		{asked: "short", server: "short.search.test", source: "dns"},
		{asked: host, server: host},
	}
	for i := range clients {
		c := &clients[i]
		a := s.start("client", resolving(t, dir, fmt.Sprintf("%s -h %s -p %d PING", cli, c.asked, port)))
		require.Zero(t, a.wait(60*time.Second), readFile(t, a.stderr))
		c.pid = a.pid()
	}
	servers := func(c *requestCollector, pid int) (found []string) {
		for _, span := range c.of(t, map[int]bool{pid: true}) {
			if span.text("db.operation.name") == "PING" && span.kind == ptrace.SpanKindClient {
				found = append(found, fmt.Sprint(span.text("server.address"), " ", span.text("network.peer.address"), " ",
					span.text("socketflow.server.address.source")))
			}
		}
		return found
	}
	// What is missing after some time is said below.
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		complete := true
		for _, mode := range b.modes {
			for _, c := range clients {
				complete = complete && len(servers(mode, c.pid)) > 0
			}
		}
		if complete {
			break
		}
	}
	b.modes[0].finish(t)
	for i, mode := range b.modes {
		for _, c := range clients {
			want := []string{fmt.Sprint(c.server, " ", host, " ", c.source)}
			assert.Equal(t, want, servers(mode, c.pid), "%s mode, %s", comparedModes[i], c.asked)
		}
	}
}
