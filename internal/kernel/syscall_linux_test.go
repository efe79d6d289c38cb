//go:build amd64 || arm64

package kernel

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// TestSyscallModeReportsAConnection: from its first call to its last, with its payload. This is the least that the syscall mode does:
// if it fails, so do the other tests of that mode.
func TestSyscallModeReportsAConnection(t *testing.T) {
	needPrivilege(t)
	tracer, err := OpenSyscalls(Options{
		Shards: 1, RingBytes: 1 << 20, Processes: 1024, Sockets: 1024, Data: true, Unix: true, UDP: true,
		PayloadLimit: testLimit, PayloadBurst: testBurst, DatagramIdle: time.Minute,
	}, func(event.Event) {})
	if refused := (*ebpf.VerifierError)(nil); errors.As(err, &refused) {
		t.Fatalf("%v\n%-100v", err, refused) // the end of the verifier's log says why
	}
	must(t, err)
	t.Cleanup(func() { must(t, tracer.Close()) })
	t.Logf("%d hooks", len(tracer.Attached()))
	for _, degraded := range tracer.Degraded() {
		t.Errorf("this kernel lacks something: %v", degraded)
	}

	client, server := connect(t)
	local, remote := name(t, unix.Getsockname, client), name(t, unix.Getpeername, client)
	text := []byte("what is sent")
	n, err := unix.Write(client, text)
	if err != nil || n != len(text) {
		t.Fatalf("%d of %d bytes: %v", n, len(text), err)
	}
	if n, err = unix.Read(server, make([]byte, len(text))); err != nil || n != len(text) {
		t.Fatalf("%d of %d bytes: %v", n, len(text), err)
	}
	must(t, unix.Close(client))
	must(t, unix.Close(server))

	emitted := readConnections(t, tracer)
	for role, want := range map[event.Role]struct {
		remote    netip.AddrPort
		direction event.Direction
	}{
		event.RoleClient: {remote, event.Sent},
		event.RoleServer: {local, event.Received},
	} {
		end := emitted[role]
		if end == nil {
			t.Errorf("role %d: not emitted", role)
			continue
		}
		if end.opened.Flow.Remote != want.remote {
			t.Errorf("role %d: the other end is %s, want %s", role, end.opened.Flow.Remote, want.remote)
		}
		if !bytes.Equal(end.data[want.direction], text) || len(end.data[want.direction^1]) != 0 {
			t.Errorf("role %d: emitted %q, want %q in direction %d", role, end.data, text, want.direction)
		}
		if !end.closed {
			t.Errorf("role %d: the close is not emitted", role)
		}
	}
}

// emittedEnd is what was emitted of one end of a connection.
type emittedEnd struct {
	opened event.Event
	data   [event.Directions][]byte
	closed bool
}

// readConnections reads the events of TCP connections of this process, by the role of the end.
func readConnections(t *testing.T, tracer *SyscallTracer) map[event.Role]*emittedEnd {
	t.Helper()
	ends := map[uint64]*emittedEnd{}
	reader := tracer.Readers()[0]
	reader.SetDeadline(time.Now().Add(time.Millisecond))
	var e event.Event
	for {
		err := reader.Next(&e)
		if errors.Is(err, ErrIdle) {
			break
		}
		must(t, err)
		end := ends[e.Flow.Cookie]
		switch {
		case e.Kind == event.KindOpen && e.Owner.PID == uint32(os.Getpid()) && e.Flow.Transport == event.TCP:
			ends[e.Flow.Cookie] = &emittedEnd{opened: e}
		case end == nil: // of another process
		case e.Kind == event.KindData:
			end.data[e.Data.Direction] = append(end.data[e.Data.Direction], e.Data.Payload...)
		case e.Kind == event.KindClose:
			end.closed = true
		}
	}
	byRole := map[event.Role]*emittedEnd{}
	for _, end := range ends {
		if byRole[end.opened.Flow.Role] != nil {
			t.Errorf("role %d: emitted twice", end.opened.Flow.Role)
		}
		byRole[end.opened.Flow.Role] = end
	}
	return byRole
}

func name(t *testing.T, ask func(int) (unix.Sockaddr, error), fd int) netip.AddrPort {
	t.Helper()
	got, err := ask(fd)
	must(t, err)
	inet := got.(*unix.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(inet.Addr), uint16(inet.Port))
}
