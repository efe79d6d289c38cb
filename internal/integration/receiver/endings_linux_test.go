package receiver_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/integration/workload"
	"github.com/socketflow/socketflow/receiver"
)

// The ways in which a connection or an attempt can end.
var (
	finishes       = outcome{how: "fin", by: "local"}
	isFinished     = outcome{how: "fin", by: "remote"}
	resets         = outcome{how: "rst", by: "local"} // to the program this is a good order
	isReset        = outcome{how: "rst", by: "remote", err: "ECONNRESET"}
	isResetTooLate = outcome{how: "rst", by: "remote", err: "EPIPE"} // after its FIN
	isRefused      = outcome{how: "rst", by: "remote", err: "ECONNREFUSED"}
	timesOut       = outcome{how: "timeout", by: "remote", err: "ETIMEDOUT"}
	givesUp        = outcome{how: "canceled", by: "local", err: "canceled"}
)

// isAbandoned is a connection that was closed, and that the other side resets later. The kernel may have dropped it by then: it
// does so when the FIN is acknowledged, which may be at once or after a while.
var isAbandoned = outcome{how: "rst", by: "remote", err: "ECONNRESET", instead: &finishes}

// cannotLeave is an attempt that the host itself refuses: no packet is sent.
func cannotLeave(err string) outcome { return outcome{how: "error", err: err, address: "connect"} }

func (o outcome) of(executable string) outcome { o.executable = executable; return o }

func (o outcome) older() outcome {
	o.capture, o.roleSource = "joined_midstream", "listener"
	return o
}

// Every way to begin and to end a connection has its record.
func TestEndings(t *testing.T) {
	other := executableNamed(t, "successor")
	cases := []struct {
		name     string
		workload string
		args     []string
		want     map[string]outcome // by step
	}{
		{
			name: "refused", workload: "refused",
			want: map[string]outcome{
				"blocking": isRefused, "non-blocking": isRefused, "bound": isRefused, "IPv6": isRefused, "mapped": isRefused,
			},
		},
		{
			name: "timed out", workload: "timeout",
			want: map[string]outcome{"connect": timesOut, "client": timesOut, "server": isReset},
		},
		{
			name: "given up before an answer", workload: "canceled",
			want: map[string]outcome{"closed": givesUp, "send timeout": givesUp, "killed": givesUp},
		},
		{
			name: "network unreachable", workload: "unreachable",
			want: map[string]outcome{"IPv4": cannotLeave("ENETUNREACH"), "IPv6": cannotLeave("ENETUNREACH")},
		},
		{
			name: "no port left", workload: "ports-exhausted",
			want: map[string]outcome{
				"client": finishes, "server": isFinished,
				"no port left": cannotLeave("EADDRNOTAVAIL"), "address in use": cannotLeave("EADDRNOTAVAIL"),
			},
		},
		{
			name: "reset", workload: "reset",
			want: map[string]outcome{
				"by server: client": isReset, "by server: server": resets,
				"by client: client": resets, "by client: server": isReset,
				"unread: client": isReset, "unread: server": resets,
				"late: client": finishes, "late: server": isResetTooLate,
			},
		},
		{
			name: "half-closed", workload: "half-closed",
			want: map[string]outcome{"client": finishes, "server": isFinished},
		},
		{
			name: "accepted but never read", workload: "never-read",
			want: map[string]outcome{
				"fin: client": isAbandoned, "fin: server": resets,
				"rst: client": isReset, "rst: server": resets,
			},
		},
		{
			name: "never accepted", workload: "never-accepted",
			want: map[string]outcome{
				"waiting: client": isReset, "waiting: server": resets,
				"given up: client": isAbandoned, "given up: server": resets,
			},
		},
		{
			name: "one socket for two attempts", workload: "reconnect",
			want: map[string]outcome{"first": isRefused, "second": finishes, "server": isFinished},
		},
		{
			name: "dissolved by connecting to nobody", workload: "dissolve",
			want: map[string]outcome{
				"first": resets, "first server": isReset, "second": finishes, "second server": isFinished,
			},
		},
		{
			name: "connected to itself", workload: "self-connect",
			want: map[string]outcome{"both ends": finishes},
		},
		{
			name: "listener of Multipath TCP", workload: "mptcp",
			want: map[string]outcome{
				"plain: client": finishes, "plain: server": isFinished,
				"multipath: client": finishes, "multipath: server": isFinished,
			},
		},
		{
			name: "exit without close", workload: "exit",
			want: map[string]outcome{
				"client exits: client": finishes, "client exits: server": isFinished,
				"exits unread: client": resets, "exits unread: server": isReset,
				"server exits: client": isFinished, "server exits: server": finishes,
			},
		},
		{
			name: "fork after accept", workload: "fork",
			want: map[string]outcome{"client": isFinished, "server": finishes},
		},
		{
			name: "passed to another process", workload: "pass",
			want: map[string]outcome{"client": isFinished, "server": finishes},
		},
		{
			name: "exec after accept", workload: "exec", args: []string{other},
			want: map[string]outcome{
				"client": isFinished, "server": finishes,
				"later client": isFinished, "later server": finishes.of(other),
			},
		},
	}

	o := observe(t, hostMode(), roomy)
	ends := make([][]workload.End, len(cases))
	for i, tc := range cases {
		ends[i] = end(t, begin(t, command(t, tc.workload, tc.args...)))
	}
	for i := range cases {
		o.awaitEnds(t, ends[i])
	}
	o.shutdown(t)
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			steps := map[string]bool{}
			o.verify(t, ends[i], func(e workload.End) outcome {
				steps[e.Step] = true
				want, known := tc.want[e.Step]
				require.True(t, known, "step %q", e.Step)
				return want
			})
			assert.Len(t, steps, len(tc.want), "every step was made")
		})
	}
}

