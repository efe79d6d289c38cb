// Command gohttp is a web server and a web client of Go's standard library. Each writes down what it did: one JSON line for
// each request, on standard output.
//
//	gohttp server 127.0.0.1:8080
//	gohttp client 127.0.0.1:8080 -connections 4 < plan
//
// Both speak HTTP/1.1 and, by prior knowledge, HTTP/2 (RFC 9113 section 3.3); over TLS if TLS_CERTIFICATE and TLS_KEY name files.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
)

// end is one end of a connection.
type end struct {
	Address string `json:"address"`
	Port    uint16 `json:"port"`
}

func endOf(a net.Addr) end {
	address := netip.MustParseAddrPort(a.String())
	return end{Address: address.Addr().String(), Port: address.Port()}
}

// account is the report of a request.
type account struct {
	PID         int    `json:"pid"`
	Role        string `json:"role"`
	Method      string `json:"method"`
	Target      string `json:"target"`
	Status      int    `json:"status"`
	Version     string `json:"version"`
	Local       end    `json:"local"`
	Peer        end    `json:"peer"`
	Traceparent string `json:"traceparent,omitempty"`
}

func (a *account) report() {
	a.PID = os.Getpid()
	line, err := json.Marshal(a)
	check(err)
	_, err = os.Stdout.Write(append(line, '\n')) // in one call: lines of several goroutines do not mix
	check(err)
}

// certificate and key are files; none: it is not over TLS.
var certificate, key = os.Getenv("TLS_CERTIFICATE"), os.Getenv("TLS_KEY")

// version of a protocol named like "HTTP/1.1".
func version(proto string) string {
	return strings.TrimSuffix(strings.TrimPrefix(proto, "HTTP/"), ".0")
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "gohttp:", err)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) < 3 {
		check(fmt.Errorf("write: gohttp server|client address"))
	}
	switch role, address := os.Args[1], os.Args[2]; role {
	case "server":
		serve(address)
	case "client":
		ask(address, os.Args[3:])
	default:
		check(fmt.Errorf("no role %q", role))
	}
}
