package http1

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketflow/socketflow/internal/protocol"
)

// tap is a connection whose calls reach a parser after they returned, as with the kernel's hooks. The transport reads and
// writes in two goroutines, so a response may come before its request.
type tap struct {
	net.Conn
	mu    *sync.Mutex
	scene *scene
}

func (c tap) deliver(d protocol.Direction, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(b) > 0 {
		c.scene.play(1, step{direction: d, bytes: string(b)}, whole)
	}
}

func (c tap) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.deliver(protocol.FromServer, b[:n])
	return n, err
}

func (c tap) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.deliver(protocol.FromClient, b[:n])
	return n, err
}

func TestConversationOfRealPrograms(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/chunked":
			for range 5 {
				_, _ = fmt.Fprintf(w, "%1000s", "x")
				_ = http.NewResponseController(w).Flush()
			}
		case "/hints":
			w.WriteHeader(http.StatusEarlyHints)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/missing":
			http.NotFound(w, r)
		default:
			_, _ = w.Write(body)
		}
	}))
	defer server.Close()

	var mu sync.Mutex
	s := newWideScene()
	transport := &http.Transport{
		MaxConnsPerHost: 1, ExpectContinueTimeout: 10 * time.Second,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return tap{conn, &mu, s}, err
		},
	}
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	var want []string
	for i, x := range slices.Repeat([]struct {
		method, path, body string
		header             http.Header
		length             int64
		status             int
	}{
		{method: "GET", path: "/chunked", status: 200},
		{method: "POST", path: "/echo", body: strings.Repeat("b", 9000), status: 200},
		{method: "PUT", path: "/echo", body: "chunked", length: -1, status: 200},
		{method: "HEAD", path: "/chunked", status: 200},
		{method: "GET", path: "/hints", status: 200},
		{method: "DELETE", path: "/none", status: 204},
		{method: "GET", path: "/missing", status: 404},
		{method: "POST", path: "/echo", body: "asked for", header: http.Header{"Expect": {"100-continue"}}, status: 200},
	}, 20) {
		request, err := http.NewRequestWithContext(t.Context(), x.method, server.URL+x.path, strings.NewReader(x.body))
		if err != nil {
			t.Fatal(err)
		}
		if x.header != nil {
			request.Header = x.header
		}
		if x.length != 0 {
			request.ContentLength = x.length
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != x.status {
			t.Fatalf("%d: %v, %s", i, err, response.Status)
		}
		want = append(want, fmt.Sprintf("1-1 %s %s %d", x.method, x.path, x.status))
	}
	transport.CloseIdleConnections()
	mu.Lock()
	defer mu.Unlock()
	s.play(1, closes(""), whole)
	for i := range want {
		if i >= len(s.emitted) || s.emitted[i] != want[i] {
			t.Fatalf("exchange %d: got %q, want %q", i, s.emitted[i:min(i+3, len(s.emitted))], want[i])
		}
	}
	if len(s.emitted) > len(want) {
		t.Errorf("and then: %q", s.emitted[len(want):])
	}
}
