//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// toDebug prints the telemetry.
const toDebug = `
receivers:
  socketflow:
    on_unsupported: ON_UNSUPPORTED
    connection_records: [open, close, fail]
exporters:
  debug:
    verbosity: normal
    use_internal_logger: false
service:
  pipelines:
    logs:
      receivers: [socketflow]
      exporters: [debug]
    traces:
      receivers: [socketflow]
      exporters: [debug]
`

// asNobody are the options of a collector that runs without any privilege but the capabilities.
func asNobody(t testing.TB, capabilities ...uintptr) collectorOptions {
	t.Helper()
	needRoot(t)
	const nobody = 65534
	// The build directory may be closed to other users.
	binary := filepath.Join(openDir(t), "collector")
	require.NoError(t, exec.Command("cp", collectorBinary(t), binary).Run())
	require.NoError(t, os.Chmod(binary, 0o755))
	return collectorOptions{
		binary: binary,
		attributes: &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, AmbientCaps: capabilities,
		},
	}
}

// requireReason fails unless a message says what is missing, and what would help.
func requireReason(t testing.TB, message string) {
	t.Helper()
	for _, part := range []string{"CAP_BPF", "CAP_PERFMON", "root"} {
		require.Contains(t, message, part)
	}
	assert.NotContains(t, message, "\n")
	assert.Less(t, len(message), 350, "a message is a sentence or two")
}

func TestUnprivilegedFails(t *testing.T) {
	c := startCollector(t, strings.ReplaceAll(toDebug, "ON_UNSUPPORTED", "fail"), asNobody(t))
	require.Equal(t, 1, c.wait(30*time.Second), "exit code")
	message, ok := strings.CutPrefix(tail(c.log(), 1), "Error: ")
	require.True(t, ok, c.log())
	requireReason(t, message)
	assert.Equal(t, 1, strings.Count(c.log(), "\terror\t"), "one line of the log says it")
}

func TestUnprivilegedWarns(t *testing.T) {
	c := startCollector(t, strings.ReplaceAll(toDebug, "ON_UNSUPPORTED", "warn"), asNobody(t))
	c.waitReady(1)
	assert.Equal(t, 1, strings.Count(c.log(), "\twarn\t"), "one line of the log says it")

	status, body, err := get(c.health + "?verbose")
	require.NoError(t, err)
	assert.Equal(t, http.StatusInternalServerError, status)
	type component struct {
		Status, Error string
		Components    map[string]component
	}
	var health component
	require.NoError(t, json.Unmarshal([]byte(body), &health), body)
	for _, pipeline := range []string{"pipeline:logs", "pipeline:traces"} {
		receiver := health.Components[pipeline].Components["receiver:socketflow"]
		assert.Equal(t, "StatusPermanentError", receiver.Status, pipeline)
		requireReason(t, receiver.Error)
		exporter := health.Components[pipeline].Components["exporter:debug"]
		assert.Equal(t, "StatusOK", exporter.Status, "the rest of the collector works")
	}

	_, port := startNginx(t)
	runCurl(t, "127.0.0.1", port)
	require.Zero(t, c.stop(syscall.SIGTERM, 30*time.Second))
	assert.Empty(t, readFile(t, c.stdout), "nothing is observed, so nothing is emitted")
}

// TestTwoCapabilities: two capabilities suffice, root is not needed.
func TestTwoCapabilities(t *testing.T) {
	c := runCollector(t, strings.ReplaceAll(toDebug, "ON_UNSUPPORTED", "fail"), asNobody(t, unix.CAP_BPF, unix.CAP_PERFMON))
	_, port := startNginx(t)
	curl := runCurl(t, "127.0.0.1", port)
	c.requireSentences(clientSentences(curl)...)
	c.terminate()
}
