//go:build amd64 || arm64

package kernel

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/testenv"
)

func needPrivilege(t *testing.T) {
	t.Helper()
	testenv.NeedRoot(t, "observing the host")
}

const (
	testLimit = 8192
	testBurst = 16384
)

// wire is a TCP connection of this process with itself, and the data events that were emitted of it.
type wire struct {
	t              *testing.T
	tracer         *SocketTracer
	client, server int
	cookies        [2]uint64 // of client and server
	emitted        [2][event.Directions][]event.Data
	opened         [2]event.Event
	closed         [2]event.Kind
	ended          [2]event.Ending
	left           [2][]event.Ending
	earlier        []event.Event // read, but not looked at
}

const (
	atClient = iota
	atServer
)

// openForTest attaches the programs, until the end of the test.
func openForTest(t *testing.T) *SocketTracer { return openWith(t, Options{}) }

func openWith(t *testing.T, opts Options) *SocketTracer {
	t.Helper()
	needPrivilege(t)
	opts.Shards, opts.RingBytes, opts.Processes, opts.Sockets = 1, 1<<22, 64, max(opts.Sockets, 64)
	opts.Data, opts.Unix, opts.UDP, opts.DatagramData = true, true, true, true
	opts.PayloadLimit, opts.PayloadBurst = testLimit, testBurst
	opts.DatagramIdle = time.Nanosecond
	tracer, err := OpenSockets(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, tracer.Close()) })
	return tracer
}

// eachAttachment runs a test with the programs that this kernel needs. If these are at tracepoints, it also runs the test with backups,
// which must not emit anything twice, and with the backups alone, as if every run of their primaries were skipped.
func eachAttachment(t *testing.T, test func(t *testing.T, tracer *SocketTracer)) {
	first := []string{"tp_btf/sock_send_length", "tp_btf/sock_recv_length", "tp_btf/inet_sock_set_state"}
	native := openForTest(t)
	t.Run("as needed", func(t *testing.T) { test(t, native) })
	if !slices.Contains(native.Attached(), first[0]) {
		return
	}
	must(t, native.Detach())
	twice := openWith(t, Options{alwaysBackup: true})
	t.Run("twice", func(t *testing.T) { test(t, twice) })
	for _, hook := range first { // the first of two that are attached there
		i := slices.IndexFunc(twice.hooks, func(h attachedHook) bool { return h.hook == hook })
		must(t, twice.links[i].Close())
		twice.links[i] = nil
	}
	t.Run("the second time", func(t *testing.T) { test(t, twice) })
}

// newWire connects; what is written to one end can be read at the other.
func newWire(t *testing.T, tracer *SocketTracer) *wire {
	t.Helper()
	w := &wire{t: t, tracer: tracer}
	w.client, w.server = connect(t)
	w.identify()
	return w
}

// identify reads the cookies of the sockets.
func (w *wire) identify() {
	w.t.Helper()
	for i, fd := range []int{w.client, w.server} {
		cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		must(w.t, err)
		w.cookies[i] = cookie
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T) (client, server int) {
	t.Helper()
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(listener) //nolint:errcheck // nothing was written
	must(t, unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(t, unix.Listen(listener, 1))
	name, err := unix.Getsockname(listener)
	must(t, err)
	client, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(client) }) //nolint:errcheck // the test may have closed it
	must(t, unix.Connect(client, name))
	server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	must(t, err)
	t.Cleanup(func() { unix.Close(server) }) //nolint:errcheck // the test may have closed it
	return client, server
}

// listen reads what has been emitted until now.
func (w *wire) listen() {
	w.t.Helper()
	for _, e := range w.earlier {
		w.take(e)
	}
	w.earlier = nil
	w.wait()
	for w.next(w.take) {
	}
}

