package mysql

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// Where client and server have agreed on it, packets are within others, most of which are compressed.

const packedHeaderBytes = 7 // length, number, length when inflated; zero: it is not compressed

var packedForm = protocol.FrameForm{Header: packedHeaderBytes, LengthBytes: 3, LittleEndian: true, TypeAt: -1}

// Of a longer packet the rest is missing.
const (
	maxPacked   = 64 << 10
	maxInflated = 256 << 10
)

// packed reads the outer packets.
type packed struct {
	frames [protocol.Directions]framing.Prefixed
	outer  *framing.Prefix // whose content is being read; nil: of none
}

func (k *packed) held() (n int) {
	if k == nil {
		return 0
	}
	for d := range k.frames {
		n += k.frames[d].Held()
	}
	return n
}

// compress notes that what follows the login is compressed, if client and server have agreed on that.
func (p *parser) compress() {
	switch {
	case p.capabilities&canCompress != 0:
		p.packed = &packed{}
		for d := range p.packed.frames {
			p.packed.frames[d].Form, p.packed.frames[d].MaxBody = &packedForm, maxPacked
		}
		p.packed.frames[protocol.FromClient].Credible, p.packed.frames[protocol.FromServer].Credible = beginsPacked, beginsPacked
	case p.capabilities&canCompressZstd != 0:
		p.sink.Error(protocol.Undecodable)
		p.stop()
		p.sink.Ignore()
	}
}

// beginsPacked reports whether bytes, the first of a call, begin with an outer packet. Calls end where packets do.
func beginsPacked(b []byte) bool {
	for len(b) > 0 {
		f := fields{rest: b}
		length := f.number(3)
		f.number(1)
		inflated := f.number(3)
		if f.take(length); f.over || length == 0 || inflated > 0 && inflated <= length {
			return false
		}
		b = f.rest
	}
	return true
}

// unpack reads outer packets.
func (p *parser) unpack(c *protocol.Chunk) {
	f, rest := &p.packed.frames[c.Direction], *c
	for f.Next(&rest) == framing.Whole {
		if p.unpacked(c.Direction, &f.Message); p.over {
			return
		}
	}
}

// unpackGap takes missing bytes of outer packets.
func (p *parser) unpackGap(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	f := &p.packed.frames[d]
	unread := f.Unread
	if f.Gap(n, at, why) {
		p.unpacked(d, &f.Message)
	}
	if f.Unread != unread && !p.over {
		p.frames[d].Lose()
		p.lose(d, why)
	}
}

// unpacked reads the content of an outer packet, as far as it is known.
func (p *parser) unpacked(d protocol.Direction, m *framing.Prefix) {
	header := fields{rest: m.Header[headerBytes:]}
	content, size := m.Body, header.number(3)
	if size == 0 {
		size = uint64(len(m.Body)) + m.Missing
	} else if content = p.memory.inflater.inflate(m.Body, size); uint64(len(content)) < size && m.Missing == 0 && size <= maxInflated {
		p.sink.Error(protocol.Undecodable)
	}
	p.packed.outer = m
	if len(content) > 0 {
		p.take(&protocol.Chunk{Direction: d, Bytes: content, Stamp: m.First})
	}
	if missing := size - uint64(len(content)); missing > 0 && !p.over {
		at := m.Last
		at.Position = m.First.Position + uint64(len(content))
		p.miss(d, missing, at, max(m.Loss, protocol.Truncated))
	}
	if p.packed != nil {
		p.packed.outer = nil
	}
}

// place corrects the place of a packet: it is that of the outer one.
func (k *packed) place(m *framing.Prefix) {
	if k == nil || k.outer == nil {
		return
	}
	m.First.Position = min(m.First.Position, k.outer.Last.Position)
	m.Last = k.outer.Last
}

// inflater inflates the content of packets.
type inflater struct {
	source bytes.Reader
	reader io.ReadCloser
	out    []byte
}

// inflate returns the content as far as it is not longer than maxInflated, and can be read. It is valid until the next call.
func (z *inflater) inflate(b []byte, size uint64) []byte {
	z.source.Reset(b)
	var err error
	if z.reader == nil {
		z.reader, err = zlib.NewReader(&z.source)
	} else if r, ok := z.reader.(zlib.Resetter); ok {
		err = r.Reset(&z.source, nil)
	} else {
		err = errors.ErrUnsupported
	}
	if err != nil {
		return nil
	}
	if z.out == nil {
		z.out = make([]byte, maxInflated)
	}
	n, _ := io.ReadFull(z.reader, z.out[:min(size, maxInflated)]) // what could be read before an error is right
	return z.out[:n]
}
