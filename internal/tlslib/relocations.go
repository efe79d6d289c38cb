package tlslib

// relaSize is the size of a relocation with an addend.
const relaSize = 24

// linked is the function of the same file to which the dynamic linker lets a slot point. (Another library may come first in the
// order of look-up: then the exits are never hit.)
func (im *image) linked(slot uint64) (uint64, error) {
	d, ok := im.dynamic()
	if !ok {
		return 0, errIndirect
	}
	for _, table := range [...]struct{ addr, size uint64 }{{d.jumps, d.jumpsSize}, {d.others, d.othersSize}} {
		if table.addr == 0 {
			continue
		}
		symbol, found, err := im.relocationOf(table.addr, table.size, slot)
		if err != nil {
			return 0, err
		}
		if found {
			return d.defined(symbol)
		}
	}
	return 0, errIndirect
}

// defined is the address of a function by the number of its symbol.
func (d *dynamic) defined(symbol uint32) (uint64, error) {
	var s [symbolSize]byte
	if err := d.im.at(d.symbols+uint64(symbol)*symbolSize, s[:]); err != nil {
		return 0, err
	}
	if !isFunction(s[:]) {
		return 0, errImported
	}
	return le.Uint64(s[8:]), nil
}

// relocationOf is the number of the symbol whose address a slot gets.
func (im *image) relocationOf(table, size, slot uint64) (symbol uint32, found bool, err error) {
	err = im.relocations(table, size, func(at, info, _ uint64) bool {
		if at == slot {
			symbol, found = uint32(info>>32), true
		}
		return !found
	})
	return symbol, found, err
}

// relocations calls use for each entry of a table of relocations with addends.
func (im *image) relocations(table, size uint64, use func(at, info, addend uint64) bool) error {
	off, left, err := im.offset(table, 0)
	if err != nil {
		return err
	}
	return im.records(off, min(size, left), relaSize, func(b []byte) bool {
		return use(le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]))
	})
}
