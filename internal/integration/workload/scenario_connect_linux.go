//go:build amd64 || arm64

package workload

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// beginConnect begins a connect that does not block, and that has not ended when it returns.
func beginConnect(to netip.AddrPort) int {
	fd := socketLike(to.Addr(), unix.SOCK_NONBLOCK)
	expect(unix.EINPROGRESS, unix.Connect(fd, sockaddr(to)))
	return fd
}

// awaitWritable waits for the end of a connect.
func awaitWritable(fd int) { (&socket{fd: fd}).poll(unix.POLLOUT) }

// socketError is the pending error of a socket. Reading clears it.
func socketError(fd int) unix.Errno {
	number, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	check(err)
	return unix.Errno(number)
}

// inProgress is a connection whose connect returned EINPROGRESS and was completed by the given call. Both ends block then.
func inProgress(n *notes, step string, complete func(fd int, to netip.AddrPort)) {
	for _, on := range [...]netip.AddrPort{anyV4, anyV6} {
		l := listen(on)
		fd := beginConnect(l.addr)
		server := acceptAddress(l.fd)
		complete(fd, l.addr)
		check(unix.SetNonblock(fd, false))
		c, s := parties(step, fd, server)
		locate(c, s)
		makeRequests(c, s, 2)
		mustBe(c.flow.Local, localAddr(c.fd))
		mustBe(s.flow.Local, localAddr(s.fd))
		part(c, s)
		n.flows(c, s)
	}
}

// connectSOError reads the result of a connect by SO_ERROR, as Go and many others do.
//
// Steps: "so error: client", "so error: server", of IPv4 and of IPv6.
func connectSOError(n *notes, _ []string) {
	inProgress(n, "so error", func(fd int, _ netip.AddrPort) {
		awaitWritable(fd)
		if err := socketError(fd); err != 0 {
			check(err)
		}
	})
}

// connectFirstWrite never asks for the result of a connect: the first write shows it.
//
// Steps: "first write: client", "first write: server", of IPv4 and of IPv6.
func connectFirstWrite(n *notes, _ []string) {
	inProgress(n, "first write", func(fd int, _ netip.AddrPort) { awaitWritable(fd) })
}

// connectAgain reads the result of a connect by a second connect, as Python's asyncio and libevent do.
//
// Steps: "connect again: client", "connect again: server", of IPv4 and of IPv6.
func connectAgain(n *notes, _ []string) {
	inProgress(n, "connect again", func(fd int, to netip.AddrPort) {
		awaitWritable(fd)
		if err := unix.Connect(fd, sockaddr(to)); err != nil && !errors.Is(err, unix.EISCONN) {
			check(err)
		}
		expect(unix.EISCONN, unix.Connect(fd, sockaddr(to)))
	})
}

// refusedReused makes attempts that are refused, then uses their descriptors' numbers for a file and for a good connection.
//
// Steps: "refused" (blocking and not), "reused: client", "reused: server" (after each).
func refusedReused(n *notes, _ []string) {
	nobody := localAddr(bound(anyV4)) // it stays bound, so that no other program can listen there
	l := listen(anyV4)
	for _, nonblocking := range [...]bool{false, true} {
		attempt := refusedAttempt(nobody, nonblocking)
		attempt.close()
		file, err := unix.Open("/dev/zero", unix.O_RDWR|unix.O_CLOEXEC, 0)
		check(err)
		mustReuse(attempt.fd, file)
		useFile(file)
		check(unix.Close(file))

		client := connectTo(l.addr)
		mustReuse(attempt.fd, client)
		c, s := parties("reused", client, acceptAddress(l.fd))
		locate(c, s)
		makeRequests(c, s, 2)
		mustBe(c.flow.Local, localAddr(c.fd))
		mustBe(s.flow.Local, localAddr(s.fd))
		part(c, s)
		n.flows(attempt, c, s)

		// At once, with no file in between.
		attempt = refusedAttempt(nobody, nonblocking)
		attempt.close()
		client = connectTo(l.addr)
		mustReuse(attempt.fd, client)
		c, s = parties("reused", client, acceptAddress(l.fd))
		locate(c, s)
		mustBe(c.flow.Local, localAddr(c.fd))
		mustBe(s.flow.Local, localAddr(s.fd))
		makeRequests(c, s, 1)
		part(c, s)
		n.flows(attempt, c, s)
	}
}

