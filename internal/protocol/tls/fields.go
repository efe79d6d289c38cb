package tls

import "encoding/binary"

// fields reads the fields of a message (3). Once one is not whole, it is empty, and so are those after it.
type fields struct {
	b     []byte
	short bool // a field was not whole
}

func (f *fields) take(n int) []byte {
	if f.short = f.short || n > len(f.b); f.short {
		return nil
	}
	taken := f.b[:n]
	f.b = f.b[n:]
	return taken
}

func (f *fields) uint16() uint16 {
	if b := f.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// vector8 and vector16 are bytes behind their length, which has as many bits.
func (f *fields) vector8() []byte {
	if b := f.take(1); b != nil {
		return f.take(int(b[0]))
	}
	return nil
}

func (f *fields) vector16() []byte { return f.take(int(f.uint16())) }
