//go:build amd64 || arm64

package kernel

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// datagramTracer is a tracer of either mode.
type datagramTracer interface {
	Readers() []*Reader
	Want(cookie uint64, w event.Want)
	Datagrams(ctx context.Context) (bool, error)
	Counters() (Counters, error)
}

// datagramOptions are those of the tests of datagrams in either mode.
var datagramOptions = Options{
	Shards: 1, RingBytes: 1 << 22, Processes: 1024, Sockets: 16384, UDP: true, DatagramData: true, DatagramIdle: time.Minute,
}

// eachDatagramTracer runs a test in both modes, and in the socket mode with each of the ways in which calls are seen. flows is false
// where a datagram from nobody knows whom has no flow.
func eachDatagramTracer(t *testing.T, test func(t *testing.T, tracer datagramTracer, flows bool)) {
	needPrivilege(t)
	socket := func(change func(*Options)) func(t *testing.T) {
		return func(t *testing.T) {
			opts := datagramOptions
			change(&opts)
			tracer, err := OpenSockets(opts)
			if opts.Attachment == AttachFunction && errors.Is(err, ErrUnsupported) {
				t.Logf("this kernel lets no program be attached behind functions: %v", err)
				return
			}
			must(t, err)
			t.Cleanup(func() { must(t, tracer.Close()) })
			test(t, tracer, true)
		}
	}
	t.Run("socket mode", socket(func(*Options) {}))
	t.Run("socket mode with backups", socket(func(o *Options) { o.alwaysBackup = true }))
	t.Run("socket mode behind functions", socket(func(o *Options) { o.Attachment = AttachFunction }))
	t.Run("socket mode with the tracepoint of all calls", socket(func(o *Options) {
		o.Fault = func(_ Stage, program string) error {
			if program == "recvfrom_exit" {
				return errors.ErrUnsupported
			}
			return nil
		}
	}))
	t.Run("syscall mode", func(t *testing.T) {
		tracer, err := OpenSyscalls(datagramOptions, func(event.Event) {})
		must(t, err)
		t.Cleanup(func() { must(t, tracer.Close()) })
		test(t, tracer, false)
	})
}

// datagramEnd is a UDP socket on loopback.
type datagramEnd struct {
	t         *testing.T
	fd        int
	address   unix.Sockaddr
	connected bool
}

func newDatagramEnd(t *testing.T, family int) *datagramEnd {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { must(t, unix.Close(fd)) })
	var address unix.Sockaddr = &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if family == unix.AF_INET6 {
		address = &unix.SockaddrInet6{Addr: [16]byte{15: 1}}
	}
	must(t, unix.Bind(fd, address))
	address, err = unix.Getsockname(fd)
	must(t, err)
	return &datagramEnd{t: t, fd: fd, address: address}
}

func (e *datagramEnd) connect(to *datagramEnd) {
	must(e.t, unix.Connect(e.fd, to.address))
	e.connected = true
}