// refusedAttempt connects to a port on which no program listens.
func refusedAttempt(nobody netip.AddrPort, nonblocking bool) *party {
	p := newParty("refused", Client, -1)
	p.flow.Failed, p.flow.Errno, p.flow.Remote = true, unix.ECONNREFUSED, nobody
	if !nonblocking {
		p.fd = socketLike(nobody.Addr(), 0)
		expect(unix.ECONNREFUSED, unix.Connect(p.fd, sockaddr(nobody)))
		return p
	}
	p.fd = beginConnect(nobody)
	awaitWritable(p.fd)
	if err := socketError(p.fd); err != unix.ECONNREFUSED {
		check(fmt.Errorf("the connect should have been refused: %w", err))
	}
	return p
}

// mustReuse checks that a new descriptor has an old one's number: the lowest that is free (open(2)).
func mustReuse(number, fd int) {
	if number != fd {
		die(fmt.Errorf("the descriptor is %d, not %d again", fd, number))
	}
}

// useFile reads and writes a descriptor that is no socket.
func useFile(fd int) {
	var some [64]byte
	_, err := unix.Read(fd, some[:])
	check(err)
	_, err = unix.Write(fd, some[:])
	check(err)
}

// udpProbe finds out which addresses the host would use, as Go's resolver (RFC 6724) and getaddrinfo do: it connects datagram
// sockets and sends nothing. A TCP connection then reuses the last of their numbers.
//
// Steps: "probed: client", "probed: server".
func udpProbe(n *notes, _ []string) {
	l := listen(anyV4)
	for range 5 {
		probe := udpSocket()
		check(unix.Connect(probe, sockaddr(l.addr)))
		localAddr(probe)
		check(unix.Close(probe))

		again := udpSocket() // one socket for several addresses, as in glibc
		check(unix.Connect(again, sockaddr(l.addr)))
		localAddr(again)
		disconnect(again)
		check(unix.Connect(again, sockaddr(netip.MustParseAddrPort("127.0.0.9:53"))))
		localAddr(again)
		check(unix.Close(again))

		client := connectTo(l.addr)
		mustReuse(probe, client)
		c, s := parties("probed", client, acceptAddress(l.fd))
		locate(c, s)
		mustBe(c.flow.Local, localAddr(c.fd))
		mustBe(s.flow.Local, localAddr(s.fd))
		makeRequests(c, s, 1)
		part(c, s)
		n.flows(c, s)
	}
}

func udpSocket() int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	check(err)
	return fd
}

// cycleCount is the number of cycles if there is no argument.
const cycleCount = 10_000

// cycles opens and closes a connection on one descriptor number, over and over, each with one request. Every third time the
// number is a file's in between, and every fifth time a socket's that is never connected.
//
//	0 how many
//
// Steps: "cycle: client", "cycle: server".
func cycles(n *notes, args []string) {
	count := cycleCount
	if len(args) > 0 {
		_, err := fmt.Sscan(args[0], &count)
		check(err)
	}
	widenPorts()
	l := listen(anyV4)
	number := -1
	for i := range count {
		client := connectTo(l.addr)
		if number < 0 {
			number = client
		}
		mustReuse(number, client)
		c, s := parties("cycle", client, acceptAddress(l.fd))
		c.flow.Local, c.flow.Remote = localAddr(c.fd), l.addr
		s.flow.Local, s.flow.Remote = localAddr(s.fd), c.flow.Local
		path := fmt.Sprintf("/cycle/%d", i)
		c.send(request(path))
		s.receive(len(request(path)))
		s.send(response(path))
		c.receive(len(response(path)))
		c.asked(path)
		s.asked(path)
		// The client's end closes first, so that the number is free for the next one; the server does not wait to see that.
		c.close()
		s.close()
		n.flows(c, s)
		if i%3 == 0 {
			file, err := unix.Open("/dev/zero", unix.O_RDWR|unix.O_CLOEXEC, 0)
			check(err)
			mustReuse(number, file)
			useFile(file)
			check(unix.Close(file))
		}
		if i%5 == 0 {
			unused := socketLike(l.addr.Addr(), 0)
			mustReuse(number, unused)
			check(unix.Close(unused))
		}
	}
}

// widenPorts makes most ports ephemeral, in a namespace of its own.
func widenPorts() {
	check(os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("1024 65000"), 0))
}
