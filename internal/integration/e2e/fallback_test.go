//go:build e2e && linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// If the kernel does not describe its types (the test hides this from the collector), mode auto uses system calls, and says so
// once in the log and in its own telemetry.
func TestAutoFallsBack(t *testing.T) {
	needRoot(t)
	binary := filepath.Join(openDir(t), "collector-without-btf")
	script := "#!/bin/sh\nmount -t tmpfs none /sys/kernel/btf && exec " + collectorBinary(t) + " \"$@\"\n"
	require.NoError(t, os.WriteFile(binary, []byte(script), 0o755))
	c := runCollector(t, strings.ReplaceAll(toDebug, "ON_UNSUPPORTED", "fail"), collectorOptions{
		binary: binary, attributes: &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS},
	})
	assert.Equal(t, 1, strings.Count(c.log(), "this host does not allow the socket mode"), "the log says it once")
	assert.Contains(t, c.log(), "/sys/kernel/btf/vmlinux", "and what would help")
	metrics, err := c.scrape()
	require.NoError(t, err)
	assert.Positive(t, metrics.sum("socketflow_kernel_programs", "mode", "syscall", "attachment", "tracepoint"))
	assert.Zero(t, metrics.sum("socketflow_kernel_programs", "mode", "socket"))

	_, port := startNginx(t)
	curl := runCurl(t, "127.0.0.1", port)
	c.requireSentences(clientSentences(curl)...)
	c.terminate()
}
