//go:build amd64 || arm64

package kernel

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/bpf"
	"github.com/socketflow/socketflow/internal/event"
)

func openSyscallsWithin(t *testing.T, fault Fault) *SyscallTracer {
	t.Helper()
	needPrivilege(t)
	tracer, err := OpenSyscalls(Options{
		Shards: 1, RingBytes: 4 << 20, Processes: 1024, Sockets: 4096, Data: true, TLS: true, PayloadLimit: testLimit, PayloadBurst: testBurst, Fault: fault,
	}, func(event.Event) {})
	must(t, err)
	t.Cleanup(func() { must(t, tracer.Close()) })
	return tracer
}

// TestPlaintextOfLibraryInSyscallMode has this program speak TLS with itself, as TestPlaintextOfLibrary does.
func TestPlaintextOfLibraryInSyscallMode(t *testing.T) {
	for name, fault := range map[string]Fault{"as the kernel can": nil, "probe by probe": beforeLinux66} {
		t.Run(name, func(t *testing.T) {
			tracer := openSyscallsWithin(t, fault)
			if !tracer.SeesLibraries() { // before Linux 5.15: the mode works, and says what is missing
				if err := errors.Join(tracer.Degraded()...); err == nil || !strings.Contains(err.Error(), withoutTLS) {
					t.Errorf("this kernel lacks %v, want that to include that %s", err, withoutTLS)
				}
				return
			}
			seen := layers{t, tracer, map[uint64][2]string{}}
			library := attachSelf(t, tracer)
			c := secureConnection(t)
			want := plaintexts{}
			for i := range 3 {
				ask, answer := fmt.Sprintf("question %d, ", i), fmt.Sprintf("answer %d, ", i)
				c.exchange(ask, answer)
				want.client[event.Sent] += ask
				want.client[event.Received] += answer
			}
			want.server[event.Sent], want.server[event.Received] = want.client[event.Received], want.client[event.Sent]
			if got := seen.of(c); got != want {
				t.Errorf("plaintext %q, want %q", got, want)
			}
			must(t, library.Close())
		})
	}
}

// TestPlaintextOfAnOlderConnectionHasItsPlaceInTheStream: more of it has waited for its socket than there is room for. What is missing is a gap.
func TestPlaintextOfAnOlderConnectionHasItsPlaceInTheStream(t *testing.T) {
	c := secureConnection(t)
	c.exchange("before", "before")
	tracer := openSyscallsWithin(t, nil)
	library := attachSelf(t, tracer)
	var whole [event.Directions]string // of the client
	exchange := func(n int) {
		for range n {
			i := len(whole[event.Sent])
			ask, answer := fmt.Sprintf("question at %d, ", i), fmt.Sprintf("an answer to that at %d, ", i)
			c.exchange(ask, answer)
			whole[event.Sent] += ask
			whole[event.Received] += answer
		}
	}
	exchange(20)
	flow := event.Flow{
		Cookie: tracer.NewCookie(0), Transport: event.TCP, Local: netip.MustParseAddrPort(c.addresses[0]), Remote: netip.MustParseAddrPort(c.addresses[1]),
	}
	must(t, tracer.Adopt(uint32(os.Getpid()), descriptorOf(t, c.client.NetConn()), 0, &flow, false))
	exchange(5)

	var end [event.Directions]uint64
	var gaps int
	reader := tracer.Readers()[0]
	reader.SetDeadline(time.Now().Add(time.Millisecond))
	for {
		var e event.Event
		err := reader.Next(&e)
		if errors.Is(err, ErrIdle) {
			break
		}
		must(t, err)
		if e.Kind != event.KindData || e.Flow.Cookie != flow.Cookie|event.LayerTLS {
			continue
		}
		d := &e.Data
		if at := whole[d.Direction][d.Position:]; !strings.HasPrefix(at, string(d.Payload)) || len(d.Payload) != int(d.Length) || !d.Joined {
			t.Errorf("direction %d, at %d: %q (joined: %v), want the beginning of %q", d.Direction, d.Position, d.Payload, d.Joined, at)
		}
		if d.Position != end[d.Direction] {
			gaps++
			if d.GapReason == 0 {
				t.Errorf("direction %d, at %d: nothing is said to be missing behind %d", d.Direction, d.Position, end[d.Direction])
			}
		}
		end[d.Direction] = d.Position + uint64(d.Length)
	}
	if want := [event.Directions]uint64{uint64(len(whole[event.Sent])), uint64(len(whole[event.Received]))}; end != want || gaps != 2 {
		t.Errorf("the plaintext ends at %v, with %d gaps; want %v, with one in each direction", end, gaps, want)
	}
	must(t, library.Close())
}

func descriptorOf(t *testing.T, c net.Conn) (fd uint32) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(number uintptr) { fd = uint32(number) }))
	return fd
}

// writer has a descriptor that a TLS connection writes to. Nothing can be read from it.
type writer struct {
	net.Conn
	fd     int
	before func() // what happens between the call of the library and that of the kernel
}

func (n writer) Write(b []byte) (int, error) {
	if n.before != nil {
		n.before()
	}
	return unix.Write(n.fd, b)
}

func (n writer) Read([]byte) (int, error)         { return 0, io.EOF }
func (n writer) Close() error                     { return nil }
func (n writer) SetDeadline(time.Time) error      { return nil }
func (n writer) SetWriteDeadline(time.Time) error { return nil }
func (n writer) SetReadDeadline(time.Time) error  { return nil }