// findExisting has the programs report every older socket, and keeps what they emit meanwhile for listen: they wait for room in the ring
// buffer, which the other programs of this machine may have filled.
func (w *wire) findExisting() {
	w.t.Helper()
	found := make(chan error, 1)
	go func() { found <- w.tracer.Existing(w.t.Context()) }()
	for {
		select {
		case err := <-found:
			must(w.t, err)
			return
		default:
		}
		w.wait()
		w.next(func(e event.Event) {
			if e.Flow.Unix != nil {
				names := *e.Flow.Unix
				e.Flow.Unix = &names
			}
			e.Data.Payload = bytes.Clone(e.Data.Payload)
			w.earlier = append(w.earlier, e)
		})
	}
}

// wait has next wait for a millisecond at most.
func (w *wire) wait() { w.tracer.Readers()[0].SetDeadline(time.Now().Add(time.Millisecond)) }

// next reads an event and hands it to take, unless there is none.
func (w *wire) next(take func(event.Event)) bool {
	w.t.Helper()
	var e event.Event
	err := w.tracer.Readers()[0].Next(&e)
	if errors.Is(err, ErrIdle) {
		return false
	}
	must(w.t, err)
	take(e)
	return true
}

// take notes an event, if it is of one of the two ends.
func (w *wire) take(e event.Event) {
	w.t.Helper()
	end := slices.Index(w.cookies[:], e.Flow.Cookie)
	if end < 0 {
		return
	}
	switch e.Kind {
	case event.KindData:
		d := e.Data
		d.Payload = bytes.Clone(d.Payload)
		if e.Owner.PID == 0 || d.TID == 0 || e.Time == 0 {
			w.t.Errorf("data of nobody, or of no time: %+v", e)
		}
		w.emitted[end][d.Direction] = append(w.emitted[end][d.Direction], d)
	case event.KindOpen:
		w.opened[end] = e
	case event.KindClose, event.KindPeerClose:
		w.closed[end], w.ended[end] = e.Kind, e.Ending
	case event.KindLocalClose:
		w.left[end] = append(w.left[end], e.Ending)
	}
}

// send and the like fail the test if a call does less than it was asked for.
func (w *wire) did(n, want int, err error) {
	w.t.Helper()
	if err != nil || n != want {
		w.t.Fatalf("%d of %d bytes: %v", n, want, err)
	}
}

func (w *wire) send(b []byte) {
	w.t.Helper()
	n, err := unix.Write(w.client, b)
	w.did(n, len(b), err)
}

func (w *wire) receive(n int) {
	w.t.Helper()
	b := make([]byte, n)
	for got := 0; got < n; {
		k, err := unix.Read(w.server, b[got:])
		if err != nil || k == 0 {
			w.t.Fatalf("%d of %d bytes: %v", got, n, err)
		}
		got += k
	}
}

// syscall makes a call that golang.org/x/sys does not have, or not like that.
func (w *wire) syscall(want int, nr uintptr, args ...uintptr) {
	w.t.Helper()
	var a [6]uintptr
	copy(a[:], args)
	n, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 || int(n) != want {
		w.t.Fatalf("system call %d: %d, want %d: %v", nr, int(n), want, errno)
	}
}

func pointer[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

// iovecs of these parts, which have to be kept alive.
func iovecs(parts ...[]byte) []unix.Iovec {
	out := make([]unix.Iovec, len(parts))
	for i, p := range parts {
		if len(p) > 0 {
			out[i].Base = &p[0]
		}
		out[i].SetLen(len(p))
	}
	return out
}

type mmsghdr struct {
	header unix.Msghdr
	_      uint64 // bytes transferred
}

func message(parts []unix.Iovec) unix.Msghdr {
	var m unix.Msghdr
	m.Iov = &parts[0]
	m.SetIovlen(len(parts))
	return m
}

func letters(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + (i*7+i/26)%26)
	}
	return b
}

// transfer is an expected data event of one direction at one end.
type transfer struct {
	payload string
	length  int
	missing event.CutReason
}