// The same addresses and ports in two network namespaces are two connections.
func TestIdenticalTuplesInTwoNamespaces(t *testing.T) {
	o := observe(t, hostMode(), nil)
	var runs []*workload.Run
	for range 2 {
		run := begin(t, command(t, "pair", "127.0.0.1:258", "127.0.0.1:4660"))
		require.NoError(t, run.Await("connected")) // so that both are open at a time
		runs = append(runs, run)
	}
	var ends []workload.End
	for _, run := range runs {
		require.NoError(t, run.Continue())
		ends = append(ends, end(t, run)...)
	}
	o.awaitEnds(t, ends)
	o.shutdown(t)
	o.verify(t, ends, byRole(finishes, isFinished))
	require.Len(t, ends, 4)
	assert.Equal(t, ends[0].Local, ends[2].Local)
	assert.NotEqual(t, ends[0].NetNS, ends[2].NetNS)
	assert.NotEqual(t, o.of(runs[0].PID()).events(closed)[0].id(), o.of(runs[1].PID()).events(closed)[0].id())
}

func byRole(client, server outcome) func(workload.End) outcome {
	return func(e workload.End) outcome {
		if e.Role == workload.Client {
			return client
		}
		return server
	}
}

// Connections that are older than the collector are emitted too, with all their bytes. An accept that was blocked before the
// collector started belongs to the process that called it.
func TestConnectionsOlderThanTheCollector(t *testing.T) {
	needPrivilege(t)
	run := begin(t, command(t, "older"))
	require.NoError(t, run.Await("open"))
	o := observe(t, hostMode(), nil)
	const existing = 6
	await(t, "the connections that exist are emitted", func() bool {
		return o.count([]int{run.PID()}, opened) >= existing
	})
	assert.Zero(t, o.count([]int{run.PID()}, closed))
	require.NoError(t, run.Continue())
	ends := end(t, run)
	o.awaitEnds(t, ends)
	o.shutdown(t)
	o.verify(t, ends, func(e workload.End) outcome {
		want := byRole(finishes, isFinished)(e)
		if !strings.HasPrefix(e.Step, "blocked") {
			want = want.older()
		}
		return want
	})
}

// A process that ends before user space reads its event still has its name.
func TestShortLivedProcesses(t *testing.T) {
	o := observe(t, hostMode(), func(cfg *receiver.Config) { cfg.PollInterval = time.Second })
	ends := end(t, begin(t, command(t, "short-lived", "20")))
	require.Len(t, ends, 40)
	o.awaitEnds(t, ends)
	o.shutdown(t)
	o.verify(t, ends, func(e workload.End) outcome {
		want := byRole(finishes, isFinished)(e)
		if e.Role == workload.Client {
			want.service = e.Step
		}
		return want
	})
}
