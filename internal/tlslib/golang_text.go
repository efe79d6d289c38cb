package tlslib

import (
	"debug/elf"
	"errors"
)

// Words of runtime.moduledata, relative to its begin. The first is the address of the table of functions.
const (
	moduleMinPC = 160
	moduleText  = 176
)

const (
	headerText = 24 // of the table of functions
	maxModules = 16 // places that look like a module's data
)

var errNoTextStart = errors.New("where code begins was not found")

// textStart is the address of the begin of all code. Up to Go 1.25 it is in the header of the table, and later only in the
// module's data. In position independent programs both are filled when the program starts: relocations have the values.
func (t *goTable) textStart() (uint64, error) {
	if t.isText(t.text) {
		return t.text, nil
	}
	text, err := t.relocatedText()
	if err == nil && text == 0 {
		text, err = t.storedText()
	}
	if err == nil && text == 0 {
		err = errNoTextStart
	}
	return text, err
}

func (t *goTable) isText(addr uint64) bool {
	_, _, err := t.im.offset(addr, elf.PF_X)
	return addr != 0 && err == nil
}

// checked is text, if the module's data has the same begin of the first function as the table; otherwise 0.
func (t *goTable) checked(text, minPC uint64) (uint64, error) {
	first, err := t.im.uint32At(t.addr + t.rows)
	if err != nil || !t.isText(text) || minPC != text+uint64(first) {
		return 0, err
	}
	return text, nil
}

// relocatedText looks for the begin of code in the relocations; 0: it is not there.
func (t *goTable) relocatedText() (uint64, error) {
	d, ok := t.im.dynamic()
	if !ok || d.others == 0 {
		return 0, nil
	}
	var text uint64
	var modules []uint64
	err := t.im.relocations(d.others, d.othersSize, func(at, info, value uint64) bool {
		if !isRelative(info) {
			return true
		}
		if at == t.addr+headerText {
			text = value
		}
		if value == t.addr && len(modules) < maxModules {
			modules = append(modules, at)
		}
		return true
	})
	if err != nil || t.isText(text) || len(modules) == 0 {
		return text, err
	}
	values := make(map[uint64]uint64)
	for _, m := range modules {
		values[m+moduleMinPC], values[m+moduleText] = 0, 0
	}
	err = t.im.relocations(d.others, d.othersSize, func(at, info, value uint64) bool {
		if _, ok := values[at]; ok && isRelative(info) {
			values[at] = value
		}
		return true
	})
	for _, m := range modules {
		if err == nil && text == 0 {
			text, err = t.checked(values[m+moduleText], values[m+moduleMinPC])
		}
	}
	return text, err
}

// isRelative: the value is an address of the file itself.
func isRelative(info uint64) bool {
	return info == uint64(elf.R_X86_64_RELATIVE) || info == uint64(elf.R_AARCH64_RELATIVE)
}

// storedText looks for the module's data in what is loaded writable; 0: it is not there.
func (t *goTable) storedText() (uint64, error) {
	for i := range t.im.segments {
		s := &t.im.segments[i]
		if s.kind != elf.PT_LOAD || s.flags&elf.PF_W == 0 {
			continue
		}
		var modules []uint64
		at := s.addr
		err := t.im.records(s.off, s.fileSize, 8, func(b []byte) bool {
			if le.Uint64(b) == t.addr {
				modules = append(modules, at)
			}
			at += 8
			return len(modules) < maxModules
		})
		if err != nil {
			return 0, err
		}
		for _, m := range modules {
			minPC, _ := t.im.uint64At(m + moduleMinPC)
			text, _ := t.im.uint64At(m + moduleText)
			if text, err := t.checked(text, minPC); text != 0 || err != nil {
				return text, err
			}
		}
	}
	return 0, nil
}
