// Command calls is a gRPC server and a client of large messages.
//
//	calls server 127.0.0.1:8080
//	calls client 127.0.0.1:8080 < plan
//
// Each line of the plan is the size of a request, and that of its response, in bytes. All calls are made on one channel, one after the other. Each
// end writes a JSON line for each.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/socketflow/socketflow/internal/integration/e2e/testdata/programs/grpc/account"
)

const (
	service  = "socketflow.e2e.Sizes"
	path     = "/" + service + "/Call"
	patience = time.Minute
)

// raw is a codec of messages that are bytes already. Its name is that of gRPC's default codec.
type raw struct{}

func (raw) Name() string                  { return "proto" }
func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func report(role string) {
	line := fmt.Sprintf(`{"pid":%d,"role":%q,"method":"POST","target":%q,"rpc_status":0,"version":"2"}`+"\n", os.Getpid(), role, path)
	_, err := os.Stdout.WriteString(line)
	account.Check(err)
}

func answer(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var in []byte
	if err := decode(&in); err != nil {
		return nil, err
	}
	report("server")
	out := make([]byte, binary.BigEndian.Uint64(in))
	return &out, nil
}

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	account.Check(err)
	server := grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.MaxRecvMsgSize(math.MaxInt32))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: service, HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{MethodName: "Call", Handler: answer}},
	}, struct{}{})
	account.Check(server.Serve(listener))
}

func call(address string) {
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	account.Check(err)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var size, wanted int
		_, err := fmt.Sscan(lines.Text(), &size, &wanted)
		account.Check(err)
		in, out := make([]byte, size), []byte(nil)
		binary.BigEndian.PutUint64(in, uint64(wanted))
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		account.Check(connection.Invoke(ctx, path, &in, &out))
		cancel()
		if len(out) != wanted {
			account.Check(fmt.Errorf("%d bytes, not %d", len(out), wanted))
		}
		report("client")
	}
	account.Check(lines.Err())
	account.Check(connection.Close())
}

func main() {
	switch role, address := os.Args[1], os.Args[2]; role {
	case "server":
		serve(address)
	case "client":
		call(address)
	default:
		account.Check(fmt.Errorf("no role %q", role))
	}
}
