//go:build e2e && linux

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestConnectionsExample runs the first example of the documentation.
func TestConnectionsExample(t *testing.T) {
	needRoot(t)
	config := filepath.Join(root, "examples", "connections.yaml")
	cmd := exec.Command(collectorBinary(t), "--config", config)
	c := &collector{program: start(t, cmd)}
	c.waitReady(1)

	nginx, port := startNginx(t)
	v4 := runCurl(t, "127.0.0.1", port)
	v6 := runCurl(t, "[::1]", port)
	nobodyListens := freePort(t)
	refused := runCurl(t, "127.0.0.1", nobodyListens)

	var sentences []string
	for _, curl := range []transfer{v4, v6} {
		sentences = append(sentences, clientSentences(curl)...)
		sentences = append(sentences, serverSentences(nginx.children()[0], curl)...)
	}
	sentences = append(sentences,
		fmt.Sprintf(`curl \(pid %d\) failed to connect to 127\.0\.0\.1:%d: ECONNREFUSED \(connection refused\)`, refused.pid(), nobodyListens))
	c.requireSentences(sentences...)
	c.terminate()

	for line := range strings.Lines(readFile(t, c.stdout)) {
		require.Less(t, len(line), 250, "a line is short enough to be read: %s", line)
	}
}

// TestJaegerExample gives the example some thousand connections at once: its settings for a quiet host have to fit a busy one.
func TestJaegerExample(t *testing.T) {
	j := startJaeger(t)
	const off = "  telemetry: {metrics: {level: none}}\n" // the collector's own metrics are needed here
	example := readFile(t, filepath.Join(root, "examples", "jaeger.yaml"))
	require.Contains(t, example, off)
	c := runCollector(t, strings.Replace(example, off, "", 1),
		collectorOptions{env: []string{fmt.Sprintf("OTLP_ENDPOINT=127.0.0.1:%d", j.grpc)}})

	const connections = 6000
	load := startWorkload(t, workloadCommand(t, "load", "-n", strconv.Itoa(connections)))
	require.NoError(t, load.Await("ready"))
	require.NoError(t, load.Continue())
	_, err := load.Wait()
	require.NoError(t, err)

	eventually(t, 30*time.Second, "Jaeger has taken the spans of both ends", func() error {
		metrics, err := c.scrape()
		if err != nil {
			return err
		}
		require.Zero(t, metrics.sum("exporter_send_failed_spans"), tail(c.log(), 12))
		if n := metrics.sum("exporter_sent_spans"); n < 2*connections {
			return fmt.Errorf("%d of %d", n, 2*connections)
		}
		return nil
	})
	c.terminate()
}

const took = `\d+(\.\d+)?(µs|ms|s)`

// clientSentences are the expected log lines of curl's connection, as regular expressions.
func clientSentences(x transfer) []string {
	return sentences("curl", x.pid(), "opened", x, fmt.Sprintf("%d B sent, %d B received, FIN by this side", x.sent, x.received))
}

// serverSentences are the expected log lines of the other end of curl's connection.
func serverSentences(pid int, x transfer) []string {
	return sentences("nginx", pid, "accepted", x, fmt.Sprintf("%d B sent, %d B received, FIN by peer", x.received, x.sent))
}

func sentences(name string, pid int, opened string, x transfer, closed string) []string {
	subject := fmt.Sprintf(`%s \(pid %d\)`, name, pid)
	ends := regexp.QuoteMeta(fmt.Sprintf("%s -> %s", hostPort(x.localIP, x.localPort), hostPort(x.remoteIP, x.remotePort)))
	return []string{
		fmt.Sprintf("%s %s a TCP connection %s", subject, opened, ends),
		fmt.Sprintf("%s: TCP connection %s closed after %s: %s", subject, ends, took, closed),
	}
}

func hostPort(host string, port int) string {
	if strings.Contains(host, ":") {
		return fmt.Sprintf("[%s]:%d", host, port)
	}
	return fmt.Sprintf("%s:%d", host, port)
}

// requireSentences waits until the debug exporter has printed a line that begins with each sentence, and fails if there are two.
func (c *collector) requireSentences(sentences ...string) {
	c.t.Helper()
	for _, sentence := range sentences {
		line := regexp.MustCompile(`(?m)^` + sentence + `( |$)`)
		eventually(c.t, 10*time.Second, "a line that begins with "+sentence, func() error {
			switch n := len(line.FindAllString(readFile(c.t, c.stdout), -1)); n {
			case 0:
				return fmt.Errorf("there is none among\n%s", tail(readFile(c.t, c.stdout), 30))
			case 1:
				return nil
			default:
				c.t.Fatalf("%d lines begin with %s", n, sentence)
				return nil
			}
		})
	}
}
