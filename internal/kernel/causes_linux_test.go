//go:build amd64 || arm64

package kernel

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// loop is a thread that serves two connections, calls over a third one, and has a socket that is not followed.
type loop struct {
	t       *testing.T
	peer    chan func() // what another thread is to do
	done    chan struct{}
	served  [2][2]int // each the other end, and the thread's
	call    *wire     // the thread has the client's end
	hidden  [2]int    // the other end, and the thread's
	epoll   int
	tracers *SocketTracer
}

func newLoop(t *testing.T) *loop {
	needPrivilege(t)
	tracer, err := OpenSockets(Options{
		Shards: 1, RingBytes: 1 << 20, Processes: 64, Sockets: 64, Data: true, PayloadLimit: testLimit, PayloadBurst: testBurst, Causes: true,
	})
	must(t, err)
	t.Cleanup(func() { must(t, tracer.Close()) })
	l := &loop{t: t, peer: make(chan func()), done: make(chan struct{}), tracers: tracer}
	t.Cleanup(func() { close(l.peer) })
	go func() {
		for f := range l.peer {
			f()
			l.done <- struct{}{}
		}
	}()
	l.elsewhere(func() {
		for i := range l.served {
			l.served[i][0], l.served[i][1] = connect(t)
		}
		l.call = newWire(t, tracer)
		l.write(l.call.client) // the first bytes are those of the connect
	})
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	l.hidden = [2]int{pair[0], pair[1]}
	l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	must(t, err)
	t.Cleanup(func() {
		for _, fd := range []int{pair[0], pair[1], l.epoll} {
			must(t, unix.Close(fd))
		}
	})
	must(t, unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, pair[1], &unix.EpollEvent{Events: unix.EPOLLOUT}))
	return l
}

// elsewhere does something on another thread.
func (l *loop) elsewhere(f func()) {
	l.peer <- f
	<-l.done
}

func (l *loop) transfer(from, to int) {
	b := []byte("x")
	l.elsewhere(func() { l.write(from) })
	if n, err := unix.Read(to, b); n != 1 || err != nil {
		l.t.Fatalf("%d bytes: %v", n, err)
	}
}

func (l *loop) write(fd int) {
	if n, err := unix.Write(fd, []byte("x")); n != 1 || err != nil {
		l.t.Errorf("%d bytes: %v", n, err)
	}
}

// request receives one.
func (l *loop) request(i int) func() { return func() { l.transfer(l.served[i][0], l.served[i][1]) } }

func (l *loop) respond(i int) func() { return func() { l.write(l.served[i][1]) } }

// actPromptly acts upon requests until it is forgotten that others lay.
func (l *loop) actPromptly() {
	for i := range 256 {
		l.request(i % 2)()
		l.respond(i % 2)()
	}
}

// answered receives the answer to a call.
func (l *loop) answered() { l.transfer(l.call.server, l.call.client) }

func (l *loop) receiveHidden() { l.transfer(l.hidden[0], l.hidden[1]) }

func (l *loop) sendHidden() { l.write(l.hidden[1]) }

// look looks for events, of which there is one, for so many milliseconds at the most.
func (l *loop) look(timeout int) func() {
	return func() {
		n, err := unix.EpollWait(l.epoll, make([]unix.EpollEvent, 1), timeout)
		if n != 1 || err != nil {
			l.t.Fatalf("%d events: %v", n, err)
		}
	}
}

// lookAt looks whether so many descriptors are ready.
func (l *loop) lookAt(descriptors int) func() {
	return func() {
		fds := make([]unix.PollFd, descriptors)
		for i := range fds {
			fds[i] = unix.PollFd{Fd: int32(l.hidden[1]), Events: unix.POLLOUT}
		}
		if n, err := unix.Poll(fds, -1); n != descriptors || err != nil {
			l.t.Fatalf("%d are ready: %v", n, err)
		}
	}
}

// send sends something, and returns its cause.
func (l *loop) send() event.Cause {
	l.write(l.call.client)
	l.call.listen()
	sent := l.call.emitted[atClient][event.Sent]
	if len(sent) == 0 {
		l.t.Fatal("nothing is emitted")
	}
	return sent[len(sent)-1].Cause
}

// connect opens a connection. What follows is sent over that one.
func (l *loop) connect() { l.call = newWire(l.t, l.tracers) }

