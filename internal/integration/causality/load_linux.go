package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// answerTimeout is how long a request may take.
const answerTimeout = 30 * time.Second

// load makes the requests of a cell.
type load struct {
	cell       *cell
	truth      *truth
	port       int  // of the service
	requestIDs bool // requests carry ids, which services pass on

	next     atomic.Int64
	answered atomic.Int64
	mu       sync.Mutex
	failure  error // the first one
}

// run makes all requests, each connection one at a time, and returns how many were answered as they should be.
func (l *load) run(ctx context.Context) (answered int, err error) {
	var running sync.WaitGroup
	for range l.cell.concurrency {
		running.Go(func() {
			transport := l.transport()
			for n := l.next.Add(1) - 1; n < int64(l.truth.requests) && ctx.Err() == nil; n = l.next.Add(1) - 1 {
				l.one(ctx, transport, l.truth.first+int(n))
			}
			transport.CloseIdleConnections()
		})
	}
	running.Wait()
	return int(l.answered.Load()), l.failure
}

// transport keeps one connection.
func (l *load) transport() *http.Transport {
	t := &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}
	if l.cell.runtime.grpc {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	return t
}

func (l *load) one(ctx context.Context, transport *http.Transport, id int) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	got, err := l.exchange(ctx, transport, id)
	if want := l.answer(id); err == nil && got != want {
		err = fmt.Errorf("the answer is %.200q, not %q", got, want)
	}
	if err == nil {
		l.answered.Add(1)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure == nil {
		l.failure = fmt.Errorf("request %d: %w", id, err)
	}
}

// answer is what the service answers: what the backend has answered to its calls, in their order.
func (l *load) answer(id int) string {
	var parts []string
	for k := range l.truth.calls {
		parts = append(parts, l.truth.call(id, k).path(l.cell.runtime.grpc))
	}
	return strings.Join(parts, ",")
}

func (l *load) exchange(ctx context.Context, transport *http.Transport, id int) (string, error) {
	method, body := http.MethodGet, []byte(nil)
	if l.cell.runtime.grpc {
		method, body = http.MethodPost, frame("")
	}
	path := target{id, itself}.path(l.cell.runtime.grpc)
	request, err := http.NewRequestWithContext(ctx, method, "http://"+loopback(l.port)+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	if l.requestIDs {
		request.Header.Set("X-Request-ID", fmt.Sprint("causality-", id))
	}
	if l.cell.runtime.grpc {
		request.Header.Set("Content-Type", "application/grpc")
		request.Header.Set("Te", "trailers")
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %.200s", response.StatusCode, text)
	}
	if !l.cell.runtime.grpc {
		return string(text), nil
	}
	if status := response.Trailer.Get("Grpc-Status"); status != "0" {
		return "", fmt.Errorf("gRPC status %q: %s", status, response.Trailer.Get("Grpc-Message"))
	}
	return unframe(text)
}
