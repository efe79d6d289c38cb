package tlslib

import (
	"bytes"
	"debug/elf"
	"errors"
	"strings"
)

// goTableTag begins the table of functions, behind a byte that is the form: of Go 1.18, or of Go 1.20 and newer. What is read here is
// the same in both. Behind it is the quantum of the program counter.
var (
	goTableTag   = []byte{0xff, 0xff, 0xff, 0, 0}
	goTableForms = []byte{0xf0, 0xf1}
)

const (
	goTableHeader = 72
	functionRow   = 8 // of the table: offset of the code, offset of the description
	maxFunctions  = 1 << 22
	maxTags       = 1 << 8
	// longestName is what a name ahead of "crypto/tls" may have.
	longestName = 256
)

var errNoGoTable = errors.New("the table of functions was not found, or is not of Go 1.18 to 1.26")

// goTable is the table of functions of a program of Go (internal/abi, runtime.pcHeader). It stays when a file is stripped.
type goTable struct {
	im        *image
	addr      uint64
	off       uint64 // in the file
	size      uint64 // of what is loaded from its begin; the table may be shorter
	functions uint64 // number of functions
	text      uint64 // where code begins, 0 if the header does not say so
	names     span   // relative to off
	rows      uint64 // relative to off
}

func (im *image) goTable() (*goTable, error) {
	for _, name := range []string{".gopclntab", ".data.rel.ro.gopclntab"} {
		if s := im.section(name); s != nil {
			if t, ok := im.goTableAt(s.addr); ok {
				return t, nil
			}
		}
	}
	return im.searchGoTable()
}

// searchGoTable looks for the table where the linker of C has merged it with other data.
func (im *image) searchGoTable() (*goTable, error) {
	for i := range im.segments {
		s := &im.segments[i]
		if s.kind != elf.PT_LOAD || s.flags&elf.PF_X != 0 {
			continue
		}
		places, err := im.goTags(s)
		for _, addr := range places {
			if t, ok := im.goTableAt(addr); ok {
				return t, nil
			}
		}
		if err != nil {
			return nil, errors.Join(errNoGoTable, err)
		}
	}
	return nil, errNoGoTable
}

// goTags are the addresses in a segment at which a table may begin.
func (im *image) goTags(s *segment) (places []uint64, err error) {
	err = im.scan(s.off, s.fileSize, len(goTableTag), func(at uint64, b []byte) bool {
		for i := 1; i < len(b) && len(places) < maxTags; i++ {
			next := bytes.Index(b[i:], goTableTag)
			if next < 0 {
				return true
			}
			i += next
			if addr := at + uint64(i) - 1 - s.off + s.addr; addr%8 == 0 && bytes.IndexByte(goTableForms, b[i-1]) >= 0 {
				places = append(places, addr)
			}
		}
		return len(places) < maxTags
	})
	return places, err
}

// goTableAt reads the header of the table at an address. It returns false if there is none.
func (im *image) goTableAt(addr uint64) (*goTable, bool) {
	off, left, err := im.offset(addr, 0)
	if err != nil {
		return nil, false
	}
	var h [goTableHeader]byte
	if im.full(h[:], off) != nil || bytes.IndexByte(goTableForms, h[0]) < 0 || !bytes.HasPrefix(h[1:], goTableTag) || h[7] != 8 {
		return nil, false
	}
	t := &goTable{
		im: im, addr: addr, off: off, size: left,
		functions: le.Uint64(h[8:]), text: le.Uint64(h[24:]),
		names: span{le.Uint64(h[32:]), le.Uint64(h[40:])}, rows: le.Uint64(h[64:]),
	}
	plausible := t.functions > 0 && t.functions < maxFunctions && t.names.begin < t.names.end && t.names.end <= left &&
		t.rows < left && t.functions*functionRow < left-t.rows
	return t, plausible
}

// eachFunction calls use for each function: where its code is, relative to the begin of all code, and where its name is, relative
// to the names. It stops when use returns false.
func (t *goTable) eachFunction(use func(code span, name uint32) bool) error {
	const perRead = pageSize / functionRow
	var b [pageSize + functionRow]byte // the row behind the last has the end of all code
	for first := uint64(0); first < t.functions; first += perRead {
		n := min(perRead, t.functions-first)
		rows := b[:(n+1)*functionRow]
		if err := t.im.full(rows, t.off+t.rows+first*functionRow); err != nil {
			return err
		}
		for ; len(rows) > functionRow; rows = rows[functionRow:] {
			var name [4]byte // behind the first field of a runtime._func
			if err := t.im.full(name[:], t.off+t.rows+uint64(le.Uint32(rows[4:]))+4); err != nil {
				return err
			}
			code := span{uint64(le.Uint32(rows)), uint64(le.Uint32(rows[functionRow:]))}
			if !use(code, le.Uint32(name[:])) {
				return nil
			}
		}
	}
	return nil
}

// functionAt is where the code of the function is that begins at an offset from the begin of all code.
func (t *goTable) functionAt(begin uint64) (code span, found bool, err error) {
	var row [2 * functionRow]byte
	for low, high := uint64(0), t.functions; low < high; {
		middle := (low + high) / 2
		if err := t.im.full(row[:], t.off+t.rows+middle*functionRow); err != nil {
			return span{}, false, err
		}
		code = span{uint64(le.Uint32(row[:])), uint64(le.Uint32(row[functionRow:]))}
		switch {
		case code.begin == begin:
			return code, true, nil
		case code.begin < begin:
			low = middle + 1
		default:
			high = middle
		}
	}
	return span{}, false, nil
}

// methods are the methods of Conn in each copy of crypto/tls, by the path of its package, with where their code is relative to the
// begin of all code.
func (t *goTable) methods() (map[string]map[string]span, error) {
	names, err := t.methodNames()
	if err != nil || len(names) == 0 {
		return nil, err
	}
	copies := make(map[string]map[string]span)
	left := len(names)
	err = t.eachFunction(func(code span, name uint32) bool {
		full, ok := names[name]
		if !ok {
			return true
		}
		path, method, _ := strings.Cut(full, ".(*Conn).")
		if copies[path] == nil {
			copies[path] = make(map[string]span)
		}
		copies[path][method] = code
		left--
		return left > 0
	})
	return copies, err
}

// methodNames are the names of wanted methods by where they are, relative to the begin of names.
func (t *goTable) methodNames() (map[uint32]string, error) {
	wanted := make(map[string]bool)
	for _, m := range goMethods {
		wanted[m.name] = true
	}
	found := make(map[uint32]string)
	begin := t.off + t.names.begin
	err := t.im.scan(begin, t.names.end-t.names.begin, longestName+maxSectionName, func(at uint64, b []byte) bool {
		for i := 0; len(found) <= maxCopies*len(goMethods); {
			next := bytes.Index(b[i:], []byte(connMethods))
			if next < 0 {
				return true
			}
			i += next + len(connMethods)
			end := bytes.IndexByte(b[i:], 0)
			if end < 0 || !wanted[string(b[i:i+end])] {
				continue
			}
			first := bytes.LastIndexByte(b[:i], 0) + 1
			if name := string(b[first : i+end]); first > 0 || at == begin {
				if path := strings.TrimSuffix(name[:i-first], connMethods); path == "" || strings.HasSuffix(path, "/") {
					found[uint32(at-begin)+uint32(first)] = name
				}
			}
		}
		return false
	})
	if len(found) > maxCopies*len(goMethods) {
		return nil, errGoCopies
	}
	return found, err
}
