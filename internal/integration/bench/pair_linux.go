//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// pair is a TCP connection over loopback with both ends in this process. The thread makes all system calls itself: no other
// thread wakes up.
type pair struct {
	fds     [2]int
	port    uint16    // the listener's
	cookies [2]uint64 // the kernel's own
	buffer  []byte
}

// buffered is how many bytes the kernel holds of a direction, so that written bytes can be read afterwards.
const buffered = 1 << 20

func newPair() (p *pair, err error) {
	l, err := newLoad()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unix.Close(l.listener)) }()
	p = &pair{fds: [2]int{-1, -1}, port: uint16(l.port), buffer: make([]byte, buffered)}
	if p.fds[0], err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Connect(p.fds[0], &unix.SockaddrInet4{Port: l.port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if p.fds[1], _, err = unix.Accept4(l.listener, unix.SOCK_CLOEXEC); err != nil {
		return nil, fmt.Errorf("accept: %w", err)
	}
	for i, fd := range p.fds {
		for _, option := range []int{unix.SO_SNDBUF, unix.SO_RCVBUF} {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, buffered); err != nil {
				return nil, fmt.Errorf("setsockopt: %w", err)
			}
		}
		if p.cookies[i], err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE); err != nil {
			return nil, fmt.Errorf("cookie: %w", err)
		}
	}
	return p, nil
}

func (p *pair) pingPongs(size, times int) (transfers int, err error) {
	for range times {
		for from := range p.fds {
			n, err := p.pass(p.fds[from], p.fds[1-from], p.buffer[:size])
			if err != nil {
				return 0, err
			}
			transfers += n
		}
	}
	return transfers, nil
}

func (p *pair) pass(from, to int, b []byte) (transfers int, err error) {
	for done := 0; done < len(b); transfers++ {
		n, err := unix.Write(from, b[done:])
		if err != nil {
			return 0, fmt.Errorf("write: %w", err)
		}
		done += n
	}
	for done := 0; done < len(b); transfers++ {
		n, err := unix.Read(to, b[done:])
		if err != nil {
			return 0, fmt.Errorf("read: %w", err)
		}
		if n == 0 {
			return 0, fmt.Errorf("read: %w", io.ErrUnexpectedEOF)
		}
		done += n
	}
	return transfers, nil
}

func (p *pair) close() error { return errors.Join(unix.Close(p.fds[0]), unix.Close(p.fds[1])) }
