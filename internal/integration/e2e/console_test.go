//go:build e2e && linux

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

// TestConsole runs what `make run` runs, and compares what it prints with the requests that were made.
func TestConsole(t *testing.T) {
	needRoot(t)
	python := needPython(t)
	web, redis, nobody := freePort(t), freePort(t), freePort(t)
	// Other programs of this host make requests at the same time. The log says when the receiver observes.
	cmd := exec.Command(collectorBinary(t), "--config", filepath.Join(root, "examples", "requests.yaml"),
		fmt.Sprintf("--set=exporters::console::include::port=[%d,%d,%d]", web, redis, nobody),
		"--set=service::telemetry::logs::level=info")
	c := &collector{program: start(t, cmd)}
	c.waitReady(1)

	server := start(t, exec.Command(python, "-m", "http.server", "--bind", "127.0.0.1", "--directory", openDir(t), strconv.Itoa(web)))
	server.waitListening(web)
	store := start(t, exec.Command(testenv.NeedProgram(t, "redis-server", "redis-server"),
		"--port", strconv.Itoa(redis), "--bind", "127.0.0.1", "--save", "", "--dir", openDir(t)))
	store.waitListening(redis)

	request := func(url string) {
		output(t, exec.Command(testenv.NeedProgram(t, "curl", "curl"), "-q", "--noproxy", "*", "--silent", "--max-time", "20", url))
	}
	request(fmt.Sprintf("http://127.0.0.1:%d/", web))
	request(fmt.Sprintf("http://127.0.0.1:%d/x.txt?token=secret", web))
	output(t, exec.Command(testenv.NeedProgram(t, "redis-tools", "redis-cli"), "-p", strconv.Itoa(redis), "SET", "color", "blue"))
	request(fmt.Sprintf("http://127.0.0.1:%d/", nobody))

	took := separated(tookOfConsole)
	want := []string{
		fmt.Sprintf("curl → %s:%d  GET /  200", filepath.Base(python), web) + took,
		fmt.Sprintf("curl → %s:%d  GET /x.txt?token=REDACTED  404", filepath.Base(python), web) + took,
		fmt.Sprintf("redis-cli → redis-server:%d  redis SET color ?  ok", redis) + took,
		fmt.Sprintf("curl → 127.0.0.1:%d  refused", nobody),
	}
	eventually(t, 20*time.Second, "the last line is printed", func() error {
		if printed := readFile(t, c.stdout); !strings.Contains(printed, want[3]) {
			return fmt.Errorf("printed:\n%s", printed)
		}
		return nil
	})
	require.Zero(t, c.stop(syscall.SIGINT, 30*time.Second), "exit code of the collector")

	printed := readFile(t, c.stdout)
	require.NotContains(t, printed, "\x1b", "no colours, for this is no terminal")
	lines := strings.Split(printed, "\n")
	require.Regexp(t, `^Requests that include and exclude choose, and connections that fail: one line each, when it ends\. `, lines[0])
	require.Greater(t, len(lines), len(want)+1, printed)
	for i, line := range lines[1 : 1+len(want)] {
		clock, rest, _ := strings.Cut(line, " ")
		require.Regexp(t, `^\d\d:\d\d:\d\d\.\d\d\d$`, clock)
		require.Equal(t, want[i], regexp.MustCompile("  "+tookOfConsole+"$").ReplaceAllString(rest, took), printed)
	}
	require.Empty(t, lines[1+len(want)], "the summary follows")
	require.Subset(t, masked(lines[1:1+len(want)]), masked(readmeLines(t)), "what the README shows")
	require.Regexp(t, `: requests served: 3 \(errors: 0\), made: 3 \(errors: 1\); connections failed: 1$`, lines[2+len(want)])
}

const tookOfConsole = `(\d+ µs|\d+(\.\d)? ms|\d+\.\d\d s)`

// separated is how the console sets apart what it prints.
func separated(text string) string { return "  " + text }

// readmeLines are the lines of requests and connections that the README shows.
func readmeLines(t *testing.T) (lines []string) {
	t.Helper()
	for line := range strings.Lines(readFile(t, filepath.Join(root, "README.md"))) {
		if regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d\d\d `).MatchString(line) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	require.Len(t, lines, 3)
	return lines
}

// masked replaces what differs between two runs: times, ports, the version of Python.
func masked(lines []string) (out []string) {
	differs := regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d\d\d|  ` + tookOfConsole + `$|:\d+|python3\.\d+`)
	for _, line := range lines {
		out = append(out, differs.ReplaceAllString(line, "*"))
	}
	return out
}
