//go:build amd64 || arm64

package kernel

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// uringTransfer is how what io_uring transfers is emitted on this kernel.
func uringTransfer(t *testing.T) func(text string) transfer {
	t.Helper()
	types, err := btf.LoadKernelSpec()
	must(t, err)
	if knowsUring(types) {
		return whole
	}
	return func(text string) transfer { return unseen(len(text)) }
}

// uringSetups are the ways in which the kernel comes to work on a request.
var uringSetups = map[string]struct {
	ring    uint32
	request uint8
}{
	"by the thread":             {0, 0},
	"by a worker":               {0, requestAsync},
	"by the polling thread":     {setupPolled, 0},
	"when the thread waits":     {setupSingleIssuer | setupDeferred, 0},
	"on a registered file":      {0, requestFixedFile},
	"on one by a worker":        {0, requestFixedFile | requestAsync},
	"on one by the poll thread": {setupPolled, requestFixedFile},
}

const (
	uringText  = "what is sent"
	uringGroup = 7
)

// uringWays are the operations: each makes a request that sends uringText, or one that receives it.
var uringSends, uringReceives = map[string]func(u *uring, fd int) uringRequest{
	"send":           func(u *uring, fd int) uringRequest { return u.request(opSend, fd, []byte(uringText)) },
	"write":          func(u *uring, fd int) uringRequest { return u.request(opWrite, fd, []byte(uringText)) },
	"send_zc":        func(u *uring, fd int) uringRequest { return u.request(opSendZeroCopy, fd, []byte(uringText)) },
	"sendmsg":        func(u *uring, fd int) uringRequest { return u.request(opSendmsg, fd, uringParts()...) },
	"sendmsg of one": func(u *uring, fd int) uringRequest { return u.request(opSendmsg, fd, []byte(uringText)) },
	"writev":         func(u *uring, fd int) uringRequest { return u.request(opWritev, fd, uringParts()...) },
	"write_fixed": func(u *uring, fd int) uringRequest {
		return u.request(opWriteFixed, fd, append(u.registered()[:0], uringText...))
	},
}, map[string]func(u *uring, fd int) uringRequest{
	"recv": func(u *uring, fd int) uringRequest { return u.request(opRecv, fd, make([]byte, 100)) },
	"read": func(u *uring, fd int) uringRequest { return u.request(opRead, fd, make([]byte, 100)) },
	"recvmsg": func(u *uring, fd int) uringRequest {
		return u.request(opRecvmsg, fd, make([]byte, 3), nil, make([]byte, 100))
	},
	"recvmsg of one": func(u *uring, fd int) uringRequest { return u.request(opRecvmsg, fd, make([]byte, 100)) },
	"readv": func(u *uring, fd int) uringRequest {
		return u.request(opReadv, fd, make([]byte, 3), nil, make([]byte, 100))
	},
	"read_fixed": func(u *uring, fd int) uringRequest { return u.request(opReadFixed, fd, u.registered()) },
	"multishot": func(u *uring, fd int) uringRequest {
		r := uringRequest{opcode: opRecv, fd: int32(fd), priority: priorityMultishot}
		return u.picking(r)
	},
	"recv that picks": func(u *uring, fd int) uringRequest {
		return u.picking(uringRequest{opcode: opRecv, fd: int32(fd), length: 100})
	},
	"read that picks": func(u *uring, fd int) uringRequest {
		return u.picking(uringRequest{opcode: opRead, fd: int32(fd), length: 100})
	},
}

func uringParts() [][]byte { return [][]byte{[]byte("what "), nil, []byte("is"), []byte(" sent")} }

// registered is a registered buffer.
func (u *uring) registered() []byte {
	u.t.Helper()
	b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	must(u.t, err)
	v := iovecs(b)
	u.register(registerBuffers, pointer(&v[0]), 1)
	return b
}

// picking has the request pick its buffer when there is something to receive.
func (u *uring) picking(r uringRequest) uringRequest {
	u.t.Helper()
	const buffers, size = 4, 64
	give := u.request(opProvideBuffers, buffers, make([]byte, buffers*size))
	give.length, give.buffer = size, uringGroup
	if c := u.wait(u.submit(give)[0]); c.result < 0 {
		u.t.Fatalf("provide buffers: %d", c.result)
	}
	r.flags |= requestSelectBuffer
	r.buffer = uringGroup
	return r
}

