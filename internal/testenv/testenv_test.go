package testenv

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// verdict is a test that only takes down how it is ended.
type verdict struct {
	testing.TB
	how string
}

func (v *verdict) Helper()               {}
func (v *verdict) Fatalf(string, ...any) { v.end("failed") }
func (v *verdict) Skipf(string, ...any)  { v.end("skipped") }

func (v *verdict) end(how string) {
	if v.how == "" { // the first one would have ended it
		v.how = how
	}
}

func TestWhatIsLackingFailsInCIOnly(t *testing.T) {
	for ci, want := range map[string]string{"true": "failed", "false": "skipped", "": "skipped"} {
		t.Setenv("CI", ci)
		var v verdict
		Lacking(&v, "nothing is here")
		assert.Equal(t, want, v.how, "CI=%s", ci)
		v.how = ""
		assert.Empty(t, NeedProgram(&v, "none", "no-such-program-anywhere", "/no/such/*"))
		assert.Equal(t, want, v.how, "CI=%s", ci)
	}
}

func TestAProgramThatIsThere(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"1", "2"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "program-"+version), nil, 0o600))
	}
	var v verdict
	assert.Equal(t, filepath.Join(dir, "program-2"), NeedProgram(&v, "package", "no-such-program-anywhere", filepath.Join(dir, "program-*")))
	assert.Empty(t, v.how)
}

func TestRoot(t *testing.T) {
	t.Setenv("CI", "true")
	var v verdict
	NeedRoot(&v, "this")
	assert.Equal(t, os.Geteuid() != 0, v.how == "failed")
}
