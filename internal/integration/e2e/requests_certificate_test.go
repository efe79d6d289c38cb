//go:build e2e && linux

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// secure is what scenes over TLS have in common.
type secure struct {
	certificate, key string            // files
	collector        *requestCollector // that observes them from the beginning; nil: none does
}

// newSecure makes a certificate of this host.
func newSecure(t testing.TB) *secure {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	dir := openDir(t)
	encode := func(name, kind string, der []byte) string {
		return writeFile(t, filepath.Join(dir, name), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	return &secure{certificate: encode("certificate.pem", "CERTIFICATE", certificate), key: encode("key.pem", "PRIVATE KEY", key)}
}

// environment names the files to programs.
func (s *secure) environment() []string {
	return []string{"TLS_CERTIFICATE=" + s.certificate, "TLS_KEY=" + s.key}
}
