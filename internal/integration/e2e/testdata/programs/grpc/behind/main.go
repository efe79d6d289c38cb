// Command behind is a web server behind a proxy, which names the client of each connection (the PROXY protocol, versions 1 and 2).
//
//	behind 127.0.0.1:8080
package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/socketflow/socketflow/internal/integration/e2e/testdata/programs/grpc/account"
)

// signature begins version 2; version 1 is a line.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: raw, buffered: bufio.NewReader(raw)}, nil
}

// conn reads the header of the proxy before the rest.
type conn struct {
	net.Conn
	buffered *bufio.Reader
	begun    bool
}

func (c *conn) Read(b []byte) (int, error) {
	if !c.begun {
		c.begun = true
		if err := c.skipHeader(); err != nil {
			return 0, err
		}
	}
	return c.buffered.Read(b)
}

func (c *conn) skipHeader() error {
	first, err := c.buffered.Peek(len(signature))
	if err != nil {
		return err
	}
	if string(first) != signature {
		_, err = c.buffered.ReadString('\n')
		return err
	}
	head := make([]byte, 16)
	if _, err = io.ReadFull(c.buffered, head); err != nil {
		return err
	}
	_, err = c.buffered.Discard(int(binary.BigEndian.Uint16(head[14:])))
	return err
}

func main() {
	tcp, err := net.Listen("tcp", os.Args[1])
	account.Check(err)
	server := http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello\n") // the client reports an incomplete answer
	})}
	account.Check(server.Serve(listener{tcp}))
}
