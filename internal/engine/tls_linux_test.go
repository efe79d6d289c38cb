//go:build amd64 || arm64

package engine_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/ports"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/testenv"
)

// closings keeps what the closing records of both ends say of TLS, by role.
type closings struct {
	mu   sync.Mutex
	said map[string][]string
}

var tlsAttributes = []string{
	"tls.protocol.name", "tls.protocol.version", "tls.cipher", "tls.client.server_name", "tls.next_protocol", "socketflow.tls.client.next_protocols",
	"tls.resumed", "tls.established",
}

func (s *closings) Deliver(_ context.Context, from *otlp.Builder) {
	logs, _ := from.Take()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				if record.EventName() != "socketflow.connection.close" {
					continue
				}
				var said []string
				for _, key := range tlsAttributes {
					if value := text(record.Attributes(), key); value != "" {
						said = append(said, value)
					}
				}
				role := text(record.Attributes(), "socketflow.role.name")
				s.said[role] = append(s.said[role], strings.Join(said, " "))
			}
		}
	}
}

// await returns what the two ends of the next connection say, and forgets it.
func (s *closings) await(t *testing.T) (client, server string) {
	t.Helper()
	awaitTrue(t, "the closing records of both ends", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.said["client"]) > 0 && len(s.said["server"]) > 0
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	client, server = strings.Join(s.said["client"], "; "), strings.Join(s.said["server"], "; ")
	clear(s.said)
	return client, server
}

// startAt starts an engine that observes the connections with a port, and what it emits.
func startAt(t *testing.T, mode kernel.Mode, port uint16) (*engine.Engine, *closings) {
	t.Helper()
	sink := &closings{said: map[string][]string{}}
	opts := optionsOf(t, mode, sink)
	at := ports.Range{Low: port, High: port}
	opts.Rules = []selection.Rule{{LocalPort: at}, {RemotePort: at}}
	opts.RingBytes = 1 << 24 // this machine may be busy
	e := engine.New(opts)
	require.NoError(t, e.Start())
	t.Cleanup(func() {
		_, err := e.Drain(context.WithoutCancel(t.Context()))
		assert.NoError(t, err)
		assert.NoError(t, e.Close())
	})
	return e, sink
}

// selfSigned returns a certificate, and the files with it and its key.
func selfSigned(t *testing.T) (certificate tls.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, certFile, keyFile
}

// freePort is a port on which nobody listens.
func freePort(t *testing.T) uint16 {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return uint16(listener.Addr().(*net.TCPAddr).Port)
}

// What curl and openssl s_client say to openssl s_server is on the records of both ends.
func TestHellosOfProgramsAreOnTheRecordsOfBothEnds(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	openssl := testenv.NeedProgram(t, "openssl", "openssl")
	testenv.NeedProgram(t, "curl", "curl")
	_, certFile, keyFile := selfSigned(t)
	const (
		name   = " shop.example.com"
		suite3 = " TLS_AES_256_GCM_SHA384"
		suite2 = " TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
		curl   = "curl -sk -m 10 --http1.1 --resolve shop.example.com:$PORT:127.0.0.1 https://shop.example.com:$PORT/"
		client = "echo | openssl s_client -connect 127.0.0.1:$PORT -servername shop.example.com -alpn h2 "
	)
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) {
			port := freePort(t)
			_, sink := startAt(t, mode, port)
			address := fmt.Sprintf("127.0.0.1:%d", port)
			server := exec.CommandContext(t.Context(), openssl, "s_server", "-accept", address, "-cert", certFile, "-key", keyFile,
				"-quiet", "-www", "-alpn", "h2,http/1.1")
			require.NoError(t, server.Start())
			t.Cleanup(func() { _, _ = server.Process.Kill(), server.Wait() })
			awaitTrue(t, "the server listens", func() bool {
				c, err := net.Dial("tcp", address)
				return err == nil && c.Close() == nil
			})
			of, by := sink.await(t)
			assert.Empty(t, of+by, "of a connection without a byte")
			session := filepath.Join(t.TempDir(), "session")
			for _, c := range []struct {
				command, want string
				refused       bool
			}{
				{command: curl, want: "tls 1.3" + suite3 + name + ` ["http/1.1"] false true`},
				{command: curl + " --tls-max 1.2", want: "tls 1.2" + suite2 + name + ` http/1.1 ["http/1.1"] false true`},
				{command: curl + " --no-alpn --tls-max 1.2", want: "tls 1.2" + suite2 + name + " false true"},
				{command: client + "-tls1_2 -sess_out " + session, want: "tls 1.2" + suite2 + name + ` h2 ["h2"] false true`},
				{command: client + "-tls1_2 -sess_in " + session, want: "tls 1.2" + suite2 + name + ` h2 ["h2"] true true`},
				{command: client + "-groups P-521:P-256", want: "tls 1.3" + suite3 + name + ` ["h2"] false true`},
				{command: client + "-groups P-521:P-256 -verify 1 -verify_return_error", want: "tls 1.3" + suite3 + name + ` ["h2"] false false`, refused: true},
			} {
				command := exec.CommandContext(t.Context(), "sh", "-c", c.command)
				command.Env = append(os.Environ(), fmt.Sprint("PORT=", port))
				output, err := command.CombinedOutput()
				assert.Equal(t, c.refused, err != nil, "%s: %v\n%s", c.command, err, output)
				client, server := sink.await(t)
				assert.Equal(t, c.want, client, "the client's record of %s", c.command)
				assert.Equal(t, c.want, server, "the server's record of %s", c.command)
			}
		})
	}
}

