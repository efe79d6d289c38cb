//go:build linux

// Command quick makes connections with itself, each for one request, with as few calls as can be: no call asks for an address.
// Its arguments are the address of a listener, "blocking", "background" (connect does not wait) or "message" (sendmsg with two pieces), and how many connections it makes.
// Or it is "stay", to do nothing until the end of the input.
// In a network namespace of its own ("isolated" as the last argument) it has to set up the loopback interface.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	request  = "GET /quick HTTP/1.1\r\nHost: host.test\r\n\r\n"
	response = "HTTP/1.1 204 No Content\r\n\r\n"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	if os.Args[1] == "stay" { // to the end of the input
		_, err := io.Copy(io.Discard, os.Stdin)
		check(err)
		return
	}
	if len(os.Args) > 4 {
		up()
	}
	address := netip.MustParseAddrPort(os.Args[1])
	count, err := strconv.Atoi(os.Args[3])
	check(err)
	l := newSocket(address.Addr())
	check(unix.Bind(l, sockaddr(address)))
	check(unix.Listen(l, 16))
	bound, err := unix.Getsockname(l)
	check(err)
	to := loopback(address.Addr(), bound)
	served := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		for range count {
			serve(l)
		}
		close(served)
	}()
	for range count {
		ask(to, os.Args[2])
	}
	<-served
}

func up() {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	check(err)
	lo, err := unix.NewIfreq("lo")
	check(err)
	lo.SetUint16(unix.IFF_UP)
	check(unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo))
	check(unix.Close(s))
}

func newSocket(like netip.Addr) int {
	family := unix.AF_INET6
	if like.Is4() {
		family = unix.AF_INET
	}
	s, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	check(err)
	return s
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func loopback(like netip.Addr, bound unix.Sockaddr) unix.Sockaddr {
	if like.Is4() {
		return &unix.SockaddrInet4{Port: bound.(*unix.SockaddrInet4).Port, Addr: [4]byte{127, 0, 0, 1}}
	}
	return &unix.SockaddrInet6{Port: bound.(*unix.SockaddrInet6).Port, Addr: netip.IPv6Loopback().As16()}
}

func serve(l int) {
	s := accept(l)
	receive(s, []byte("\r\n\r\n"))
	_, err := unix.Write(s, []byte(response))
	check(err)
	check(unix.Close(s))
}

func ask(to unix.Sockaddr, way string) {
	s := newSocket(addrOf(to))
	if way == "background" {
		check(unix.SetNonblock(s, true))
		if err := unix.Connect(s, to); err != unix.EINPROGRESS {
			check(err)
		}
		wait(s, unix.POLLOUT)
	} else {
		check(unix.Connect(s, to))
	}
	var err error
	if way == "message" {
		_, err = unix.SendmsgBuffers(s, [][]byte{[]byte(request[:9]), []byte(request[9:])}, nil, nil, 0)
	} else {
		_, err = unix.Write(s, []byte(request))
	}
	check(err)
	receive(s, []byte("\r\n\r\n"))
	check(unix.Close(s))
}

func addrOf(a unix.Sockaddr) netip.Addr {
	if v4, ok := a.(*unix.SockaddrInet4); ok {
		return netip.AddrFrom4(v4.Addr)
	}
	return netip.IPv6Loopback()
}

func wait(s int, what int16) {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(s), Events: what}}, -1)
		if err == unix.EINTR {
			continue
		}
		check(err)
		if n == 1 {
			return
		}
	}
}

func receive(s int, end []byte) {
	var all []byte
	for !bytes.HasSuffix(all, end) {
		buffer := make([]byte, 256)
		n, err := unix.Read(s, buffer)
		if err == unix.EAGAIN {
			wait(s, unix.POLLIN)
			continue
		}
		if err == unix.EINTR {
			continue
		}
		check(err)
		if n == 0 {
			check(fmt.Errorf("the other side has closed"))
		}
		all = append(all, buffer[:n]...)
	}
}
