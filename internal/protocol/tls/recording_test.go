package tls

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketflow/socketflow/internal/protocol"
)

// call is what one side has sent at a time.
type call struct {
	direction protocol.Direction
	bytes     string
}

var signs = [protocol.Directions]string{protocol.FromClient: "> ", protocol.FromServer: "< "}

// readRecording reads a connection: a line for each call, the client's behind >, the server's behind <, in hexadecimal digits.
func readRecording(t testing.TB, name string) (calls []call) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "recorded", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(strings.NewReader(string(b)))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		for d, sign := range signs {
			if digits, ok := strings.CutPrefix(lines.Text(), sign); ok {
				bytes, err := hex.DecodeString(digits)
				if err != nil {
					t.Fatal(err)
				}
				calls = append(calls, call{protocol.Direction(d), string(bytes)})
			}
		}
	}
	return calls
}

// recorder forwards one connection, and writes down the beginning of what is sent.
type recorder struct {
	mu    sync.Mutex
	left  [protocol.Directions]int
	lines []string
}

// maxRecorded is how many bytes of a direction are written down.
const maxRecorded = 2 << 10

func (r *recorder) copy(to, from net.Conn, d protocol.Direction) {
	b := make([]byte, 1<<16)
	for {
		n, err := from.Read(b)
		r.mu.Lock()
		if kept := min(n, r.left[d]); kept > 0 {
			r.left[d] -= kept
			r.lines = append(r.lines, signs[d]+hex.EncodeToString(b[:kept]))
		}
		r.mu.Unlock()
		if _, failed := to.Write(b[:n]); err != nil || failed != nil {
			_ = to.(*net.TCPConn).CloseWrite()
			return
		}
	}
}

// recording has a client speak with a server through a recorder, and returns what it has written down. The client is given the recorder's port.
func recording(t *testing.T, server string, client func(port string)) []string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{left: [protocol.Directions]int{maxRecorded, maxRecorded}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer listener.Close() //nolint:errcheck // nothing is written
		from, err := listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		var both sync.WaitGroup
		both.Go(func() { r.copy(to, from, protocol.FromClient) })
		both.Go(func() { r.copy(from, to, protocol.FromServer) })
		both.Wait()
		_, _ = to.Close(), from.Close()
	}()
	client(fmt.Sprint(listener.Addr().(*net.TCPAddr).Port))
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("the connection does not end: %q", r.lines)
	}
	return r.lines
}

// certificate writes a certificate and its key, for localhost and signed by itself.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost", "shop.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// serve starts openssl s_server with arguments in a folder, and returns its address.
func serve(t *testing.T, dir string, args string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	command := exec.CommandContext(t.Context(), "openssl", append([]string{
		"s_server", "-accept", address, "-cert", "cert.pem", "-key", "key.pem", "-quiet", "-www",
	}, strings.Fields(args)...)...)
	command.Dir = dir
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = command.Process.Kill(), command.Wait() })
	for range 200 {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return address
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("openssl s_server does not listen")
	return ""
}

// serveGo starts a server of crypto/tls that answers nothing.
func serveGo(t *testing.T, dir string, config *tls.Config) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	config.Certificates = []tls.Certificate{pair}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.WriteString(c, "hello")
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

// run runs a program of the shell, which may fail: the server is no website, and some clients are to be refused.
func run(t *testing.T, dir, program string) func(port string) {
	return func(port string) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		command := exec.CommandContext(ctx, "sh", "-c", program)
		command.Dir = dir
		command.WaitDelay = time.Second
		command.Env = append(os.Environ(), "PORT="+port)
		output, err := command.CombinedOutput()
		t.Logf("%s: %v\n%.300s", program, err, output)
	}
}

// dial is a client of crypto/tls.
func dial(t *testing.T, config *tls.Config) func(port string) {
	config.InsecureSkipVerify = true
	return func(port string) {
		c, err := tls.Dial("tcp", "127.0.0.1:"+port, config)
		if err != nil {
			t.Log(err)
			return
		}
		_, err = c.Read(make([]byte, 10))
		t.Log(err)
		_ = c.Close()
	}
}

const java = `
import javax.net.ssl.*;
import java.security.cert.X509Certificate;
public class Client {
	public static void main(String[] a) throws Exception {
		TrustManager all = new X509TrustManager() {
			public void checkClientTrusted(X509Certificate[] c, String s) {}
			public void checkServerTrusted(X509Certificate[] c, String s) {}
			public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
		};
		SSLContext context = SSLContext.getInstance("TLS");
		context.init(null, new TrustManager[] {all}, null);
		SSLSocket s = (SSLSocket) context.getSocketFactory().createSocket("127.0.0.1", Integer.parseInt(a[0]));
		SSLParameters p = s.getSSLParameters();
		p.setApplicationProtocols(new String[] {"h2", "http/1.1"});
		p.setServerNames(java.util.List.of(new SNIHostName("shop.example.com")));
		s.setSSLParameters(p);
		s.getOutputStream().write("GET / HTTP/1.0\r\n\r\n".getBytes());
		s.getInputStream().read();
		s.close();
	}
}
`