func (e *datagramEnd) addrPort() netip.AddrPort {
	switch a := e.address.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// raw is the address as system calls take it; nil for one that a connected socket need not name.
func (e *datagramEnd) raw() []byte {
	port := e.addrPort().Port()
	b := make([]byte, 28)
	b[2], b[3] = byte(port>>8), byte(port)
	if a, v6 := e.address.(*unix.SockaddrInet6); v6 {
		b[0] = unix.AF_INET6
		copy(b[8:], a.Addr[:])
		return b
	}
	b[0] = unix.AF_INET
	copy(b[4:], []byte{127, 0, 0, 1})
	return b[:16]
}

// parts cuts a payload into three, which a call gathers; the second is empty if the payload is short.
func parts(payload []byte) [][]byte {
	a, b := len(payload)/3, len(payload)/2
	return [][]byte{payload[:a], payload[a:b], payload[b:]}
}

type sendWay func(from, to *datagramEnd, payloads [][]byte)

// to names the receiver unless the sender is connected.
func named(from, to *datagramEnd) unix.Sockaddr {
	if from.connected {
		return nil
	}
	return to.address
}

func sendOneByOne(send func(from, to *datagramEnd, payload []byte) error) sendWay {
	return func(from, to *datagramEnd, payloads [][]byte) {
		from.t.Helper()
		for _, p := range payloads {
			must(from.t, send(from, to, p))
		}
	}
}

// batch sends or receives all of the messages in one call.
func batch(e *datagramEnd, nr uintptr, messages []mmsghdr) {
	e.t.Helper()
	n, _, errno := unix.Syscall6(nr, uintptr(e.fd), pointer(&messages[0]), uintptr(len(messages)), 0, 0, 0)
	if errno != 0 || int(n) != len(messages) {
		e.t.Fatalf("%d messages of %d: %v", int(n), len(messages), errno)
	}
}

func sendBatch(from, to *datagramEnd, payloads [][]byte) {
	from.t.Helper()
	messages, name := make([]mmsghdr, len(payloads)), to.raw()
	for i, p := range payloads {
		messages[i].header = message(iovecs(parts(p)...))
		if !from.connected {
			messages[i].header.Name, messages[i].header.Namelen = &name[0], uint32(len(name))
		}
	}
	batch(from, unix.SYS_SENDMMSG, messages)
	runtime.KeepAlive(name)
}

var sendWays = map[string]sendWay{
	"write": sendOneByOne(func(from, _ *datagramEnd, payload []byte) error {
		_, err := unix.Write(from.fd, payload)
		return err
	}),
	"writev": sendOneByOne(func(from, _ *datagramEnd, payload []byte) error {
		_, err := unix.Writev(from.fd, parts(payload))
		return err
	}),
	"sendto": sendOneByOne(func(from, to *datagramEnd, payload []byte) error {
		return unix.Sendto(from.fd, payload, 0, named(from, to))
	}),
	"sendmsg": sendOneByOne(func(from, to *datagramEnd, payload []byte) error {
		_, err := unix.SendmsgBuffers(from.fd, parts(payload), nil, named(from, to), 0)
		return err
	}),
	"sendmmsg": sendBatch,
}

const datagramRoom = 16384

type receiveWay func(at *datagramEnd, lengths []int)

func receiveOneByOne(receive func(at *datagramEnd) (int, error)) receiveWay {
	return func(at *datagramEnd, lengths []int) {
		at.t.Helper()
		for _, want := range lengths {
			if n, err := receive(at); n != want || err != nil {
				at.t.Fatalf("received %d bytes, want %d: %v", n, want, err)
			}
		}
	}
}

func receiveFrom(flags int) func(at *datagramEnd) (int, error) {
	return func(at *datagramEnd) (int, error) {
		n, _, err := unix.Recvfrom(at.fd, make([]byte, datagramRoom), flags)
		return n, err
	}
}

func receiveBatch(at *datagramEnd, lengths []int) {
	at.t.Helper()
	messages, names := make([]mmsghdr, len(lengths)), make([][28]byte, len(lengths))
	for i := range messages {
		messages[i].header = message(iovecs(make([]byte, 7), make([]byte, 30), make([]byte, datagramRoom)))
		messages[i].header.Name, messages[i].header.Namelen = &names[i][0], 28
	}
	batch(at, unix.SYS_RECVMMSG, messages)
	for i, want := range lengths {
		if got := *(*uint32)(unsafe.Add(unsafe.Pointer(&messages[i]), unsafe.Sizeof(messages[i].header))); int(got) != want {
			at.t.Fatalf("received %d bytes, want %d", got, want)
		}
	}
}

var receiveWays = map[string]receiveWay{
	"read": receiveOneByOne(func(at *datagramEnd) (int, error) { return unix.Read(at.fd, make([]byte, datagramRoom)) }),
	"readv": receiveOneByOne(func(at *datagramEnd) (int, error) {
		return unix.Readv(at.fd, [][]byte{make([]byte, 7), make([]byte, datagramRoom)})
	}),
	"recvfrom": receiveOneByOne(receiveFrom(0)),
	"recvfrom after a peek": receiveOneByOne(func(at *datagramEnd) (int, error) {
		if n, err := receiveFrom(unix.MSG_PEEK)(at); err != nil {
			return n, err
		}
		return receiveFrom(0)(at)
	}),
	"recvmsg": receiveOneByOne(func(at *datagramEnd) (int, error) {
		n, _, _, _, err := unix.RecvmsgBuffers(at.fd, [][]byte{make([]byte, 7), make([]byte, 30), make([]byte, datagramRoom)}, nil, 0)
		return n, err
	}),
	"recvmmsg": receiveBatch,
}

// datagramReport is what was emitted of one flow.
type datagramReport struct {
	end     *datagramEnd
	flow    event.Flow
	emitted [event.Directions][]event.Data
}

// datagramsOf reads what has been emitted until now of the flows of the ends. Data before its open fails the test.
func datagramsOf(t *testing.T, tracer datagramTracer, ends ...*datagramEnd) []*datagramReport {
	t.Helper()
	var reports []*datagramReport
	reader := tracer.Readers()[0]
	reader.SetDeadline(time.Now().Add(time.Millisecond))
	for {
		var e event.Event
		err := reader.Next(&e)
		if errors.Is(err, ErrIdle) {
			return reports
		}
		must(t, err)
		known := slices.IndexFunc(reports, func(r *datagramReport) bool { return r.flow.Cookie == e.Flow.Cookie })
		switch {
		case e.Kind == event.KindOpen && e.Flow.Transport == event.UDP && e.Owner.PID == uint32(os.Getpid()):
			i := slices.IndexFunc(ends, func(end *datagramEnd) bool { return e.Flow.Local == end.addrPort() })
			if i < 0 {
				continue
			}
			if known >= 0 {
				t.Errorf("opened again: %+v", e.Flow)
			}
			reports = append(reports, &datagramReport{end: ends[i], flow: e.Flow})
		case e.Kind == event.KindData && known >= 0:
			d := e.Data
			d.Payload = bytes.Clone(d.Payload)
			if e.Owner.PID != uint32(os.Getpid()) || d.TID == 0 || e.Time == 0 {
				t.Errorf("data of nobody, or of no time: %+v", e)
			}
			reports[known].emitted[d.Direction] = append(reports[known].emitted[d.Direction], d)
		}
	}
}

// expectedFlow is what is to be emitted of a flow.
type expectedFlow struct {
	at             *datagramEnd
	remote         netip.AddrPort
	sent, received []transfer
}

// expectDatagrams compares what was emitted with what is expected, datagram by datagram.
func expectDatagrams(t *testing.T, tracer datagramTracer, want ...expectedFlow) []*datagramReport {
	t.Helper()
	var ends []*datagramEnd
	for _, w := range want {
		ends = append(ends, w.at)
	}
	got := datagramsOf(t, tracer, ends...)
	if len(got) != len(want) {
		t.Errorf("%d flows, want %d", len(got), len(want))
	}
	for _, w := range want {
		i := slices.IndexFunc(got, func(r *datagramReport) bool {
			return r.end == w.at && (r.flow.Remote == w.remote || w.remote.Port() == 0 && r.flow.Remote.Port() == 0)
		})
		if i < 0 {
			t.Errorf("no flow from %s to %s", w.at.addrPort(), w.remote)
			continue
		}
		for direction, transfers := range [event.Directions][]transfer{w.sent, w.received} {
			expectTransfers(t, got[i].emitted[direction], transfers)
		}
	}
	return got
}

func expectTransfers(t *testing.T, got []event.Data, want []transfer) {
	t.Helper()
	var position uint64
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("datagram %d of %d bytes is not emitted", i, want[i].length)
		case i >= len(want):
			t.Errorf("datagram %d of %d bytes emitted for nothing", i, got[i].Length)
		case string(got[i].Payload) != want[i].payload || int(got[i].Length) != want[i].length || got[i].CutReason != want[i].missing:
			t.Errorf("datagram %d: %d of %d bytes, cut %d, want %d of %d, cut %d\n%.100q\n%.100q", i, len(got[i].Payload), got[i].Length,
				got[i].CutReason, len(want[i].payload), want[i].length, want[i].missing, got[i].Payload, want[i].payload)
		case got[i].Position != position:
			t.Errorf("datagram %d: at %d, want %d", i, got[i].Position, position)
		}
		if i < len(want) {
			position += uint64(want[i].length)
		}
	}
}
