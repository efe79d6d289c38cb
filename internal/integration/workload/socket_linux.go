//go:build amd64 || arm64

package workload

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a descriptor and its end to be written down. Its methods end the process if they fail.
type socket struct {
	fd  int
	end End
}

// listener is a listening descriptor.
type listener struct {
	fd   int
	addr netip.AddrPort
	// byAccept: the older of the two calls is used. Its descriptors are inherited by other programs.
	byAccept bool
}

var (
	anyV4 = netip.MustParseAddrPort("127.0.0.1:0")
	anyV6 = netip.MustParseAddrPort("[::1]:0")
)

// newSocket makes a TCP socket of the family of an address: a v4-mapped one is of the family IPv6.
func newSocket(like netip.Addr) int {
	family := unix.AF_INET6
	if like.Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	check(err)
	return fd
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	default:
		check(fmt.Errorf("no IP address: %T", sa))
		return netip.AddrPort{}
	}
}

func localAddr(fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	check(err)
	return addrPort(sa)
}

func remoteAddr(fd int) netip.AddrPort {
	sa, err := unix.Getpeername(fd)
	check(err)
	return addrPort(sa)
}

// bind binds to an address that others may be bound to as well.
func bind(fd int, to netip.AddrPort) {
	check(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	check(unix.Bind(fd, sockaddr(to)))
}

// bound makes a bound socket: no program listens on its port, and no other gets it.
func bound(to netip.AddrPort) int {
	fd := newSocket(to.Addr())
	if to.Addr().Is6() {
		check(unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1))
	}
	bind(fd, to)
	return fd
}

// backlog is the kernel's maximum, so that no connection is turned away.
const backlog = 1 << 16

// listen listens for the family of the address only.
func listen(on netip.AddrPort) *listener { return listenFor(bound(on)) }

// listenDual listens for both families.
func listenDual(port uint16) *listener {
	on := netip.AddrPortFrom(netip.IPv6Unspecified(), port)
	fd := newSocket(on.Addr())
	check(unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
	bind(fd, on)
	return listenFor(fd)
}

func listenFor(fd int) *listener {
	check(unix.Listen(fd, backlog))
	return &listener{fd: fd, addr: localAddr(fd)}
}

func (l *listener) close() { check(unix.Close(l.fd)) }

// accept accepts a connection that is pending or will come.
func (l *listener) accept(step string) *socket {
	s, ok := l.tryAccept(step)
	if !ok {
		check(errors.New("accept: nothing comes any more"))
	}
	return s
}

// tryAccept accepts until the listener is stopped, without asking for the peer's address, as many programs do.
func (l *listener) tryAccept(step string) (*socket, bool) {
	for {
		var fd uintptr
		var err unix.Errno
		if !l.byAccept {
			fd, _, err = unix.Syscall6(unix.SYS_ACCEPT4, uintptr(l.fd), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
		} else {
			fd, _, err = unix.Syscall(unix.SYS_ACCEPT, uintptr(l.fd), 0, 0)
		}
		switch err {
		case 0:
			return accepted(step, int(fd)), true
		case unix.EINTR:
		case unix.EINVAL:
			return nil, false
		default:
			check(err)
		}
	}
}

// accepted is a socket that this process accepted, or received from the one that did.
func accepted(step string, fd int) *socket {
	s := newEnd(step, Server, fd)
	s.end.Local, s.end.Remote = localAddr(fd), remoteAddr(fd)
	return s
}

func newEnd(step string, role Role, fd int) *socket {
	return &socket{fd: fd, end: End{Step: step, PID: os.Getpid(), NetNS: netNS(), Role: role}}
}

// unaccepted is the listener's end of a connection that no process accepts.
func (s *socket) unaccepted(step string) *socket {
	other := newEnd(step, Server, -1)
	other.end.Local, other.end.Remote = s.end.Remote, s.end.Local
	return other
}

// dial connects; the zero from leaves the choice to the kernel.
func dial(step string, from, to netip.AddrPort) *socket {
	fd := newSocket(to.Addr())
	if from.IsValid() {
		bind(fd, from)
	}
	return connect(step, fd, to)
}

// connect connects a socket that may have been used before.
func connect(step string, fd int, to netip.AddrPort) *socket {
	s := tryConnect(step, fd, to)
	if s.end.Failed {
		check(fmt.Errorf("connect to %s: %w", to, s.end.Errno))
	}
	return s
}

// tryConnect connects, or returns the error.
func tryConnect(step string, fd int, to netip.AddrPort) *socket {
	s := newEnd(step, Client, fd)
	err := unix.Connect(fd, sockaddr(to))
	if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EINPROGRESS) {
		err = s.outcome()
	}
	if err == nil {
		s.end.Local, s.end.Remote = localAddr(fd), remoteAddr(fd)
		return s
	}
	s.fails(to, err)
	return s
}

// fails writes down that a connect to an address has failed.
func (s *socket) fails(to netip.AddrPort, err error) {
	s.end.Failed, s.end.Remote = true, to
	if err != nil && !errors.As(err, &s.end.Errno) {
		check(err)
	}
}

// outcome waits for the end of a connect that does not block, and returns its error.
func (s *socket) outcome() error {
	s.poll(unix.POLLOUT)
	number, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	check(err)
	if number != 0 {
		return unix.Errno(number)
	}
	return nil
}

func (s *socket) setNonblock(nonblocking bool) { check(unix.SetNonblock(s.fd, nonblocking)) }

// poll waits for an event, or an error or hang-up, which always are events.
func (s *socket) poll(events int16) {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: events}}, int(waitLimit.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		check(err)
		if n == 0 {
			check(fmt.Errorf("nothing happened for %s", waitLimit))
		}
		return
	}
}