const (
	sClient = `(printf 'GET / HTTP/1.0\r\n\r\n'; sleep 0.3) | openssl s_client -quiet -no_ign_eof -connect 127.0.0.1:$PORT -servername shop.example.com `
	python  = `python3 -c '
import os, socket, ssl
c = ssl.create_default_context()
%s
s = c.wrap_socket(socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))), server_hostname="shop.example.com")
s.sendall(b"GET / HTTP/1.0\r\n\r\n")
s.recv(100)
s.close()'`
	node = `node -e '
const s = require("tls").connect({host: "127.0.0.1", port: process.env.PORT, servername: "shop.example.com", rejectUnauthorized: false, ALPNProtocols: ["http/1.1"]},
	() => s.end("GET / HTTP/1.0\r\n\r\n"));
s.on("data", () => {}); s.on("error", console.log);'`
	unverified = `c.check_hostname = False; c.verify_mode = ssl.CERT_NONE`
)

// recordAll writes testdata/recorded anew, for which openssl, curl, Node, Python and Java have to be there.
func recordAll(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	certificate(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "Client.java"), []byte(java), 0o600); err != nil {
		t.Fatal(err)
	}
	both := serve(t, dir, "-alpn h2,http/1.1")
	only12 := serve(t, dir, "-tls1_2 -alpn h2,http/1.1")
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plain.Close() })
	go func() {
		for c, err := plain.Accept(); err == nil; c, err = plain.Accept() {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}()
	prepare := func(program string, server string) {
		run(t, dir, program)(server[strings.LastIndexByte(server, ':')+1:])
	}
	prepare(sClient+"-sess_out session13 -ign_eof", both)
	prepare(sClient+"-sess_out session12", only12)
	cached := &tls.Config{ServerName: "shop.example.com", ClientSessionCache: tls.NewLRUClientSessionCache(4), NextProtos: []string{"h2"}}
	goServer := serveGo(t, dir, &tls.Config{NextProtos: []string{"h2"}})
	for _, r := range []struct {
		name, server string
		client       func(port string)
	}{
		{"openssl_13", both, run(t, dir, sClient)},
		{"openssl_13_resumed", both, run(t, dir, sClient+"-sess_in session13")},
		{"openssl_13_retry", serve(t, dir, "-groups P-384"), run(t, dir, sClient+"-groups P-256:P-384 -alpn h2")},
		{"openssl_13_client_certificate", serve(t, dir, "-verify 1"), run(t, dir, sClient+"-cert cert.pem -key key.pem")},
		{"openssl_13_no_client_certificate", serve(t, dir, "-verify 1"), run(t, dir, sClient)},
		{"openssl_12", only12, run(t, dir, sClient+"-alpn h2")},
		{"openssl_12_resumed", only12, run(t, dir, sClient+"-sess_in session12")},
		{"openssl_10", serve(t, dir, "-tls1 -cipher DEFAULT@SECLEVEL=0"), run(t, dir, sClient+"-tls1 -cipher DEFAULT@SECLEVEL=0")},
		{"openssl_ccm8", serve(t, dir, "-tls1_2 -cipher ECDHE-ECDSA-AES128-CCM8@SECLEVEL=0"), run(t, dir, sClient+"-cipher ECDHE-ECDSA-AES128-CCM8@SECLEVEL=0")},
		{"openssl_fragments", serve(t, dir, "-max_send_frag 512"), run(t, dir, sClient+"-max_send_frag 512 -alpn "+strings.Repeat("protocol-with-a-long-name,", 40)+"h2")},
		{"openssl_refused", serve(t, dir, "-tls1_3"), run(t, dir, sClient+"-tls1_2")},
		{"curl_13", both, run(t, dir, "curl -m 1 -sk --http2 --resolve shop.example.com:$PORT:127.0.0.1 https://shop.example.com:$PORT/")},
		{"curl_12", only12, run(t, dir, "curl -m 1 -sk --http2 --resolve shop.example.com:$PORT:127.0.0.1 https://shop.example.com:$PORT/")},
		{"curl_address", both, run(t, dir, "curl -m 1 -sk --no-alpn https://127.0.0.1:$PORT/")},
		{"curl_plain", plain.Addr().String(), run(t, dir, "curl -m 1 -sk https://127.0.0.1:$PORT/")},
		{"go_13", goServer, dial(t, cached)},
		{"go_13_resumed", goServer, dial(t, cached)},
		{"go_12", goServer, dial(t, &tls.Config{ServerName: "shop.example.com", MaxVersion: tls.VersionTLS12, NextProtos: []string{"x", "h2"}})},
		{"node_13", both, run(t, dir, node)},
		{"python_13", both, run(t, dir, fmt.Sprintf(python, unverified))},
		{"python_13_distrusts", both, run(t, dir, fmt.Sprintf(python, ""))},
		{"python_12_distrusts", only12, run(t, dir, fmt.Sprintf(python, ""))},
		{"go_13_distrusts", goServer, func(port string) {
			_, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{ServerName: "shop.example.com"})
			t.Log(err)
		}},
		{"java_13", both, run(t, dir, "java Client.java $PORT")},
		{"java_12", only12, run(t, dir, "java Client.java $PORT")},
	} {
		lines := recording(t, r.server, r.client)
		file := filepath.Join("testdata", "recorded", r.name+".txt")
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
