//go:build amd64 || arm64

package kernel

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
)

const (
	racedRounds  = 8
	racedSockets = 256 // of a round
	racedLength  = 10  // bytes of a datagram
)

// TestTwoThreadsBeginOneFlow: two threads transfer the first two datagrams of a flow at the same time. It is opened once, before all
// else that is emitted of it, and both datagrams are emitted and counted.
func TestTwoThreadsBeginOneFlow(t *testing.T) {
	send := func(t *testing.T, fd int) {
		if _, err := unix.Write(fd, make([]byte, racedLength)); err != nil {
			t.Error(err)
		}
	}
	receive := func(t *testing.T, fd int) {
		if n, err := unix.Read(fd, make([]byte, 100)); n != racedLength || err != nil {
			t.Errorf("received %d bytes, want %d: %v", n, racedLength, err)
		}
	}
	for name, test := range map[string]struct {
		second func(t *testing.T, fd int)
		want   [event.Directions]uint32 // datagrams
	}{
		"both send":                     {send, [...]uint32{2, 0}},
		"one sends, the other receives": {receive, [...]uint32{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			eachDatagramTracer(t, func(t *testing.T, tracer datagramTracer, _ bool) {
				peer := newDatagramEnd(t, unix.AF_INET)
				for range racedRounds {
					r := newRacedRound(t, peer, test.want[event.Received] > 0)
					race(len(r.fds), func(i int) { send(t, r.fds[i]) }, func(i int) { test.second(t, r.fds[i]) })
					r.check(t, tracer, test.want)
					r.close(t)
				}
				counters, err := tracer.Counters()
				must(t, err)
				if counters.FlowReopened != 0 {
					t.Errorf("%d flows are begun again", counters.FlowReopened)
				}
			})
		})
	}
}

// race runs both functions for each number below n, each in a thread of its own: they begin with a number at the same time.
func race(n int, both ...func(i int)) {
	var arrived atomic.Int64
	var done sync.WaitGroup
	for _, do := range both {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for i := range n {
				arrived.Add(1)
				for spins := 1; arrived.Load() < int64(len(both)*(i+1)); spins++ {
					if spins%10_000 == 0 { // the other one may need this CPU
						_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
					}
				}
				do(i)
			}
		})
	}
	done.Wait()
}

// racedRound is sockets that are connected to one peer, and that nothing was transferred over.
type racedRound struct {
	fds   []int
	ports map[uint16]bool
}

// newRacedRound makes them. answered: each has got a datagram of the peer's that nobody has received.
func newRacedRound(t *testing.T, peer *datagramEnd, answered bool) *racedRound {
	t.Helper()
	r := &racedRound{ports: map[uint16]bool{}}
	for range racedSockets {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		r.fds = append(r.fds, fd)
		must(t, unix.Connect(fd, peer.address))
		name, err := unix.Getsockname(fd)
		must(t, err)
		r.ports[uint16(name.(*unix.SockaddrInet4).Port)] = true
		if answered {
			must(t, unix.Sendto(peer.fd, make([]byte, racedLength), 0, name))
		}
	}
	return r
}

func (r *racedRound) close(t *testing.T) {
	t.Helper()
	for _, fd := range r.fds {
		must(t, unix.Close(fd))
	}
}

// check compares what was emitted of the sockets, and what the kernel has counted, with the datagrams that each has transferred.
func (r *racedRound) check(t *testing.T, tracer datagramTracer, want [event.Directions]uint32) {
	t.Helper()
	opened := map[uint64]*[event.Directions]uint32{} // the datagrams of each flow that were emitted
	reader := tracer.Readers()[0]
	reader.SetDeadline(time.Now().Add(time.Millisecond))
	for {
		var e event.Event
		err := reader.Next(&e)
		if errors.Is(err, ErrIdle) {
			break
		}
		must(t, err)
		switch {
		case e.Owner.PID != uint32(os.Getpid()):
		case e.Kind == event.KindOpen && r.ports[e.Flow.Local.Port()]:
			opened[e.Flow.Cookie] = new([event.Directions]uint32)
		case e.Kind == event.KindData && opened[e.Flow.Cookie] != nil:
			opened[e.Flow.Cookie][e.Data.Direction]++
		}
	}
	if len(opened) != racedSockets {
		t.Errorf("%d flows are opened over %d sockets", len(opened), racedSockets)
	}
	for cookie, emitted := range opened {
		if *emitted != want {
			t.Errorf("flow %x: %d datagrams are emitted, want %d", cookie, *emitted, want)
		}
	}
	for cookie, d := range flowsInKernel(t, tracer) {
		if opened[cookie] != nil && (d.Datagrams != want || d.Bytes != [...]uint64{uint64(want[0]) * racedLength, uint64(want[1]) * racedLength}) {
			t.Errorf("flow %x: %d datagrams and %d bytes are counted, want %d datagrams", cookie, d.Datagrams, d.Bytes, want)
		}
	}
}

// flowsInKernel is the kernel's table of flows, by cookie.
func flowsInKernel(t *testing.T, tracer datagramTracer) map[uint64]bpf.SyscallsDatagramFlow {
	t.Helper()
	var table *ebpf.Map
	switch tracer := tracer.(type) {
	case *SocketTracer:
		table = tracer.objects.Maps[bpf.SocketflowMapDatagrams]
	case *SyscallTracer:
		table = tracer.objects.Maps[bpf.SyscallsMapDatagrams]
	}
	flows := map[uint64]bpf.SyscallsDatagramFlow{}
	var key bpf.SyscallsDatagramKey
	var flow bpf.SyscallsDatagramFlow
	each := table.Iterate()
	for each.Next(&key, &flow) {
		flows[flow.Flow.Cookie] = flow
	}
	must(t, each.Err())
	return flows
}
