// Command grpc is a service of gRPC, which makes its calls by gRPC. The method r.R/<id> calls c.C/<id>-<number>; messages are texts.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// text is the codec of messages that are *string.
type text struct{}

func (text) Name() string { return "text" }

func (text) Marshal(message any) ([]byte, error) { return []byte(*message.(*string)), nil }

func (text) Unmarshal(data []byte, message any) error {
	*message.(*string) = string(data)
	return nil
}

func connect() (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:127.0.0.1:"+os.Getenv("BACKEND"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(text{})))
}

// service keeps a connection, unless each call has one of its own.
type service struct{ pooled *grpc.ClientConn }

func (s *service) call(ctx context.Context, id string, k int) (answer string, err error) {
	connection := s.pooled
	if connection == nil {
		if connection, err = connect(); err != nil {
			return "", err
		}
		defer connection.Close() //nolint:errcheck // it has done its work
	}
	if os.Getenv("REQUEST_IDS") != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", "causality-"+id) // as the request has it
	}
	empty := ""
	err = connection.Invoke(ctx, fmt.Sprintf("/c.C/%s-%d", id, k), &empty, &answer)
	return answer, err
}

// calls returns the answers in their order.
func (s *service) calls(ctx context.Context, id string) (string, error) {
	count := 3
	switch os.Getenv("CALLS") {
	case "delayed":
		time.Sleep(time.Duration(1+int(id[len(id)-1])%5) * time.Millisecond)
		fallthrough
	case "one":
		count = 1
	}
	answers, failures := make([]string, count), make([]error, count)
	var running sync.WaitGroup
	for k := range count {
		if os.Getenv("CALLS") == "parallel" {
			running.Go(func() { answers[k], failures[k] = s.call(ctx, id, k) })
		} else {
			answers[k], failures[k] = s.call(ctx, id, k)
		}
	}
	running.Wait()
	for _, err := range failures {
		if err != nil {
			return "", err
		}
	}
	return strings.Join(answers, ","), nil
}

func (s *service) handle(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	var message string
	if err := stream.RecvMsg(&message); err != nil {
		return err
	}
	answer, err := s.calls(stream.Context(), method[strings.LastIndexByte(method, '/')+1:])
	if err != nil {
		return err
	}
	return stream.SendMsg(&answer)
}

func main() {
	s := &service{}
	if os.Getenv("STYLE") == "pooled" {
		var err error
		if s.pooled, err = connect(); err != nil {
			log.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:"+os.Getenv("LISTEN"))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(grpc.NewServer(grpc.UnknownServiceHandler(s.handle), grpc.ForceServerCodec(text{})).Serve(listener))
}
