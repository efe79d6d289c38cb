//go:build amd64 || arm64

package workload_test

import (
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/integration/workload"
)

func TestMain(m *testing.M) {
	workload.RunIfAsked()
	os.Exit(m.Run())
}

func start(t *testing.T, cmd *exec.Cmd) *workload.Run {
	t.Helper()
	run, err := workload.Start(cmd)
	require.NoError(t, err)
	return run
}

func ends(t *testing.T, run *workload.Run) []workload.End {
	t.Helper()
	all, err := run.Wait()
	require.NoError(t, err)
	return all
}

type tuple struct{ local, remote netip.AddrPort }

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// assertPaired checks that each end of a connection has its counterpart, with the same facts.
func assertPaired(t *testing.T, all []workload.End) {
	t.Helper()
	byTuple := map[tuple]workload.End{}
	for _, e := range all {
		if !e.Failed {
			byTuple[tuple{unmapped(e.Local), unmapped(e.Remote)}] = e
		}
	}
	for k, e := range byTuple {
		other, found := byTuple[tuple{k.remote, k.local}]
		if !assert.True(t, found, "%+v has no other end", e) {
			continue
		}
		assert.Equal(t, e.Sent, other.Received, "%+v and %+v", e, other)
		if e.Local != e.Remote {
			assert.NotEqual(t, e.Role, other.Role)
		}
		assert.NotZero(t, e.PID)
		assert.Equal(t, e.NetNS, other.NetNS)
	}
}

// Both ends that a workload writes down must agree: all other tests are measured against them.
func TestBothEndsAgree(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		ends int
	}{
		{"connections", []string{"-n", "500"}, 1000},
		{"connections", []string{"-n", "500", "-split", "-seed", "2"}, 1000},
		{"half-closed", nil, 2},
		{"never-read", nil, 4},
		{"never-accepted", nil, 4},
		{"reconnect", nil, 3},
		{"dissolve", nil, 4},
		{"self-connect", nil, 1},
		{"mptcp", nil, 4},
		{"exit", nil, 6},
		{"fork", nil, 2},
		{"pass", nil, 2},
		{"exec", []string{executable(t)}, 4},
		{"short-lived", []string{"3"}, 6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all := ends(t, start(t, workload.Command(t.Context(), tc.name, tc.args...)))
			assert.Len(t, all, tc.ends)
			assertPaired(t, all)
		})
	}
}

func executable(t *testing.T) string {
	path, err := os.Executable()
	require.NoError(t, err)
	return path
}

func TestAttemptsFail(t *testing.T) {
	for _, tc := range []struct {
		name string
		want map[string]unix.Errno
	}{
		{"refused", map[string]unix.Errno{
			"blocking": unix.ECONNREFUSED, "non-blocking": unix.ECONNREFUSED, "bound": unix.ECONNREFUSED,
			"IPv6": unix.ECONNREFUSED, "mapped": unix.ECONNREFUSED,
		}},
		{"timeout", map[string]unix.Errno{"connect": unix.ETIMEDOUT}},
		{"canceled", map[string]unix.Errno{"closed": 0, "send timeout": 0, "killed": 0}},
		{"reconnect", map[string]unix.Errno{"first": unix.ECONNREFUSED}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := map[string]unix.Errno{}
			for _, e := range ends(t, start(t, workload.Command(t.Context(), tc.name))) {
				if e.Failed {
					got[e.Step] = e.Errno
				}
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestGates(t *testing.T) {
	run := start(t, workload.Command(t.Context(), "rounds"))
	require.NoError(t, run.Await("round"))
	require.NoError(t, run.Continue("2"))
	require.NoError(t, run.Await("round"))
	assert.Len(t, run.Ends(), 4)
	require.NoError(t, run.Continue("become", executable(t)))
	require.NoError(t, run.Await("round"))
	require.NoError(t, run.Continue("1"))
	require.NoError(t, run.Await("round"))
	require.NoError(t, run.Continue("end"))
	all := ends(t, run)
	assert.Len(t, all, 6)
	assertPaired(t, all)

	run = start(t, workload.Command(t.Context(), "older"))
	require.NoError(t, run.Await("open"))
	require.NoError(t, run.Continue())
	all = ends(t, run)
	assert.Len(t, all, 8)
	assertPaired(t, all)
}

func TestLoadKeepsItsRate(t *testing.T) {
	run := start(t, workload.Command(t.Context(), "load", "-n", "200", "-rate", "1000"))
	require.NoError(t, run.Await("ready"))
	require.NoError(t, run.Continue())
	ends(t, run)
	assert.Equal(t, 200, run.Load().Connections)
	assert.GreaterOrEqual(t, run.Load().Elapsed, 190*time.Millisecond)
}

func TestFailureIsReported(t *testing.T) {
	run := start(t, workload.Command(t.Context(), "no-such"))
	_, err := run.Wait()
	require.ErrorContains(t, err, `no workload "no-such"`)

	run = start(t, workload.Command(t.Context(), "older"))
	_, err = run.Wait()
	require.ErrorContains(t, err, `waits at "open"`)

	run = start(t, workload.Command(t.Context(), "refused"))
	require.ErrorContains(t, run.Await("never"), "has ended")
}
