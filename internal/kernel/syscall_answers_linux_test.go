//go:build amd64 || arm64

package kernel

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
)

// TestAnswersWaitForTheNextCall: an answer of user space about a descriptor changes nothing at once, because a call may have changed the
// descriptor meanwhile. The process' next call about the descriptor uses the answer, if it is to the last question.
func TestAnswersWaitForTheNextCall(t *testing.T) {
	needPrivilege(t)
	client, server := connect(t) // before the programs are attached
	pid := uint32(os.Getpid())
	tracer, err := OpenSyscalls(Options{Shards: 1, RingBytes: 1 << 20, Processes: 1024, Sockets: 1024}, func(event.Event) {})
	must(t, err)
	t.Cleanup(func() { must(t, tracer.Close()) })
	reader := tracer.Readers()[0]
	next := func(kind event.Kind, fits func(*event.Event) bool) event.Event {
		t.Helper()
		reader.SetDeadline(time.Now().Add(10 * time.Second))
		for {
			var e event.Event
			must(t, reader.Next(&e))
			if e.Kind == kind && fits(&e) {
				return e
			}
		}
	}
	write := func() {
		t.Helper()
		// Only a socket can be sent to, so that the kernel side asks where the descriptor leads to.
		must(t, unix.Send(client, []byte{1}, 0))
	}
	is := func(want bpf.SyscallsDescriptorKind) {
		t.Helper()
		var d bpf.SyscallsDescriptor
		must(t, tracer.objects.Maps[bpf.SyscallsMapDescriptors].Lookup(bpf.SyscallsDescriptorKey{Pid: pid, Fd: uint32(client)}, &d))
		if got := bpf.SyscallsDescriptorKind(d.Kind); got != want {
			t.Errorf("the descriptor is known as %d, want %d", got, want)
		}
	}
	const asked, followed = bpf.SyscallsDescriptorKindDESCRIPTOR_ASKED, bpf.SyscallsDescriptorKindDESCRIPTOR_SOCKET

	write()
	question := next(event.KindUnknown, func(e *event.Event) bool { return e.Owner.PID == pid && e.FD == uint32(client) }).Flow.Cookie
	if !tracer.Asked(pid, uint32(client), question) {
		t.Error("the question is not known any more")
	}
	must(t, tracer.Reject(pid, uint32(client), question-1))
	write()
	is(asked) // that was another question's

	flow := event.Flow{
		Cookie: tracer.NewCookie(0), Transport: event.TCP,
		Local: name(t, unix.Getsockname, client), Remote: name(t, unix.Getpeername, client),
	}
	must(t, tracer.Adopt(pid, uint32(client), question, &flow, false))
	is(asked) // no call has used it
	if tracer.Asked(pid, uint32(client), question) || !tracer.Known(pid, uint32(client)) {
		t.Error("the question is still open")
	}
	write()
	is(followed)
	must(t, errors.Join(unix.Close(client), unix.Close(server)))
	if sent := next(event.KindClose, func(e *event.Event) bool { return e.Flow.Cookie == flow.Cookie }).Ending.BytesSent; sent != 1 {
		t.Errorf("%d bytes are counted, want 1: the one sent after the answer", sent)
	}
}