// of has a request be worked on in the way of a setup. The first registered file is the client.
func (u *uring) of(w *wire, request uint8, r uringRequest) uringRequest {
	r.flags |= request
	if request&requestFixedFile != 0 {
		r.fd = map[int32]int32{int32(w.client): 0, int32(w.server): 1}[r.fd]
	}
	return r
}

// uringOf makes a ring that knows the sockets.
func uringOf(w *wire, flags uint32, request uint8) *uring {
	w.t.Helper()
	u := newUring(w.t, flags)
	if request&requestFixedFile != 0 {
		files := []int32{int32(w.client), int32(w.server)}
		u.register(registerFiles, pointer(&files[0]), len(files))
	}
	return u
}

// TestDataOfEveryRequestOfIOUring: whichever request transfers bytes, whoever works on it, and whether it has to wait for them, the events
// have the bytes that were transferred.
func TestDataOfEveryRequestOfIOUring(t *testing.T) {
	byUring := uringTransfer(t)
	tracer := openForTest(t)
	for how, setup := range uringSetups {
		play := func(name string, do func(w *wire, u *uring)) {
			t.Run(name+" "+how, func(t *testing.T) {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				w := newWire(t, tracer)
				do(w, uringOf(w, setup.ring, setup.request))
				w.listen()
				w.expect(atClient, event.Sent, byUring(uringText))
				w.expect(atServer, event.Received, byUring(uringText))
			})
		}
		for name, send := range uringSends {
			play(name, func(w *wire, u *uring) {
				u.do(len(uringText), u.of(w, setup.request, send(u, w.client)))
				u.do(len(uringText), u.of(w, setup.request, u.request(opRecv, w.server, make([]byte, 100))))
			})
		}
		for name, receive := range uringReceives {
			play(name, func(w *wire, u *uring) {
				u.do(len(uringText), u.of(w, setup.request, u.request(opSend, w.client, []byte(uringText))))
				u.do(len(uringText), u.of(w, setup.request, receive(u, w.server)))
			})
			play(name+" that waits", func(w *wire, u *uring) {
				received := u.begin(u.of(w, setup.request, receive(u, w.server)))
				u.do(len(uringText), u.of(w, setup.request, u.request(opSend, w.client, []byte(uringText))))
				received(len(uringText))
			})
		}
	}
}

// TestIOUringIsReadWhereItIsCertain: of requests that look alike none is taken for another one.
func TestIOUringIsReadWhereItIsCertain(t *testing.T) {
	parts := []string{"one", "two and", "three of", "four"}
	all := strings.Join(parts, "")
	cases := map[string]struct {
		do      func(w *wire, u *uring)
		certain bool
	}{
		"linked sends":           {func(w *wire, u *uring) { sendLinked(w, u, opSend, parts) }, true},
		"linked zero-copy sends": {func(w *wire, u *uring) { sendLinked(w, u, opSendZeroCopy, parts) }, true},
		"linked writes":          {func(w *wire, u *uring) { sendLinked(w, u, opWrite, parts) }, true},
		"a multishot receive": {func(w *wire, u *uring) {
			identity := u.submit(u.picking(uringRequest{opcode: opRecv, fd: int32(w.server), priority: priorityMultishot}))[0]
			for _, p := range parts {
				w.send([]byte(p))
				w.did(int(u.wait(identity).result), len(p), nil)
			}
		}, true},
		"receives that wait for the same socket": {func(w *wire, u *uring) {
			waitForAll(w, u, parts, func() uringRequest { return u.request(opRecv, w.server, make([]byte, 100)) })
		}, true},
		"reads that wait for the same socket": {func(w *wire, u *uring) {
			waitForAll(w, u, parts, func() uringRequest { return u.request(opRead, w.server, make([]byte, 100)) })
		}, false},
		"a vector that is used again": {func(w *wire, u *uring) {
			r := u.request(opRecvmsg, w.server, make([]byte, 3), make([]byte, 100))
			vector := u.held[len(u.held)-2].([]unix.Iovec)
			received := u.begin(r)
			copy(vector, iovecs([]byte("not"), []byte(strings.Repeat("this", 25))))
			w.send([]byte(all))
			received(len(all))
		}, true},
		"a message of many pieces": {func(w *wire, u *uring) {
			var pieces [][]byte
			for i := range all {
				pieces = append(pieces, []byte(all[i:i+1]))
			}
			u.do(len(all), u.request(opSendmsg, w.client, pieces...))
			w.receive(len(all))
		}, true},
	}
	readable := uringTransfer(t)("x") == whole("x")
	tracer := openForTest(t)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			w := newWire(t, tracer)
			c.do(w, newUring(t, 0))
			w.listen()
			for end, direction := range map[int]event.Direction{atClient: event.Sent, atServer: event.Received} {
				w.expectPartsOf(all, end, direction, readable && c.certain)
			}
		})
	}
}

