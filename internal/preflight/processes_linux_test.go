//go:build amd64 || arm64

package preflight

import (
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
)

// linked makes the linker put crypto/tls into this program.
var linked = []any{(*tls.Conn).Read, (*tls.Conn).Write}

// working is a report of a host where libraries are looked into.
func working() *Report {
	return &Report{Chosen: kernel.ModeSocket, Attempts: []Attempt{{Mode: kernel.ModeSocket, Hooks: []Fact{{Name: libraryFact, State: OK}}}}}
}

// usesOf are those of a process in a report.
func usesOf(t *testing.T, r *Report, executable string, pid int) []TLSLibrary {
	t.Helper()
	require.NoError(t, r.AddProcesses())
	var all []TLSLibrary
	for _, u := range r.Processes {
		if slices.Contains(u.PIDs, uint32(pid)) {
			assert.Equal(t, executable, u.Executable)
			all = append(all, u.TLSLibrary)
		}
	}
	return all
}

func TestRunningProgramOfGoIsCovered(t *testing.T) {
	require.NotEmpty(t, linked)
	own, err := os.Executable()
	require.NoError(t, err)
	found := usesOf(t, working(), own, os.Getpid())
	require.Len(t, found, 1)
	assert.NotEmpty(t, found[0].Version)
	found[0].Version = ""
	assert.Equal(t, TLSLibrary{Executable: own, Library: "Go crypto/tls", Covered: true}, found[0])
}

func TestNothingIsCoveredWhereTheKernelCannot(t *testing.T) {
	own, err := os.Executable()
	require.NoError(t, err)
	r := working()
	r.Attempts[0].Hooks[0].State = Less
	found := usesOf(t, r, own, os.Getpid())
	require.Len(t, found, 1)
	assert.False(t, found[0].Covered)
	assert.Contains(t, found[0].Why, libraryFact)
}

// TestRunningProgramOfOpenSSL: the version is that of both parts of the library, and the library is named once.
func TestRunningProgramOfOpenSSL(t *testing.T) {
	python := testenv.NeedProgram(t, "python3", "/usr/bin/python3")
	cmd := exec.Command(python, "-c", "import ssl, sys; print(ssl.OPENSSL_VERSION_INFO, flush=True); sys.stdin.read()")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, in.Close())
		require.NoError(t, cmd.Wait())
	})
	ready := make([]byte, 1)
	_, err = out.Read(ready)
	require.NoError(t, err)
	executable, err := filepath.EvalSymlinks(python)
	require.NoError(t, err)
	r := working()
	found := usesOf(t, r, executable, cmd.Process.Pid)
	require.NotEmpty(t, found)
	for _, l := range found {
		assert.Equal(t, "OpenSSL", l.Library)
		assert.True(t, l.Covered, l.Why)
		assert.Contains(t, l.File, "libssl")
		assert.Regexp(t, `^\d+\.\d+\.\d+`, l.Version)
	}
}

// TestLibrariesThatAreNotLookedInto says why, by the names of files.
func TestLibrariesThatAreNotLookedInto(t *testing.T) {
	for file, want := range map[string]TLSLibrary{
		"libjvm.so":           {Library: "JSSE", Why: noFile},
		"beam.smp":            {Library: "Erlang ssl", Why: noFile},
		"libssl3.so":          {Library: "NSS", Why: notRead},
		"libmbedtls.so.14":    {Library: "Mbed TLS", Why: notRead},
		"libwolfssl.so.35.3":  {Library: "wolfSSL", Why: notRead},
		"libs2n.so.1":         {Library: "s2n-tls", Why: notRead},
		"librustls_ffi.so.14": {Library: "rustls", Why: notRead},
	} {
		t.Run(file, func(t *testing.T) {
			s := newSurvey()
			path := filepath.Join(t.TempDir(), file)
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			want.Executable, want.File = "/usr/bin/program", path
			got := s.of("/usr/bin/program", []programFile{{path, func() (*os.File, error) { return os.Open(path) }}})
			assert.Equal(t, []TLSLibrary{want}, got)
		})
	}
}
