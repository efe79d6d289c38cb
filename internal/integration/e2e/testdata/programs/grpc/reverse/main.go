// Command reverse has the process that opens a connection answer requests on it, and the one that accepts it send them, as tunnels
// out of a private network do.
//
//	reverse asks 127.0.0.1:8080 1.1
//	reverse answers 127.0.0.1:8080 1.1
//
// The last word is the version of HTTP: 1.1, or 2 by prior knowledge.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/socketflow/socketflow/internal/integration/e2e/testdata/programs/grpc/account"
)

const (
	requests = 20
	patience = time.Minute
)

func asks(address, version string) {
	listener, err := net.Listen("tcp", address)
	account.Check(err)
	conn, err := listener.Accept()
	account.Check(err)
	var over http.RoundTripper
	if version == "2" {
		over, err = (&http2.Transport{AllowHTTP: true}).NewClientConn(conn)
		account.Check(err)
	} else {
		over = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	}
	account.Ask(over, conn, "/reverse/"+version, requests)
	account.Check(conn.Close())
}

func answers(address, version string) {
	raw, err := net.DialTimeout("tcp", address, patience)
	account.Check(err)
	conn := &closing{Conn: raw, closed: make(chan struct{})}
	if version == "2" {
		(&http2.Server{}).ServeConn(conn, &http2.ServeConnOpts{Handler: account.Answering(conn)})
		return
	}
	server := http.Server{Handler: account.Answering(conn), ReadHeaderTimeout: patience}
	if err := server.Serve(&one{conn: conn}); !errors.Is(err, io.EOF) {
		account.Check(err)
	}
}

// closing is a connection that says when it has been closed.
type closing struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
}

func (c *closing) Close() error {
	defer c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// one is a listener that accepts one connection, and nothing else until that is closed.
type one struct {
	conn *closing
	took bool
}

func (l *one) Accept() (net.Conn, error) {
	if l.took {
		<-l.conn.closed
		return nil, io.EOF
	}
	l.took = true
	return l.conn, nil
}

func (l *one) Close() error   { return nil }
func (l *one) Addr() net.Addr { return l.conn.LocalAddr() }

func main() {
	switch role, address, version := os.Args[1], os.Args[2], os.Args[3]; role {
	case "asks":
		asks(address, version)
	case "answers":
		answers(address, version)
	default:
		account.Check(fmt.Errorf("no role %q", role))
	}
}
