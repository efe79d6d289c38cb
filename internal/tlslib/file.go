package tlslib

import (
	"errors"
	"io"
)

const (
	// maxRead is what may be read of one file. The largest known need is that of a Go program of 700 MB, 71 MiB.
	maxRead    = 256 << 20
	pageSize   = 4 << 10
	pagesKept  = 32
	windowSize = 64 << 10
)

var errTooMuch = errors.New("more than 256 MiB of the file would have to be read")

// file reads parts of a file, and bounds how much is read.
type file struct {
	r     io.ReaderAt
	size  uint64
	left  int64 // bytes that may still be read
	pages [pagesKept]page
	// window is for scans, of which there is one at a time.
	window []byte
}

type page struct {
	number uint64
	data   []byte // shorter than pageSize at the end of the file; nil: not read
}

func newFile(r io.ReaderAt, size int64) *file {
	return &file{r: r, size: uint64(max(size, 0)), left: maxRead}
}

// read reads directly, without the pages. It returns less than asked for only at the end of the file.
func (f *file) read(b []byte, off uint64) (int, error) {
	if off >= f.size {
		return 0, io.ErrUnexpectedEOF
	}
	b = b[:min(uint64(len(b)), f.size-off)]
	if f.left -= int64(len(b)); f.left < 0 {
		return 0, errTooMuch
	}
	n, err := f.r.ReadAt(b, int64(off))
	if errors.Is(err, io.EOF) && n > 0 {
		err = nil
	}
	return n, err
}

// full fills b from off, by pages.
func (f *file) full(b []byte, off uint64) error {
	for len(b) > 0 {
		p := &f.pages[off/pageSize%pagesKept]
		if number := off / pageSize; p.data == nil || p.number != number {
			if err := f.load(p, number); err != nil {
				return err
			}
		}
		within := off % pageSize
		if within >= uint64(len(p.data)) {
			return io.ErrUnexpectedEOF
		}
		n := copy(b, p.data[within:])
		b, off = b[n:], off+uint64(n)
	}
	return nil
}

func (f *file) load(p *page, number uint64) error {
	data := p.data[:cap(p.data)]
	if data == nil {
		data = make([]byte, pageSize)
	}
	p.data = nil
	n, err := f.read(data, number*pageSize)
	if err != nil {
		return err
	}
	p.number, p.data = number, data[:n]
	return nil
}

// scan calls use for adjacent parts of size bytes from off; each begins with the last overlap bytes of the one before. It stops
// when use returns false. use must not keep b, and must not scan.
func (f *file) scan(off, size uint64, overlap int, use func(at uint64, b []byte) bool) error {
	if f.window == nil {
		f.window = make([]byte, windowSize)
	}
	b, kept := f.window, 0
	for size > 0 {
		n, err := f.read(b[kept:kept+int(min(uint64(len(b)-kept), size))], off)
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		if !use(off-uint64(kept), b[:kept+n]) {
			return nil
		}
		off, size = off+uint64(n), size-min(size, uint64(n))
		all := kept + n
		kept = min(overlap, all)
		copy(b, b[all-kept:all])
	}
	return nil
}

// records calls use for each whole record of a table, until it returns false.
func (f *file) records(off, size, record uint64, use func(b []byte) bool) error {
	done := off
	return f.scan(off, size/record*record, int(record)-1, func(at uint64, b []byte) bool {
		for ; done-at+record <= uint64(len(b)); done += record {
			if !use(b[done-at : done-at+record]) {
				return false
			}
		}
		return true
	})
}