func whole(s string) transfer                            { return transfer{s, len(s), 0} }
func part(s string, n int, why event.CutReason) transfer { return transfer{s, n, why} }
func unseen(n int) transfer                              { return transfer{"", n, event.CutNoBuffer} }
func (w *wire) expect(end int, d event.Direction, want ...transfer) {
	w.t.Helper()
	var got []transfer
	for _, d := range w.emitted[end][d] {
		got = append(got, transfer{string(d.Payload), int(d.Length), d.CutReason})
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("end %d direction %d: emitted\n%.300v\nwant\n%.300v", end, d, got, want)
	}
}

// TestDataOfEveryCall: whichever call transfers bytes, the events have the bytes that were transferred.
func TestDataOfEveryCall(t *testing.T) {
	const text = "what is sent"
	byUring := uringTransfer(t)
	parts := func() [][]byte { return [][]byte{[]byte("what "), nil, []byte("is"), []byte(" sent")} }
	cases := map[string]struct {
		calls    func(w *wire)
		sent     []transfer
		received []transfer
	}{
		"write, read": {
			func(w *wire) { w.send([]byte(text)); w.receive(len(text)) },
			[]transfer{whole(text)}, []transfer{whole(text)},
		},
		"read in pieces": {
			func(w *wire) { w.send([]byte(text)); w.receive(4); w.receive(8) },
			[]transfer{whole(text)}, []transfer{whole("what"), whole(" is sent")},
		},
		"writev, readv": {
			func(w *wire) {
				n, err := unix.Writev(w.client, parts())
				w.did(n, len(text), err)
				n, err = unix.Readv(w.server, [][]byte{make([]byte, 3), nil, make([]byte, 100)})
				w.did(n, len(text), err)
			},
			[]transfer{whole(text)}, []transfer{whole(text)},
		},
		"pwritev2, preadv2": {
			func(w *wire) {
				n, err := unix.Pwritev2(w.client, parts(), -1, 0)
				w.did(n, len(text), err)
				n, err = unix.Preadv2(w.server, [][]byte{make([]byte, 3), make([]byte, 100)}, -1, 0)
				w.did(n, len(text), err)
			},
			[]transfer{whole(text)}, []transfer{whole(text)},
		},
		"sendto, recvfrom": {
			func(w *wire) {
				must(w.t, unix.Sendto(w.client, []byte(text), 0, nil))
				n, _, err := unix.Recvfrom(w.server, make([]byte, 100), 0)
				w.did(n, len(text), err)
			},
			[]transfer{whole(text)}, []transfer{whole(text)},
		},
		"sendmsg, recvmsg": {
			func(w *wire) {
				n, err := unix.SendmsgBuffers(w.client, parts(), nil, nil, 0)
				w.did(n, len(text), err)
				n, _, _, _, err = unix.RecvmsgBuffers(w.server, [][]byte{make([]byte, 5), make([]byte, 100)}, nil, 0)
				w.did(n, len(text), err)
			},
			[]transfer{whole(text)}, []transfer{whole(text)},
		},
		"sendmmsg, recvmmsg": {
			func(w *wire) {
				first, second := iovecs([]byte("what "), []byte("is")), iovecs([]byte(" sent"))
				for range 2 { // the second call counts its messages from the beginning
					batch := []mmsghdr{{header: message(first)}, {header: message(second)}}
					w.syscall(2, unix.SYS_SENDMMSG, uintptr(w.client), pointer(&batch[0]), 2, 0)
				}
				one, other := iovecs(make([]byte, 4)), iovecs(make([]byte, 3), make([]byte, 17))
				batch := []mmsghdr{{header: message(one)}, {header: message(other)}}
				w.syscall(2, unix.SYS_RECVMMSG, uintptr(w.server), pointer(&batch[0]), 2, 0, 0)
				runtime.KeepAlive(first)
			},
			[]transfer{whole("what is"), whole(" sent"), whole("what is"), whole(" sent")},
			[]transfer{whole("what"), whole(" is sentwhat is sent")},
		},
		"more pieces than are gathered at once": {
			func(w *wire) {
				var many [][]byte
				for range 200 {
					many = append(many, []byte("ab"))
				}
				n, err := unix.Writev(w.client, many)
				w.did(n, 400, err)
				w.receive(400)
			},
			[]transfer{whole(string(bytes.Repeat([]byte("ab"), 200)))},
			[]transfer{whole(string(bytes.Repeat([]byte("ab"), 200)))},
		},
		"more than the limit of a call": {
			func(w *wire) { w.send(letters(10_000)); w.receive(10_000) },
			[]transfer{part(string(letters(testLimit)), 10_000, event.CutLimit)},
			[]transfer{part(string(letters(testLimit)), 10_000, event.CutLimit)},
		},
		"large pieces": {
			func(w *wire) {
				b := letters(8000)
				n, err := unix.Writev(w.client, [][]byte{b[:7000], b[7000:]})
				w.did(n, len(b), err)
				w.receive(len(b))
			},
			[]transfer{whole(string(letters(8000)))}, []transfer{whole(string(letters(8000)))},
		},
		"more than the limit of a run": {
			func(w *wire) {
				for range 3 {
					w.send(letters(8000))
					w.receive(8000)
				}
			},
			[]transfer{
				whole(string(letters(8000))), whole(string(letters(8000))),
				part(string(letters(testBurst-16000)), 8000, event.CutLimit),
			},
			[]transfer{
				whole(string(letters(8000))), whole(string(letters(8000))),
				part(string(letters(testBurst-16000)), 8000, event.CutLimit),
			},
		},
		"looking is not receiving": {
			func(w *wire) {
				w.send([]byte(text))
				n, _, err := unix.Recvfrom(w.server, make([]byte, 100), unix.MSG_PEEK)
				w.did(n, len(text), err)
				w.receive(len(text))
			},
			[]transfer{whole(text)}, []transfer{whole(text)},
		},
		"no bytes are no transfer": {
			func(w *wire) {
				n, err := unix.Write(w.client, nil)
				w.did(n, 0, err)
				must(w.t, unix.Sendto(w.client, nil, 0, nil))
				n, err = unix.Read(w.server, nil)
				w.did(n, 0, err)
				_, _, err = unix.Recvfrom(w.server, make([]byte, 1), unix.MSG_DONTWAIT)
				if !errors.Is(err, unix.EAGAIN) {
					w.t.Fatal(err)
				}
			},
			nil, nil,
		},
		"what MSG_TRUNC drops is in no buffer": {
			func(w *wire) {
				w.send([]byte(text))
				n, _, err := unix.Recvfrom(w.server, make([]byte, 5), unix.MSG_TRUNC)
				w.did(n, 5, err)
				w.receive(len(text) - 5)
			},
			[]transfer{whole(text)}, []transfer{whole("is sent")},
		},
		"sendfile": {
			func(w *wire) {
				f := fileWith(w.t, text)
				n, err := unix.Sendfile(w.client, f, nil, 100)
				w.did(n, len(text), err)
				w.receive(len(text))
			},
			[]transfer{unseen(len(text))}, []transfer{whole(text)},
		},
		"splice into a socket": {
			func(w *wire) {
				r, p := pipe(w.t)
				n, err := unix.Write(p, []byte(text))
				w.did(n, len(text), err)
				moved, err := unix.Splice(r, nil, w.client, nil, 100, 0)
				w.did(int(moved), len(text), err)
				w.receive(len(text))
			},
			[]transfer{unseen(len(text))}, []transfer{whole(text)},
		},
		// The kernel completes the receive when the thread returns from a call that is about something else.
		"io_uring on top of another call": {
			func(w *wire) {
				ring := newUring(w.t, 0)
				wait := ring.begin(ring.request(opRecv, w.server, make([]byte, 100)))
				w.send([]byte(text)) // write: number and arguments would pass for those of the receive
				wait(len(text))
			},
			[]transfer{whole(text)}, []transfer{byUring(text)},
		},
		"memory that is not there": {
			func(w *wire) {
				w.send([]byte(text))
				page, err := unix.Mmap(-1, 0, 2*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
				must(w.t, err)
				must(w.t, unix.Mprotect(page[os.Getpagesize():], unix.PROT_NONE))
				// Nothing has been received when the kernel cannot hand it over.
				_, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(w.server), pointer(&page[os.Getpagesize()-4]), 100, 0, 0, 0)
				if errno != unix.EFAULT {
					w.t.Fatal(errno)
				}
				w.receive(len(text))
			},
			[]transfer{whole(text)}, []transfer{whole(text)},
		},
	}
	eachAttachment(t, func(t *testing.T, tracer *SocketTracer) {
		for name, do := range cases {
			t.Run(name, func(t *testing.T) {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				w := newWire(t, tracer)
				do.calls(w)
				w.listen()
				w.expect(atClient, event.Sent, do.sent...)
				w.expect(atServer, event.Received, do.received...)
				w.expect(atClient, event.Received)
				w.expect(atServer, event.Sent)
			})
		}
	})
}

