package receiver

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestLinksAsExecutablesAreLogged(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	file, link := filepath.Join(dir, "python3.11"), filepath.Join(dir, "python3")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.Symlink(file, link))
	require.NoError(t, os.Symlink(dir, filepath.Join(dir, "bin")))

	core, logged := observer.New(zap.WarnLevel)
	c := Config{
		Include: []Selector{
			{PID: 1}, {Executable: file}, {Executable: link}, {Executable: filepath.Join(dir, "none")}, {Executable: filepath.Join(dir, "python?")},
		},
		Exclude: []Selector{{Executable: filepath.Join(dir, "bin", "python3.11")}},
	}
	c.warnOfLinks(zap.New(core))

	require.Equal(t, 2, logged.Len())
	for i, key := range []string{"include::2::executable", "exclude::0::executable"} {
		fields := logged.All()[i].ContextMap()
		assert.Equal(t, key, fields["key"])
		assert.Equal(t, file, fields["write"])
	}
}
