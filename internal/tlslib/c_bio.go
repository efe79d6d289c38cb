package tlslib

import "debug/elf"

const (
	bioSSL = "BIO_f_ssl"
	// bioWriter is the name here of the function by which such a BIO writes: int ssl_write(bio, buf, size_t num, size_t *written). It has no symbol.
	bioWriter = "BIO_f_ssl's write"
)

// Where struct bio_method_st has functions (OpenSSL 1.1.1 and 3, include/internal/bio.h). Those that the second and the fourth stand for have other
// arguments, and libssl's own BIO has none of them. Earlier and other libraries have only these, at the first and the second place.
const (
	bioWrite    = 16
	bioWriteOld = 24
	bioRead     = 32
	bioReadOld  = 40
)

// findBIOWriter finds the function by which a BIO of libssl's own writes: it does what SSL_write_ex does, and does not call it. Programs read from such a
// BIO by the function that SSL_read has in common with it.
func (im *image) findBIOWriter(symbols map[string]uint64) (addr uint64, ok bool) {
	table, ok := im.machine.returned(im, symbols[bioSSL])
	if !ok {
		return 0, false
	}
	for at, has := range map[uint64]bool{bioWrite: true, bioWriteOld: false, bioRead: true, bioReadOld: false} {
		p, err := im.pointerAt(table + at)
		if _, _, outside := im.offset(p, elf.PF_X); err != nil || has != (outside == nil) || !has && p != 0 {
			return 0, false
		}
		if at == bioWrite {
			addr = p
		}
	}
	return addr, !im.calls(addr, symbols["SSL_write"], symbols["SSL_write_ex"])
}

// calls reports whether a function calls one of others, or whether that is not known.
func (im *image) calls(addr uint64, others ...uint64) bool {
	b, err := im.walk(addr)
	if err != nil {
		return true
	}
	for _, i := range b.instructions {
		if i.flow != call {
			continue
		}
		target := i.target
		if through, stub, err := im.throughStub(target); stub && err == nil {
			target = through
		}
		for _, other := range others {
			if target == other {
				return true
			}
		}
	}
	return false
}
