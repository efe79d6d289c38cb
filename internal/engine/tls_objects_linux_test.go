//go:build amd64

package engine_test

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
)

// serveEmpty answers all requests with nothing, over TLS, and those for /missing with 404.
func serveEmpty(t *testing.T) (port uint16) {
	t.Helper()
	certificate, _, _ := selfSigned(t)
	serving, port := listen(t)
	server := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/missing" {
				w.WriteHeader(http.StatusNotFound)
			}
		}),
	}
	go func() { _ = server.ServeTLS(serving, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	return port
}

// runPython runs a script to its end.
func runPython(t *testing.T, script string, arguments ...string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), testenv.NeedProgram(t, "python3", "python3"), append([]string{"-c", script}, arguments...)...).CombinedOutput()
	require.NoError(t, err, string(output))
}

// twoLibraries has a session of GnuTLS where an object of OpenSSL has been.
const twoLibraries = gnuTLSSession + `
import os, socket, sys
ssl, libc = ctypes.CDLL("libssl.so.3"), ctypes.CDLL(None)
def of(library, name, result, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function
pointer, size_t, integer = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
request = b"GET %s HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"
buffer = ctypes.create_string_buffer(1000)
connections = [socket.create_connection(("127.0.0.1", int(port))) for port in sys.argv[1:]]

context = of(ssl, "SSL_CTX_new", pointer, pointer)(of(ssl, "TLS_client_method", pointer)())
first = of(ssl, "SSL_new", pointer, pointer)(context)
of(ssl, "SSL_set_fd", integer, pointer, integer)(first, connections[0].fileno())
assert of(ssl, "SSL_connect", integer, pointer)(first) == 1
text = request % b"/first"
assert of(ssl, "SSL_write", integer, pointer, ctypes.c_char_p, integer)(first, text, len(text)) == len(text)
assert of(ssl, "SSL_read", integer, pointer, pointer, integer)(first, buffer, len(buffer)) > 0

calloc = of(libc, "calloc", pointer, size_t, size_t)
usable = of(libc, "malloc_usable_size", size_t, pointer)(first)
used = False
@ctypes.CFUNCTYPE(pointer, size_t, size_t)
def allocate(n, size):
    global used
    if used or n * size < 4000:
        return calloc(n, size)
    used = True
    assert n * size <= usable
    ctypes.memset(first, 0, n * size)
    return first
def init(*arguments):
    allocator = pointer.in_dll(gnutls, "gnutls_calloc")
    before = allocator.value
    allocator.value = ctypes.cast(allocate, pointer).value
    gnutls.gnutls_init(*arguments)
    allocator.value = before
second = new_session(init=init)
assert second.value == first

assert use(second, connections[1])
send(second, request % b"/second")
while not receive(second, 1000):
    pass
os._exit(0)
`

// TestObjectsHaveTheirOwnSockets is about programs that make it hard to see which socket carries what an object of a TLS library encrypts.
func TestObjectsHaveTheirOwnSockets(t *testing.T) { inBothModes(t, objectsHaveTheirOwnSockets) }

func objectsHaveTheirOwnSockets(t *testing.T, mode kernel.Mode) {
	one, other := serveEmpty(t), serveEmpty(t)
	framed, bare := carryTo(t, one, false), carryTo(t, one, true)
	sink := startWithinOf(t, mode, map[uint16]string{one: "one", other: "other", framed: "carrier", bare: "carrier"},
		append(gnuTLSFiles, "libssl.so.3", "libcrypto.so.3")...)
	t.Run("a session where an object of another library was", func(t *testing.T) {
		runPython(t, twoLibraries, fmt.Sprint(one), fmt.Sprint(other))
		assert.Equal(t, []string{
			"Client GET https /first 1.3 client>one", "Client GET https /second 1.3 client>other",
			"Server GET https /first 1.3 client>one", "Server GET https /second 1.3 client>other",
		}, sink.take(t, 4))
	})
	for _, library := range []string{"OpenSSL", "GnuTLS"} {
		t.Run("records of several go out by one call: "+library, func(t *testing.T) { carried(t, sink, framed, library, "framed", 0) })
		t.Run("records of several begin what goes out: "+library, func(t *testing.T) { carried(t, sink, bare, library, "bare", 1) })
	}
	t.Run("another call finishes one", func(t *testing.T) {
		runPython(t, finishing, fmt.Sprint(one))
		assert.Equal(t, []string{ // its bytes are not seen; its response goes with no other request
			"Client GET https /first 1.3 client>one", "Client GET https /last 1.3 client>one",
			"Server GET https /first 1.3 client>one", "Server GET https /last 1.3 client>one", "Server GET https /missing 1.3 client>one",
		}, sink.take(t, 5))
	})
}

