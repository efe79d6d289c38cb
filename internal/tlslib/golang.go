package tlslib

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	maxPrologue = 16      // instructions ahead of the one at which a function of Go is entered
	maxGoCode   = 1 << 14 // bytes of one function; Read has some 1,000
	maxCopies   = 8       // of crypto/tls in one program
	maxVersion  = 64
)

var (
	errGoPart    = errors.New("only a part of crypto/tls is there")
	errGoCopies  = errors.New("there are too many copies of crypto/tls")
	errGoCode    = errors.New("the size of the function is not plausible")
	errTailJump  = errors.New("the function ends in another one")
	buildInfoTag = []byte("\xff Go buildinf:")
)

// goMethod is a method of Conn that is probed.
type goMethod struct {
	name  string
	call  Call
	exits bool
}

var goMethods = []goMethod{
	{"Read", GoRead, true},
	{"Write", GoWrite, false},
	{"write", GoConnWrite, false},
}

// connMethods is what the names of the methods have in common, behind the rest of the path of a copy, as "vendor/".
const connMethods = "crypto/tls.(*Conn)."

// findGo looks for crypto/tls, and copies of it in packages whose path ends with it. A program that has no table of functions in
// Go's form, or no crypto/tls, is ErrNoTLS.
func findGo(im *image) (*Library, error) {
	version, ok := im.goVersion()
	if !ok {
		return nil, ErrNoTLS
	}
	lib := &Library{Kind: Go, Version: version}
	table, err := im.goTable()
	if err != nil {
		return lib, err
	}
	copies, err := table.methods()
	if err != nil {
		return lib, err
	}
	if len(copies) == 0 {
		return nil, ErrNoTLS
	}
	text, err := table.textStart()
	if err != nil {
		return lib, err
	}
	for _, name := range slices.Sorted(maps.Keys(copies)) {
		if err := table.place(lib, text, copies[name]); err != nil {
			return lib, fmt.Errorf("%s: %w", name, err)
		}
	}
	return lib, nil
}

// place adds the probes of one copy.
func (t *goTable) place(lib *Library, text uint64, methods map[string]span) error {
	im := t.im
	for _, m := range goMethods {
		where, ok := methods[m.name]
		if !ok {
			return errGoPart
		}
		b, err := im.goBody(span{text + where.begin, text + where.end})
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		enter, err := im.machine.goEnter(b)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		places := []place{enter}
		if m.exits {
			exits, err := t.exits(text, b)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			places = append(places, exits...)
		}
		if err := im.addProbes(lib, m.call, places); err != nil {
			return err
		}
	}
	return nil
}

// goBody decodes a function of Go, whose code has no gaps: jumps through tables stay within.
func (im *image) goBody(where span) (*body, error) {
	if where.end-where.begin > maxGoCode || where.end <= where.begin {
		return nil, errGoCode
	}
	b := newBody(where.begin)
	for at := where.begin; at < where.end; {
		i, err := im.decode(b, at)
		if err != nil {
			return nil, err
		}
		switch i.flow {
		case ret:
			b.returns = append(b.returns, at)
		case jump, branch:
			b.targets[i.target] = true
			if !where.has(i.target) {
				return nil, errTailJump
			}
		}
		at = i.end()
	}
	return b, nil
}

// goVersion is the version of the toolchain, as "go1.26.1". It returns false if the file is not a program of Go 1.18 or newer.
func (im *image) goVersion() (string, bool) {
	s := im.section(".go.buildinfo")
	if s == nil {
		// The linker puts it at the begin of the data.
		for i := range im.segments {
			if p := &im.segments[i]; p.kind == elf.PT_LOAD && p.flags&elf.PF_W != 0 && len(im.sections) == 0 {
				s = &section{off: p.off, size: p.fileSize}
				break
			}
		}
	}
	if s == nil {
		return "", false
	}
	const header, inline = 32, 2
	b := make([]byte, min(s.size, pageSize))
	if im.full(b, s.off) != nil {
		return "", false
	}
	i := bytes.Index(b, buildInfoTag)
	if i < 0 || len(b)-i < header+1 || b[i+15]&inline == 0 {
		return "", false
	}
	n, size := binary.Uvarint(b[i+header:])
	text := b[i+header+max(size, 0):]
	if size <= 0 || n > maxVersion || n > uint64(len(text)) {
		return "", false
	}
	return strings.ToValidUTF8(string(text[:n]), "?"), true
}
