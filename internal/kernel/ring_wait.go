//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ringWaiter waits until the kernel wakes the reader of a ring buffer, until it is interrupted, or until a time. It waits by Go's own poller: a thread
// that blocks in a call of its own wakes others each time that it begins to block and ends.
type ringWaiter struct {
	epoll      *os.File        // an epoll instance, which the poller polls
	conn       syscall.RawConn // of epoll
	interrupts int             // an eventfd

	// Of the wait that is under way.
	events [2]unix.EpollEvent
	why    wake
	err    error
	look   func(fd uintptr) bool
}

func newRingWaiter(ring int) (w *ringWaiter, err error) {
	w = &ringWaiter{interrupts: -1}
	w.look = w.ready
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return w, fmt.Errorf("create an epoll instance: %w", err)
	}
	err = unix.SetNonblock(epoll, true) // so that os.NewFile gives it to the poller
	w.epoll = os.NewFile(uintptr(epoll), "ring buffer")
	if err != nil {
		return w, fmt.Errorf("poll an epoll instance: %w", err)
	}
	if w.conn, err = w.epoll.SyscallConn(); err != nil {
		return w, fmt.Errorf("poll an epoll instance: %w", err)
	}
	if w.interrupts, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return w, fmt.Errorf("create an eventfd: %w", err)
	}
	for _, fd := range []int{ring, w.interrupts} {
		if err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return w, fmt.Errorf("wait for a ring buffer: %w", err)
		}
	}
	return w, w.setDeadline(time.Time{})
}

// wake says why wait returned.
type wake uint8

const (
	wokenByKernel wake = iota
	wokenByDeadline
	wokenByInterrupt
)

// setDeadline bounds how long wait waits; the zero Time: without bound.
func (w *ringWaiter) setDeadline(t time.Time) error {
	if err := w.epoll.SetReadDeadline(t); err != nil {
		return fmt.Errorf("bound the wait for a ring buffer: %w", err)
	}
	return nil
}

func (w *ringWaiter) wait() (wake, error) {
	err := w.conn.Read(w.look)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return wokenByDeadline, nil
	case err != nil:
		return wokenByKernel, fmt.Errorf("wait for a ring buffer: %w", err)
	}
	return w.why, w.err
}

// ready reports whether the wait is over. The kernel's record of having woken the reader stays in the epoll instance until this has seen it, so that
// none is missed between two waits.
func (w *ringWaiter) ready(fd uintptr) bool {
	w.why, w.err = wokenByKernel, nil
	for {
		n, err := unix.EpollWait(int(fd), w.events[:], 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			w.err = fmt.Errorf("wait for a ring buffer: %w", err)
			return true
		}
		for _, e := range w.events[:n] {
			if int(e.Fd) == w.interrupts {
				var count [8]byte
				_, w.err = unix.Read(w.interrupts, count[:])
				w.why = wokenByInterrupt
			}
		}
		return n > 0
	}
}

// interrupt makes wait return. It may be called from any goroutine.
func (w *ringWaiter) interrupt() error {
	one := [8]byte{1} // in the byte order of all architectures that are supported
	if _, err := unix.Write(w.interrupts, one[:]); err != nil {
		return fmt.Errorf("interrupt the reader of a ring buffer: %w", err)
	}
	return nil
}

func (w *ringWaiter) close() error {
	var errs []error
	if w.epoll != nil {
		errs = append(errs, w.epoll.Close())
	}
	if w.interrupts >= 0 {
		errs = append(errs, unix.Close(w.interrupts))
	}
	w.epoll, w.interrupts = nil, -1
	return errors.Join(errs...)
}
