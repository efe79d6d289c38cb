//go:build amd64 || arm64

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// throughTLS are compared: what TLS costs itself is in all of them.
var throughTLS = []observation{
	{name: "collector off", off: true},
	{name: "TLS not looked into (`tls: {openssl: false, go: false}`)", keys: "    tls: {openssl: false, go: false}"},
	{name: "default", keys: ""},
}

// listenTLS is what nginx's configuration has instead of a port.
const listenTLS = `%d ssl;
		ssl_certificate certificate.pem;
		ssl_certificate_key key.pem`

const nodeOverTLS = `
const fs = require("fs"), body = "0123456789".repeat(60);
require("https").createServer({key: fs.readFileSync("key.pem"), cert: fs.readFileSync("certificate.pem")},
	(request, response) => response.end(body)).listen(%d, "127.0.0.1");
`

const pythonOverTLS = `
import http.server, ssl
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version, body = "HTTP/1.1", b"0123456789" * 60
    wbufsize = -1
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)
        self.wfile.flush()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", %d), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("certificate.pem", "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
`

// measureTLS measures what servers pay for having their plaintext read.
func measureTLS(s *settings) error {
	dir := filepath.Join(s.dir, "tls")
	if err := prepareTLS(dir); err != nil {
		return err
	}
	for _, program := range []struct {
		name    string
		command func(port int) []string
	}{
		{"nginx, OpenSSL", func(port int) []string {
			return []string{"sh", "-c", fmt.Sprintf("printf '%%s' '%s' > nginx.conf && exec nginx -e stderr -p . -c nginx.conf", fmt.Sprintf(nginxConfiguration, fmt.Sprintf(listenTLS, port)))}
		}},
		{"Node.js, OpenSSL over memory BIOs", func(port int) []string { return []string{"node", "-e", fmt.Sprintf(nodeOverTLS, port)} }},
		{"Python, OpenSSL", func(port int) []string { return []string{"python3", "-c", fmt.Sprintf(pythonOverTLS, port)} }},
		{"Go, crypto/tls", func(port int) []string { return []string{s.self, "-serve-tls", fmt.Sprint(port)} }},
	} {
		if err := measureServerOverTLS(s, dir, program.name, program.command); err != nil {
			return fmt.Errorf("%s: %w", program.name, err)
		}
	}
	return nil
}

func measureServerOverTLS(s *settings, dir, name string, command func(port int) []string) (err error) {
	port, err := freePort()
	if err != nil {
		return err
	}
	words := command(port)
	server, err := startServer(port, append([]string{"env", "--chdir=" + dir}, words...)...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	c, err := compareServed(s, throughTLS, server, func() (served, error) {
		return loadHTTP(fmt.Sprintf("https://127.0.0.1:%d/small", port), "1", max(1, s.seconds/2))
	})
	if err != nil {
		return err
	}
	c.printServed("TLS: " + name + ", 600 bytes, wrk over 32 connections, on a core each")
	return nil
}

// prepareTLS makes a directory with a certificate and the file that is served.
func prepareTLS(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "files"), 0o750); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"localhost"}}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "certificate.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600),
		os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
		os.WriteFile(filepath.Join(dir, "files", "small"), []byte(strings.Repeat("0123456789", 60)), 0o600),
	)
}

// serveTLS is the server in Go.
func serveTLS(port int) error {
	body := []byte(strings.Repeat("0123456789", 60))
	server := &http.Server{
		Addr: fmt.Sprintf("127.0.0.1:%d", port), ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }),
	}
	return server.ListenAndServeTLS("certificate.pem", "key.pem")
}
