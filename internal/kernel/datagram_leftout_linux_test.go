//go:build amd64 || arm64

package kernel

import (
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/ports"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procfs"
)

// leftOutPort is the remote port of the flows that are left out.
const leftOutPort = 9

// TestFlowsThatAreLeftOutTakeNoEntry: what the rules leave out, and the collector's own, does not push the flows that are followed out of
// the kernel's table. It is counted: a flow once, but for the few that share a slot.
func TestFlowsThatAreLeftOutTakeNoEntry(t *testing.T) {
	needPrivilege(t)
	const flows = 100
	for name, test := range map[string]struct {
		change  func(*Options)
		syscall bool
		ignored uint64
	}{
		"socket mode, by a rule": {ignored: flows, change: func(o *Options) {
			o.Rules = []Rule{{Exclude: true, RemotePort: ports.Range{Low: leftOutPort, High: leftOutPort}}}
		}},
		"socket mode, the collector's own": {ignored: flows, change: func(o *Options) { o.ExcludeSelf = true }},
		// Here user space counts what it leaves out.
		"syscall mode, by a rule": {syscall: true, change: func(o *Options) { o.Rules = []Rule{{Exclude: true}} }},
		// Here they are left out before anything looks at them.
		"syscall mode, the collector's own": {syscall: true, change: func(o *Options) { o.ExcludeSelf = true }},
	} {
		t.Run(name, func(t *testing.T) {
			opts := datagramOptions
			test.change(&opts)
			tracer, datagrams := openDatagrams(t, opts, test.syscall)
			from := newDatagramEnd(t, unix.AF_INET)
			for range 2 {
				for i := range flows { // nobody receives there
					must(t, unix.Sendto(from.fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 1, 0, byte(i)}, Port: leftOutPort}))
				}
			}
			if n := flowsLeftOut(t, datagrams); n != 0 {
				t.Errorf("%d flows that are left out have an entry", n)
			}
			counters, err := tracer.Counters()
			must(t, err)
			if n := counters.SelectionIgnored; n < test.ignored || n > test.ignored+test.ignored/2 {
				t.Errorf("%d flows are counted as left out, want %d", n, test.ignored)
			}
		})
	}
}

// openDatagrams opens a tracer whose rules, if there are any, all apply to this process, and returns its table of flows.
func openDatagrams(t *testing.T, opts Options, syscall bool) (datagramTracer, *ebpf.Map) {
	t.Helper()
	if syscall {
		tracer, err := OpenSyscalls(opts, func(event.Event) {})
		must(t, err)
		t.Cleanup(func() { must(t, tracer.Close()) })
		if len(opts.Rules) > 0 {
			name, generation := described(t, tracer)
			must(t, tracer.SetRuleMatch(name, generation, 1<<len(opts.Rules)-1))
		}
		return tracer, tracer.objects.Maps[bpf.SyscallsMapDatagrams]
	}
	tracer, err := OpenSockets(opts)
	must(t, err)
	t.Cleanup(func() { must(t, tracer.Close()) })
	if len(opts.Rules) > 0 {
		resolver, err := procfs.New(procfs.Options{})
		must(t, err)
		t.Cleanup(resolver.Close)
		pid := uint32(os.Getpid())
		self, err := resolver.Process(pid)
		must(t, err)
		must(t, tracer.SetRuleMatch(process.ID{PID: pid, Start: self.Start}, 0, 1<<len(opts.Rules)-1))
	}
	return tracer, tracer.objects.Maps[bpf.SocketflowMapDatagrams]
}

// described has this process described, and returns its name in the events.
func described(t *testing.T, tracer datagramTracer) (name process.ID, generation uint32) {
	t.Helper()
	a, b := newDatagramEnd(t, unix.AF_INET), newDatagramEnd(t, unix.AF_INET)
	a.pass(b, []byte("x"))
	reader := tracer.Readers()[0]
	reader.SetDeadline(time.Now().Add(time.Millisecond))
	for {
		var e event.Event
		must(t, reader.Next(&e))
		if e.Kind == event.KindProcess && e.Owner.PID == uint32(os.Getpid()) {
			return e.Owner, e.Generation
		}
	}
}

func flowsLeftOut(t *testing.T, datagrams *ebpf.Map) (n int) {
	t.Helper()
	must(t, eachKey(t.Context(), datagrams, func(key bpf.SyscallsDatagramKey) error {
		if key.RemotePort == leftOutPort {
			n++
		}
		return nil
	}))
	return n
}
