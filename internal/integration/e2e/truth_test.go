//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/integration/workload"
)

// truthService is the service name of workloads.
const truthService = "truth"

// workloadCommand is a workload that has not started yet. It does not outlive the test.
func workloadCommand(t testing.TB, name string, arguments ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := workload.Command(ctx, name, arguments...)
	cmd.Env = append(cmd.Env, "OTEL_SERVICE_NAME="+truthService)
	return cmd
}

// startWorkload starts a workload, which runs to its first gate.
func startWorkload(t testing.TB, cmd *exec.Cmd) *workload.Run {
	t.Helper()
	run, err := workload.Start(cmd)
	require.NoError(t, err)
	return run
}

// runWorkload returns the ends of a workload.
func runWorkload(t testing.TB, cmd *exec.Cmd) []workload.End {
	t.Helper()
	ends, err := startWorkload(t, cmd).Wait()
	require.NoError(t, err)
	require.NotEmpty(t, ends)
	return ends
}

// someOfEverything opens connections in many ways, and returns all ends of their sockets.
func someOfEverything(t testing.TB) []workload.End {
	t.Helper()
	const connections, refused = 240, 5
	ends := runWorkload(t, workloadCommand(t, "connections", "-n", strconv.Itoa(connections), "-split"))
	ends = append(ends, runWorkload(t, workload.Isolate(
		workloadCommand(t, "connections", "-n", strconv.Itoa(connections), "-seed", "2", "-fixed")))...)
	ends = append(ends, runWorkload(t, workloadCommand(t, "refused"))...)
	require.Len(t, ends, 4*connections+refused)
	return ends
}

// fact is the common part of the truth and of the telemetry of one end of a connection.
type fact struct {
	pid            int
	netNS          int
	role           string
	local, remote  netip.AddrPort // local is not compared for failed attempts: their process cannot know it
	sent, received int
	failure        string // error.type, "" for a connection
}

func (f fact) String() string {
	return fmt.Sprintf("pid %d netns %d %s %s -> %s, %d sent, %d received %s",
		f.pid, f.netNS, f.role, f.local, f.remote, f.sent, f.received, f.failure)
}

func factOf(end *workload.End) fact {
	f := fact{
		pid: end.PID, netNS: int(end.NetNS), role: string(end.Role), local: unmap(end.Local), remote: unmap(end.Remote),
		sent: int(end.Sent), received: int(end.Received),
	}
	if end.Failed {
		f.failure = unix.ErrnoName(end.Errno)
		if f.failure == "" {
			f.failure = "canceled"
		}
		f.local, f.sent, f.received = netip.AddrPort{}, 0, 0
	}
	return f
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// telemetry is a log record or a span, of a file or of Jaeger.
type telemetry interface {
	text(key string) string
	number(key string) int
	pid() int
}

func factEmitted(t testing.TB, item telemetry, failed bool) fact {
	t.Helper()
	f := fact{
		pid: item.pid(), netNS: item.number("socketflow.netns"), role: item.text("socketflow.role.name"),
		remote: emittedAddress(t, item, "network.peer"),
	}
	if failed {
		f.failure = item.text("error.type")
		return f
	}
	f.local = emittedAddress(t, item, "network.local")
	f.sent, f.received = item.number("socketflow.bytes.sent"), item.number("socketflow.bytes.received")
	return f
}

func emittedAddress(t testing.TB, item telemetry, which string) netip.AddrPort {
	t.Helper()
	address, err := netip.ParseAddr(item.text(which + ".address"))
	require.NoError(t, err, which)
	return netip.AddrPortFrom(address, uint16(item.number(which+".port")))
}

// requireTruth fails unless what was emitted is true: each end once, nothing else.
func requireTruth(t testing.TB, ends []workload.End, emitted []fact) {
	t.Helper()
	count := map[fact]int{}
	for i := range ends {
		count[factOf(&ends[i])]++
	}
	for _, f := range emitted {
		count[f]--
	}
	var missing, surplus []fact
	for f, n := range count {
		for ; n > 0; n-- {
			missing = append(missing, f)
		}
		for ; n < 0; n++ {
			surplus = append(surplus, f)
		}
	}
	const shown = 5
	if len(missing)+len(surplus) > 0 {
		t.Fatalf("of %d ends of sockets, %d were not emitted, such as %v\n%d that were emitted are not true, such as %v",
			len(ends), len(missing), missing[:min(shown, len(missing))], len(surplus), surplus[:min(shown, len(surplus))])
	}
}

// pidsOf are the processes that have the ends.
func pidsOf(ends []workload.End) map[int]bool {
	pids := map[int]bool{}
	for i := range ends {
		pids[ends[i].PID] = true
	}
	return pids
}
