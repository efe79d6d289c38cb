package tlslib

import (
	"debug/elf"
	"encoding/hex"
	"strings"
)

// Notes with a build id: the owner's name and the kind.
const (
	gnuOwner, gnuBuildID = "GNU\x00", 3
	goOwner, goBuildID   = "Go\x00\x00", 4
	maxNotes             = 32  // of one segment
	maxBuildID           = 256 // bytes; the linker's has 20, and Go's 83
)

// buildID is the build id of the linker in hexadecimal digits, or else Go's as it is.
func (im *image) buildID() (id string) {
	for i := range im.segments {
		s := &im.segments[i]
		if s.kind != elf.PT_NOTE {
			continue
		}
		off, end := s.off, s.off+min(s.fileSize, im.size)
		for range maxNotes {
			var header [16]byte // sizes of name and content, kind, and a name of four bytes
			if off >= end || im.full(header[:], off) != nil {
				break
			}
			name, size := uint64(le.Uint32(header[:])), uint64(le.Uint32(header[4:]))
			content := make([]byte, min(size, maxBuildID))
			switch kind, owner := le.Uint32(header[8:]), string(header[12:]); {
			case name != 4 || size > maxBuildID || im.full(content, off+16) != nil:
			case kind == gnuBuildID && owner == gnuOwner:
				return hex.EncodeToString(content)
			case kind == goBuildID && owner == goOwner:
				id = strings.ToValidUTF8(string(content), "?")
			}
			off += 12 + (name+3)&^3 + (size+3)&^3
		}
	}
	return id
}
