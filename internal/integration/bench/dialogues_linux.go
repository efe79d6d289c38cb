//go:build amd64 || arm64

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// dialogue is what a client and a server of this process say to each other while it is recorded.
type dialogue struct {
	name string // for the heading
	file string // beginning of the name of a profile
	unit string // what one exchange is
	// listen makes the server's socket. The returned function makes client and server talk, and ends when all is said.
	listen func() (at netip.AddrPort, talk func() error, err error)
}

const (
	httpRequests  = 20_000
	atOnce        = 16
	redisCommands = 40_000
	redisDepth    = 16
	pgStatements  = 20_000
	lockSteps     = 20_000
	dnsLookups    = 20_000
)

var dialogues = []dialogue{
	{"HTTP/1.1: 20,000 requests of a Go client to a Go server", "http1.1", "exchange", func() (netip.AddrPort, func() error, error) {
		return listenHTTP("1.1", httpRequests, atOnce)
	}},
	{"HTTP/2: 20,000 requests of a Go client to a Go server", "http2", "exchange", func() (netip.AddrPort, func() error, error) {
		return listenHTTP("2", httpRequests, atOnce)
	}},
	{"Redis: 40,000 commands, GET and SET in turns, one at a time", "redis", "command", func() (netip.AddrPort, func() error, error) {
		return listenRedis(redisCommands, 1)
	}},
	{"Redis: 40,000 commands, GET and SET in turns, 16 in a pipeline", "redis16", "command", func() (netip.AddrPort, func() error, error) {
		return listenRedis(redisCommands, redisDepth)
	}},
	{"PostgreSQL: 20,000 simple queries, each with another number", "postgres", "statement", func() (netip.AddrPort, func() error, error) {
		return listenPostgres(pgStatements, pgSimple)
	}},
	{"PostgreSQL: 20,000 prepared statements", "postgresprepared", "statement", func() (netip.AddrPort, func() error, error) {
		return listenPostgres(pgStatements, pgPrepared)
	}},
	{"MongoDB: 20,000 commands, find, one at a time", "mongodb", "command", func() (netip.AddrPort, func() error, error) {
		return mongoSteps.listen(lockSteps)
	}},
	{"Memcached: 20,000 commands, get, one at a time", "memcached", "command", func() (netip.AddrPort, func() error, error) {
		return memcachedSteps.listen(lockSteps)
	}},
	{"DNS: 20,000 look-ups over one UDP socket", "dns", "look-up", func() (netip.AddrPort, func() error, error) {
		return listenDNS(dnsLookups)
	}},
}

// listenRedis is a dialogue in Redis' protocol, with so many commands in each write.
func listenRedis(commands, depth int) (netip.AddrPort, func() error, error) {
	listener, at, err := listenTCP()
	return at, func() error {
		served := make(chan error, 1)
		go func() { served <- serveRedis(listener) }()
		conn, err := net.Dial("tcp4", at.String())
		if err != nil {
			return err
		}
		return errors.Join(askRedis(conn, commands, depth), conn.Close(), <-served, listener.Close())
	}, err
}

const redisValue = "0123456789abcdef"

// redisCommand returns command i and its answer.
func redisCommand(i int) (command, answer string) {
	key := fmt.Sprintf("key:%06d", i)
	if i%2 == 0 {
		return fmt.Sprintf("*3\r\n$3\r\nSET\r\n$10\r\n%s\r\n$%d\r\n%s\r\n", key, len(redisValue), redisValue), "+OK\r\n"
	}
	return fmt.Sprintf("*2\r\n$3\r\nGET\r\n$10\r\n%s\r\n", key), fmt.Sprintf("$%d\r\n%s\r\n", len(redisValue), redisValue)
}

func askRedis(conn net.Conn, commands, depth int) error {
	for i := 0; i < commands; i += depth {
		var send strings.Builder
		expected := 0
		for j := i; j < i+depth; j++ {
			command, answer := redisCommand(j)
			send.WriteString(command)
			expected += len(answer)
		}
		if _, err := io.WriteString(conn, send.String()); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, conn, int64(expected)); err != nil {
			return err
		}
	}
	return nil
}

// serveRedis answers the commands of one connection. Like a real server it answers all that one read has brought in one write.
func serveRedis(listener net.Listener) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	in, out := bufio.NewReader(conn), bufio.NewWriter(conn)
	for i := 0; ; i++ {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return conn.Close()
		}
		if err != nil {
			return err
		}
		for range 2 * int(line[1]-'0') { // an array of strings, each after the line with its length
			if _, err := in.ReadString('\n'); err != nil {
				return err
			}
		}
		_, answer := redisCommand(i)
		if _, err := out.WriteString(answer); err != nil {
			return err
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// listenDNS is a dialogue of look-ups, one after the other.
func listenDNS(lookups int) (netip.AddrPort, func() error, error) {
	server, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		return netip.AddrPort{}, nil, err
	}
	at := server.LocalAddr().(*net.UDPAddr).AddrPort()
	return at, func() error {
		served := make(chan error, 1)
		go func() { served <- serveDNS(server, lookups) }()
		conn, err := net.Dial("udp4", at.String())
		if err != nil {
			return err
		}
		buffer := make([]byte, 1500)
		for i := range lookups {
			query, err := dnsQuery(uint16(i), fmt.Sprintf("host-%d.bench.example.", i%1000))
			if err != nil {
				return err
			}
			if _, err := conn.Write(query); err != nil {
				return err
			}
			if _, err := conn.Read(buffer); err != nil {
				return err
			}
		}
		return errors.Join(conn.Close(), <-served, server.Close())
	}, nil
}

func dnsQuery(id uint16, name string) ([]byte, error) {
	host, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: host, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	return m.Pack()
}

// serveDNS answers so many questions.
func serveDNS(server *net.UDPConn, lookups int) error {
	buffer := make([]byte, 1500)
	for range lookups {
		n, from, err := server.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return err
		}
		var m dnsmessage.Message
		if err := m.Unpack(buffer[:n]); err != nil {
			return err
		}
		m.Response, m.RecursionAvailable = true, true
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 60},
			Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}},
		}}
		answer, err := m.Pack()
		if err != nil {
			return err
		}
		if _, err := server.WriteToUDPAddrPort(answer, from); err != nil {
			return err
		}
	}
	return nil
}