// TestWhatAThreadMayHaveSentSomethingFor: a thread sends something after it has done this and that.
func TestWhatAThreadMayHaveSentSomethingFor(t *testing.T) {
	const never, long = -1, int(time.Hour / time.Millisecond)
	l := newLoop(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Who starts a garbage collection looks for events, too: this thread would have done what its steps do not say.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for _, test := range []struct {
		name  string
		steps []func()
		want  event.Cause // beside the position, length and what says nothing of the steps
		none  bool        // of the length: it is not known what was received
	}{
		{"a request", []func(){l.request(0)}, event.Cause{Row: 1}, false},
		{"behind another one", []func(){l.request(0), l.request(1)}, event.Cause{Row: 2, Deferred: true}, false},
		{"behind one that was acted upon", []func(){l.request(0), l.respond(0), l.request(1)}, event.Cause{Row: 1}, false},
		{"behind one that was passed on to a socket that is not followed", []func(){l.request(0), l.sendHidden, l.request(1)}, event.Cause{Row: 1}, false},
		{"behind one that came before it looked for events", []func(){l.request(0), l.look(never), l.request(1)}, event.Cause{Row: 1}, false},
		{"behind an answer", []func(){l.answered, l.request(0)}, event.Cause{Row: 2}, false},
		{"an answer behind a request", []func(){l.request(0), l.answered}, event.Cause{Row: 2, Deferred: true}, false},
		{
			"behind one that was deferred, and others that were not",
			[]func(){l.request(0), l.answered, l.sendHidden, l.request(1)},
			event.Cause{Row: 1, Deferred: true}, false,
		},
		{"it has answered", []func(){l.request(0), l.respond(0)}, event.Cause{Row: 1, Answered: true}, false},
		{"something that is not followed", []func(){l.request(0), l.respond(0), l.receiveHidden}, event.Cause{Row: 1}, true},
		{"it has looked for events", []func(){l.request(0), l.look(never)}, event.Cause{Row: 1, Polled: true}, false},
		{"it has looked at two descriptors", []func(){l.request(0), l.lookAt(2)}, event.Cause{Row: 1, Polled: true}, false},
		{"it has looked at one descriptor", []func(){l.request(0), l.lookAt(1)}, event.Cause{Row: 1}, false},
		{"before its timers", []func(){l.look(long), l.request(0)}, event.Cause{Row: 1}, false},
		{"as late as its timers", []func(){l.look(1), l.request(0)}, event.Cause{Row: 1, Polled: true}, false},
		{"it has not waited, and has brief timers", []func(){l.look(1), l.look(0), l.request(0)}, event.Cause{Row: 1, Polled: true}, false},
		{"it has not waited, and has no brief timers", []func(){l.look(long), l.look(0), l.request(0)}, event.Cause{Row: 1}, false},
		{
			"it has not waited, and has let requests lie",
			[]func(){l.look(long), l.request(0), l.request(1), l.request(0), l.look(0), l.request(0)},
			event.Cause{Row: 1, Polled: true}, false,
		},
		{
			"it has not waited, and has let a request lie once",
			[]func(){l.look(long), l.request(0), l.look(0), l.request(0)},
			event.Cause{Row: 1}, false,
		},
		{
			"it has not waited, and once let requests lie",
			[]func(){l.look(long), l.request(0), l.request(1), l.request(0), l.look(0), l.actPromptly, l.look(0), l.request(0)},
			event.Cause{Row: 1}, false,
		},
		{"it has connected", []func(){l.request(0), l.connect, l.request(1)}, event.Cause{Row: 1, Connect: true}, false},
		{
			"it has connected for something that is not followed",
			[]func(){l.receiveHidden, l.connect, l.request(0)},
			event.Cause{Row: 1, Connect: true}, true,
		},
	} {
		l.actPromptly()
		l.look(never)()
		for _, step := range test.steps {
			step()
		}
		got := l.send()
		if (got.Length == 0) != test.none {
			t.Errorf("%s: it had received %+v", test.name, got)
		}
		got = event.Cause{Row: got.Row, Polled: got.Polled, Deferred: got.Deferred, Answered: got.Answered, Connect: got.Connect}
		if got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// TestTimersOfALoopThatHasJustBegun: when it waits for the first time, it is known when its timers are due.
func TestTimersOfALoopThatHasJustBegun(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	l := newLoop(t)
	l.request(0)()
	l.respond(0)()
	l.look(int(time.Hour / time.Millisecond))()
	l.request(1)()
	if got := l.send(); got.Polled || got.Row != 1 || !got.Loop {
		t.Errorf("%+v", got)
	}
}
