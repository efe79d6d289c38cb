package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// sink is the backend: OTLP over HTTP, in Protobuf. It can be mute, or gone.
type sink struct {
	port   int
	spans  func(ptrace.Traces)
	errors atomic.Int64 // requests that could not be read

	mu     sync.Mutex
	server *http.Server
	mute   chan struct{} // closed when it answers again; nil: it answers
}

func (s *sink) open() error {
	listener, err := net.Listen("tcp4", loopback(s.port))
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

func (s *sink) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server.Close()
}

func (s *sink) stall() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute = make(chan struct{})
}

func (s *sink) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.mute)
	s.mute = nil
}

// ServeHTTP records spans. What comes while the sink is mute is refused at the end, if the exporter still waits, and not recorded.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
		s.errors.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.spans(traces)
}
