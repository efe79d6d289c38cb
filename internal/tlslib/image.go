package tlslib

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
)

// Bounds of headers. Linkers write fewer: a program has some 15 segments and 40 sections.
const (
	maxSegments    = 256
	maxSections    = 1024
	maxSectionName = 64
)

var le = binary.LittleEndian

var errUnmapped = errors.New("an address is outside of what the file loads")

// segment is a program header.
type segment struct {
	kind     elf.ProgType
	flags    elf.ProgFlag
	off      uint64
	addr     uint64
	fileSize uint64
}

func (s *segment) has(addr uint64) bool { return addr-s.addr < s.fileSize && addr >= s.addr }

// section is a section header. A program need not have any.
type section struct {
	name string
	kind elf.SectionType
	link uint32
	addr uint64
	off  uint64
	size uint64
}

// image is an ELF file of a machine that is known.
type image struct {
	*file
	machine  machine
	segments []segment
	sections []section
}

// openImage returns ErrNoTLS for what is not a 64-bit executable or shared object of a known machine.
func openImage(f *file) (*image, error) {
	var h [64]byte
	if f.full(h[:], 0) != nil || !bytes.HasPrefix(h[:], []byte(elf.ELFMAG)) {
		return nil, ErrNoTLS
	}
	if elf.Class(h[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(h[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return nil, ErrNoTLS
	}
	if kind := elf.Type(le.Uint16(h[16:])); kind != elf.ET_EXEC && kind != elf.ET_DYN {
		return nil, ErrNoTLS
	}
	im := &image{file: f}
	switch elf.Machine(le.Uint16(h[18:])) {
	case elf.EM_X86_64:
		im.machine = x86{}
	case elf.EM_AARCH64:
		im.machine = aarch64{}
	default:
		return nil, ErrNoTLS
	}
	if err := im.readSegments(le.Uint64(h[32:]), le.Uint16(h[54:]), le.Uint16(h[56:])); err != nil {
		return nil, err
	}
	// A program runs without sections, also if what the header says of them is wrong.
	if im.readSections(le.Uint64(h[40:]), le.Uint16(h[58:]), le.Uint16(h[60:]), le.Uint16(h[62:])) != nil {
		im.sections = nil
	}
	return im, nil
}

func (im *image) readSegments(off uint64, size, n uint16) error {
	if size != 56 || n == 0 || n > maxSegments {
		return ErrNoTLS
	}
	b := make([]byte, int(size)*int(n))
	if im.full(b, off) != nil {
		return ErrNoTLS
	}
	for ; len(b) > 0; b = b[size:] {
		im.segments = append(im.segments, segment{
			kind: elf.ProgType(le.Uint32(b)), flags: elf.ProgFlag(le.Uint32(b[4:])),
			off: le.Uint64(b[8:]), addr: le.Uint64(b[16:]), fileSize: le.Uint64(b[32:]),
		})
	}
	return nil
}

func (im *image) readSections(off uint64, size, n, names uint16) error {
	if size != 64 || n > maxSections || names >= n {
		return errUnmapped
	}
	b := make([]byte, int(size)*int(n))
	if err := im.full(b, off); err != nil {
		return err
	}
	table := le.Uint64(b[int(names)*int(size)+24:])
	for ; len(b) > 0; b = b[size:] {
		name := im.text(table+uint64(le.Uint32(b)), maxSectionName)
		im.sections = append(im.sections, section{
			name: name, kind: elf.SectionType(le.Uint32(b[4:])), link: le.Uint32(b[40:]),
			addr: le.Uint64(b[16:]), off: le.Uint64(b[24:]), size: le.Uint64(b[32:]),
		})
	}
	return nil
}

// text reads a string that ends with a NUL, of at most limit bytes. It returns "" if there is none.
func (im *image) text(off uint64, limit int) string {
	b := make([]byte, limit+1)
	if off >= im.size {
		return ""
	}
	b = b[:min(uint64(len(b)), im.size-off)]
	if im.full(b, off) != nil {
		return ""
	}
	return string(b[:max(bytes.IndexByte(b, 0), 0)])
}

func (im *image) section(name string) *section {
	for i := range im.sections {
		if im.sections[i].name == name && im.sections[i].kind != elf.SHT_NOBITS {
			return &im.sections[i]
		}
	}
	return nil
}

func (im *image) segment(kind elf.ProgType) *segment {
	for i := range im.segments {
		if im.segments[i].kind == kind {
			return &im.segments[i]
		}
	}
	return nil
}

// offset is where in the file the byte of an address is, and how many bytes of its segment follow, itself included.
func (im *image) offset(addr uint64, flags elf.ProgFlag) (off, left uint64, err error) {
	for i := range im.segments {
		s := &im.segments[i]
		if s.kind == elf.PT_LOAD && s.flags&flags == flags && s.has(addr) {
			return s.off + addr - s.addr, s.fileSize - (addr - s.addr), nil
		}
	}
	return 0, 0, errUnmapped
}

// at fills b with what the file loads to an address.
func (im *image) at(addr uint64, b []byte) error {
	off, left, err := im.offset(addr, 0)
	if err != nil {
		return err
	}
	if left < uint64(len(b)) {
		return errUnmapped
	}
	return im.full(b, off)
}

func (im *image) uint32At(addr uint64) (uint32, error) {
	var b [4]byte
	err := im.at(addr, b[:])
	return le.Uint32(b[:]), err
}

func (im *image) uint64At(addr uint64) (uint64, error) {
	var b [8]byte
	err := im.at(addr, b[:])
	return le.Uint64(b[:]), err
}

// code reads up to n bytes of instructions.
func (im *image) code(addr uint64, n int) ([]byte, error) {
	off, left, err := im.offset(addr, elf.PF_X)
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(uint64(n), left))
	return b, im.full(b, off)
}
