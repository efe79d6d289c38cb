package tlslib

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLibrariesThatProgramsSayTheyHave(t *testing.T) {
	for name, test := range map[string]struct{ text, library, version string }{
		"rustls":                     {"/root/.cargo/registry/src/index.example-6f17d22bba15001f/rustls-0.23.5/src/conn.rs", "rustls", "0.23.5"},
		"a later version of it":      {"/vendor/rustls-0.24.0-dev.0/src/conn.rs", "rustls", "0.24.0"},
		"a part beside it":           {"/vendor/rustls-webpki-0.102.2/src/lib.rs", "", ""},
		"OpenSSL":                    {"OpenSSL 3.0.19 27 Jan 2026", "OpenSSL", "3.0.19"},
		"OpenSSL 1.1":                {"OpenSSL 1.1.1w  11 Sep 2023", "OpenSSL", "1.1.1w"},
		"an error that names it":     {"OpenSSL 3 is missing", "", ""},
		"BoringSSL":                  {"OpenSSL 1.1.1 (compatible; BoringSSL)", "BoringSSL", ""},
		"AWS-LC":                     {"OpenSSL 1.1.1 (compatible; AWS-LC 1.36.0)", "AWS-LC", ""},
		"s2n-tls":                    {"Error in s2n_negotiate", "s2n-tls", ""},
		"Mbed TLS":                   {"Mbed TLS 3.6.2\x00", "Mbed TLS", "3.6.2"},
		"none":                       {"text", "", ""},
		"none, but one that is near": {"/rustls-0.23.5", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			content := assemble(t, cFunction("_start", "ret")+".section .rodata\n.ascii \""+strings.ReplaceAll(test.text, "\x00", `\0`)+"\"\n")
			library, version, err := Foreign(bytes.NewReader(content), int64(len(content)))
			require.NoError(t, err)
			assert.Equal(t, test.library, library)
			assert.Equal(t, test.version, version)
		})
	}
}
