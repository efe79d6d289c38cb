package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	connections = 50
	rounds      = 20
)

// manage uses many connections at once.
func manage(address, secret string, secure bool) {
	var all [connections]net.Conn
	open := func() {
		for i := range all {
			c, err := net.Dial("tcp", address)
			check(err)
			check(c.SetDeadline(time.Now().Add(60 * time.Second)))
			if all[i] = c; secure {
				all[i] = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // its certificate is the test's own
			}
		}
	}
	if !secure {
		open()
		for _, c := range all {
			exchange(c, "get none\r\n", "END\r\n")
		}
		fmt.Println("ready")
	}
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	check(err)
	if secure {
		open()
	}
	var workers sync.WaitGroup
	for i, c := range all {
		workers.Go(func() {
			for n := range rounds {
				key := fmt.Sprintf("many:%d:%d", i, n)
				exchange(c, fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key, len(secret), secret), "STORED\r\n")
				exchange(c, "get "+key+"\r\n", fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", key, len(secret), secret))
				exchange(c, "get none\r\n", "END\r\n")
				exchange(c, "delete "+key+"\r\n", "DELETED\r\n")
			}
			check(c.Close())
		})
	}
	workers.Wait()
}

// exchange sends a command, and reads its reply.
func exchange(c net.Conn, command, reply string) {
	_, err := io.WriteString(c, command)
	check(err)
	b := make([]byte, len(reply))
	_, err = io.ReadFull(c, b)
	check(err)
	if string(b) != reply {
		check(fmt.Errorf("%q, not %q", b, reply))
	}
}