// carried has three connections to a server carried by one socket, so many of which are tied to it. What the others say is counted.
func carried(t *testing.T, sink *withinSink, port uint16, library, form string, tied int) {
	t.Helper()
	before := sink.snapshot()
	var want []string
	for number := range tied {
		for _, path := range []string{"one", "two"} {
			want = append(want, fmt.Sprintf("Client GET https /%s/%s/%d/%s client>carrier", form, library, number, path))
		}
	}
	for number := range 3 {
		for _, path := range []string{"one", "two"} {
			want = append(want, fmt.Sprintf("Server GET https /%s/%s/%d/%s 1.3 client>one", form, library, number, path))
		}
	}
	runPython(t, carrying, fmt.Sprint(port), library, form)
	assert.Equal(t, want, sink.take(t, len(want)))
	after := sink.snapshot()
	assert.GreaterOrEqual(t, after.TLSWaiting+after.TLSUntied-before.TLSWaiting-before.TLSUntied, uint64(4*(3-tied)), "calls whose socket is not known")
}

// carrying has three connections over TLS carried by one socket. What they encrypt goes out by one call.
const carrying = gnuTLSSession + `
import errno, socket, ssl, struct, sys
port, library, form = int(sys.argv[1]), sys.argv[2], sys.argv[3]
carrier = socket.create_connection(("127.0.0.1", port))
class OpenSSL:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    def __init__(self):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = self.context.wrap_bio(self.incoming, self.outgoing)
    def take(self):
        return self.outgoing.read()
    def put(self, data):
        self.incoming.write(data)
    def shake(self):
        try:
            self.tls.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False
    def send(self, data):
        self.tls.write(data)
    def receive(self):
        try:
            return self.tls.read(1000)
        except ssl.SSLWantReadError:
            return b""
class GnuTLS:
    def __init__(self):
        self.session, self.incoming, self.outgoing = new_session(), b"", b""
        transfer = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
        self.callbacks = transfer(self.push), transfer(self.pull), ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)(lambda *_: 1)
        gnutls.gnutls_transport_set_push_function(self.session, self.callbacks[0])
        gnutls.gnutls_transport_set_pull_function(self.session, self.callbacks[1])
        gnutls.gnutls_transport_set_pull_timeout_function(self.session, self.callbacks[2])
    def push(self, _, data, size):
        self.outgoing += ctypes.string_at(data, size)
        return size
    def pull(self, _, data, size):
        if not self.incoming:
            gnutls.gnutls_transport_set_errno(self.session, errno.EAGAIN)
            return -1
        some, self.incoming = self.incoming[:size], self.incoming[size:]
        ctypes.memmove(data, some, len(some))
        return len(some)
    def take(self):
        some, self.outgoing = self.outgoing, b""
        return some
    def put(self, data):
        self.incoming += data
    def shake(self):
        return gnutls.gnutls_handshake(self.session) == 0
    def send(self, data):
        send(self.session, data)
    def receive(self):
        data = b""
        while (some := receive(self.session, 1000)) or self.incoming: # a ticket is nothing, and may have more behind it
            data += some
        return data
objects = [{"OpenSSL": OpenSSL, "GnuTLS": GnuTLS}[library]() for _ in range(3)]
def flush():
    parts = []
    for number, o in enumerate(objects):
        data = o.take()
        parts += [data] if form == "bare" else [struct.pack(">BI", number, len(data)), data]
    if form == "bare":
        assert carrier.sendmsg(parts) == sum(map(len, parts))
    else:
        carrier.sendall(b"".join(parts))
def exactly(n):
    data = b""
    while len(data) < n:
        more = carrier.recv(n - len(data))
        assert more
        data += more
    return data
def fetch():
    number, length = struct.unpack(">BI", exactly(5))
    objects[number].put(exactly(length))
    return number
done = [o.shake() for o in objects]
flush()
while not all(done):
    n = fetch()
    done[n] = done[n] or objects[n].shake()
flush()
for path in "one", "two":
    for number, o in enumerate(objects):
        o.send(f"GET /{form}/{library}/{number}/{path} HTTP/1.1\r\nHost: shop.example.com\r\n\r\n".encode())
    flush()
    answers = [b""] * 3
    while not all(answer.endswith(b"\r\n\r\n") for answer in answers):
        n = fetch()
        answers[n] += objects[n].receive()
`

