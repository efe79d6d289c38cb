package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// kind is a way in which requests are made.
type kind uint8

const (
	keepAlive kind = iota
	short
	http2
	grpc
	redis
	dns
	overUnix
	kinds
)

var kindNames = [kinds]string{"HTTP/1 keep-alive", "HTTP/1 short", "HTTP/2", "gRPC", "Redis", "DNS", "HTTP/1 over Unix"}

// rates are requests per second of each kind.
var rates = [kinds]int{60, 30, 40, 40, 40, 15, 15}

// client makes requests, and writes a line about each.
type client struct {
	at   addresses
	run  int
	next atomic.Int64

	mu  sync.Mutex
	out *bufio.Writer
}

// method makes a request with the id, and returns the local port, 0 if there is none.
type method func(ctx context.Context, id string) (port int, err error)

func runClient(ctx context.Context, s *settings) error {
	at, err := parseAddresses(s.ports)
	if err != nil {
		return err
	}
	c := &client{at: at, run: s.run, out: bufio.NewWriter(os.Stdout)}
	if s.count > 0 {
		request := c.overHTTP(loopback(at.HTTP), "tcp4", false, false)
		for range s.count {
			c.one(short, request)
		}
		return c.out.Flush()
	}
	var running sync.WaitGroup
	for k, request := range [kinds]method{
		keepAlive: c.overHTTP(loopback(at.HTTP), "tcp4", true, false),
		short:     c.overHTTP(loopback(at.HTTP), "tcp4", false, false),
		http2:     c.overHTTP(loopback(at.HTTP2), "tcp4", true, true),
		grpc:      c.overGRPC(),
		redis:     c.overRedis(),
		dns:       c.overDNS(),
		overUnix:  c.overHTTP(at.Unix, "unix", true, false),
	} {
		running.Go(func() {
			tick := time.NewTicker(time.Second / time.Duration(rates[k]))
			defer tick.Stop()
			for ctx.Err() == nil {
				c.one(kind(k), request)
				<-tick.C
			}
		})
	}
	running.Wait()
	return c.out.Flush()
}

// one makes a request and writes: id's number, kind, local port, begin and end (Unix nanoseconds), whether it was answered.
func (c *client) one(k kind, request method) {
	n := c.next.Add(1) - 1
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	began := time.Now()
	port, err := request(ctx, fmt.Sprintf("r%dx%d", c.run, n))
	ended := time.Now()
	if err != nil {
		fmt.Fprintln(os.Stderr, kindNames[k], err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = fmt.Fprintln(c.out, n, k, port, began.UnixNano(), ended.UnixNano(), err == nil)
	if c.out.Buffered() > 2048 {
		_ = c.out.Flush()
	}
}

func newTransport(network, address string, keep, second bool) *http.Transport {
	t := &http.Transport{DisableKeepAlives: !keep, DisableCompression: true}
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	if second {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	return t
}

func (c *client) overHTTP(address, network string, keep, second bool) method {
	transport := newTransport(network, address, keep, second)
	host := address
	if network == "unix" {
		host = "soak"
	}
	return func(ctx context.Context, id string) (int, error) {
		return exchange(ctx, transport, http.MethodGet, "http://"+host+"/"+id, nil, nil)
	}
}

func (c *client) overGRPC() method {
	address := loopback(c.at.HTTP2)
	transport := newTransport("tcp4", address, true, true)
	header := http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
	return func(ctx context.Context, id string) (int, error) {
		return exchange(ctx, transport, http.MethodPost, "http://"+address+"/soak.Soak/"+id, header, make([]byte, 5))
	}
}

func exchange(ctx context.Context, transport *http.Transport, verb, url string, header http.Header, body []byte) (port int, err error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if local, ok := info.Conn.LocalAddr().(*net.TCPAddr); ok {
			port = local.Port
		}
	}})
	request, err := http.NewRequestWithContext(ctx, verb, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	if header != nil {
		request.Header = header.Clone()
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return port, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return port, errors.Join(err, response.Body.Close())
}

// overRedis keeps one connection.
func (c *client) overRedis() method {
	var conn net.Conn
	var replies *bufio.Reader
	return func(ctx context.Context, id string) (_ int, err error) {
		if conn == nil {
			if conn, err = (&net.Dialer{}).DialContext(ctx, "tcp4", loopback(c.at.Redis)); err != nil {
				return 0, err
			}
			replies = bufio.NewReader(conn)
		}
		port := conn.LocalAddr().(*net.TCPAddr).Port
		if _, err := fmt.Fprintf(conn, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len(id), id); err != nil {
			return port, err
		}
		_, err = replies.ReadString('\n') // $-1: there is no such key
		return port, err
	}
}

// queriesPerSocket is how many queries share a UDP socket.
const queriesPerSocket = 20

func (c *client) overDNS() method {
	var conn net.Conn
	buffer := make([]byte, 512)
	n := 0
	return func(ctx context.Context, id string) (_ int, err error) {
		if n%queriesPerSocket == 0 {
			if conn != nil {
				_ = conn.Close()
			}
			if conn, err = (&net.Dialer{}).DialContext(ctx, "udp4", loopback(c.at.DNS)); err != nil {
				return 0, err
			}
		}
		n++
		name, err := dnsmessage.NewName(id + ".soak.test.")
		if err != nil {
			return 0, err
		}
		query := dnsmessage.Message{
			Header:    dnsmessage.Header{ID: uint16(n), RecursionDesired: true},
			Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
		}
		text, err := query.Pack()
		if err != nil {
			return 0, err
		}
		port := conn.LocalAddr().(*net.UDPAddr).Port
		deadline, _ := ctx.Deadline()
		if _, err := conn.Write(text); err != nil {
			return port, err
		}
		_, err = conn.Read(buffer)
		return port, errors.Join(err, conn.SetDeadline(deadline))
	}
}

// floodDatagrams is how many datagrams a flood has, each from a port of its own.
const floodDatagrams = 70_000

// flood sends a datagram from each of many ports, those of two addresses, at some 14,000 in a second.
func flood(text string) error {
	at, err := parseAddresses(text)
	if err != nil {
		return err
	}
	to := &unix.SockaddrInet4{Port: at.Flood, Addr: [4]byte{127, 0, 0, 1}}
	for sent, i := 0, 0; sent < floodDatagrams; i++ {
		from := &unix.SockaddrInet4{Port: 1024 + i%64_000, Addr: [4]byte{127, 0, 1, byte(1 + i/64_000)}}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if unix.Bind(fd, from) == nil && unix.Sendto(fd, []byte("flood"), 0, to) == nil {
			sent++
		}
		if err := unix.Close(fd); err != nil {
			return err
		}
		if i%140 == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}
