package tlslib

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"sort"
)

// span is a piece of code without gaps: [begin, end).
type span struct{ begin, end uint64 }

func (s span) has(addr uint64) bool { return s.begin <= addr && addr < s.end }

var errNoUnwinding = errors.New("the code has no unwinding information that says where a function ends")

// Pointer encodings (Linux Standard Base, "DWARF Exception Header Encoding") of the only forms that linkers write.
const (
	encodedPCRelative4   = 0x1b // signed, 4 bytes, relative to where it is
	encodedDataRelative4 = 0x3b // signed, 4 bytes, relative to .eh_frame_hdr
	encodedUnsigned4     = 0x03
	headerSize           = 12
)

// pieceAt is the piece of code that an address lies in, by .eh_frame_hdr and .eh_frame. They are part of what is loaded, and stay
// when a file is stripped. A function may have more than one piece: compilers move what is rarely run elsewhere. Static programs may
// have no .eh_frame_hdr; there the table of symbols says the same.
func (im *image) pieceAt(addr uint64) (span, error) {
	s := im.segment(elf.PT_GNU_EH_FRAME)
	if s == nil {
		return im.symbolAt(addr)
	}
	var h [headerSize]byte
	if err := im.at(s.addr, h[:]); err != nil {
		return span{}, err
	}
	if h[0] != 1 || h[2] != encodedUnsigned4 || h[3] != encodedDataRelative4 {
		return span{}, errNoUnwinding
	}
	n := int(min(uint64(le.Uint32(h[8:])), s.fileSize/8))
	var failed error
	row := func(i int) (begin, description uint64) {
		var b [8]byte
		if err := im.at(s.addr+headerSize+uint64(i)*8, b[:]); err != nil {
			failed = err
		}
		return s.addr + signed4(b[:]), s.addr + signed4(b[4:])
	}
	i := sort.Search(n, func(i int) bool {
		begin, _ := row(i)
		return begin > addr
	})
	if failed != nil || i == 0 {
		return span{}, errors.Join(errNoUnwinding, failed)
	}
	begin, description := row(i - 1)
	size, err := im.pieceSize(description, begin)
	if err != nil {
		return span{}, err
	}
	piece := span{begin, begin + size}
	if !piece.has(addr) {
		return span{}, errNoUnwinding
	}
	return piece, nil
}

func signed4(b []byte) uint64 { return uint64(int64(int32(le.Uint32(b)))) }

// pieceSize reads the size of the piece that a frame description entry is about; begin is compared with what that says.
func (im *image) pieceSize(description, begin uint64) (uint64, error) {
	var b [16]byte // length, distance to the common entry, begin, size
	if err := im.at(description, b[:]); err != nil {
		return 0, err
	}
	common := description + 4 - uint64(le.Uint32(b[4:]))
	if err := im.checkEncoding(common); err != nil {
		return 0, err
	}
	if description+8+signed4(b[8:]) != begin {
		return 0, errNoUnwinding
	}
	return uint64(le.Uint32(b[12:])), nil
}

// checkEncoding requires that the entries of a common information entry have addresses of 4 bytes, relative to where they are.
func (im *image) checkEncoding(common uint64) error {
	var b [64]byte
	if err := im.at(common, b[:]); err != nil {
		return err
	}
	if le.Uint32(b[4:]) != 0 || b[8] != 1 || b[9] != 'z' {
		return errNoUnwinding
	}
	end := 9
	for end < 20 && b[end] != 0 {
		end++
	}
	augmentation, rest := b[10:end], b[end+1:]
	for range 4 { // code alignment, data alignment, return address register, length
		_, n := binary.Uvarint(rest)
		if n <= 0 {
			return errNoUnwinding
		}
		rest = rest[n:]
	}
	for _, c := range augmentation {
		switch c {
		case 'R':
			if rest[0] != encodedPCRelative4 {
				return errNoUnwinding
			}
			return nil
		case 'P':
			rest = rest[1+personalitySize(rest[0]):]
		case 'L':
			rest = rest[1:]
		case 'S', 'B': // no data
		default:
			return errNoUnwinding
		}
	}
	return errNoUnwinding
}

// personalitySize is the size of a pointer by its encoding.
func personalitySize(encoding byte) int {
	switch encoding & 0x0f {
	case 0x02, 0x0a:
		return 2
	case 0x03, 0x0b:
		return 4
	default:
		return 8
	}
}
