//go:build amd64 || arm64

package preflight

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
)

func needRoot(t *testing.T) {
	t.Helper()
	testenv.NeedRoot(t, "loading eBPF programs")
}

func byName(facts []Fact) map[string]Fact {
	all := map[string]Fact{}
	for _, f := range facts {
		all[f.Name] = f
	}
	return all
}

// TestCheck as root, where both modes are possible.
func TestCheck(t *testing.T) {
	needRoot(t)
	r := Check(kernel.ModeAuto)
	require.True(t, r.Starts, "%+v", r)
	assert.Equal(t, kernel.ModeSocket, r.Chosen)
	require.Len(t, r.Attempts, 2)
	for i, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		a := r.Attempts[i]
		assert.Equal(t, mode, a.Mode)
		assert.True(t, a.Works && a.Whole, a.Error)
		assert.Empty(t, a.Degraded)
		for _, f := range a.Hooks {
			if f.State == Replaced && f.Name == "fentry/uprobe_mmap" { // cheaper where it is possible
				continue
			}
			assert.Equal(t, OK, f.State, "%+v", f)
			// No kprobe and no function: a kernel that is locked down or built without them, as the one of the machine that builds this,
			// has the whole of both modes all the same.
			assert.Regexp(t, `^(tp_btf|tracepoint|raw_tp|iter|run|uprobe.multi)/|^ring buffer$`, f.Name)
		}
	}
	assert.Greater(t, len(r.Attempts[0].Hooks), 15)
	assert.Greater(t, len(r.Attempts[1].Hooks), 60)

	host := byName(r.Host)
	for _, name := range []string{factSystem, factBTF, factTracefs, factProcfs} {
		assert.Equal(t, OK, host[name].State, "%+v", host[name])
	}
	assert.NotEqual(t, Unknown, host[factLockdown].State, "%+v", host[factLockdown])
	t.Logf("lockdown: %s", host[factLockdown].Found)
	assert.Contains(t, byName(r.Privileges), "CAP_SYS_PTRACE")
}

func TestCheckTriesOnlyTheModeThatIsAsked(t *testing.T) {
	needRoot(t)
	r := Check(kernel.ModeSocket)
	require.Len(t, r.Attempts, 1)
	assert.Equal(t, kernel.ModeSocket, r.Chosen)
}

func TestKernelThreads(t *testing.T) {
	assert.False(t, isKernelThread("/proc/self"))
	if _, err := os.Readlink("/proc/2/exe"); err == nil {
		t.Skip("not the host's pids: 2 is no kernel thread")
	}
	assert.True(t, isKernelThread("/proc/2"))
}

func TestSeccomp(t *testing.T) {
	assert.Equal(t, noFilter, seccomp("0").Found)
	assert.Contains(t, seccomp("2").Found, "perf_event_open")
	assert.Equal(t, Unknown, seccomp("").State)
}
