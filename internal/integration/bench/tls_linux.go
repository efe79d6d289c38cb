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
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// schemes are what a server speaks, and how its requests are observed. What TLS itself costs is in all of its ways.
var schemes = []struct {
	name string
	ways []observation
}{
	{"http", []observation{
		{name: "HTTP, collector off", off: true},
		{name: "HTTP, default"},
	}},
	{"https", []observation{
		{name: "HTTPS, collector off", off: true},
		{name: "HTTPS, not looked into (`tls: {openssl: false, go: false}`)", keys: "    tls: {openssl: false, go: false}"},
		{name: "HTTPS, default", looksIntoTLS: true},
	}},
}

// listenTLS is what nginx's configuration has instead of a port.
const listenTLS = `%d ssl;
		ssl_certificate certificate.pem;
		ssl_certificate_key key.pem`

const nodeServer = `
const fs = require("fs"), [, scheme, port] = process.argv, body = "0123456789".repeat(60);
const keys = scheme === "https" ? {key: fs.readFileSync("key.pem"), cert: fs.readFileSync("certificate.pem")} : {};
require(scheme).createServer(keys, (request, response) => response.end(body)).listen(port, "127.0.0.1");
`

const pythonServer = `
import http.server, ssl, sys
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
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler)
if sys.argv[1] == "https":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("certificate.pem", "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
`

// servers are compared over both schemes.
var serversOverTLS = []struct {
	name    string
	command func(s *settings, scheme string, port int) []string
}{
	{"nginx, OpenSSL", func(_ *settings, scheme string, port int) []string {
		listen := fmt.Sprint(port)
		if scheme == "https" {
			listen = fmt.Sprintf(listenTLS, port)
		}
		return []string{"sh", "-c", fmt.Sprintf("printf '%%s' '%s' > nginx.conf && exec nginx -e stderr -p . -c nginx.conf", fmt.Sprintf(nginxConfiguration, listen))}
	}},
	{"Node.js, OpenSSL over memory BIOs", func(_ *settings, scheme string, port int) []string {
		return []string{"node", "-e", nodeServer, scheme, fmt.Sprint(port)}
	}},
	{"Python, OpenSSL", func(_ *settings, scheme string, port int) []string {
		return []string{"python3", "-c", pythonServer, scheme, fmt.Sprint(port)}
	}},
	{"Go, crypto/tls", func(s *settings, scheme string, port int) []string {
		return []string{s.self, "-serve", scheme + ":" + fmt.Sprint(port)}
	}},
}

// measureTLS measures what servers and their client, wrk, pay for having their plaintext read, beside what they pay for plain HTTP.
func measureTLS(s *settings) error {
	if err := measureMaps(s); err != nil {
		return err
	}
	for _, program := range serversOverTLS {
		if err := measureServerOverTLS(s, program.name, func(scheme string, port int) []string { return program.command(s, scheme, port) }); err != nil {
			return fmt.Errorf("%s: %w", program.name, err)
		}
	}
	return nil
}

func measureServerOverTLS(s *settings, name string, command func(scheme string, port int) []string) (err error) {
	var arms []arm
	var costs []programCosts
	for _, scheme := range schemes {
		port, portErr := freePort()
		dir := filepath.Join(s.dir, name+" "+scheme.name)
		if err := errors.Join(portErr, prepareTLS(dir)); err != nil {
			return err
		}
		server, err := startServer(port, append([]string{"env", "--chdir=" + dir}, command(scheme.name, port)...)...)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.stop()) }()
		load := func() (served, error) {
			return loadHTTP(fmt.Sprintf("%s://127.0.0.1:%d/small", scheme.name, port), "1", max(1, s.seconds/2))
		}
		for _, o := range scheme.ways {
			arms = append(arms, arm{o.name, func() ([]float64, error) {
				return o.with(s, func(c *collector) ([]float64, error) { return observe(server, c, load) })
			}})
		}
		cost, err := costOfPrograms(s, &scheme.ways[len(scheme.ways)-1], load)
		if err != nil {
			return err
		}
		costs = append(costs, cost)
	}
	c, err := compare(arms, 2*s.rounds)
	if err != nil {
		return err
	}
	c.printOverTLS("TLS: " + name + ", 600 bytes, wrk over 32 connections, on a core each")
	for i, scheme := range schemes {
		costs[i].print(scheme.name)
	}
	return nil
}

// printOverTLS has one line for each way of observation.
func (c *comparison) printOverTLS(title string) {
	fmt.Printf("%s, medians of %d rounds (least to most); other programs of this machine used %s processors:\n\n"+
		"| | requests a second | server's CPU, µs per request | load's | the collector's | requests emitted, per request | joined | forgotten early | events lost |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
		title, len(c.figures[0]), c.value(0, foreign).format(1))
	for i, a := range c.arms {
		load := spreadOf(c.each(i, func(f []float64) float64 { return f[cpuOfBoth] - f[cpuOfServer] }))
		fmt.Printf("| %s | %.0f | %s | %s | %s | %.2f | %.2f | %.2f | %.0f |\n", a.name, c.value(i, perSecond).median,
			c.value(i, cpuOfServer).format(1), load.format(1), c.value(i, cpuOfCollector).format(1),
			c.value(i, exchangesEmitted).median, c.value(i, requestsJoined).median, c.value(i, requestsForgotten).median, c.value(i, eventsLost).median)
	}
	fmt.Println()
}

// each is something of each round of an arm.
func (c *comparison) each(arm int, of func(figures []float64) float64) (values []float64) {
	for _, figures := range c.figures[arm] {
		values = append(values, of(figures))
	}
	return values
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

// serveRequests is the server in Go. where is a scheme and a port, as https:8443.
func serveRequests(where string) error {
	scheme, port, _ := strings.Cut(where, ":")
	body := []byte(strings.Repeat("0123456789", 60))
	server := &http.Server{
		Addr: net.JoinHostPort("127.0.0.1", port), ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }),
	}
	if scheme == "https" {
		return server.ListenAndServeTLS("certificate.pem", "key.pem")
	}
	return server.ListenAndServe()
}