// waitLimit bounds every wait for an effect of this process.
const waitLimit = 20 * time.Second

// until polls for a condition.
func until(what string, holds func() bool) {
	for deadline := time.Now().Add(waitLimit); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			check(fmt.Errorf("not within %s: %s", waitLimit, what))
		}
	}
}

// payload is the source of sent bytes. It is never written to.
var payload [256 << 10]byte

// send sends so many bytes.
func (s *socket) send(n int) {
	check(s.trySend(n))
}

// trySend sends so many bytes, or as many as possible.
func (s *socket) trySend(n int) error {
	for n > 0 {
		sent, err := s.write(payload[:min(n, len(payload))])
		if err != nil {
			return err
		}
		n -= sent
	}
	return nil
}

func (s *socket) sendBytes(all []byte) {
	for len(all) > 0 {
		sent, err := s.write(all)
		check(err)
		all = all[sent:]
	}
}

func (s *socket) write(some []byte) (int, error) {
	for {
		n, err := unix.SendmsgN(s.fd, some, nil, nil, unix.MSG_NOSIGNAL)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil {
			s.end.Sent += uint64(n)
		}
		return n, err
	}
}

// receive receives so many bytes into a buffer of the caller's, which must not be empty.
func (s *socket) receive(n int, buffer []byte) {
	for n > 0 {
		received, err := s.read(buffer[:min(n, len(buffer))])
		check(err)
		if received == 0 {
			check(fmt.Errorf("%d bytes are missing", n))
		}
		n -= received
	}
}

// receiveAll receives until the other side has finished, or until an error, which it returns.
func (s *socket) receiveAll(buffer []byte) error {
	for {
		if n, err := s.read(buffer); n == 0 {
			return err
		}
	}
}

func (s *socket) read(buffer []byte) (int, error) {
	for {
		n, err := unix.Read(s.fd, buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, err
		}
		s.end.Received += uint64(n)
		return n, nil
	}
}

// awaitEnd waits for the other side's FIN.
func (s *socket) awaitEnd() {
	var buffer [1]byte
	n, err := s.read(buffer[:])
	check(err)
	if n != 0 {
		check(errors.New("received what nobody should have sent"))
	}
}

// awaitReset waits for the other side's RST.
func (s *socket) awaitReset() {
	var buffer [1]byte
	_, err := s.read(buffer[:])
	expect(unix.ECONNRESET, err)
}

func (s *socket) finish() { check(unix.Shutdown(s.fd, unix.SHUT_WR)) }

func (s *socket) close() { check(unix.Close(s.fd)) }

// reset closes with a RST.
func (s *socket) reset() {
	check(unix.SetsockoptLinger(s.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	s.close()
}

// deafen makes the kernel drop everything that comes in for a socket: to the other side it is an address that does not answer.
// hear ends that.
func deafen(fd int) {
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	check(unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing}))
}

func hear(fd int) { check(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)) }

// giveUpAfter bounds how long the kernel waits for an answer.
func (s *socket) giveUpAfter(d time.Duration) {
	check(unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds())))
}

// netNS is the inode of this process' network namespace, which it never leaves.
var netNS = sync.OnceValue(func() uint64 {
	var stat unix.Stat_t
	check(unix.Stat("/proc/self/ns/net", &stat))
	return stat.Ino
})

// raiseLoopback brings up the loopback interface of a new network namespace, which gives it its addresses.
func raiseLoopback() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	check(err)
	lo, err := unix.NewIfreq("lo")
	check(err)
	lo.SetUint16(unix.IFF_UP)
	check(unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo))
	check(unix.Close(fd))
}
