package tlslib

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestVersionsOfLibraries(t *testing.T) {
	for name, test := range map[string]struct {
		code, soname string
		kind         Kind
		want         string
	}{
		"OpenSSL 3":                 {cFunction("BIO_write", "ret") + cFunction("OpenSSL_version_num", "mov $0x30000130,%eax; ret"), "libcrypto.so.3", OpenSSL, "3.0.19"},
		"OpenSSL 1.1":               {cFunction("BIO_write", "ret") + cFunction("OpenSSL_version_num", "endbr64; mov $0x1010117f,%eax; ret"), "libcrypto.so.1.1", OpenSSL, "1.1.1w"},
		"only a shared libssl":      {cFunction("SSL_read", "ret"), "libssl.so.1.1", OpenSSL, "1.1"},
		"number that is not a part": {cFunction("BIO_write", "ret") + cFunction("OpenSSL_version_num", "mov 8(%rdi),%eax; ret"), "libcrypto.so.3", OpenSSL, "3"},
		"LibreSSL":                  {cFunction("BIO_write", "ret") + cFunction("OpenSSL_version_num", "mov $0x20000000,%eax; ret"), "libcrypto.so.52", OpenSSL, "52"},
		"BoringSSL's libssl":        {cFunction("SSL_read", "ret") + cFunction("SSL_CTX_set_grease_enabled", "ret"), "libssl.so.0", BoringSSL, ""},
		"BoringSSL's libcrypto":     {cFunction("BIO_write", "ret") + cFunction("BORINGSSL_self_test", "ret"), "libcrypto.so.0", BoringSSL, ""},
		"GnuTLS": {
			gnuTLSOf("mov %r14,%rdi; call *0x5e8(%r13); ret") + cFunction("gnutls_check_version", `lea 1f(%rip),%rdi; lea 2f(%rip),%rax; ret; 1: .asciz "no"; 2: .asciz "3.7.9"`),
			"libgnutls.so.30", GnuTLS, "3.7.9",
		},
	} {
		t.Run(name, func(t *testing.T) {
			lib, err := find(assemble(t, test.code, "-shared", "-Wl,-soname,"+test.soname))
			require.NoError(t, err)
			assert.Equal(t, test.kind, lib.Kind)
			assert.Equal(t, test.want, lib.Version)
		})
	}
}
