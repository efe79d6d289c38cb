//go:build e2e && linux

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// requireSecret searches all that a collector has written, and its log, for what must be in none of it.
func (c *collector) requireSecret(t testing.TB, secrets ...string) {
	t.Helper()
	found := 0
	require.NoError(t, filepath.WalkDir(c.cmd.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(path) != ".jsonl" {
			return err
		}
		content, err := os.ReadFile(path)
		if len(content) > 0 {
			found++
		}
		requireWithout(t, path, string(content), secrets)
		return err
	}))
	require.Positive(t, found, "files that the collector has written")
	requireWithout(t, "the collector's log", c.log(), secrets)
}

func requireWithout(t testing.TB, where, content string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(content, secret) { // which is too long to print
			t.Errorf("%q is in %s", secret, where)
		}
	}
}

// slower is by how much a span may be longer than the server says. On a machine that is not busy it is less than 5 ms.
const slower = 150 * time.Millisecond

// requireDuration compares the duration of a slow statement with the server's own. The server measures within what the span is about: the
// span cannot be shorter.
func requireDuration(t testing.TB, what string, own, emitted time.Duration) {
	t.Helper()
	t.Logf("%s: %s, %s by the server's own log", what, emitted.Round(10*time.Microsecond), own)
	assert.True(t, emitted > own-5*time.Millisecond && emitted < own+slower, "%s: %s, %s by the server's own log", what, emitted, own)
}
