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
	texts texts

	totals *Totals
}

// NewReader returns a Reader that has read the Start.
func NewReader(from io.Reader) (*Reader, error) {
	zip, err := gzip.NewReader(from)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	r := &Reader{lines: bufio.NewReader(zip), left: MaxBytes + maxTotals, texts: newTexts()}
	if err := r.next(&r.start); err != nil {
		return nil, damaged(err)
	}
	return r, r.start.check()
}

// Start is what the recording begins with.
func (r *Reader) Start() *Start { return &r.start }

// Totals is what the recording counts itself; nil: that has not been read, or is missing.
func (r *Reader) Totals() *Totals { return r.totals }

// LeftOut is how many items so far lack names, because those of the recording take more than MaxTexts.
func (r *Reader) LeftOut() uint64 { return r.texts.leftOut }

// Remembered is how many bytes the names take that were read so far, MaxTexts at most.
func (r *Reader) Remembered() int { return MaxTexts - r.texts.left }

// Next reads the next item. Behind the last one the error is io.EOF; io.ErrUnexpectedEOF means that the end of the recording is missing, which is
// so if the program that wrote it was killed.
func (r *Reader) Next() (Item, error) {
	for {
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
		if i.Totals != nil {
			r.totals = i.Totals
			continue
		}
		if r.remember(&i) {
			return i, nil
		}
	}
}

// remember bounds what a replay remembers of an item. false: there is no room for it.
func (r *Reader) remember(i *Item) bool {
	if i.Process != nil {
		return r.texts.process(i.Process)
	}
	if i.Event != nil && i.Event.Flow.Unix != nil {
		r.texts.socket(i.Event.Flow.Unix)
	}
	return true
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
		if n := members(r.line); n > maxMembers {
			return fmt.Errorf("line %d has more than %d values", r.count, maxMembers)
		}
		if err := json.Unmarshal(r.line, to); err != nil {
			return fmt.Errorf("line %d: %w", r.count, err)
		}
		return nil
	}
}

// members counts the values in a line of JSON before it is read.
func members(line []byte) (n int) {
	inText := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case !inText && (c == ',' || c == '[' || c == '{'):
			n++
		}
	}
	return n
}

func damaged(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
