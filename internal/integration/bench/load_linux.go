//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// load makes TCP connections over loopback, one after the other: connect, one byte each way, close. One thread connects, another
// accepts; both block, so that a connection costs its system calls and nothing else. Both run on one processor: waking another,
// idle virtual one takes longer than the connection, and the time varies with all that runs.
type load struct {
	listener int
	port     int
}

func newLoad() (*load, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{}); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(fd, 1024); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, fmt.Errorf("getsockname: %w", err)
	}
	return &load{listener: fd, port: name.(*unix.SockaddrInet4).Port}, nil
}

// destinations is how many loopback addresses take turns, so that closed connections in TIME_WAIT leave enough ports.
const destinations = 200

// run makes count connections, at most rate per second (0: as fast as possible), and returns how long that took.
func (l *load) run(count, rate int) (time.Duration, error) {
	served := make(chan error, 1)
	var processor unix.CPUSet
	processor.Set(0)
	go func() {
		runtime.LockOSThread()
		if err := unix.SchedSetaffinity(0, &processor); err != nil {
			served <- fmt.Errorf("stay on a processor: %w", err)
			return
		}
		served <- l.serve(count)
	}()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.SchedSetaffinity(0, &processor); err != nil {
		return 0, fmt.Errorf("stay on a processor: %w", err)
	}
	began := time.Now()
	for i := range count {
		if rate > 0 {
			// Connections are due in bursts of a millisecond: a sleep is not exact below that.
			if due := began.Add(time.Duration(i) * time.Second / time.Duration(rate)); time.Until(due) > time.Millisecond {
				time.Sleep(time.Until(due))
			}
		}
		if err := l.connect(i); err != nil {
			return 0, err
		}
	}
	err := <-served
	return time.Since(began), err
}

func (l *load) serve(count int) error {
	var b [1]byte
	for range count {
		fd, _, err := unix.Accept4(l.listener, unix.SOCK_CLOEXEC)
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		_, readErr := unix.Read(fd, b[:])
		_, writeErr := unix.Write(fd, b[:])
		if err := errors.Join(readErr, writeErr, unix.Close(fd)); err != nil {
			return fmt.Errorf("serve: %w", err)
		}
	}
	return nil
}

func (l *load) connect(i int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	var b [1]byte
	to := &unix.SockaddrInet4{Port: l.port, Addr: [4]byte{127, 0, 1, byte(1 + i%destinations)}}
	connectErr := unix.Connect(fd, to)
	_, writeErr := unix.Write(fd, b[:])
	_, readErr := unix.Read(fd, b[:])
	if err := errors.Join(connectErr, writeErr, readErr, unix.Close(fd)); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}
