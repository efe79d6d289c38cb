//go:build amd64 || arm64

package engine_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
)

// gnuTLSFiles are those of GnuTLS; there are none where it is refused.
var gnuTLSFiles = map[string][]string{"amd64": {"libgnutls.so.30"}}[runtime.GOARCH]

// gnuTLSSession is Python that has sessions of GnuTLS.
const gnuTLSSession = `
import ctypes
gnutls = ctypes.CDLL("libgnutls.so.30")
gnutls.gnutls_record_recv.restype = gnutls.gnutls_record_send.restype = ctypes.c_ssize_t
def new_session(files=None, init=gnutls.gnutls_init):
    credentials, session = ctypes.c_void_p(), ctypes.c_void_p()
    gnutls.gnutls_certificate_allocate_credentials(ctypes.byref(credentials))
    if files:
        gnutls.gnutls_certificate_set_x509_key_file(credentials, *(file.encode() for file in files), 1)
    init(ctypes.byref(session), 1 if files else 2)
    gnutls.gnutls_set_default_priority(session)
    gnutls.gnutls_credentials_set(session, 1, credentials)
    return session
def use(session, connection):
    gnutls.gnutls_transport_set_int2(session, connection.fileno(), connection.fileno())
    return gnutls.gnutls_handshake(session) == 0
def receive(session, size):
    data = ctypes.create_string_buffer(size)
    n = gnutls.gnutls_record_recv(session, data, ctypes.c_size_t(size))
    if n not in (-28, -52) and n <= 0: # there is nothing now
        raise EOFError(n)
    return data.raw[:max(n, 0)]
def send(session, data):
    assert gnutls.gnutls_record_send(session, data, ctypes.c_size_t(len(data))) == len(data)
`

// readingServer has a thread for each connection, which waits for requests in the TLS library.
const readingServer = `
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def serve(connection):
    try:
        connection = context.wrap_socket(connection, server_side=True)
    except OSError: # somebody has looked whether there is a server
        return
    while connection.recv(1000):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
`

// readingGnuTLS does so with GnuTLS.
const readingGnuTLS = gnuTLSSession + `
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def serve(connection):
    session = new_session(sys.argv[2:])
    if not use(session, connection): # somebody has looked whether there is a server
        return
    while receive(session, 1000):
        send(session, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
`

// Both ends of a connection wait for what comes next when the collector starts: a program of OpenSSL or GnuTLS, and one of Go.
func TestCallsThatAreUnderWayAtTheStartAreSeen(t *testing.T) {
	needWithin(t)
	python := testenv.NeedProgram(t, "python3", "python3")
	_, certFile, keyFile := selfSigned(t)
	for _, c := range []struct {
		name, server string
		files        []string
		known        bool // where the arguments are at the end of a call
	}{
		{"OpenSSL", readingServer, []string{"libssl.so.3", "libcrypto.so.3"}, runtime.GOARCH == "amd64"},
		{"GnuTLS", readingGnuTLS, gnuTLSFiles, len(gnuTLSFiles) > 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			port := freePort(t)
			cmd := exec.CommandContext(t.Context(), python, "-c", c.server, fmt.Sprint(port), certFile, keyFile)
			serve(t, cmd, port)
			client, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{InsecureSkipVerify: true})
			require.NoError(t, err)
			answers := make(chan error)
			go func() {
				var err error
				for err == nil {
					_, err = io.ReadFull(client, make([]byte, len("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")))
					answers <- err
				}
			}()
			ask := func(path string) {
				_, err := fmt.Fprintf(client, "GET %s HTTP/1.1\r\nHost: shop.example.com\r\n\r\n", path)
				require.NoError(t, err)
				require.NoError(t, <-answers)
			}
			ask("/before")
			awaitTrue(t, "the server reads", func() bool { return callsRead(cmd.Process.Pid) })
			sink := startWithinOf(t, kernel.ModeSocket, map[uint16]string{port: "server"}, c.files...)
			sink.captures = true
			ask("/first")
			ask("/second")
			if c.known {
				assert.Equal(t, []string{
					"Client GET https /first client>server joined_midstream", "Client GET https /second client>server joined_midstream",
					"Server GET https /first client>server joined_midstream", "Server GET https /second client>server joined_midstream",
				}, sink.take(t, 4))
			}
			require.NoError(t, client.Close())
			require.Error(t, <-answers)
		})
	}
}

// callsRead reports whether a thread of a process waits in read(2) or recvfrom(2).
func callsRead(pid int) bool {
	calls, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	for _, file := range calls {
		if call, err := os.ReadFile(file); err == nil && slices.Contains([]string{fmt.Sprint(syscall.SYS_READ), fmt.Sprint(syscall.SYS_RECVFROM)}, strings.Split(string(call), " ")[0]) {
			return true
		}
	}
	return false
}
