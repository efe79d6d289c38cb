//go:build amd64 || arm64

package engine_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
)

// forkingServer shakes hands, and has a child answer. It frees its memory of the connection, and uses it for another one, when the child has
// received something, or before that.
const forkingServer = `
import os, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def accept():
    while True:
        try:
            return context.wrap_socket(listener.accept()[0], server_side=True)
        except OSError: # somebody has looked whether there is a server
            pass
connection = accept()
began, goes_on = os.pipe(), os.pipe()
if os.fork() == 0:
    length, received = 400000, connection.recv(1000) if sys.argv[4] == "first" else b""
    os.write(began[1], b"x")
    os.read(goes_on[0], 1)
    while len(received) < length:
        received += connection.recv(16384)
    for _ in range(2):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        connection.recv(1000)
    os._exit(0)
os.read(began[0], 1)
os.close(connection.detach())
del connection
others = [accept() for _ in range(4)]
os.write(goes_on[1], b"x")
os.wait()
`

func TestChildReceivesOnTheConnectionOfItsParent(t *testing.T) {
	inBothModes(t, childReceivesOnTheConnectionOfItsParent)
}

func childReceivesOnTheConnectionOfItsParent(t *testing.T, mode kernel.Mode) {
	python := testenv.NeedProgram(t, "python3", "python3")
	_, certFile, keyFile := selfSigned(t)
	const (
		length = 400_000 // of the first request
		head   = "POST /large HTTP/1.1\r\nHost: shop.example.com\r\n"
		ok     = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	)
	sized := head + fmt.Sprintf("Content-Length: %d\r\n\r\n", length-len(head)-len("Content-Length: 399999\r\n\r\n"))
	chunked := head + "Transfer-Encoding: chunked\r\n\r\n"
	names := map[uint16]string{}
	cases := []struct {
		name, receives, request string
		large, next             string // what of the requests is captured
		port                    uint16
	}{
		{"the child is first", "first", sized + strings.Repeat("0", length-len(sized)), "complete", "complete", freePort(t)},
		{"the child is late", "late", sized + strings.Repeat("0", length-len(sized)), "complete", "complete", freePort(t)},
		{"the child is late, chunked", "late", inChunks(chunked, length), "truncated", "gap", freePort(t)}, // of so large a body in chunks the end is not seen at all
	}
	for _, c := range cases {
		names[c.port] = "server"
	}
	sink := startWithin(t, mode, names)
	sink.captures = true
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			serve(t, exec.CommandContext(t.Context(), python, "-c", forkingServer, fmt.Sprint(c.port), certFile, keyFile, c.receives), c.port)
			dial := func() *tls.Conn {
				c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", c.port), &tls.Config{InsecureSkipVerify: true, ServerName: "shop.example.com"})
				require.NoError(t, err)
				t.Cleanup(func() { _ = c.Close() })
				return c
			}
			first := dial()
			_, err := io.WriteString(first, c.request[:len(sized)])
			require.NoError(t, err)
			for range 4 {
				dial()
			}
			_, err = io.WriteString(first, c.request[len(sized):])
			require.NoError(t, err)
			_, err = io.ReadFull(first, make([]byte, len(ok)))
			require.NoError(t, err)
			_, err = io.WriteString(first, "GET /next HTTP/1.1\r\nHost: shop.example.com\r\n\r\n")
			require.NoError(t, err)
			_, err = io.ReadFull(first, make([]byte, len(ok)))
			require.NoError(t, err)
			require.NoError(t, first.Close())
			const at = " 1.3 shop.example.com client>server "
			assert.Equal(t, []string{
				"Client GET https /next" + at + c.next, "Client POST https /large" + at + c.large,
				"Server GET https /next" + at + c.next, "Server POST https /large" + at + c.large,
			}, sink.take(t, 4))
		})
	}
}

// inChunks is a request with a body in chunks that is so long in all.
func inChunks(head string, length int) string {
	const chunk, last = "2710\r\n%s\r\n", "0\r\n\r\n"
	request := head
	for full := fmt.Sprintf(chunk, strings.Repeat("0", 10_000)); len(request)+len(full)+len(last)+20 < length; {
		request += full
	}
	rest := length - len(request) - len(last) - len("0000\r\n\r\n")
	return request + fmt.Sprintf("%04x\r\n%s\r\n", rest, strings.Repeat("0", rest)) + last
}
