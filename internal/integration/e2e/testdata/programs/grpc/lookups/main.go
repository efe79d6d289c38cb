// Command lookups asks a DNS server for the addresses of l0.test, l1.test and so on, at a steady rate, and ends with an error unless each
// answer is the right one: 10.9.x.y, whose last two bytes are the number in the name. Before that it asks for one name by Go's own resolver.
//
//	lookups 127.0.0.1:53 6000 one
//
// The last word is one, for one socket, or each, for a socket each.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/socketflow/socketflow/internal/integration/e2e/testdata/programs/grpc/account"
)

const (
	pause    = 5 * time.Millisecond
	perPause = 10 // which is 2,000 a second
	patience = 30 * time.Second
)

func query(i int) []byte {
	message := dnsmessage.Message{
		Header: dnsmessage.Header{ID: uint16(i), RecursionDesired: true},
		Questions: []dnsmessage.Question{{
			Name: dnsmessage.MustNewName(fmt.Sprintf("l%d.test.", i)), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET,
		}},
	}
	b, err := message.Pack()
	account.Check(err)
	return b
}

// read returns the number of an answer.
func read(conn net.Conn) int {
	b := make([]byte, 512)
	account.Check(conn.SetReadDeadline(time.Now().Add(patience)))
	n, err := conn.Read(b)
	account.Check(err)
	var message dnsmessage.Message
	account.Check(message.Unpack(b[:n]))
	if len(message.Answers) != 1 {
		account.Check(fmt.Errorf("answer %v", message))
	}
	a, ok := message.Answers[0].Body.(*dnsmessage.AResource)
	if i := int(message.ID); !ok || a.A != [4]byte{10, 9, byte(i >> 8), byte(i)} {
		account.Check(fmt.Errorf("%d is answered with %v", i, message.Answers))
	}
	return int(message.ID)
}

func dial(address string) net.Conn {
	conn, err := net.Dial("udp", address)
	account.Check(err)
	return conn
}

func main() {
	address := os.Args[1]
	n, err := strconv.Atoi(os.Args[2])
	account.Check(err)
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	_, err = resolver.LookupNetIP(context.Background(), "ip4", "resolver.test.")
	account.Check(err)

	one := os.Args[3] == "one"
	var all sync.WaitGroup
	var shared net.Conn
	if one {
		shared = dial(address)
		all.Go(func() {
			seen := make(map[int]bool)
			for range n {
				seen[read(shared)] = true
			}
			if len(seen) != n {
				account.Check(errors.New("some are answered twice"))
			}
		})
	}
	tick := time.NewTicker(pause)
	for i := range n {
		if i%perPause == 0 {
			<-tick.C
		}
		conn := shared
		if !one {
			conn = dial(address)
			all.Go(func() {
				if read(conn) != i {
					account.Check(errors.New("an answer of another socket"))
				}
				account.Check(conn.Close())
			})
		}
		_, err := conn.Write(query(i))
		account.Check(err)
	}
	all.Wait()
}
