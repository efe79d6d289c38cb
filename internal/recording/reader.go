package recording

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Reader reads a recording, which may come from anybody.
type Reader struct {
	lines *bufio.Reader
	left  int64 // bytes that the lines may have
	start Start
	line  []byte
	count int
}

// NewReader returns a Reader that has read the Start.
func NewReader(from io.Reader) (*Reader, error) {
	zip, err := gzip.NewReader(from)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	r := &Reader{lines: bufio.NewReader(zip), left: MaxBytes}
	if err := r.next(&r.start); err != nil {
		return nil, damaged(err)
	}
	return r, r.start.check()
}

// Start is what the recording begins with.
func (r *Reader) Start() *Start { return &r.start }

// Next reads the next item. Behind the last one the error is io.EOF; io.ErrUnexpectedEOF means that the end of the recording is missing, which is
// so if the program that wrote it was killed.
func (r *Reader) Next() (Item, error) {
	var i Item
	switch err := r.next(&i); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Item{}, err
	case err != nil:
		return Item{}, damaged(err)
	}
	if err := i.check(len(r.start.Seeds)); err != nil {
		return Item{}, fmt.Errorf("line %d: %w", r.count, err)
	}
	return i, nil
}

func (r *Reader) next(to any) error {
	r.line, r.count = r.line[:0], r.count+1
	for {
		part, err := r.lines.ReadSlice('\n')
		if r.left -= int64(len(part)); r.left < 0 {
			return fmt.Errorf("it has more than %d bytes", int64(MaxBytes))
		}
		if len(r.line)+len(part) > maxLine {
			return fmt.Errorf("line %d has more than %d bytes", r.count, maxLine)
		}
		r.line = append(r.line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(r.line) > 0:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
		if err := json.Unmarshal(r.line, to); err != nil {
			return fmt.Errorf("line %d: %w", r.count, err)
		}
		return nil
	}
}

func damaged(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
