//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// ringWaiter waits until the kernel wakes the reader of a ring buffer, until it is interrupted, or until a time.
type ringWaiter struct {
	epoll, interrupts int // descriptors; interrupts is an eventfd
}

func newRingWaiter(ring int) (w *ringWaiter, err error) {
	w = &ringWaiter{-1, -1}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return w, fmt.Errorf("create an epoll instance: %w", err)
	}
	if w.interrupts, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return w, fmt.Errorf("create an eventfd: %w", err)
	}
	for _, fd := range []int{ring, w.interrupts} {
		if err = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return w, fmt.Errorf("wait for a ring buffer: %w", err)
		}
	}
	return w, nil
}

// wake says why wait returned.
type wake uint8

const (
	wokenByKernel wake = iota
	wokenByDeadline
	wokenByInterrupt
)

// wait waits until the deadline; the zero Time is none.
func (w *ringWaiter) wait(deadline time.Time) (wake, error) {
	var events [2]unix.EpollEvent
	for {
		n, err := unix.EpollWait(w.epoll, events[:], milliseconds(deadline))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return wokenByKernel, fmt.Errorf("wait for a ring buffer: %w", err)
		case n == 0:
			return wokenByDeadline, nil
		}
		for _, e := range events[:n] {
			if int(e.Fd) == w.interrupts {
				var count [8]byte
				_, err := unix.Read(w.interrupts, count[:])
				return wokenByInterrupt, err
			}
		}
		return wokenByKernel, nil
	}
}

// milliseconds until a time, rounded up, so that it has passed afterwards; -1: for ever.
func milliseconds(deadline time.Time) int {
	if deadline.IsZero() {
		return -1
	}
	left := (time.Until(deadline) + time.Millisecond - 1) / time.Millisecond
	return int(max(0, min(left, math.MaxInt32)))
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
	for _, fd := range []*int{&w.epoll, &w.interrupts} {
		if *fd >= 0 {
			errs = append(errs, unix.Close(*fd))
			*fd = -1
		}
	}
	return errors.Join(errs...)
}
