//go:build linux && (amd64 || arm64)

package kernel

import (
	"os"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/socketflow/socketflow/internal/event"
)

// Reader reads one shard's events. It is for one goroutine.
type Reader struct {
	ring   *ringbuf.Reader
	record ringbuf.Record
}

// Errors of Reader.Next that are no failures.
var (
	ErrIdle = os.ErrDeadlineExceeded // nothing came until the deadline
	ErrEnd  = ringbuf.ErrFlushed     // Flush was called, and all that had been written has been read
)

// Next decodes the next event into e, waiting for it until the deadline of SetDeadline. A *DecodeError concerns one
// record only; reading can go on.
func (r *Reader) Next(e *event.Event) error {
	if err := r.ring.ReadInto(&r.record); err != nil {
		return err
	}
	if err := decode(r.record.RawSample, e); err != nil {
		return &DecodeError{err}
	}
	return nil
}

// SetDeadline bounds how long Next waits. Events written meanwhile are read before it returns ErrIdle.
func (r *Reader) SetDeadline(t time.Time) { r.ring.SetDeadline(t) }

// Flush makes Next return what has been written and then ErrEnd.
func (r *Reader) Flush() error { return r.ring.Flush() }

// Fill is how much of the ring buffer waits to be read, from 0 to 1.
func (r *Reader) Fill() float64 {
	return float64(r.ring.AvailableBytes()) / float64(r.ring.BufferSize())
}

// DecodeError is a record that is not an event.
type DecodeError struct{ err error }

func (e *DecodeError) Error() string { return "decode event: " + e.err.Error() }

func (e *DecodeError) Unwrap() error { return e.err }
