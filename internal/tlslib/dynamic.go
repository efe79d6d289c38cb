package tlslib

import (
	"debug/elf"
	"errors"
)

// maxChain is how many symbols of one hash value are compared. Linkers keep such chains at a few.
const maxChain = 1 << 12

var errChain = errors.New("a hash table of symbols has a chain without end")

// dynamic is what the dynamic linker uses: addresses, 0 where there is none.
type dynamic struct {
	im                  *image
	symbols, strings    uint64
	gnuHash, hash       uint64
	jumps, jumpsSize    uint64 // relocations of the procedure linkage table
	others, othersSize  uint64 // other relocations
	name                uint64 // of a shared object, in strings
	hasStrings, hasName bool
}

func (im *image) dynamic() (dynamic, bool) {
	d := dynamic{im: im}
	s := im.segment(elf.PT_DYNAMIC)
	if s == nil {
		return d, false
	}
	const entry, most = 16, 1 << 10
	for at := range min(s.fileSize/entry, most) {
		var b [entry]byte
		if im.full(b[:], s.off+at*entry) != nil {
			return d, false
		}
		tag, value := elf.DynTag(le.Uint64(b[:])), le.Uint64(b[8:])
		if tag == elf.DT_NULL {
			break
		}
		d.set(tag, value)
	}
	return d, d.hasStrings && d.symbols != 0
}

func (d *dynamic) set(tag elf.DynTag, value uint64) {
	switch tag {
	case elf.DT_SYMTAB:
		d.symbols = value
	case elf.DT_STRTAB:
		d.strings, d.hasStrings = value, true
	case elf.DT_GNU_HASH:
		d.gnuHash = value
	case elf.DT_HASH:
		d.hash = value
	case elf.DT_JMPREL:
		d.jumps = value
	case elf.DT_PLTRELSZ:
		d.jumpsSize = value
	case elf.DT_RELA: //nolint:misspell // relocations with addends
		d.others = value
	case elf.DT_RELASZ:
		d.othersSize = value
	case elf.DT_SONAME:
		d.name, d.hasName = value, true
	}
}

// soname is the name of a shared object, "" if it has none.
func (d *dynamic) soname() string {
	if !d.hasName {
		return ""
	}
	off, _, err := d.im.offset(d.strings+d.name, 0)
	if err != nil {
		return ""
	}
	return d.im.text(off, maxSectionName)
}

// function is the address of a function that the file defines and exports; 0 if there is none.
func (d *dynamic) function(name string) (uint64, error) {
	switch {
	case d.gnuHash != 0:
		return d.byGNUHash(name)
	case d.hash != 0:
		return d.byHash(name)
	}
	return 0, nil
}

// byGNUHash: https://sourceware.org/gnu-gabi/program-loading-and-dynamic-linking.txt
func (d *dynamic) byGNUHash(name string) (uint64, error) {
	var h [16]byte
	if err := d.im.at(d.gnuHash, h[:]); err != nil {
		return 0, err
	}
	buckets, first, words, shift := le.Uint32(h[:]), le.Uint32(h[4:]), le.Uint32(h[8:]), le.Uint32(h[12:])
	if buckets == 0 || words == 0 {
		return 0, nil
	}
	hash := uint32(5381)
	for _, c := range []byte(name) {
		hash = hash*33 + uint32(c)
	}
	filter, err := d.im.uint64At(d.gnuHash + 16 + uint64(hash/64%words)*8)
	if err != nil || filter>>(hash%64)&1 == 0 || filter>>(hash>>(shift%32)%64)&1 == 0 {
		return 0, err
	}
	table := d.gnuHash + 16 + uint64(words)*8
	index, err := d.im.uint32At(table + uint64(hash%buckets)*4)
	if err != nil || index < first {
		return 0, err
	}
	chain := table + uint64(buckets)*4
	for i := uint64(index); i < uint64(index)+maxChain; i++ {
		other, err := d.im.uint32At(chain + (i-uint64(first))*4)
		if err != nil {
			return 0, err
		}
		if other|1 == hash|1 {
			if addr, err := d.named(i, name); addr != 0 || err != nil {
				return addr, err
			}
		}
		if other&1 != 0 {
			return 0, nil
		}
	}
	return 0, errChain
}

// byHash: System V ABI, "Hash Table".
func (d *dynamic) byHash(name string) (uint64, error) {
	var h [8]byte
	if err := d.im.at(d.hash, h[:]); err != nil {
		return 0, err
	}
	buckets := le.Uint32(h[:])
	if buckets == 0 {
		return 0, nil
	}
	var hash uint32
	for _, c := range []byte(name) {
		hash = hash<<4 + uint32(c)
		hash = (hash ^ hash>>28<<4 ^ hash>>28<<28) & 0x0fffffff
	}
	i, err := d.im.uint32At(d.hash + 8 + uint64(hash%buckets)*4)
	for range maxChain {
		if err != nil || i == 0 {
			return 0, err
		}
		if addr, err := d.named(uint64(i), name); addr != 0 || err != nil {
			return addr, err
		}
		i, err = d.im.uint32At(d.hash + 8 + uint64(buckets)*4 + uint64(i)*4)
	}
	return 0, errChain
}

// named is the address of a symbol that is a function of that name; 0 if it is another.
func (d *dynamic) named(index uint64, name string) (uint64, error) {
	var b [symbolSize]byte
	if err := d.im.at(d.symbols+index*symbolSize, b[:]); err != nil {
		return 0, err
	}
	if !isFunction(b[:]) {
		return 0, nil
	}
	text := make([]byte, len(name)+1)
	if err := d.im.at(d.strings+uint64(le.Uint32(b[:])), text); err != nil {
		return 0, nil // shorter than the name, at the end of the table
	}
	if string(text) != name+"\x00" {
		return 0, nil
	}
	return le.Uint64(b[8:]), nil
}
