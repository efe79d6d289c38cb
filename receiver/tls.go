package receiver

import "github.com/socketflow/socketflow/internal/tlslib"

// libraries are the kinds of libraries that are looked into.
func (c TLSConfig) libraries() map[tlslib.Kind]bool {
	kinds := map[tlslib.Kind]bool{}
	if c.OpenSSL {
		kinds[tlslib.OpenSSL], kinds[tlslib.BoringSSL] = true, true
	}
	if c.Go {
		kinds[tlslib.Go] = true
	}
	if c.GnuTLS {
		kinds[tlslib.GnuTLS] = true
	}
	return kinds
}
