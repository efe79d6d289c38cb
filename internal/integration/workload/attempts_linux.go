//go:build amd64 || arm64

package workload

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refused connects to ports on which nobody listens.
//
// Steps: "blocking", "non-blocking", "bound" (to a port of its own), "IPv6", "mapped".
func refused(n *notes, _ []string) {
	nobody := localAddr(bound(anyV4))
	nobodyV6 := localAddr(bound(anyV6))
	mapped := netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), nobody.Port())

	nonblocking := newEnd("non-blocking", Client, newSocket(nobody.Addr()))
	nonblocking.setNonblock(true)
	expect(unix.EINPROGRESS, unix.Connect(nonblocking.fd, sockaddr(nobody)))
	nonblocking.fails(nobody, nonblocking.outcome())

	own := bound(anyV4)
	port := localAddr(own)
	boundEnd := tryConnect("bound", own, nobody)
	boundEnd.end.Local = port

	all := []*socket{
		tryConnect("blocking", newSocket(nobody.Addr()), nobody),
		nonblocking,
		boundEnd,
		tryConnect("IPv6", newSocket(nobodyV6.Addr()), nobodyV6),
		tryConnect("mapped", newSocket(mapped.Addr()), mapped),
	}
	for _, s := range all {
		s.close()
	}
	n.ends(all...)
}

// patience is how long a connect waits that will get no answer. The kernel looks for the first time when it would repeat a SYN,
// after a second.
const patience = 200 * time.Millisecond

// timeout waits for answers that never come.
//
// Steps: "connect"; "client", "server" (established, then the server's host is silent until the client has given up).
func timeout(n *notes, _ []string) {
	silent := listen(anyV4)
	deafen(silent.fd)
	fd := newSocket(silent.addr.Addr())
	(&socket{fd: fd}).giveUpAfter(patience)
	attempt := tryConnect("connect", fd, silent.addr)
	attempt.close()

	l := listen(anyV4)
	client := dial("client", netip.AddrPort{}, l.addr)
	server := l.accept("server")
	var buffer [100]byte
	client.send(50)
	server.receive(50, buffer[:])
	client.giveUpAfter(patience)
	deafen(server.fd)
	client.send(30)
	expect(unix.ETIMEDOUT, client.receiveAll(buffer[:]))
	client.close()
	hear(server.fd)
	server.send(5) // to a closed socket: it is answered with a RST
	server.awaitReset()
	server.close()
	n.ends(attempt, client, server)
}

// canceled gives up connects before there is an answer.
//
// Steps: "closed", "send timeout" (a connect that blocks for a limited time), "killed" (a process in connect).
func canceled(n *notes, _ []string) {
	silent := listen(anyV4)
	deafen(silent.fd)

	closed := newEnd("closed", Client, newSocket(silent.addr.Addr()))
	closed.setNonblock(true)
	expect(unix.EINPROGRESS, unix.Connect(closed.fd, sockaddr(silent.addr)))
	closed.fails(silent.addr, nil)
	closed.end.Local = localAddr(closed.fd)
	closed.close()

	short := newEnd("send timeout", Client, newSocket(silent.addr.Addr()))
	limit := unix.NsecToTimeval(int64(50 * time.Millisecond))
	check(unix.SetsockoptTimeval(short.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit))
	expect(unix.EINPROGRESS, unix.Connect(short.fd, sockaddr(silent.addr)))
	short.fails(silent.addr, nil)
	short.end.Local = localAddr(short.fd)
	short.close()

	// Both are gone: the next socket that waits for this port's answer is the other process's.
	connecting := n.start("connect-and-wait", silent.addr.String())
	until("the other process is in connect", func() bool { return hasState(silent.addr.Port(), "02") })
	check(connecting.Kill())
	killed := newEnd("killed", Client, -1)
	killed.end.PID = connecting.PID()
	killed.fails(silent.addr, nil)
	n.ends(closed, short, killed)
}

// connectAndWait connects to an address that does not answer.
func connectAndWait(_ *notes, args []string) {
	to := netip.MustParseAddrPort(args[0])
	check(unix.Connect(newSocket(to.Addr()), sockaddr(to)))
}

