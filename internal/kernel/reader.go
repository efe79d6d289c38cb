//go:build linux && (amd64 || arm64)

package kernel

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/cilium/ebpf"

	"github.com/socketflow/socketflow/internal/event"
)

// Reader reads one shard's events. It is for one goroutine, but for Flush, Fill and close.
type Reader struct {
	waiter   *ringWaiter
	record   []byte
	deadline time.Time
	unread   bool  // the ring buffer may hold events
	after    error // returned once the ring buffer is empty; nil: wait then

	mu   sync.RWMutex // of ring
	ring *ring        // nil: it is closed
}

// Errors of Reader.Next that are no failures.
var (
	ErrIdle = os.ErrDeadlineExceeded // nothing came until the deadline
	// ErrEnd: Flush was called, and all that had been written has been read.
	ErrEnd = errors.New("the ring buffer has been read to its end")
)

func newReader(m *ebpf.Map) (*Reader, error) {
	memory, err := mapRing(m)
	if err != nil {
		return nil, err
	}
	waiter, err := newRingWaiter(m.FD())
	if err != nil {
		return nil, errors.Join(err, memory.close())
	}
	return &Reader{waiter: waiter, ring: memory}, nil
}

// Next decodes the next event into e, waiting for it until the deadline of SetDeadline. A *DecodeError concerns one
// record only; reading can go on.
func (r *Reader) Next(e *event.Event) error {
	for {
		if !r.unread {
			if err := r.wait(); err != nil {
				return err
			}
		}
		record, ok, err := r.ring.read(r.record)
		r.record = record
		switch {
		case err != nil:
			return err
		case !ok:
			r.unread = false
			continue
		}
		if err := decode(record, e); err != nil {
			return &DecodeError{err}
		}
		return nil
	}
}

// wait waits for events. What has been written without waking the reader is read after the deadline, too, before that is reported.
func (r *Reader) wait() error {
	if err := r.after; err != nil {
		r.after = nil
		return err
	}
	why, err := r.waiter.wait(r.deadline)
	if err != nil {
		return err
	}
	switch why {
	case wokenByDeadline:
		r.after = ErrIdle
	case wokenByInterrupt:
		r.after = ErrEnd
	}
	r.unread = true
	return nil
}

// SetDeadline bounds how long Next waits. Events written meanwhile are read before it returns ErrIdle.
func (r *Reader) SetDeadline(t time.Time) { r.deadline = t }

// Flush makes Next return what has been written and then ErrEnd. It may be called from any goroutine.
func (r *Reader) Flush() error { return r.waiter.interrupt() }

// Fill is how much of the ring buffer waits to be read, from 0 to 1. It may be called from any goroutine.
func (r *Reader) Fill() float64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.ring == nil {
		return 0
	}
	return float64(r.ring.waiting()) / float64(len(r.ring.data))
}

// close releases the memory. Next must not be called any more.
func (r *Reader) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ring == nil {
		return nil
	}
	err := errors.Join(r.waiter.close(), r.ring.close())
	r.ring = nil
	return err
}

// DecodeError is a record that is not an event.
type DecodeError struct{ err error }

func (e *DecodeError) Error() string { return "decode event: " + e.err.Error() }

func (e *DecodeError) Unwrap() error { return e.err }
