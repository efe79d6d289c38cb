package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

const serviceName = "socketflow.e2e.Echo"

// service is one with a method of each kind. A call's metadata says with which status it ends, and how many messages a
// stream of the server's has.
var service = grpc.ServiceDesc{
	ServiceName: serviceName,
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: unary}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Up", ClientStreams: true, Handler: up},
		{StreamName: "Down", ServerStreams: true, Handler: down},
		{StreamName: "Both", ClientStreams: true, ServerStreams: true, Handler: both},
	},
}

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	check(err)
	over := insecure.NewCredentials()
	if certificate != "" {
		over, err = credentials.NewServerTLSFromFile(certificate, key)
		check(err)
	}
	server := grpc.NewServer(grpc.Creds(over), grpc.ForceServerCodec(raw{}),
		grpc.UnaryInterceptor(func(ctx context.Context, in any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			out, err := handle(ctx, in)
			reportServer(ctx, info.FullMethod, err)
			return out, err
		}),
		grpc.StreamInterceptor(func(s any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			err := handle(s, stream)
			reportServer(stream.Context(), info.FullMethod, err)
			return err
		}))
	server.RegisterService(&service, struct{}{})
	check(server.Serve(listener))
}

// reportServer is called before the status is sent: the client may read the account once it has the answer.
func reportServer(ctx context.Context, method string, err error) {
	from, _ := peer.FromContext(ctx)
	report("server", method, from, err, wanted(ctx, "traceparent"))
}

func wanted(ctx context.Context, key string) string {
	all, _ := metadata.FromIncomingContext(ctx)
	if values := all.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

func wantedNumber(ctx context.Context, key string) int {
	n, err := strconv.Atoi(wanted(ctx, key))
	check(err)
	return n
}

// ending is what a call is to end with.
func ending(ctx context.Context) error {
	if code := codes.Code(wantedNumber(ctx, "want-status")); code != codes.OK {
		return status.Error(code, "as asked: 100 %\n") // a text that has to be encoded in a header
	}
	return nil
}

func unary(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	var in []byte
	if err := decode(&in); err != nil {
		return nil, err
	}
	info := grpc.UnaryServerInfo{FullMethod: "/" + serviceName + "/Unary"}
	return intercept(ctx, &in, &info, func(ctx context.Context, in any) (any, error) { return in, ending(ctx) })
}

func up(_ any, stream grpc.ServerStream) error {
	for {
		var in []byte
		switch err := stream.RecvMsg(&in); {
		case errors.Is(err, io.EOF):
			if err := ending(stream.Context()); err != nil {
				return err
			}
			return stream.SendMsg(&in)
		case err != nil:
			return err
		}
	}
}

func down(_ any, stream grpc.ServerStream) error {
	var in []byte
	if err := stream.RecvMsg(&in); err != nil {
		return err
	}
	for range wantedNumber(stream.Context(), "want-messages") {
		if err := stream.SendMsg(&in); err != nil {
			return err
		}
	}
	return ending(stream.Context())
}

func both(_ any, stream grpc.ServerStream) error {
	for {
		var in []byte
		switch err := stream.RecvMsg(&in); {
		case errors.Is(err, io.EOF):
			return ending(stream.Context())
		case err != nil:
			return err
		}
		if err := stream.SendMsg(&in); err != nil {
			return err
		}
	}
}
