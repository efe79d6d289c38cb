package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// headTimeout is how long a server waits for the rest of a request's head.
const headTimeout = time.Minute

// slowest is below how many milliseconds the backend answers.
const slowest = 5

// serveBackend answers HTTP/1, and gRPC over HTTP/2, with the path that was asked for, after 0 to 4 ms: answers overtake each other.
func serveBackend(ctx context.Context, port int) error {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := http.Server{
		Addr: loopback(port), Protocols: &protocols, Handler: http.HandlerFunc(answer), ReadHeaderTimeout: headTimeout,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 4096},
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func answer(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	t, ok := parseTarget(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	time.Sleep(time.Duration((7*t.request+3*(t.call+1))%slowest) * time.Millisecond)
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		_, _ = io.WriteString(w, t.path(false)) //nolint:gosec // made of numbers
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	_, _ = w.Write(frame(t.path(true))) //nolint:gosec // made of numbers
	w.Header().Set("Grpc-Status", "0")
}
