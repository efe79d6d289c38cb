//go:build amd64 || arm64

package workload

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// calls is a pair of calls that write to and read from a connected socket.
type calls struct {
	name        string
	write, read func(fd int, some []byte) (int, error)
}

// plain is write and read.
var plain = calls{"write and read", unix.Write, unix.Read}

// transferForms are all ways to write a buffer to a socket and to read one from it.
var transferForms = [...]calls{
	plain,
	{"sendto and recvfrom", func(fd int, some []byte) (int, error) {
		return addressed(unix.SYS_SENDTO, fd, some, 0)
	}, func(fd int, some []byte) (int, error) {
		return addressed(unix.SYS_RECVFROM, fd, some, 0)
	}},
	{"writev and readv", func(fd int, some []byte) (int, error) {
		return unix.Writev(fd, halves(some))
	}, func(fd int, some []byte) (int, error) {
		return unix.Readv(fd, halves(some))
	}},
	{"pwritev2 and preadv2", func(fd int, some []byte) (int, error) {
		return unix.Pwritev2(fd, halves(some), -1, 0)
	}, func(fd int, some []byte) (int, error) {
		return unix.Preadv2(fd, halves(some), -1, 0)
	}},
	{"sendmsg and recvmsg", func(fd int, some []byte) (int, error) {
		return message(unix.SYS_SENDMSG, fd, some)
	}, func(fd int, some []byte) (int, error) {
		return message(unix.SYS_RECVMSG, fd, some)
	}},
	{"sendmmsg and recvmmsg", func(fd int, some []byte) (int, error) {
		return messages(unix.SYS_SENDMMSG, fd, nil, some)
	}, func(fd int, some []byte) (int, error) {
		return messages(unix.SYS_RECVMMSG, fd, nil, some)
	}},
	{"after a look", unix.Write, func(fd int, some []byte) (int, error) {
		for range 2 { // peeked bytes do not count
			if n, err := addressed(unix.SYS_RECVFROM, fd, some, unix.MSG_PEEK); n <= 0 {
				return n, err
			}
		}
		return unix.Read(fd, some)
	}},
}

// addressed is sendto or recvfrom without an address.
func addressed(number uintptr, fd int, some []byte, flags uintptr) (int, error) {
	n, _, err := unix.Syscall6(number, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(some))), uintptr(len(some)), flags, 0, 0)
	return result(n, err)
}

// message is sendmsg or recvmsg of a message in two pieces.
func message(number uintptr, fd int, some []byte) (int, error) {
	pieces, count := vectors(some)
	header := unix.Msghdr{Iov: &pieces[0], Iovlen: count}
	n, _, err := unix.Syscall(number, uintptr(fd), uintptr(unsafe.Pointer(&header)), 0)
	return result(n, err)
}

// multipleHeader is struct mmsghdr of socket.h.
type multipleHeader struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// messages is sendmmsg or recvmmsg of one message for each buffer, to or from an address if there is one. It returns the bytes of
// all of them.
func messages(number uintptr, fd int, to *unix.RawSockaddrInet4, buffers ...[]byte) (int, error) {
	headers := make([]multipleHeader, len(buffers))
	for i, buffer := range buffers {
		pieces, count := vectors(buffer)
		headers[i].header = unix.Msghdr{Iov: &pieces[0], Iovlen: count}
		if to != nil {
			headers[i].header.Name, headers[i].header.Namelen = (*byte)(unsafe.Pointer(to)), unix.SizeofSockaddrInet4
		}
	}
	n, _, err := unix.Syscall6(number, uintptr(fd), uintptr(unsafe.Pointer(&headers[0])), uintptr(len(headers)), 0, 0, 0)
	if err != 0 {
		return result(n, err)
	}
	bytes := 0
	for i := range headers[:n] {
		bytes += int(headers[i].length)
	}
	return bytes, nil
}

func result(n uintptr, err unix.Errno) (int, error) {
	if err != 0 {
		return -1, err
	}
	return int(n), nil
}

// halves are two pieces of a buffer, or one if it is too short.
func halves(some []byte) [][]byte {
	if len(some) < 2 {
		return [][]byte{some}
	}
	return [][]byte{some[:len(some)/2], some[len(some)/2:]}
}

func vectors(some []byte) (pieces [2]unix.Iovec, count uint64) {
	for i, half := range halves(some) {
		pieces[i].Base = unsafe.SliceData(half)
		pieces[i].SetLen(len(half))
		count++
	}
	return pieces, count
}

