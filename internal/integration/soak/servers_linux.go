package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// addresses are where the servers are: ports on 127.0.0.1, and the path of a Unix socket.
type addresses struct {
	HTTP, HTTP2, Redis, DNS, Flood int
	Unix                           string
}

func parseAddresses(text string) (a addresses, err error) { return a, json.Unmarshal([]byte(text), &a) }

func loopback(port int) string {
	return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String()
}

// headTimeout is how long a server waits for the rest of a request's head.
const headTimeout = time.Minute

// serve runs all servers but Redis until the context ends.
func serve(ctx context.Context, at string) error {
	a, err := parseAddresses(at)
	if err != nil {
		return err
	}
	plain, err1 := net.Listen("tcp4", loopback(a.HTTP))
	second, err2 := net.Listen("tcp4", loopback(a.HTTP2))
	local, err3 := net.Listen("unix", a.Unix)
	names, err4 := net.ListenPacket("udp4", loopback(a.DNS))
	flooded, err5 := net.ListenPacket("udp4", loopback(a.Flood))
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	handler := http.HandlerFunc(answer)
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	failed := make(chan error, 5)
	first := http.Server{Handler: handler, ReadHeaderTimeout: headTimeout}
	go func() { failed <- first.Serve(plain) }()
	go func() { failed <- first.Serve(local) }()
	go func() {
		failed <- (&http.Server{Handler: handler, Protocols: &protocols, ReadHeaderTimeout: headTimeout}).Serve(second)
	}()
	go func() { failed <- answerNames(names) }()
	go func() { failed <- swallow(flooded) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// answer answers HTTP and gRPC: an empty message and status 0.
func answer(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		_, _ = io.WriteString(w, "soaked\n")
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	_, _ = w.Write(make([]byte, 5))
	w.Header().Set("Grpc-Status", "0")
}

func answerNames(conn net.PacketConn) error {
	buffer := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return err
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response = true
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 9, 9, 9}},
		}}
		reply, err := m.Pack()
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo(reply, from); err != nil {
			return err
		}
	}
}

func swallow(conn net.PacketConn) error {
	buffer := make([]byte, 512)
	for {
		if _, _, err := conn.ReadFrom(buffer); err != nil {
			return err
		}
	}
}
