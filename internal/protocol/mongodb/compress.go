package mongodb

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/socketflow/socketflow/internal/protocol"
)

// What is before the compressed bytes of OP_COMPRESSED: the opcode, the length when decompressed, and the compressor.
const compressedBytes = 9

// Compressors.
const (
	compressedNot    = 0
	compressedSnappy = 1
	compressedZlib   = 2
	compressedZstd   = 3
)

// Of a longer message the rest is missing.
const (
	maxPacked   = 64 << 10
	maxInflated = 256 << 10
	// A message of few bytes makes no more work than so many times its length: 88 bytes of zstd can stand for 256 KiB.
	freelyInflated, maxRatio = 16 << 10, 64
	// maxWindow bounds what zstd may refer back to, and so the memory that a message can ask for.
	maxWindow = 1 << 20
)

// unpack reads the content of a compressed message, as far as it is known; false: nothing of it is, and it is dropped.
func (p *parser) unpack(d protocol.Direction) bool {
	r := &p.readers[d]
	b, whole, long := r.packed.Bytes(), !r.packed.Cut(), r.packed.Length() > maxPacked
	defer r.packed.Reset()
	if len(b) < compressedBytes {
		return p.undecodable(d)
	}
	op, size := opcode(binary.LittleEndian.Uint32(b)), binary.LittleEndian.Uint32(b[4:])
	l := layouts[op]
	if l == nil || op == opCompressed || !l.sentBy[d] || size < l.least || size > maxMessage {
		return p.undecodable(d)
	}
	content, err := p.memory.inflater.inflate(b[8], b[compressedBytes:], int(size))
	switch {
	case err != nil && whole:
		return p.undecodable(d)
	case len(content) < int(size) && (whole || long):
		p.sink.Error(protocol.HeadTooLong)
	}
	p.open(d, op, size)
	r.content.read(content, p.handler(d))
	if missing := uint64(size) - uint64(len(content)); missing > 0 {
		r.content.miss(missing, p.handler(d))
		r.loss = max(r.loss, protocol.CaptureTruncated)
	}
	return true
}

// undecodable drops a compressed message. Of a reply it is known whose it is.
func (p *parser) undecodable(d protocol.Direction) bool {
	p.sink.Error(protocol.Undecodable)
	if d == protocol.FromServer {
		r := &p.readers[d]
		r.loss = max(r.loss, protocol.CaptureTruncated)
		p.reply.begin(&r.header)
		p.reply.finish(false)
	}
	return false
}

// inflater decompresses. What it returns is valid until the next call.
type inflater struct {
	source bytes.Reader
	zlib   io.ReadCloser
	zstd   *zstd.Decoder
	out    []byte
}

var errCompressor = errors.New("the compressor is not known")

// inflate returns the content as far as the bounds allow. Of what is cut, or damaged, it is the beginning.
func (z *inflater) inflate(compressor byte, b []byte, size int) ([]byte, error) {
	if compressor == compressedNot {
		return b[:min(len(b), size)], nil
	}
	if z.out == nil {
		z.out = make([]byte, maxInflated)
	}
	out := z.out[:min(size, maxInflated, freelyInflated+maxRatio*len(b))]
	switch compressor {
	case compressedSnappy:
		n, err := inflateSnappy(out, b)
		return out[:n], err
	case compressedZlib:
		return z.read(out, b, z.openZlib)
	case compressedZstd:
		return z.read(out, b, z.openZstd)
	}
	return nil, errCompressor
}

func (z *inflater) read(out, b []byte, open func() (io.Reader, error)) ([]byte, error) {
	z.source.Reset(b)
	reader, err := open()
	if err != nil {
		return nil, err
	}
	n, err := io.ReadFull(reader, out)
	return out[:n], err
}

func (z *inflater) openZlib() (_ io.Reader, err error) {
	if z.zlib == nil {
		z.zlib, err = zlib.NewReader(&z.source)
	} else if r, ok := z.zlib.(zlib.Resetter); ok {
		err = r.Reset(&z.source, nil)
	}
	return z.zlib, err
}

func (z *inflater) openZstd() (_ io.Reader, err error) {
	if z.zstd == nil {
		z.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
	}
	return z.zstd, z.zstd.Reset(&z.source)
}

var errSnappy = errors.New("no block of Snappy")

// inflateSnappy decompresses a block (https://github.com/google/snappy/blob/main/format_description.txt) as far as there is room. Libraries
// decompress a block that is whole, or nothing.
func inflateSnappy(out, b []byte) (n int, err error) {
	size, used := binary.Uvarint(b)
	if used <= 0 || size > maxMessage {
		return 0, errSnappy
	}
	full := int(min(size, uint64(len(out))))
	for b = b[used:]; n < full; {
		if len(b) == 0 {
			return n, io.ErrUnexpectedEOF
		}
		var length, offset, head int
		switch tag := b[0]; tag & 3 {
		case 0:
			length, head = literal(b)
			if head > len(b) {
				return n, io.ErrUnexpectedEOF
			}
			copied := copy(out[n:min(full, n+length)], b[head:])
			n += copied
			if b = b[min(len(b), head+length):]; copied < length && n < full {
				return n, io.ErrUnexpectedEOF
			}
			continue
		case 1:
			head, length = 2, 4+int(tag>>2&7)
		case 2:
			head, length = 3, 1+int(tag>>2)
		case 3:
			head, length = 5, 1+int(tag>>2)
		}
		if head > len(b) {
			return n, io.ErrUnexpectedEOF
		}
		for i := head - 1; i > 0; i-- {
			offset = offset<<8 | int(b[i])
		}
		if b[0]&3 == 1 {
			offset |= int(b[0]>>5) << 8
		}
		if offset == 0 || offset > n {
			return n, errSnappy
		}
		for end := min(full, n+length); n < end; n++ {
			out[n] = out[n-offset]
		}
		b = b[head:]
	}
	return n, nil
}

// literal returns the length of a literal, and of what is before it.
func literal(b []byte) (length, head int) {
	short := int(b[0] >> 2)
	if short < 60 {
		return short + 1, 1
	}
	head = short - 60 + 2
	if head > len(b) {
		return 0, head
	}
	for i := head - 1; i > 0; i-- {
		length = length<<8 | int(b[i])
	}
	return length + 1, head
}
