package testenv

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// outcome is a test that only records how it ends.
type outcome struct {
	testing.TB
	how string
}

func (o *outcome) Helper()               {}
func (o *outcome) Fatalf(string, ...any) { o.end("failed") }
func (o *outcome) Skipf(string, ...any)  { o.end("skipped") }

func (o *outcome) end(how string) {
	if o.how == "" { // a real test would have ended at the first one
		o.how = how
	}
}

func TestWhatIsLackingFailsInCIOnly(t *testing.T) {
	for ci, want := range map[string]string{"true": "failed", "false": "skipped", "": "skipped"} {
		t.Setenv("CI", ci)
		var o outcome
		Lacking(&o, "nothing is here")
		assert.Equal(t, want, o.how, "CI=%s", ci)
		o.how = ""
		assert.Empty(t, NeedProgram(&o, "none", "no-such-program-anywhere", "/no/such/*"))
		assert.Equal(t, want, o.how, "CI=%s", ci)
	}
}

func TestAProgramThatIsThere(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"1", "2"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "program-"+version), nil, 0o600))
	}
	var o outcome
	assert.Equal(t, filepath.Join(dir, "program-2"), NeedProgram(&o, "package", "no-such-program-anywhere", filepath.Join(dir, "program-*")))
	assert.Empty(t, o.how)
}

func TestRoot(t *testing.T) {
	t.Setenv("CI", "true")
	var o outcome
	NeedRoot(&o, "this")
	assert.Equal(t, os.Geteuid() != 0, o.how == "failed")
}
