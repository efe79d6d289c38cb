//go:build amd64 || arm64

package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// services are what a server speaks, by how the client's first bytes begin.
type services struct {
	http  *http.Server
	conns chan net.Conn
}

func (s *services) Accept() (net.Conn, error) {
	c, open := <-s.conns
	if !open {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (s *services) Close() error   { return nil }
func (s *services) Addr() net.Addr { return &net.TCPAddr{} }

// peeked is a connection whose first bytes have been looked at.
type peeked struct {
	net.Conn
	reader *bufio.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.reader.Read(b) }

// serveAll serves HTTP/1, HTTP/2, gRPC and Redis on one port.
func serveAll(t *testing.T, listener net.Listener) {
	t.Helper()
	s := &services{conns: make(chan net.Conn)}
	s.http = &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(answer)}
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetUnencryptedHTTP2(true)
	var all sync.WaitGroup
	all.Go(func() { _ = s.http.Serve(s) }) // ends with the connections
	all.Go(func() {
		defer close(s.conns)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				p := peeked{c, bufio.NewReader(c)}
				if first, err := p.reader.Peek(1); err == nil && first[0] == '*' {
					answerRedis(p)
					return
				}
				s.conns <- p
			})
		}
	})
	t.Cleanup(func() {
		assert.NoError(t, listener.Close())
		_ = s.http.Close()
		all.Wait()
	})
}

func answer(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if r.Header.Get("Content-Type") != "application/grpc" {
		_, _ = io.WriteString(w, "hello")
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	_, _ = w.Write(make([]byte, 5)) // an empty message
	w.Header().Set("Grpc-Status", "0")
}

// answerRedis answers commands until the client closes the connection.
func answerRedis(p peeked) {
	defer p.Close() //nolint:errcheck // the client does
	for {
		for range 5 { // *2 $3 GET $n key
			if _, err := p.reader.ReadString('\n'); err != nil {
				return
			}
		}
		if _, err := io.WriteString(p, "$2\r\nhi\r\n"); err != nil {
			return
		}
	}
}

// http2Client has all requests on one connection.
func http2Client(t *testing.T, from host) *http.Client {
	transport := &http.Transport{
		Protocols:   new(http.Protocols),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return from.dial(t, net.Dialer{}), nil },
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

const streams = 100 // at a time

// askStreams makes requests that have a number each, so many at a time.
func askStreams(t *testing.T, client *http.Client, requests int, request func(number int) *http.Request) {
	t.Helper()
	ask := func(number int) {
		response, err := client.Do(request(number))
		if !assert.NoError(t, err) {
			return
		}
		_, err = io.Copy(io.Discard, response.Body)
		assert.NoError(t, err)
		assert.NoError(t, response.Body.Close())
	}
	ask(0) // on the only connection
	var all sync.WaitGroup
	for stream := range streams {
		all.Go(func() {
			for number := stream + 1; number < requests; number += streams {
				ask(number)
			}
		})
	}
	all.Wait()
}

// protocolsBetweenHosts make so many requests each, over new connections.
var protocolsBetweenHosts = []struct {
	name string
	ask  func(t *testing.T, from host, requests int)
}{
	{"HTTP/1 pipelined", func(t *testing.T, from host, requests int) {
		c := from.dial(t, net.Dialer{})
		defer c.Close() //nolint:errcheck // all was read
		go func() {
			for i := range requests {
				_, _ = fmt.Fprintf(c, "GET /one/%d HTTP/1.1\r\nHost: host.test\r\n\r\n", i)
			}
		}()
		reader := bufio.NewReader(c)
		for range requests {
			response, err := http.ReadResponse(reader, nil)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, response.Body)
			require.NoError(t, err)
		}
	}},
	{"HTTP/2", func(t *testing.T, from host, requests int) {
		askStreams(t, http2Client(t, from), requests, func(number int) *http.Request {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://host.test/two/%d", number), http.NoBody)
			assert.NoError(t, err)
			return r
		})
	}},
	{"gRPC", func(t *testing.T, from host, requests int) {
		askStreams(t, http2Client(t, from), requests, func(number int) *http.Request {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://host.test/shop.Shop/Call%d", number),
				strings.NewReader("\x00\x00\x00\x00\x00"))
			assert.NoError(t, err)
			r.Header.Set("Content-Type", "application/grpc")
			r.Header.Set("Te", "trailers")
			return r
		})
	}},
	{"Redis pipelined", func(t *testing.T, from host, requests int) {
		c := from.dial(t, net.Dialer{})
		defer c.Close() //nolint:errcheck // all was read
		go func() {
			for i := range requests {
				key := fmt.Sprintf("key%d", i)
				_, _ = fmt.Fprintf(c, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len(key), key)
			}
		}()
		reader := bufio.NewReader(c)
		for range 2 * requests {
			_, err := reader.ReadString('\n')
			require.NoError(t, err)
		}
	}},
}
