// Command memcached stores and reads values over a pool of connections, and sends what its client cannot: commands without a reply, pipelines, meta
// commands and the binary protocol.
//
//	memcached 127.0.0.1:11211 secret
//	memcached 127.0.0.1:11211 secret older|tls
//
// With the last word it stores, reads and deletes on many connections at once, when there is a line to read: on connections that it has opened
// before, and used, or on new ones over TLS.
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "memcached:", err)
		os.Exit(1)
	}
}

func expect(err, want error) {
	if !errors.Is(err, want) {
		check(fmt.Errorf("%v, not %w", err, want))
	}
}

// talk sends bytes on a connection of its own, and reads until an answer ends.
func talk(address string, steps ...[2]string) {
	c, err := net.Dial("tcp", address)
	check(err)
	check(c.SetDeadline(time.Now().Add(20 * time.Second)))
	buffer := make([]byte, 64<<10)
	for _, step := range steps {
		_, err := io.WriteString(c, step[0])
		check(err)
		for read := ""; !strings.HasSuffix(read, step[1]); {
			n, err := c.Read(buffer)
			read += string(buffer[:n])
			check(err)
		}
	}
	check(c.Close())
}

// request is one of the binary protocol.
func request(number byte, extras, key, value string, opaque uint32) string {
	b := make([]byte, 24)
	b[0], b[1], b[4] = 0x80, number, byte(len(extras))
	binary.BigEndian.PutUint16(b[2:], uint16(len(key)))
	binary.BigEndian.PutUint32(b[8:], uint32(len(extras)+len(key)+len(value)))
	binary.BigEndian.PutUint32(b[12:], opaque)
	return string(b) + extras + key + value
}

func main() {
	address, secret := os.Args[1], os.Args[2]
	if len(os.Args) > 3 {
		manage(address, secret, os.Args[3] == "tls")
		return
	}
	client := memcache.New(address)
	client.MaxIdleConns, client.Timeout = 10, 10*time.Second
	var all sync.WaitGroup
	for n := range 10 {
		all.Go(func() {
			for i := range 50 {
				key := fmt.Sprint("key:", n, ":", i)
				check(client.Set(&memcache.Item{Key: key, Value: []byte(secret)}))
				item, err := client.Get(key)
				check(err)
				check(client.CompareAndSwap(item))
				_, err = client.GetMulti([]string{key, "none", "neither"})
				check(err)
				check(client.Touch(key, 100))
				expect(client.Add(&memcache.Item{Key: key, Value: []byte(secret)}), memcache.ErrNotStored)
				_, err = client.Get("none")
				expect(err, memcache.ErrCacheMiss)
				check(client.Delete(key))
			}
		})
	}
	all.Wait()
	check(client.Set(&memcache.Item{Key: "large", Value: bytes.Repeat([]byte(secret), 20_000)}))
	_, err := client.Get("large")
	check(err)
	check(client.Set(&memcache.Item{Key: "number", Value: []byte("5")}))
	_, err = client.Increment("number", 3)
	check(err)
	check(client.Ping())
	check(client.Close())

	const stored = 200
	set := "set muted 0 0 " + fmt.Sprint(len(secret)) + " noreply\r\n" + secret + "\r\n"
	talk(address,
		[2]string{strings.Repeat(set, stored) + strings.Repeat("get muted\r\n", stored), strings.Repeat("VALUE muted 0 "+fmt.Sprint(len(secret))+"\r\n"+secret+"\r\nEND\r\n", stored)},
		[2]string{"delete muted noreply\r\nincr none 1 noreply\r\ntouch none 1 noreply\r\nget muted\r\n", "END\r\n"},
		[2]string{"mg none v q\r\nms m 1 q\r\nx\r\nmg m v q\r\nmn\r\n", "MN\r\n"},
		[2]string{"incr large 1\r\n", "non-numeric value\r\n"}, [2]string{"nonsense\r\n", "ERROR\r\n"}, [2]string{"quit\r\n", ""},
	)
	const flags = "\x00\x00\x00\x00\x00\x00\x00\x00"
	talk(address,
		[2]string{request(0x11, flags, "b", secret, 1) + request(0x09, "", "none", "", 2) + request(0x09, "", "b", "", 3) + request(0x0a, "", "", "", 4), string(answer(0x0a, 4))},
		[2]string{request(0x00, "", "none", "", 5) + request(0x0a, "", "", "", 6), string(answer(0x0a, 6))},
		[2]string{request(0x10, "", "", "", 7) + request(0x0a, "", "", "", 8), string(answer(0x0a, 8))},
		[2]string{request(0x07, "", "", "", 9), string(answer(0x07, 9))},
	)
}

// answer is an empty one of the binary protocol.
func answer(number byte, opaque uint32) []byte {
	b := make([]byte, 24)
	b[0], b[1] = 0x81, number
	binary.BigEndian.PutUint32(b[12:], opaque)
	return b
}