func fileWith(t *testing.T, content string) int {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, []byte(content), 0o600))
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { must(t, unix.Close(fd)) })
	return fd
}

func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var p [2]int
	must(t, unix.Pipe2(p[:], unix.O_CLOEXEC))
	t.Cleanup(func() { must(t, errors.Join(unix.Close(p[0]), unix.Close(p[1]))) })
	return p[0], p[1]
}

// TestPositionShowsBytesWithoutAnEvent: a splice from a socket bypasses the hooks. The position of the next event shows it.
func TestPositionShowsBytesWithoutAnEvent(t *testing.T) {
	w := newWire(t, openForTest(t))
	w.send([]byte("seen, hidden, seen"))
	w.receive(4)
	_, p := pipe(t)
	moved, err := unix.Splice(w.server, nil, p, nil, 9, 0)
	w.did(int(moved), 9, err)
	w.receive(5)
	must(t, errors.Join(unix.Close(w.client), unix.Close(w.server)))
	w.listen()
	w.expect(atServer, event.Received, whole("seen"), whole(" seen"))
	if d := w.emitted[atServer][event.Received]; len(d) == 2 && d[1].Position != 13 {
		t.Errorf("the second transfer began at %d, want 13", d[1].Position)
	}
	if got := w.ended[atServer].Position[event.Received]; got != 18 {
		t.Errorf("ended at %d, want 18", got)
	}
}

