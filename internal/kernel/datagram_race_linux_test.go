//go:build amd64 || arm64

package kernel

import (
	"errors"
	"fmt"
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
	"github.com/socketflow/socketflow/internal/testenv"
)

const (
	racedRounds  = 8
	racedSockets = 128 // of a round
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
	eachDatagramTracer(t, func(t *testing.T, tracer datagramTracer, _ bool) {
		for name, test := range map[string]struct {
			second func(t *testing.T, fd int)
			want   [event.Directions]uint32 // datagrams
		}{
			"both send":                     {send, [...]uint32{2, 0}},
			"one sends, the other receives": {receive, [...]uint32{1, 1}},
		} {
			t.Run(name, func(t *testing.T) {
				peer := newDatagramEnd(t, unix.AF_INET)
				for range racedRounds {
					withoutLoss(t, tracer, func() (check func()) {
						r := newRacedRound(t, peer, test.want[event.Received] > 0)
						defer r.close(t)
						race(len(r.fds), func(i int) { send(t, r.fds[i]) }, func(i int) { test.second(t, r.fds[i]) })
						r.read(t, tracer)
						return func() { r.check(t, test.want) }
					})
				}
			})
		}
		counters, err := tracer.Counters()
		must(t, err)
		if counters.FlowReopened != 0 {
			t.Errorf("%d flows are begun again", counters.FlowReopened)
		}
	})
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

// withoutLoss repeats an attempt of which the kernel programs have lost something: the host has other programs, which fill the ring
// buffer, too.
func withoutLoss(t *testing.T, tracer interface{ Counters() (Counters, error) }, attempt func() (check func())) {
	t.Helper()
	lost := func() (n uint64) {
		c, err := tracer.Counters()
		must(t, err)
		for _, full := range c.RingFull {
			n += full
		}
		return n + c.PayloadRingFull + c.Missed
	}
	testenv.Repeat(t, 10, func(last bool) string {
		before := lost()
		check := attempt()
		if n := lost() - before; n > 0 && !last {
			return fmt.Sprintf("%d events were lost", n)
		}
		check()
		return ""
	})
}

// racedRound is sockets that are connected to one peer, and what was seen of them.
type racedRound struct {
	fds     []int
	ports   map[uint16]bool
	opened  map[uint64]*[event.Directions]uint32 // the datagrams of each flow that were emitted
	counted map[uint64]bpf.SyscallsDatagramFlow  // by the kernel
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

// read reads what was emitted of the sockets, and what the kernel has counted. Data before the open of its flow does not count.
func (r *racedRound) read(t *testing.T, tracer datagramTracer) {
	t.Helper()
	r.opened = map[uint64]*[event.Directions]uint32{}
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
			r.opened[e.Flow.Cookie] = new([event.Directions]uint32)
		case e.Kind == event.KindData && r.opened[e.Flow.Cookie] != nil:
			r.opened[e.Flow.Cookie][e.Data.Direction]++
		}
	}
	r.counted = flowsInKernel(t, tracer)
}

// check compares that with the datagrams that each socket has transferred.
func (r *racedRound) check(t *testing.T, want [event.Directions]uint32) {
	t.Helper()
	bytes := [...]uint64{uint64(want[0]) * racedLength, uint64(want[1]) * racedLength}
	emitted, counted := 0, 0
	for cookie, datagrams := range r.opened {
		if *datagrams == want {
			emitted++
		}
		if d := r.counted[cookie]; d.Datagrams == want && d.Bytes == bytes {
			counted++
		}
	}
	if len(r.opened) != racedSockets || emitted != racedSockets || counted != racedSockets {
		t.Errorf("over %d sockets %d flows are opened; %d are emitted with all of their datagrams, and %d counted", racedSockets, len(r.opened), emitted, counted)
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