// transfers has one connection for each of transferForms, with two requests.
//
// Steps, of client and server: the names of the forms.
func transfers(n *notes, _ []string) {
	for i := range transferForms {
		c, s := pairOver(transferForms[i].name, anyV4)
		c.with, s.with = &transferForms[i], &transferForms[i]
		makeRequests(c, s, 2)
		part(c, s)
		n.flows(c, s)
	}
}

// pairOver is a connection whose calls show all that they can.
func pairOver(step string, on netip.AddrPort) (client, server *party) {
	l := listen(on)
	client, server = parties(step, connectTo(l.addr), acceptAddress(l.fd))
	l.close()
	client.flow.Local, client.flow.Remote = localAddr(client.fd), remoteAddr(client.fd)
	server.flow.Local, server.flow.Remote = localAddr(server.fd), remoteAddr(server.fd)
	return client, server
}

// sendsFile has the server send the body of its response by sendfile.
//
// Steps: "sendfile: client", "sendfile: server".
func sendsFile(n *notes, _ []string) {
	c, s := pairOver("sendfile", anyV4)
	const size = 100_000
	path := filepath.Join(os.TempDir(), fmt.Sprintf("scenario-%d", os.Getpid()))
	check(os.WriteFile(path, payload[:size], 0o600))
	body, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	check(err)
	check(os.Remove(path))
	for range 2 {
		target := c.nextPath()
		c.send(request(target))
		s.receive(len(request(target)))
		head := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
		s.send(head)
		for offset := int64(0); offset < size; {
			sent, err := unix.Sendfile(s.fd, body, &offset, int(size-offset))
			check(err)
			s.flow.Sent += uint64(sent)
			c.receive(sent + len(head))
			head = nil
		}
		c.asked(target)
		s.asked(target)
	}
	check(unix.Close(body))
	part(c, s)
	n.flows(c, s)
}

// peeks has the server peek until a whole request is there, as programs do that choose a worker by it.
//
// Steps: "peek: client", "peek: server".
func peeks(n *notes, _ []string) {
	c, s := pairOver("peek", anyV4)
	for range 3 {
		path := c.nextPath()
		whole := request(path)
		c.send(whole[:10])
		buffer := make([]byte, len(whole))
		for sent := false; ; {
			got, err := addressed(unix.SYS_RECVFROM, s.fd, buffer, unix.MSG_PEEK)
			check(err)
			if got == len(whole) {
				break
			}
			if !sent {
				c.send(whole[10:])
				sent = true
			}
		}
		s.receive(len(whole))
		s.send(response(path))
		c.receive(len(response(path)))
		c.asked(path)
		s.asked(path)
	}
	part(c, s)
	n.flows(c, s)
}

// halfClose has the client finish after its request, and read to the end.
//
// Steps: "half-close: client", "half-close: server".
func halfClose(n *notes, _ []string) {
	c, s := pairOver("half-close", anyV4)
	path := c.nextPath()
	c.send(request(path))
	check(unix.Shutdown(c.fd, unix.SHUT_WR))
	s.receive(len(request(path)))
	s.awaitEnd()
	s.send(response(path))
	c.receive(len(response(path)))
	c.asked(path)
	s.asked(path)
	part(s, c)
	n.flows(c, s)
}

// families has connections of IPv4, of IPv6, and of IPv4 over IPv6 sockets on either side and on both.
//
// Steps, of client and server: "IPv4", "IPv6", "mapped client", "mapped server", "mapped both". The ports of the listeners are
// different numbers if their bytes are swapped; it is for a namespace of its own.
func families(n *notes, _ []string) {
	v4, v6 := netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()
	mapped := netip.MustParseAddr("::ffff:127.0.0.1")
	for i, f := range [...]struct {
		step string
		on   func(port uint16) *listener
		to   netip.Addr
	}{
		{"IPv4", func(port uint16) *listener { return listen(netip.AddrPortFrom(v4, port)) }, v4},
		{"IPv6", func(port uint16) *listener { return listen(netip.AddrPortFrom(v6, port)) }, v6},
		{"mapped client", func(port uint16) *listener { return listen(netip.AddrPortFrom(v4, port)) }, mapped},
		{"mapped server", listenDual, v4},
		{"mapped both", listenDual, mapped},
	} {
		l := f.on(0x0102 + uint16(i)*0x0101)
		c, s := parties(f.step, connectTo(netip.AddrPortFrom(f.to, l.addr.Port())), acceptAddress(l.fd))
		for _, p := range [...]*party{c, s} {
			p.flow.Local, p.flow.Remote = localAddr(p.fd), remoteAddr(p.fd)
		}
		l.close()
		makeRequests(c, s, 2)
		part(c, s)
		n.flows(c, s)
	}
}
