package tlslib

import (
	"fmt"
	"slices"
	"strings"
)

// function is a function of C that is probed.
type function struct {
	name      string
	call      Call
	arguments int
	exits     bool
}

// receives says whether it gets application data of GnuTLS.
func (f function) receives() bool { return f.call == GnuTLSRecv || f.call == GnuTLSRecvSeq }

var (
	openSSL = []function{
		{"SSL_read", SSLRead, 3, true},
		{"SSL_read_ex", SSLReadEx, 4, true},
		{"SSL_write", SSLWrite, 3, true},
		{"SSL_write_ex", SSLWriteEx, 4, true},
		{sendfile, SSLSendfile, 4, true},
		{bioWriter, BIOSSLWrite, 4, true},
		{"BIO_write", BIOWrite, 3, false},
		{"SSL_set_bio", SSLSetBIO, 3, false},
		{"SSL_set0_wbio", SSLSet0WBIO, 2, false},
	}
	gnuTLS = []function{
		{"gnutls_record_recv", GnuTLSRecv, 3, true},
		{"gnutls_record_recv_seq", GnuTLSRecvSeq, 3, true},
		{"gnutls_record_send2", GnuTLSSend2, 3, true},
		{"gnutls_record_send", GnuTLSSend, 3, true},
		{"gnutls_record_send_range", GnuTLSSendRange, 3, true},
		{"gnutls_record_uncork", GnuTLSUncork, 1, true},
	}
	// boringMarks are functions that BoringSSL has, and OpenSSL has not; one is in its libssl, the other in its libcrypto.
	boringMarks = []string{"SSL_CTX_set_grease_enabled", "BORINGSSL_self_test"}
	// stems are what all names begin with.
	stems = []string{"SSL_", "TLS_", "BIO_write", bioSSL, "OpenSSL_version_num", "BORINGSSL_self_test", "gnutls_"}
)

const (
	// gnuTLSWrapper begins the name of a shared object that has functions of OpenSSL, and hands the calls to GnuTLS, where they are
	// seen.
	gnuTLSWrapper  = "libgnutls-openssl.so."
	openSSLVersion = "OpenSSL_version_num"
	gnuTLSVersion  = "gnutls_check_version"
	// sendfile is used by the few programs that have the kernel encrypt. Without it, or bioWriter, the rest of the library is of use.
	sendfile = "SSL_sendfile"
)

// names are those of all functions that are looked up.
var names = func() []string {
	all := slices.Concat([]string{openSSLVersion, bioSSL, gnuTLSVersion, gnuTLSSetPush, gnuTLSSetVectorPush}, boringMarks, tlsMethods)
	for _, f := range slices.Concat(openSSL, gnuTLS) {
		all = append(all, f.name)
	}
	return all
}()

// findC looks for libraries of the C calling convention. The Library is not nil if there is one, also with an error.
func findC(im *image) (*Library, error) {
	symbols, err := im.cSymbols()
	if err != nil {
		return nil, err
	}
	if d, ok := im.dynamic(); ok && strings.HasPrefix(d.soname(), gnuTLSWrapper) {
		return nil, ErrNoTLS
	}
	switch {
	case symbols["SSL_read"] != 0 || symbols["BIO_write"] != 0:
		lib := &Library{Kind: OpenSSL, Version: im.openSSLVersion(symbols)}
		if slices.ContainsFunc(boringMarks, func(name string) bool { return symbols[name] != 0 }) {
			lib.Kind, lib.Version = BoringSSL, ""
		}
		return lib, im.place(lib, openSSL, symbols)
	case symbols["gnutls_record_recv"] != 0:
		lib := &Library{Kind: GnuTLS, Version: im.gnuTLSVersion(symbols)}
		if err := im.place(lib, gnuTLS, symbols); err != nil {
			return lib, err
		}
		return lib, im.placePushes(lib, symbols)
	}
	return nil, ErrNoTLS
}

// cSymbols are the addresses of the functions that there are. Those that are exported are found in a few reads. The table that
// stripping removes has to be read as a whole, and so is only where not all of a library was found.
func (im *image) cSymbols() (map[string]uint64, error) {
	found := make(map[string]uint64)
	if d, ok := im.dynamic(); ok {
		for _, name := range names {
			addr, err := d.function(name)
			if err != nil {
				return nil, err
			}
			if addr != 0 {
				found[name] = addr
			}
		}
	}
	if found["gnutls_record_recv"] != 0 || found["SSL_read"] != 0 && found["BIO_write"] != 0 {
		return found, nil
	}
	static, err := im.fromSymtab(stems, func(name string) bool { return found[name] == 0 && slices.Contains(names, name) })
	for name, addr := range static {
		found[name] = addr
	}
	return found, err
}

// place adds the probes of functions to a library.
func (im *image) place(lib *Library, functions []function, symbols map[string]uint64) error {
	reader, whole := im.reader(symbols)
	if whole {
		if err := im.addProbes(lib, SSLReadEx, reader); err != nil {
			return err
		}
	}
	kept := im.keptByRecv(symbols)
	if addr, ok := im.findBIOWriter(symbols); ok {
		symbols[bioWriter] = addr
	}
	for _, f := range functions {
		if symbols[f.name] == 0 || im.handsOver(f, symbols) || whole && (f.call == SSLRead || f.call == SSLReadEx) {
			continue
		}
		places, err := im.placesOf(f, symbols, kept)
		if err != nil && (f.name == sendfile || f.name == bioWriter) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if err := im.addProbes(lib, f.call, places); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// placesOf is where a function is entered, and then where it is left. kept: places where that is, by the RET, which are better for a function that
// receives.
func (im *image) placesOf(f function, symbols map[string]uint64, kept map[uint64]place) ([]place, error) {
	start := symbols[f.name]
	b, err := im.walk(start)
	if !f.exits && err != nil { // without knowing what jumps where, the first instruction is the only safe one
		_, err := im.code(start, 1)
		return []place{{at: start}}, err
	}
	if err != nil {
		return nil, fmt.Errorf("not all exits are known: %w", err)
	}
	if b.targets[start] {
		return nil, errLoop
	}
	places := []place{im.machine.enter(b, f.arguments)}
	if !f.exits {
		return places, nil
	}
	if f.isShared(b, symbols) {
		return nil, errShared
	}
	if len(b.returns) == 0 {
		return nil, errNoExit
	}
	for _, at := range b.returns {
		p, ok := kept[at]
		if !ok || !f.receives() {
			p = im.machine.exit(b, at)
		}
		places = append(places, p)
	}
	return places, nil
}

// isShared says whether a function ends in another one that is probed, whose end would then be the end of two calls.
func (f function) isShared(b *body, symbols map[string]uint64) bool {
	for _, other := range slices.Concat(openSSL, gnuTLS) {
		if at := symbols[other.name]; other.exits && other.name != f.name && at != 0 && b.instructions[at] != nil {
			return true
		}
	}
	return false
}