// carryTo listens for sockets that carry several connections to a port.
func carryTo(t *testing.T, server uint16, bare bool) (port uint16) {
	t.Helper()
	l, port := listen(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go carry(c, fmt.Sprintf("127.0.0.1:%d", server), bare)
		}
	}()
	return port
}

// carry is the other end of a socket that carries several connections to a server. What comes back goes out with a number and its length ahead; what
// comes does so, too, or the connections take turns with a record each, and what goes with that.
func carry(carrier net.Conn, server string, bare bool) {
	var sending sync.Mutex
	connections := map[byte]net.Conn{}
	defer func() {
		for _, c := range connections {
			_ = c.Close()
		}
	}()
	next := byte(0)
	for {
		number, unit := next, []byte(nil)
		var err error
		if bare {
			unit, err = readUnit(carrier)
			next = (next + 1) % 3
		} else {
			head := make([]byte, 5)
			if _, err = io.ReadFull(carrier, head); err == nil {
				number, unit = head[0], make([]byte, binary.BigEndian.Uint32(head[1:]))
				_, err = io.ReadFull(carrier, unit)
			}
		}
		if err != nil {
			return
		}
		if connections[number] == nil {
			c, err := net.Dial("tcp", server)
			if err != nil {
				return
			}
			connections[number] = c
			go func() {
				buffer := make([]byte, 1<<14)
				for {
					n, err := c.Read(buffer)
					if err != nil {
						return
					}
					sending.Lock()
					_, _ = carrier.Write(slices.Concat(binary.BigEndian.AppendUint32([]byte{number}, uint32(n)), buffer[:n]))
					sending.Unlock()
				}
			}()
		}
		_, _ = connections[number].Write(unit)
	}
}

// readUnit reads a record, with the change of cipher spec that is ahead of it.
func readUnit(from io.Reader) (unit []byte, err error) {
	for {
		head := make([]byte, 5)
		if _, err := io.ReadFull(from, head); err != nil {
			return nil, err
		}
		body := make([]byte, binary.BigEndian.Uint16(head[3:]))
		if _, err := io.ReadFull(from, body); err != nil {
			return nil, err
		}
		unit = slices.Concat(unit, head, body)
		if head[0] != 20 {
			return unit, nil
		}
	}
}

// finishing has a call that could not send anything finished by one without bytes.
const finishing = gnuTLSSession + `
import errno, os, socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
refuses = False
@ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
def push(_, data, size):
    global refuses
    if refuses:
        refuses = False
        gnutls.gnutls_transport_set_errno(session, errno.EAGAIN)
        return -1
    connection.sendall(ctypes.string_at(data, size))
    return size
session = new_session()
gnutls.gnutls_transport_set_push_function(session, push)
assert use(session, connection)
for path in "first", "missing", "last":
    request = f"GET /{path} HTTP/1.1\r\nHost: shop.example.com\r\n\r\n".encode()
    if path == "missing":
        refuses = True
        assert gnutls.gnutls_record_send(session, request, ctypes.c_size_t(len(request))) == -28
        assert gnutls.gnutls_record_send(session, None, ctypes.c_size_t(0)) == len(request)
    else:
        send(session, request)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += receive(session, 1000)
os._exit(0)
`
