// Command hijack changes from HTTP/1.1 to HTTP/2 as programs do that take the connection over after a 101: the server of the second
// protocol begins with its preface, and there is no request that is answered in it. Who asks in HTTP/2 is the client's choice.
//
//	hijack server 127.0.0.1:8080
//	hijack client 127.0.0.1:8080 manner
//
// The manners: "asks" has the client ask; "body" sends the request's body once the 101 has come; "joined" sends that body and the
// preface of HTTP/2 in one write; "serves" has the server of the first protocol ask, and the client answer.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/net/http2"

	"github.com/socketflow/socketflow/internal/integration/e2e/testdata/programs/grpc/account"
)

const (
	requests = 20
	body     = "a body"
	patience = time.Minute
)

// conn is a connection of which a reader has read some bytes already.
type conn struct {
	net.Conn
	ahead io.Reader
	first []byte // to be written together with what is written first
}

func (c *conn) Read(b []byte) (int, error) { return c.ahead.Read(b) }

func (c *conn) Write(b []byte) (int, error) {
	first := c.first
	if len(first) == 0 {
		return c.Conn.Write(b)
	}
	c.first = nil
	n, err := c.Conn.Write(append(first, b...))
	return max(0, n-len(first)), err
}

func takeOver(w http.ResponseWriter, r *http.Request) {
	raw, buffered, err := w.(http.Hijacker).Hijack()
	account.Check(err)
	account.Report("server", r.Method, r.RequestURI, http.StatusSwitchingProtocols, account.Version(r.Proto), raw)
	_, err = io.WriteString(raw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
	account.Check(err)
	_, err = io.CopyN(io.Discard, buffered, r.ContentLength) // the handler's body cannot be read any more
	account.Check(err)
	c := &conn{Conn: raw, ahead: buffered}
	if manner := r.URL.Query().Get("manner"); manner == "serves" {
		ask(c, manner)
	} else {
		answer(c)
	}
}

func ask(c *conn, manner string) {
	over, err := (&http2.Transport{AllowHTTP: true}).NewClientConn(c)
	account.Check(err)
	account.Ask(over, c, "/hijack/"+manner, requests)
	account.Check(over.Close())
}

func answer(c *conn) {
	(&http2.Server{}).ServeConn(c, &http2.ServeConnOpts{Handler: account.Answering(c)})
}

func client(address, manner string) {
	raw, err := net.DialTimeout("tcp", address, patience)
	account.Check(err)
	length := 0
	if manner == "body" || manner == "joined" {
		length = len(body)
	}
	target := "/hijack?manner=" + manner
	_, err = fmt.Fprintf(raw, "POST %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n", target, address, length)
	account.Check(err)
	buffered := bufio.NewReader(raw)
	response, err := http.ReadResponse(buffered, nil)
	account.Check(err)
	account.Report("client", http.MethodPost, target, response.StatusCode, account.Version(response.Proto), raw)
	c := &conn{Conn: raw, ahead: buffered}
	switch manner {
	case "body":
		_, err = io.WriteString(raw, body)
		account.Check(err)
	case "joined":
		c.first = []byte(body)
	case "serves":
		answer(c)
		return
	}
	ask(c, manner)
}

func main() {
	switch role, address := os.Args[1], os.Args[2]; role {
	case "server":
		server := http.Server{Addr: address, Handler: http.HandlerFunc(takeOver), ReadHeaderTimeout: patience}
		account.Check(server.ListenAndServe())
	case "client":
		client(address, os.Args[3])
	default:
		account.Check(fmt.Errorf("no role %q", role))
	}
}
