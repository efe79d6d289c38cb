//go:build amd64 || arm64

package kernel

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// TestControlProgramsHideNoCalls: requests of user space to the kernel side, however many, do not make the kernel skip programs. The
// kernel skips them on a CPU whose task is in an operation on a map. That matters where a task can be preempted there: as a rule
// from Linux 7.0 on.
func TestControlProgramsHideNoCalls(t *testing.T) {
	needPrivilege(t)
	tracer, err := OpenSyscalls(Options{
		Shards: 1, RingBytes: 1 << 22, Processes: 1024, Sockets: 1024, Unix: true, UDP: true, DatagramIdle: time.Millisecond,
	}, func(event.Event) {})
	must(t, err)
	t.Cleanup(func() { must(t, tracer.Close()) })

	client, server := connect(t)
	var over atomic.Bool
	var looks atomic.Uint64
	var looking sync.WaitGroup
	// More than there are CPUs, so that they preempt each other and the thread that transfers.
	for range 2 * runtime.NumCPU() {
		looking.Go(func() {
			for !over.Load() {
				if err := lookOnce(tracer); err != nil {
					t.Error(err)
					return
				}
				looks.Add(1)
			}
		})
	}
	looking.Go(func() {
		for !over.Load() {
			if _, err := tracer.Live(context.Background()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	const transfers = 10_000
	some := []byte{1}
	for range transfers {
		if _, err := unix.Write(client, some); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Read(server, some); err != nil {
			t.Fatal(err)
		}
	}
	over.Store(true)
	looking.Wait()
	must(t, unix.Close(client))
	must(t, unix.Close(server))

	counters, err := tracer.Counters()
	must(t, err)
	t.Logf("%d looks", looks.Load())
	if counters.Missed > 0 {
		t.Errorf("programs were skipped %d times", counters.Missed)
	}
	emitted := closings(t, tracer)
	if got := emitted[event.RoleClient].BytesSent; got != transfers {
		t.Errorf("%d of %d calls that send are counted", got, transfers)
	}
	if got := emitted[event.RoleServer].BytesReceived; got != transfers {
		t.Errorf("%d of %d calls that receive are counted", got, transfers)
	}
}

// lookOnce makes most of the requests that user space makes of the attached programs.
func lookOnce(tracer *SyscallTracer) error {
	const none = 1 << 20 // no process has so many descriptors open here
	pid := uint32(os.Getpid())
	tracer.Known(pid, none)
	tracer.Asked(pid, none, 1)
	_, err := tracer.Counters()
	_, flows := tracer.Datagrams(context.Background())
	return errors.Join(err, tracer.Reject(pid, none, 1), flows)
}

// closings is how the TCP connections of this process have ended, by the role of the end.
func closings(t *testing.T, tracer *SyscallTracer) map[event.Role]event.Ending {
	t.Helper()
	reader := tracer.Readers()[0]
	reader.SetDeadline(time.Now().Add(time.Millisecond))
	emitted := map[event.Role]event.Ending{}
	for {
		var e event.Event
		err := reader.Next(&e)
		if errors.Is(err, ErrIdle) {
			return emitted
		}
		must(t, err)
		if e.Kind == event.KindClose && e.Owner.PID == uint32(os.Getpid()) && e.Flow.Transport == event.TCP {
			emitted[e.Flow.Role] = e.Ending
		}
	}
}
