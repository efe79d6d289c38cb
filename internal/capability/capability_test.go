//go:build linux

package capability

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestEffectiveIsWhatTheKernelPrints(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	got, err := Effective()
	require.NoError(t, err)
	status, err := os.Open("/proc/thread-self/status")
	require.NoError(t, err)
	defer status.Close() //nolint:errcheck // read only
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "CapEff:"); ok {
			want, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
			require.NoError(t, err)
			assert.Equal(t, Set{uint32(want), uint32(want >> 32)}, got)
			return
		}
	}
	t.Fatal("there is no CapEff in status")
}

func TestGrants(t *testing.T) {
	of := func(numbers ...int) (s Set) {
		for _, n := range numbers {
			s[n/32] |= 1 << (n % 32)
		}
		return s
	}
	for name, test := range map[string]struct {
		set                   Set
		bpf, perfmon, tracing bool
	}{
		"none":      {},
		"both":      {of(unix.CAP_BPF, unix.CAP_PERFMON), true, true, false},
		"one":       {of(unix.CAP_PERFMON), false, true, false},
		"sys_admin": {of(unix.CAP_SYS_ADMIN), true, true, false},
		"another":   {of(unix.CAP_SYS_PTRACE), false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.bpf, test.set.Grants(unix.CAP_BPF))
			assert.Equal(t, test.perfmon, test.set.Grants(unix.CAP_PERFMON))
			assert.Equal(t, test.tracing, test.set.Grants(unix.CAP_SYS_PTRACE))
		})
	}
}
