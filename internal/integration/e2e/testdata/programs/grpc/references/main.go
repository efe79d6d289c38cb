// Command references makes an observer of HTTP/2 remember much for few bytes: each reference to an entry of the header table costs one
// byte on the wire (RFC 7541 section 6.1), and stands for 4 kB. Nothing answers, so the requests stay open.
//
//	references server 127.0.0.1:8080
//	references client 127.0.0.1:8080 < input
//
// The client sends everything, writes a line, and ends at the end of its input.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/socketflow/socketflow/internal/integration/e2e/testdata/programs/grpc/account"
)

const (
	connections = 40
	requests    = 4095  // on each
	path        = 3_900 // bytes: it fits into a table of 4096 (RFC 7541 section 4.1)
)

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	account.Check(err)
	for {
		conn, err := listener.Accept()
		account.Check(err)
		go func() {
			account.Check(http2.NewFramer(conn, nil).WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: requests}))
			_, _ = io.Copy(io.Discard, conn) // until the client goes
		}()
	}
}

func ask(address string) {
	sent := 0
	for n := range connections {
		conn, err := net.Dial("tcp", address)
		account.Check(err)
		var wire bytes.Buffer
		wire.WriteString(http2.ClientPreface)
		framer := http2.NewFramer(&wire, nil)
		account.Check(framer.WriteSettings())
		var block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		target := fmt.Sprintf("/references/%d/", n)
		target += strings.Repeat("a", path-len(target))
		for i := range requests {
			block.Reset()
			for _, field := range []hpack.HeaderField{
				{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: target},
			} {
				account.Check(encoder.WriteField(field))
			}
			account.Check(framer.WriteHeaders(http2.HeadersFrameParam{
				StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true,
			}))
		}
		sent += wire.Len()
		_, err = wire.WriteTo(conn)
		account.Check(err)
		defer conn.Close() //nolint:errcheck // the program ends
	}
	fmt.Println(connections, "connections,", connections*requests, "requests,", sent, "bytes")
	_, err := io.Copy(io.Discard, os.Stdin)
	account.Check(err)
}

func main() {
	switch role, address := os.Args[1], os.Args[2]; role {
	case "server":
		serve(address)
	case "client":
		ask(address)
	default:
		account.Check(fmt.Errorf("no role %q", role))
	}
}