// TestFINIsNotCountedAsAByte: the call that receives the last bytes also consumes the FIN behind them.
func TestFINIsNotCountedAsAByte(t *testing.T) {
	w := newWire(t, openForTest(t))
	w.send([]byte("the end"))
	must(t, unix.Shutdown(w.client, unix.SHUT_WR))
	w.receive(4)
	n, err := unix.Read(w.server, make([]byte, 100)) // the rest and the FIN
	w.did(n, 3, err)
	n, err = unix.Read(w.server, make([]byte, 100))
	w.did(n, 0, err)
	must(t, errors.Join(unix.Close(w.server), unix.Close(w.client)))
	w.listen()
	w.expect(atServer, event.Received, whole("the "), whole("end"))
	if d := w.emitted[atServer][event.Received]; len(d) == 2 && d[1].Position != 4 {
		t.Errorf("the last bytes began at %d, want 4", d[1].Position)
	}
	if sent, received := w.ended[atClient].Position, w.ended[atServer].Position; sent[event.Sent] != 7 || received[event.Received] != 7 {
		t.Errorf("ended at %v and %v, want 7", sent, received)
	}
}

// TestSignatures: a connection that begins with a known signature is captured beyond the limit of a burst.
func TestSignatures(t *testing.T) {
	const prefix = "0123456789abcdef"
	needPrivilege(t)
	tracer, err := OpenSockets(Options{
		Shards: 1, RingBytes: 1 << 20, Processes: 64, Sockets: 64, Data: true, PayloadLimit: testLimit, PayloadBurst: testBurst,
		SignatureBurst: 4 * testBurst, Signatures: []Signature{{Prefix: []byte("another prefix..")}, {Prefix: []byte(prefix)}},
	})
	must(t, err)
	t.Cleanup(func() { must(t, tracer.Close()) })
	for name, test := range map[string]struct {
		begin string
		first int // bytes of the first call
		want  int
	}{
		"the prefix, and more":            {prefix + "ghi", testLimit, 3 * testBurst},
		"not quite the prefix":            {"0123456789abcdeg", testLimit, testBurst},
		"something before it":             {" " + prefix, testLimit, testBurst},
		"half of the prefix":              {prefix[:8] + "other", testLimit, testBurst},
		"the prefix in two calls":         {prefix + "ghi", 14, 3 * testBurst},
		"something else in two calls":     {prefix[:13] + "other", 14, testBurst},
		"too little in the first of them": {prefix + "ghi", 8, testBurst},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, tracer)
			message := append([]byte(test.begin), letters(testLimit-len(test.begin))...)
			transfer := func(b []byte) {
				w.send(b)
				w.receive(len(b))
			}
			transfer(message[:test.first])
			if test.first < len(message) {
				transfer(message[test.first:])
			}
			sent := len(message)
			for ; sent < 3*testBurst; sent += len(message) {
				transfer(message)
			}
			w.listen()
			for end, d := range map[int]event.Direction{atClient: event.Sent, atServer: event.Received} {
				captured := 0
				for _, data := range w.emitted[end][d] {
					captured += len(data.Payload)
				}
				if captured != test.want {
					t.Errorf("end %d: %d of %d bytes captured, want %d", end, captured, sent, test.want)
				}
			}
		})
	}
	if _, err := OpenSockets(Options{Shards: 1, RingBytes: 1 << 20, Signatures: []Signature{{Prefix: []byte("short")}}}); err == nil {
		t.Error("a prefix of 5 bytes was accepted")
	}
}

