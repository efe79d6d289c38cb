//go:build amd64 || arm64

package workload

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"
)

// secure makes HTTP/1.1 requests over TLS, with both ends here, and writes down the ends of its connections. Request i asks for /requests/<i>.
//
//	-connections at once, each with a thread of control at either end
//	-n           requests on each, one after the other
//
// Gates: "ready", before the connections are opened; "done", before they are closed.
func secure(n *notes, args []string) {
	flags := flag.NewFlagSet("secure", flag.ExitOnError)
	var (
		connections = flags.Int("connections", 4, "")
		count       = flags.Int("n", 8, "")
	)
	check(flags.Parse(args))
	certificate, key := Certificate()
	pair, err := tls.X509KeyPair(certificate, key)
	check(err)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(certificate)
	n.gate("ready")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	var asking, working sync.WaitGroup
	asking.Add(*connections)
	done := make(chan struct{})
	for i := range *connections {
		working.Go(func() {
			conn, err := listener.Accept()
			check(err)
			n.ends(secureEnd(conn, Server))
			serveRequests(tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}))
			check(conn.Close())
		})
		working.Go(func() {
			conn, err := net.Dial("tcp", listener.Addr().String())
			check(err)
			n.ends(secureEnd(conn, Client))
			config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "workload.test", RootCAs: trusted}
			requestAll(tls.Client(conn, config), i**count, *count)
			asking.Done()
			<-done
			check(conn.Close())
		})
	}
	asking.Wait()
	n.gate("done")
	close(done)
	working.Wait()
	check(listener.Close())
}

// secureEnd is an end of a connection of which nobody has counted the bytes.
func secureEnd(conn net.Conn, role Role) *socket {
	address := func(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }
	return &socket{end: End{Step: "secure", PID: os.Getpid(), Role: role, Local: address(conn.LocalAddr()), Remote: address(conn.RemoteAddr())}}
}

// requestAll makes requests, of which the first is that number.
func requestAll(conn *tls.Conn, first, count int) {
	responses := bufio.NewReader(conn)
	for i := range count {
		_, err := fmt.Fprintf(conn, "GET /requests/%d HTTP/1.1\r\nHost: workload.test\r\nUser-Agent: workload\r\n\r\n", first+i)
		check(err)
		response, err := http.ReadResponse(responses, nil)
		check(err)
		_, err = io.Copy(io.Discard, response.Body)
		check(err)
		check(response.Body.Close())
	}
}

// serveRequests answers requests until there are no more.
func serveRequests(conn *tls.Conn) {
	requests := bufio.NewReader(conn)
	for {
		if _, err := http.ReadRequest(requests); err != nil {
			return
		}
		_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nServer: workload\r\nContent-Length: 2\r\n\r\nok")
		check(err)
	}
}

// Certificate makes one for workload.test, and its key, as PEM.
func Certificate() (certificate, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"workload.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	check(err)
	bytes, err := x509.MarshalPKCS8PrivateKey(private)
	check(err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bytes})
}
