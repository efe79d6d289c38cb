// Command grpc is a gRPC server and a gRPC client. Each writes down what it did: one JSON line a call, on standard output. They are over TLS if
// TLS_CERTIFICATE and TLS_KEY name files.
//
//	grpc server 127.0.0.1:8080
//	grpc client 127.0.0.1:8080 -streams 20 < plan
//	grpc etcd 127.0.0.1:2379 -streams 4 < plan
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// certificate and key are files; none: it is not over TLS.
var certificate, key = os.Getenv("TLS_CERTIFICATE"), os.Getenv("TLS_KEY")

// patience bounds every wait.
const patience = 60 * time.Second

// end is one end of a connection.
type end struct {
	Address string `json:"address"`
	Port    uint16 `json:"port"`
}

func endOf(a net.Addr) end {
	address := netip.MustParseAddrPort(a.String())
	return end{Address: address.Addr().String(), Port: address.Port()}
}

// account is the report of a call.
type account struct {
	PID         int    `json:"pid"`
	Role        string `json:"role"`
	Method      string `json:"method"`
	Target      string `json:"target"`
	RPCStatus   int    `json:"rpc_status"`
	Version     string `json:"version"`
	Local       end    `json:"local"`
	Peer        end    `json:"peer"`
	Traceparent string `json:"traceparent,omitempty"`
}

func report(role, method string, p *peer.Peer, err error, traceparent string) {
	line, wrong := json.Marshal(account{
		PID: os.Getpid(), Role: role, Method: "POST", Target: method, RPCStatus: int(status.Code(err)), Version: "2",
		Local: endOf(p.LocalAddr), Peer: endOf(p.Addr), Traceparent: traceparent,
	})
	check(wrong)
	_, wrong = os.Stdout.Write(append(line, '\n')) // in one call: lines of several goroutines do not mix
	check(wrong)
}

// raw is a codec of messages that are bytes already. Its name is that of gRPC's default codec.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "grpc:", err)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) < 3 {
		check(fmt.Errorf("write: grpc server|client|etcd address"))
	}
	switch role, address := os.Args[1], os.Args[2]; role {
	case "server":
		serve(address)
	case "client":
		call(address, os.Args[3:], echo)
	case "etcd":
		call(address, os.Args[3:], etcd)
	default:
		check(fmt.Errorf("no role %q", role))
	}
}
