package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// call makes the calls that standard input lists, one a line, on one connection.
func call(address string, arguments []string, one func(*grpc.ClientConn, string) error) {
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	streams := flags.Int("streams", 1, "so many calls at a time")
	check(flags.Parse(arguments))
	over := insecure.NewCredentials()
	if certificate != "" {
		over = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the certificate is a test's own
	}
	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(over), grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	check(err)
	plan := make(chan string)
	var all sync.WaitGroup
	for range *streams {
		all.Go(func() {
			for line := range plan {
				check(one(connection, line))
			}
		})
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		plan <- lines.Text()
	}
	check(lines.Err())
	close(plan)
	all.Wait()
	check(connection.Close())
}

var kinds = map[string]*grpc.StreamDesc{"Unary": nil, "Up": &service.Streams[0], "Down": &service.Streams[1], "Both": &service.Streams[2]}

// echo calls the service here, as a line of the plan says:
//
//	Up 5 10 70000 00-…-…-01
//
// which are the method, the status wanted, the number of messages, their size, and the traceparent, or "-".
func echo(connection *grpc.ClientConn, line string) error {
	var method, traceparent string
	var wanted, messages, size int
	if _, err := fmt.Sscan(line, &method, &wanted, &messages, &size, &traceparent); err != nil {
		return err
	}
	kind, known := kinds[method]
	if !known {
		return fmt.Errorf("no method %q", method)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "want-status", strconv.Itoa(wanted), "want-messages", strconv.Itoa(messages))
	if traceparent == "-" {
		traceparent = ""
	} else {
		ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", traceparent)
	}
	path := "/" + serviceName + "/" + method
	message := bytes.Repeat([]byte("m"), size)
	var at peer.Peer
	var err error
	if kind == nil {
		var out []byte
		err = connection.Invoke(ctx, path, &message, &out, grpc.Peer(&at))
	} else {
		err = converse(ctx, connection, kind, path, message, messages, &at)
	}
	if got := status.Code(err); got != codes.Code(wanted) {
		return fmt.Errorf("%s: %w", line, err)
	}
	report("client", path, &at, err, traceparent)
	return nil
}

// converse returns nil for a stream that ended with the status OK.
func converse(ctx context.Context, connection *grpc.ClientConn, kind *grpc.StreamDesc, path string, message []byte, messages int, at *peer.Peer) error {
	stream, err := connection.NewStream(ctx, kind, path, grpc.Peer(at))
	if err != nil {
		return err
	}
	if !kind.ClientStreams {
		messages = 1
	}
	for range messages {
		// io.EOF: the stream has ended; RecvMsg says how.
		if err := stream.SendMsg(&message); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if kind.ClientStreams && kind.ServerStreams {
			var in []byte
			if err := stream.RecvMsg(&in); err != nil {
				return err
			}
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		var in []byte
		err := stream.RecvMsg(&in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !kind.ServerStreams {
			return nil // the status came with the only message: RecvMsg has waited for it
		}
	}
}