// hasState reports whether there is a socket in a TCP state (two hexadecimal digits) whose peer is at an IPv4 port.
func hasState(port uint16, state string) bool {
	table, err := os.ReadFile("/proc/self/net/tcp")
	check(err)
	for row := range strings.Lines(string(table)) {
		// sl local_address rem_address st ...
		if f := strings.Fields(row); len(f) > 3 && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", port)) && f[3] == state {
			return true
		}
	}
	return false
}

// unreachable connects to networks without a route. It is for a namespace that has no routes.
//
// Steps: "IPv4", "IPv6".
func unreachable(n *notes, _ []string) {
	for step, to := range map[string]netip.AddrPort{
		// Addresses for documentation (RFC 5737, RFC 3849).
		"IPv4": netip.MustParseAddrPort("192.0.2.1:443"),
		"IPv6": netip.MustParseAddrPort("[2001:db8::1]:443"),
	} {
		s := tryConnect(step, newSocket(to.Addr()), to)
		s.close()
		n.ends(s)
	}
}

// portsExhausted connects until there is no port left to connect from. It is for a namespace of its own.
//
// Steps: "client", "server" (of each connection that there was a port for), "no port left", "address in use" (bound to a
// port that has this very connection already).
func portsExhausted(n *notes, _ []string) {
	check(os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40001"), 0))
	l := listen(netip.MustParseAddrPort("127.0.0.1:258"))
	first := dial("client", netip.MustParseAddrPort("127.0.0.1:1029"), l.addr)
	all := []*socket{first, l.accept("server")}
	for {
		s := tryConnect("client", newSocket(l.addr.Addr()), l.addr)
		all = append(all, s)
		if s.end.Failed {
			s.end.Step = "no port left"
			break
		}
		all = append(all, l.accept("server"))
	}
	again := tryConnect("address in use", bound(first.end.Local), l.addr)
	again.end.Local = first.end.Local
	all = append(all, again)
	for _, s := range all {
		s.close()
	}
	n.ends(all...)
}

// reconnect uses one socket for two attempts.
//
// Steps: "first" (refused), "second" (accepted), "server".
func reconnect(n *notes, _ []string) {
	listening := bound(anyV4)
	to := localAddr(listening)
	fd := newSocket(to.Addr())
	first := tryConnect("first", fd, to)
	l := listenFor(listening)
	second := connect("second", fd, to)
	server := l.accept("server")
	second.send(7)
	second.close()
	check(server.receiveAll(make([]byte, 100)))
	server.close()
	n.ends(first, second, server)
}

// dissolve ends a connection by connecting its socket to nobody (connect(2), AF_UNSPEC), and uses the socket again.
//
// Steps: "first", "first server", "second", "second server".
func dissolve(n *notes, _ []string) {
	l := listen(anyV4)
	first := dial("first", netip.AddrPort{}, l.addr)
	firstServer := l.accept("first server")
	first.send(11)
	firstServer.receive(11, make([]byte, 11))
	disconnect(first.fd)
	firstServer.awaitReset()
	firstServer.close()

	second := connect("second", first.fd, l.addr)
	secondServer := l.accept("second server")
	second.send(13)
	secondServer.receive(13, make([]byte, 13))
	second.close()
	secondServer.awaitEnd()
	secondServer.close()
	n.ends(first, firstServer, second, secondServer)
}

// disconnect connects to an address of no family.
func disconnect(fd int) {
	var unspecified unix.RawSockaddr // AF_UNSPEC is 0
	_, _, err := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&unspecified)), unsafe.Sizeof(unspecified))
	if err != 0 {
		check(err)
	}
}

// selfConnect has a socket connect to itself: a simultaneous open (RFC 9293, 3.5) with one socket.
//
// Step: "both ends".
func selfConnect(n *notes, _ []string) {
	fd := bound(anyV4)
	s := connect("both ends", fd, localAddr(fd))
	s.send(9)
	s.receive(9, make([]byte, 9))
	s.close()
	n.ends(s)
}