// TestPolicySkipsUnwantedData: data that user space does not want has no event; only the time of its last transfer is reported.
func TestPolicySkipsUnwantedData(t *testing.T) {
	w := newWire(t, openForTest(t))
	want := event.Want{Limit: [event.Directions]uint32{100, 100}, Burst: 1000}
	want.Until[event.Sent] = 24
	w.tracer.Want(w.cookies[atClient], want)
	for range 3 {
		w.send([]byte("0123456789"))
	}
	w.receive(30)
	w.listen()
	d := w.emitted[atClient][event.Sent]
	if len(d) != 1 || d[0].Position != 20 || d[0].Length != 10 || d[0].Skipped != 4 || string(d[0].Payload) != "456789" || d[0].LastUnreported == 0 {
		t.Errorf("emitted %+v, want the last six of thirty bytes", d)
	}
	want.Until[event.Sent] = event.Never
	w.tracer.Want(w.cookies[atClient], want)
	w.send([]byte("never"))
	w.receive(5)
	want.Until[event.Sent] = 0 // too late
	w.tracer.Want(w.cookies[atClient], want)
	w.send([]byte("never"))
	w.receive(5)
	w.listen()
	if n := len(w.emitted[atClient][event.Sent]); n != 1 {
		t.Errorf("%d transfers were emitted, want 1", n)
	}
	if n := len(w.emitted[atServer][event.Received]); n != 3 {
		t.Errorf("%d transfers of the other end were emitted, want 3", n)
	}
}

// TestVerifierWorkIsBounded: the verifier gives up after a million instructions, and small changes can multiply their number.
func TestVerifierWorkIsBounded(t *testing.T) {
	const enough = 100_000
	for name, program := range openForTest(t).objects.Programs {
		info, err := program.Info()
		must(t, err)
		if n, known := info.VerifiedInstructions(); !known || n > enough {
			t.Errorf("program %s: %d instructions verified (known: %v), want at most %d", name, n, known, enough)
		}
	}
}
