//go:build amd64 || arm64

package workload

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nullAccept accepts with no room for the peer's address, and no call asks for one. How long the connections live matters too:
// those of the second step are closed at once.
//
// Steps, of client and server: "null accept" (open until the gate is passed), "brief null accept". Gates: "exchanged".
func nullAccept(n *notes, _ []string) {
	l := listen(anyV4)
	open := wordless("null accept", l, acceptNull, true)
	for range 3 {
		brief := wordless("brief null accept", l, acceptNull, true)
		part(brief[0], brief[1])
		n.flows(brief[:]...)
	}
	n.gate("exchanged")
	part(open[0], open[1])
	n.flows(open[:]...)
}

// noGetsockname accepts with room for the peer's address, and no call asks for the local one, as in programs in Rust, C and
// JavaScript.
//
// Steps, of client and server: "no getsockname" (open until the gate is passed), "brief no getsockname". Gates: "exchanged".
func noGetsockname(n *notes, _ []string) {
	l := listen(anyV4)
	open := wordless("no getsockname", l, acceptAddress, false)
	for range 3 {
		brief := wordless("brief no getsockname", l, acceptAddress, false)
		part(brief[0], brief[1])
		n.flows(brief[:]...)
	}
	n.gate("exchanged")
	part(open[0], open[1])
	n.flows(open[:]...)
}

// wordless is a connection with three requests, neither end of which asks for an address.
func wordless(step string, l *listener, accept func(listener int) int, peerUnknown bool) [2]*party {
	c, s := parties(step, connectTo(l.addr), accept(l.fd))
	locate(c, s)
	c.flow.LocalUnknown, s.flow.LocalUnknown = true, true
	s.flow.RemoteUnknown = peerUnknown
	makeRequests(c, s, 3)
	return [2]*party{c, s}
}

// getsocknameElsewhere accepts in one thread, serves in another, and asks for the address in a third, after the first request, as
// Puma does.
//
// Steps: "elsewhere: client", "elsewhere: server".
func getsocknameElsewhere(n *notes, _ []string) {
	l := listen(anyV4)
	client, server := -1, -1
	inThread(func() { client = connectTo(l.addr) })
	inThread(func() { server = acceptNull(l.fd) })
	c, s := parties("elsewhere", client, server)
	locate(c, s)
	inThread(func() { makeRequests(c, s, 1) })
	inThread(func() { mustBe(s.flow.Local, localAddr(s.fd)) })
	inThread(func() { mustBe(s.flow.Remote, remoteAddr(s.fd)) })
	inThread(func() { makeRequests(c, s, 1) })
	inThread(func() { mustBe(c.flow.Local, localAddr(c.fd)) })
	inThread(func() { makeRequests(c, s, 1) })
	inThread(func() { part(c, s) })
	n.flows(c, s)
}

// inThread does something in a new thread, and waits for it.
func inThread(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		do()
	}()
	<-done
}

func mustBe(want, got netip.AddrPort) {
	if want != got {
		die(fmt.Errorf("the address is %s instead of %s", got, want))
	}
}

// acceptBlocked blocks in accept before its gate is passed, in either of the two calls, with and without room for the address.
//
// Steps, of client and server: "blocked accept4", "blocked accept", "blocked accept without address". Gates: "before".
func acceptBlocked(n *notes, _ []string) {
	type waiting struct {
		step   string
		number uintptr
		l      *listener
		accept func(listener int) int
		server chan int
	}
	all := []*waiting{
		{step: "blocked accept4", number: unix.SYS_ACCEPT4, accept: acceptAddress},
		{step: "blocked accept", number: unix.SYS_ACCEPT, accept: acceptOld},
		{step: "blocked accept without address", number: unix.SYS_ACCEPT4, accept: acceptNull},
	}
	for _, w := range all {
		w.l, w.server = listen(anyV4), make(chan int)
		thread := make(chan int)
		go func() {
			runtime.LockOSThread()
			thread <- unix.Gettid()
			w.server <- w.accept(w.l.fd)
		}()
		awaitCall(<-thread, w.number)
	}
	n.gate("before")
	for _, w := range all {
		client := connectTo(w.l.addr)
		c, s := parties(w.step, client, <-w.server)
		c.flow.Local, c.flow.Remote = localAddr(c.fd), remoteAddr(c.fd)
		s.flow.Local, s.flow.Remote = localAddr(s.fd), remoteAddr(s.fd)
		makeRequests(c, s, 2)
		part(c, s)
		n.flows(c, s)
	}
}

// acceptOld uses the older of the two calls, as Java does: x/sys would use the other one.
func acceptOld(listener int) int {
	var fd uintptr
	check(retry(func() error {
		var peer unix.RawSockaddrAny
		size := uint32(unix.SizeofSockaddrAny)
		var number unix.Errno
		if fd, _, number = unix.Syscall(unix.SYS_ACCEPT, uintptr(listener), uintptr(unsafe.Pointer(&peer)),
			uintptr(unsafe.Pointer(&size))); number != 0 {
			return number
		}
		return nil
	}))
	return int(fd)
}

// awaitCall waits until a thread of this process is in a call.
func awaitCall(thread int, number uintptr) {
	path := fmt.Sprintf("/proc/self/task/%d/syscall", thread)
	until("a thread is in accept", func() bool {
		text, err := os.ReadFile(path)
		check(err)
		return strings.HasPrefix(string(text), strconv.Itoa(int(number))+" ")
	})
}

func multipathSocket() int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	check(err)
	return fd
}

// delayedAddress makes requests over connections whose addresses the server shows late, if at all. They are of Multipath TCP, which no
// tracepoint of TCP shows when it receives.
//
//	0 how the addresses of the server's end become known: "late" (getsockname, when the second gate is passed) or "never"
//	1 requests on each connection, before the first gate
//
// Steps, of client and server: "delayed". Gates: "exchanged" (all requests are made), "named" (with "late": getsockname was called).
func delayedAddress(n *notes, args []string) {
	count, err := strconv.Atoi(args[1])
	check(err)
	listening, client := multipathSocket(), multipathSocket()
	bind(listening, netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	port := listenFor(listening).addr.Port()
	check(unix.Connect(client, sockaddr(netip.AddrPortFrom(anyV4.Addr(), port))))
	c, s := parties("delayed", client, acceptNull(listening))
	locate(c, s)
	makeRequests(c, s, count)
	n.gate("exchanged")
	if args[0] == "late" {
		mustBe(s.flow.Remote, remoteAddr(s.fd))
		mustBe(s.flow.Local, localAddr(s.fd))
	} else {
		s.flow.LocalUnknown, s.flow.RemoteUnknown = true, true
	}
	c.flow.LocalUnknown = true
	n.gate("named")
	makeRequests(c, s, 2)
	part(c, s)
	n.flows(c, s)
}