// What Go programs say, also in pieces, and of connections that only begin like TLS.
func TestHellosInPiecesAndOtherBeginnings(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	certificate, _, _ := selfSigned(t)
	const said = `tls 1.3 TLS_AES_128_GCM_SHA256 shop.example.com ["h2"] `
	cache := tls.NewLRUClientSessionCache(1)
	serving := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}}
	secure := func(pieces int) func(*testing.T, net.Conn, net.Conn) {
		return func(t *testing.T, client, server net.Conn) {
			secured := tls.Server(server, serving)
			served := make(chan error)
			go func() {
				_, err := secured.Write(make([]byte, 300_000))
				served <- err
			}()
			asking := tls.Client(inPieces{client, pieces}, &tls.Config{
				ServerName: "shop.example.com", NextProtos: []string{"h2"}, InsecureSkipVerify: true, ClientSessionCache: cache,
			})
			_, err := io.CopyN(io.Discard, asking, 300_000)
			assert.NoError(t, err)
			assert.NoError(t, <-served)
		}
	}
	says := func(bytes, answer string) func(*testing.T, net.Conn, net.Conn) {
		return func(t *testing.T, client, server net.Conn) {
			for _, turn := range []struct {
				from, to net.Conn
				bytes    string
			}{{client, server, bytes}, {server, client, answer}} {
				_, err := io.WriteString(turn.from, turn.bytes)
				assert.NoError(t, err)
				_, err = io.ReadFull(turn.to, make([]byte, len(turn.bytes)))
				assert.NoError(t, err)
			}
		}
	}
	behind := func(turns [][2]string, speak func(*testing.T, net.Conn, net.Conn)) func(*testing.T, net.Conn, net.Conn) {
		return func(t *testing.T, client, server net.Conn) {
			for _, turn := range turns {
				says(turn[0], turn[1])(t, client, server)
			}
			speak(t, client, server)
		}
	}
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, listener.Close()) })
			e, sink := startAt(t, mode, uint16(listener.Addr().(*net.TCPAddr).Port))
			cache.Put("shop.example.com", nil)
			for _, c := range []struct {
				name, want string
				speak      func(t *testing.T, client, server net.Conn)
			}{
				{"whole", said + "false true", secure(1 << 20)},
				{"in pieces, resumed", said + "true true", secure(100)},
				{"behind PostgreSQL's SSLRequest", said + "true true", behind([][2]string{{"\x00\x00\x00\x08\x04\xd2\x16\x2f", "S"}}, secure(1<<20))},
				{"behind STARTTLS, in pieces", said + "true true", behind([][2]string{
					{"EHLO client\r\n", "250-server\r\n250 STARTTLS\r\n"}, {"STARTTLS\r\n", "220 2.0.0 Ready to start TLS\r\n"},
				}, secure(100))},
				{"no TLS", "", says("\x16\x03\x01\x00\x05hello, this is no hello of TLS, though it begins like one", "\x16\x03\x03\x00\x02so is this")},
				{"a length of 22", "", says("\x16\x00\x00\x00 a message with its length", "\x16\x00\x00\x00 and its answer")},
			} {
				client, server := dialAndAccept(t, listener)
				c.speak(t, client, server)
				pair{client, server}.close(t)
				of, by := sink.await(t)
				assert.Equal(t, c.want, of, "the client's record of %s", c.name)
				assert.Equal(t, c.want, by, "the server's record of %s", c.name)
			}
			client, server := dialAndAccept(t, listener)
			before := e.Snapshot().ConversationsUnrecognised
			secure(1<<20)(t, client, server)
			awaitTrue(t, "the handshake is over for both ends", func() bool { return e.Snapshot().ConversationsUnrecognised == before+2 })
			// What the kernel had captured until it was asked for no more may still be unread.
			captured := uint64(0)
			awaitTrue(t, "nothing more comes", func() bool {
				before := captured
				time.Sleep(100 * time.Millisecond)
				captured = e.Snapshot().PayloadCaptured
				return captured == before
			})
			says(strings.Repeat("a secret ", 10_000), "and another")(t, client, server)
			pair{client, server}.close(t)
			of, by := sink.await(t)
			assert.Equal(t, []string{said + "true true", said + "true true"}, []string{of, by})
			assert.Equal(t, captured, e.Snapshot().PayloadCaptured, "bytes behind the handshake")
		})
	}
}

func dialAndAccept(t *testing.T, listener net.Listener) (client, server net.Conn) {
	t.Helper()
	client, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	server, err = listener.Accept()
	require.NoError(t, err)
	return client, server
}

// inPieces is a connection that is written to in calls of so many bytes.
type inPieces struct {
	net.Conn
	size int
}

func (c inPieces) Write(b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		var written int
		written, err = c.Conn.Write(b[n:min(len(b), n+c.size)])
		n += written
	}
	return n, err
}
