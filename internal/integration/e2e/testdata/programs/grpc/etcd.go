package main

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// etcd calls an etcd server (its api/etcdserverpb/rpc.proto), as a line of the plan says:
//
//	Put key
//	Range key
//	Watch key
//
// An empty key, which is written "-", is one that the server does not take. A watch is for a key that is there: it is canceled
// once its event has come, which is how a watch ends.
func etcd(connection *grpc.ClientConn, line string) error {
	var method, key string
	if _, err := fmt.Sscan(line, &method, &key); err != nil {
		return err
	}
	if key == "-" {
		key = ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var at peer.Peer
	var err error
	path := "/etcdserverpb.KV/" + method
	switch method {
	case "Put":
		in := field(field(nil, 1, key), 2, "value")
		err = connection.Invoke(ctx, path, &in, new([]byte), grpc.Peer(&at))
	case "Range":
		in := field(nil, 1, key)
		err = connection.Invoke(ctx, path, &in, new([]byte), grpc.Peer(&at))
	case "Watch":
		path = "/etcdserverpb.Watch/Watch"
		err = watch(ctx, cancel, connection, path, key, &at)
	default:
		return fmt.Errorf("no method %q", method)
	}
	switch code := status.Code(err); {
	case code == codes.OK, key == "" && code == codes.InvalidArgument, method == "Watch" && code == codes.Canceled:
		report("client", path, &at, err, "")
		return nil
	}
	return err
}

// watch returns how the stream ended.
func watch(ctx context.Context, cancel func(), connection *grpc.ClientConn, path, key string, at *peer.Peer) error {
	stream, err := connection.NewStream(ctx, &kindOfWatch, path, grpc.Peer(at))
	if err != nil {
		return err
	}
	// WatchRequest{create_request: WatchCreateRequest{key, start_revision: 1}}
	create := append(field(nil, 1, key), 3<<3, 1)
	in := field(nil, 1, string(create))
	if err := stream.SendMsg(&in); err != nil {
		return err
	}
	for range 2 { // that it is created, and the event
		if err := stream.RecvMsg(new([]byte)); err != nil {
			return fmt.Errorf("watch %s: %w", key, err)
		}
	}
	cancel()
	return stream.RecvMsg(new([]byte))
}

var kindOfWatch = grpc.StreamDesc{StreamName: "Watch", ClientStreams: true, ServerStreams: true}

// field adds a field of bytes to a message (protobuf's encoding: tag, length, bytes).
func field(message []byte, number byte, value string) []byte {
	if len(value) > 127 {
		panic("a length of one byte only")
	}
	return append(append(message, number<<3|2, byte(len(value))), value...)
}