// carrier is the socket that carries what the TLS connection of a new client writes to a number, as the kernel side knows it; 0: it does not.
func carrier(t *testing.T, tracer *SyscallTracer, n writer) uint64 {
	t.Helper()
	client := tls.Client(n, &tls.Config{InsecureSkipVerify: true})
	if err := client.Handshake(); !errors.Is(err, io.EOF) {
		t.Fatalf("the handshake ends with %v", err)
	}
	var tie struct{ Cookie, Record0, Record1, Since, Began uint64 }
	key := bpf.SocketflowTlsObject{Address: uint64(uintptr(unsafe.Pointer(client))), Pid: uint64(os.Getpid())}
	if err := tracer.objects.Maps[bpf.SyscallsMapTlsTies].Lookup(key, &tie); err != nil {
		return 0
	}
	return tie.Cookie &^ event.LayerMask
}

// identity is the socket that a descriptor leads to.
func identity(t *testing.T, tracer *SyscallTracer, fd int) uint64 {
	t.Helper()
	d, known, err := tracer.lookUp(uint32(os.Getpid()), uint32(fd))
	must(t, err)
	if !known || d.Id == 0 {
		t.Fatalf("descriptor %d leads to nothing that is known", fd)
	}
	return d.Id
}

// twoConnections are the clients of two connections, and their servers.
func twoConnections(t *testing.T) (clients, servers [2]int) {
	t.Helper()
	for i := range clients {
		clients[i], servers[i] = connect(t)
	}
	return clients, servers
}

// TestPlaintextBelongsToTheSocketThatItsRecordWentTo: between the call of a TLS library and the call that sends, the descriptor may have come to lead to
// another socket.
func TestPlaintextBelongsToTheSocketThatItsRecordWentTo(t *testing.T) {
	tracer := openSyscallsWithin(t, nil)
	library := attachSelf(t, tracer)
	for name, replace := range map[string]func(t *testing.T, fd, by int){
		"the descriptor leads where it did": func(*testing.T, int, int) {},
		"dup3 puts another socket there":    func(t *testing.T, fd, by int) { must(t, unix.Dup3(by, fd, unix.O_CLOEXEC)) },
		"it is closed, and another socket gets the number": func(t *testing.T, fd, by int) {
			must(t, unix.Close(fd))
			if got, err := unix.FcntlInt(uintptr(by), unix.F_DUPFD_CLOEXEC, fd); got != fd || err != nil {
				t.Fatalf("descriptor %d, %v; want %d", got, err, fd)
			}
		},
		"it is closed, and leads nowhere for a while": func(t *testing.T, fd, by int) {
			must(t, unix.Close(fd))
			if n, err := unix.Write(fd, []byte{1}); !errors.Is(err, unix.EBADF) {
				t.Fatalf("%d, %v: somebody else uses descriptor %d", n, err, fd)
			}
			must(t, unix.Dup3(by, fd, unix.O_CLOEXEC))
		},
	} {
		t.Run(name, func(t *testing.T) {
			clients, servers := twoConnections(t)
			ids := map[uint64]int{identity(t, tracer, clients[0]): 0, identity(t, tracer, clients[1]): 1}
			tied := carrier(t, tracer, writer{fd: clients[0], before: func() { replace(t, clients[0], clients[1]) }})
			if at, known := ids[tied]; !known || at != receiver(t, servers) {
				t.Errorf("the TLS connection is that of socket %d (known: %v), its record went to socket %d", at, known, receiver(t, servers))
			}
		})
	}
	must(t, library.Close())
}

// receiver is which of two servers has received something.
func receiver(t *testing.T, servers [2]int) int {
	t.Helper()
	found := -1
	for i, fd := range servers {
		n, _, err := unix.Recvfrom(fd, make([]byte, 1), unix.MSG_DONTWAIT|unix.MSG_PEEK)
		if err == nil && n == 1 {
			if found >= 0 {
				t.Fatal("both have received something")
			}
			found = i
		}
	}
	return found
}

// TestPlaintextIsNobodysWhereADescriptorIsReplacedMeanwhile: another thread has a descriptor lead to one socket and to another one, all the time. Which
// one a call sends to is not known then, unless it can be neither of the others.
func TestPlaintextIsNobodysWhereADescriptorIsReplacedMeanwhile(t *testing.T) {
	const rounds = 150
	tracer := openSyscallsWithin(t, nil)
	library := attachSelf(t, tracer)
	var right, unknown, wrong int
	for range rounds {
		clients, servers := twoConnections(t)
		ids := map[uint64]int{identity(t, tracer, clients[0]): 0, identity(t, tracer, clients[1]): 1}
		fd, err := unix.Dup(clients[0])
		must(t, err)
		var began, end atomic.Bool
		replaced := make(chan error)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var errs error
			for i := 1; !end.Load(); i++ {
				errs = errors.Join(errs, unix.Dup3(clients[i%2], fd, unix.O_CLOEXEC))
				began.Store(true)
			}
			replaced <- errs
		}()
		for !began.Load() {
			runtime.Gosched()
		}
		tied := carrier(t, tracer, writer{fd: fd})
		end.Store(true)
		must(t, <-replaced)
		switch at, known := ids[tied]; {
		case tied == 0:
			unknown++
		case known && at == receiver(t, servers):
			right++
		default:
			wrong++
		}
		must(t, unix.Close(fd))
	}
	t.Logf("%d right, %d not known, %d wrong", right, unknown, wrong)
	if right == 0 {
		t.Error("none is known: the test shows nothing")
	}
	if wrong > 0 {
		t.Errorf("%d of %d TLS connections are those of another socket", wrong, rounds)
	}
	must(t, library.Close())
}
