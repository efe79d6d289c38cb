// Package sink is a backend for traces: a server of OTLP over HTTP, which hands on the spans that it gets.
package sink

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// headTimeout is how long it waits for the rest of a request's head.
const headTimeout = time.Minute

// Sink is the backend: OTLP over HTTP, in Protobuf, on a port of 127.0.0.1. It can be mute, or gone.
type Sink struct {
	Port   int
	Spans  func(ptrace.Traces) // is called by several goroutines at a time
	Errors atomic.Int64        // requests that could not be read

	mu     sync.Mutex
	server *http.Server
	mute   chan struct{} // closed when it answers again; nil: it answers
}

// Open begins to listen.
func (s *Sink) Open() error {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.Port})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: headTimeout}
	s.mu.Lock()
	s.server = server
	s.mu.Unlock()
	go func() { _ = server.Serve(listener) }()
	return nil
}

// Close ends all connections, and listens no more.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server.Close()
}

// Stall keeps all that comes from now on without an answer.
func (s *Sink) Stall() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute = make(chan struct{})
}

// Resume ends a stall.
func (s *Sink) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.mute)
	s.mute = nil
}

// ServeHTTP records spans. What comes while the sink is mute is refused at the end, if the exporter still waits, and not recorded.
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	mute := s.mute
	s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if mute != nil {
		select {
		case <-mute:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	if r.URL.Path != "/v1/traces" {
		return
	}
	traces, parseErr := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
	if err := errors.Join(err, parseErr); err != nil {
		s.Errors.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.Spans(traces)
}
