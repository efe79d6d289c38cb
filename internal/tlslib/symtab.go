package tlslib

import (
	"bytes"
	"debug/elf"
	"errors"
)

const (
	symbolSize = 24
	// maxNames is at how many places of a string table the names may be. One place may be the end of another name, as linkers
	// merge them.
	maxNames = 256
)

// isFunction says whether a symbol is a function that the file defines.
func isFunction(symbol []byte) bool {
	return elf.SymType(symbol[4]&15) == elf.STT_FUNC && elf.SectionIndex(le.Uint16(symbol[6:])) != elf.SHN_UNDEF
}

// fromSymtab looks for functions in the table of symbols that stripping removes. Names must have one of stems in front; with
// few stems the search is fast.
func (im *image) fromSymtab(stems []string, wanted func(name string) bool) (map[string]uint64, error) {
	found := make(map[string]uint64)
	for i := range im.sections {
		s := &im.sections[i]
		if s.kind != elf.SHT_SYMTAB || int(s.link) >= len(im.sections) {
			continue
		}
		names, err := im.namePlaces(&im.sections[s.link], stems, wanted)
		if err != nil || len(names) == 0 {
			return found, err
		}
		return found, im.records(s.off, s.size, symbolSize, func(b []byte) bool {
			if name, ok := names[le.Uint32(b)]; ok && isFunction(b) {
				found[name] = le.Uint64(b[8:])
			}
			return true
		})
	}
	return found, nil
}

// namePlaces is where in a string table the wanted names are, relative to its begin.
func (im *image) namePlaces(table *section, stems []string, wanted func(name string) bool) (map[uint32]string, error) {
	const longest = 64
	places := make(map[uint32]string)
	err := im.scan(table.off, table.size, longest, func(at uint64, b []byte) bool {
		for _, stem := range stems {
			for i := 0; len(places) < maxNames; {
				next := bytes.Index(b[i:], []byte(stem))
				if next < 0 {
					break
				}
				i += next
				if end := bytes.IndexByte(b[i:min(len(b), i+longest)], 0); end >= 0 && wanted(string(b[i:i+end])) {
					places[uint32(at-table.off)+uint32(i)] = string(b[i : i+end])
				}
				i += len(stem)
			}
		}
		return true
	})
	return places, err
}

// symbolAt is the function that an address lies in, by the table of symbols.
func (im *image) symbolAt(addr uint64) (span, error) {
	for i := range im.sections {
		s := &im.sections[i]
		if s.kind != elf.SHT_SYMTAB {
			continue
		}
		found, err := span{}, errNoUnwinding
		failed := im.records(s.off, s.size, symbolSize, func(b []byte) bool {
			begin := le.Uint64(b[8:])
			if piece := (span{begin, begin + le.Uint64(b[16:])}); isFunction(b) && piece.has(addr) {
				found, err = piece, nil
			}
			return err != nil
		})
		return found, errors.Join(err, failed)
	}
	return span{}, errNoUnwinding
}
