package receiver_test

import (
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/integration/workload"
	"github.com/socketflow/socketflow/receiver"
)

func include(selectors ...receiver.Selector) configuration {
	return func(cfg *receiver.Config) { cfg.Include = selectors }
}

func exclude(selectors ...receiver.Selector) configuration {
	return func(cfg *receiver.Config) { cfg.Exclude = selectors }
}

func port(p uint16) receiver.Ports { return receiver.PortRange(p, p) }

// Of two programs that do the same, only the selected one is emitted.
func TestSelection(t *testing.T) {
	needPrivilege(t)
	const (
		none = iota
		servers
		clients
		both
	)
	chosen, other := executableNamed(t, "chosen"), executableNamed(t, "other")
	for _, tc := range []struct {
		name          string
		change        func(pid int, port uint16) configuration // of the chosen program, and of its listener
		chosen, other int
	}{
		{
			"include an executable",
			func(int, uint16) configuration { return include(receiver.Selector{Executable: "**/chosen"}) }, both, none,
		},
		{
			"include a process",
			func(pid int, _ uint16) configuration { return include(receiver.Selector{PID: pid}) }, both, none,
		},
		{
			"include a local port",
			func(_ int, p uint16) configuration { return include(receiver.Selector{LocalPort: port(p)}) }, servers, none,
		},
		{
			"include a remote port",
			func(_ int, p uint16) configuration { return include(receiver.Selector{RemotePort: port(p)}) }, clients, none,
		},
		{
			"include any of several",
			func(_ int, p uint16) configuration {
				return include(receiver.Selector{RemotePort: port(p)}, receiver.Selector{Executable: other})
			}, clients, both,
		},
		{
			"include what meets several conditions",
			func(_ int, p uint16) configuration {
				return include(receiver.Selector{LocalPort: port(p), Executable: "**/other"})
			}, none, none,
		},
		{
			"exclude an executable",
			func(int, uint16) configuration { return exclude(receiver.Selector{Executable: "/**/chosen"}) }, none, both,
		},
		{
			"exclude a process",
			func(pid int, _ uint16) configuration { return exclude(receiver.Selector{PID: pid}) }, none, both,
		},
		{
			"exclude a local port",
			func(_ int, p uint16) configuration { return exclude(receiver.Selector{LocalPort: port(p)}) }, clients, both,
		},
		{
			"exclude a remote port",
			func(_ int, p uint16) configuration { return exclude(receiver.Selector{RemotePort: port(p)}) }, servers, both,
		},
		{
			"exclude some of what is included",
			func(pid int, p uint16) configuration {
				return func(cfg *receiver.Config) {
					include(receiver.Selector{PID: pid})(cfg)
					exclude(receiver.Selector{RemotePort: port(p)})(cfg)
				}
			}, servers, none,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			const p = 258
			one := begin(t, commandOf(t, chosen, "rounds", "127.0.0.1:"+strconv.Itoa(p)))
			two := begin(t, commandOf(t, other, "rounds"))
			require.NoError(t, one.Await("round"))
			require.NoError(t, two.Await("round"))
			o := observe(t, hostMode(), tc.change(one.PID(), p))
			for _, run := range [...]*workload.Run{one, two} {
				require.NoError(t, run.Continue("5"))
				pass(t, run, "round", "5")
				pass(t, run, "round", "end")
				require.Len(t, end(t, run), 20)
			}
			for _, side := range []struct {
				run        *workload.Run
				executable string
				emitted    int
			}{{one, chosen, tc.chosen}, {two, other, tc.other}} {
				var ends []workload.End
				for _, e := range side.run.Ends() {
					if side.emitted == both || e.Role == workload.Server && side.emitted == servers ||
						e.Role == workload.Client && side.emitted == clients {
						ends = append(ends, e)
					}
				}
				o.awaitEnds(t, ends)
				o.shutdown(t)
				if side.emitted == none {
					assert.Empty(t, o.of(side.run.PID()).records)
					assert.Empty(t, o.of(side.run.PID()).spans)
					continue
				}
				o.verify(t, ends, byRole(finishes.of(side.executable), isFinished.of(side.executable)))
			}
		})
	}
}

// A process that becomes another program is matched against the rules again.
func TestRulesAreMatchedAgainAfterExec(t *testing.T) {
	needPrivilege(t)
	chosen, other := executableNamed(t, "chosen"), executableNamed(t, "other")
	for _, tc := range []struct {
		name          string
		before, after string
	}{{"left out before", other, chosen}, {"left out afterwards", chosen, other}} {
		t.Run(tc.name, func(t *testing.T) {
			o := observe(t, hostMode(), include(receiver.Selector{Executable: "**/chosen"}))
			run := begin(t, commandOf(t, tc.before, "rounds"))
			pass(t, run, "round", "20")
			pass(t, run, "round", "become", tc.after)
			pass(t, run, "round", "20")
			pass(t, run, "round", "end")
			ends := end(t, run)
			require.Len(t, ends, 80)
			emitted := ends[:40]
			if tc.after == chosen {
				emitted = ends[40:]
			}
			o.awaitEnds(t, emitted)
			o.shutdown(t)
			o.verify(t, emitted, byRole(finishes.of(chosen), isFinished.of(chosen)))
		})
	}
}

// Once a process is matched against the rules, the kernel does not report the sockets that are left out.
func TestUnselectedProcessesCostNoEvents(t *testing.T) {
	o := observe(t, hostMode(), exclude(receiver.Selector{Executable: "**/noise"}))
	run := begin(t, commandOf(t, executableNamed(t, "noise"), "rounds"))
	ignored := func() int64 { return o.metric(t, "sockets_ignored") }
	await(t, "the process is matched", func() bool {
		pass(t, run, "round", "1")
		return ignored() > 0
	})
	for range 10 { // of every shard
		pass(t, run, "round", "1")
	}
	const count = 1000
	require.NoError(t, run.Await("round"))
	before := ignored()
	require.NoError(t, run.Continue(strconv.Itoa(count)))
	pass(t, run, "round", "end")
	end(t, run)
	assert.GreaterOrEqual(t, ignored()-before, int64(2*count), "both ends of each")
	await(t, "the kernel has reported the emitted events of other processes, and little else", func() bool {
		reported := -int64(o.total())
		for _, kind := range [...]string{"open", "close", "fail", "connect_error", "existing"} {
			reported += o.metric(t, "kernel_events", "kind", kind)
		}
		return reported < count/10
	})
	o.shutdown(t)
	assert.Empty(t, o.of(run.PID()).records)
}

// The collector's own sockets are left out, unless they are selected.
func TestOwnSockets(t *testing.T) {
	needPrivilege(t)
	for name, exclude := range map[string]bool{"left out": true, "observed": false} {
		t.Run(name, func(t *testing.T) {
			o := observe(t, hostMode(), func(cfg *receiver.Config) { cfg.ExcludeSelf = exclude })
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			require.NoError(t, err)
			for range 5 {
				client, err := net.Dial("tcp4", l.Addr().String())
				require.NoError(t, err)
				server, err := l.Accept()
				require.NoError(t, err)
				require.NoError(t, client.Close())
				require.NoError(t, server.Close())
			}
			require.NoError(t, l.Close())
			want := 0
			if !exclude {
				want = 10
				await(t, "the close of both ends is emitted", func() bool { return o.count([]int{os.Getpid()}, closed) == want })
			}
			o.shutdown(t)
			assert.Len(t, o.of(os.Getpid()).events(opened), want)
			assert.Len(t, o.of(os.Getpid()).events(closed), want)
		})
	}
}