// sendLinked sends the parts by requests that each wait for the one before.
func sendLinked(w *wire, u *uring, op uint8, parts []string) {
	w.t.Helper()
	var requests []uringRequest
	for _, p := range parts {
		r := u.request(op, w.client, []byte(p))
		r.flags = requestLink
		requests = append(requests, r)
	}
	requests[len(requests)-1].flags = 0
	for i, identity := range u.submit(requests...) {
		w.did(int(u.wait(identity).result), len(parts[i]), nil)
	}
	w.receive(len(strings.Join(parts, "")))
}

// waitForAll has as many requests wait as there are parts, and then sends these.
func waitForAll(w *wire, u *uring, parts []string, request func() uringRequest) {
	w.t.Helper()
	var identities []uint64
	for range parts {
		identities = append(identities, u.submit(request())...)
	}
	left := 0
	for _, p := range parts {
		w.send([]byte(p))
		left += len(p)
	}
	for left > 0 {
		c := u.waitForAny()
		identities = slices.DeleteFunc(identities, func(i uint64) bool { return i == c.identity })
		left -= int(c.result)
	}
	must(w.t, unix.Shutdown(w.client, unix.SHUT_WR)) // ends the others
	for _, identity := range identities {
		w.did(int(u.wait(identity).result), 0, nil)
	}
}

// expectPartsOf expects events that are together a stream. Payload is what was transferred, or it is missing because it was not certain.
func (w *wire) expectPartsOf(stream string, end int, direction event.Direction, certain bool) {
	w.t.Helper()
	at := 0
	for _, d := range w.emitted[end][direction] {
		if at+int(d.Length) > len(stream) {
			w.t.Fatalf("end %d: %d bytes at %d, of %d", end, d.Length, at, len(stream))
		}
		want := stream[at : at+int(d.Length)]
		if missing := d.CutReason == event.CutNoBuffer && !certain; string(d.Payload) != want && (!missing || len(d.Payload) > 0) {
			w.t.Errorf("end %d, at %d: %q, cut %v, want %q", end, at, d.Payload, d.CutReason, want)
		}
		at += int(d.Length)
	}
	if at != len(stream) {
		w.t.Errorf("end %d: %d bytes, want %d", end, at, len(stream))
	}
}

// TestIOUringRequestOlderThanThePrograms: it is not seen when it begins to wait, but when it goes on.
func TestIOUringRequestOlderThanThePrograms(t *testing.T) {
	byUring := uringTransfer(t)
	needPrivilege(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := &wire{t: t}
	w.client, w.server = connect(t)
	w.identify()
	u := newUring(t, 0)
	identity := u.submit(u.picking(uringRequest{opcode: opRecv, fd: int32(w.server), priority: priorityMultishot}))[0]
	w.tracer = openForTest(t)
	w.findExisting()
	w.send([]byte(uringText))
	w.did(int(u.wait(identity).result), len(uringText), nil)
	w.listen()
	w.expect(atServer, event.Received, byUring(uringText))
}

// TestIOUringIsNoEvidenceOfACause: what a thread does for a ring need not be about what it has received last.
func TestIOUringIsNoEvidenceOfACause(t *testing.T) {
	l := newLoop(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	u := newUring(t, 0)
	l.write(l.call.client) // the first bytes that this thread sends on it
	for name, test := range map[string]struct {
		receive, send func()
		want          bool
	}{
		"calls": {l.request(0), func() { l.write(l.call.client) }, true},
		"received by io_uring": {func() {
			l.elsewhere(func() { l.write(l.served[0][0]) })
			u.do(1, u.request(opRecv, l.served[0][1], make([]byte, 1)))
		}, func() { l.write(l.call.client) }, false},
		"sent by io_uring": {l.request(0), func() { u.do(1, u.request(opSend, l.call.client, []byte("x"))) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			test.receive()
			test.send()
			l.call.listen()
			sent := l.call.emitted[atClient][event.Sent]
			if len(sent) == 0 {
				t.Fatal("nothing is emitted")
			}
			if got := sent[len(sent)-1].Cause; (got.Length != 0) != test.want {
				t.Errorf("cause %+v, want one: %v", got, test.want)
			}
		})
	}
}
