package http2

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/socketflow/socketflow/internal/protocol"
)

// tape records what a server's connections carry, as the kernel would see it at the server's socket.
type tape struct {
	mutex       sync.Mutex
	connections []*recordedConn
}

// tapedListener hands out connections that are recorded.
type tapedListener struct {
	net.Listener
	tape *tape
}

func (l tapedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	r := &recordedConn{Conn: c}
	l.tape.mutex.Lock()
	defer l.tape.mutex.Unlock()
	l.tape.connections = append(l.tape.connections, r)
	return r, nil
}

type recordedConn struct {
	net.Conn
	mutex sync.Mutex
	steps []step
}

func (c *recordedConn) record(from protocol.Direction, b []byte) {
	if len(b) == 0 {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.steps = append(c.steps, step{from: from, bytes: slices.Clone(b)})
}

func (c *recordedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.record(protocol.FromClient, b[:n])
	return n, err
}

func (c *recordedConn) Write(b []byte) (int, error) {
	c.record(protocol.FromServer, b) // before the write, so that no answer can be recorded first
	return c.Conn.Write(b)
}

func (t *tape) listen(test *testing.T) net.Listener {
	l, err := (&net.ListenConfig{}).Listen(test.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		test.Fatal(err)
	}
	return tapedListener{l, t}
}

// conversations are those of the recorded connections. The client decides how many connections it opens.
func (t *tape) conversations() (all [][]step) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for _, c := range t.connections {
		c.mutex.Lock()
		all = append(all, slices.Clone(c.steps))
		c.mutex.Unlock()
	}
	return all
}

// checkEverywhere checks the exchanges of recorded conversations: from the beginning, however calls cut them up, and, for
// the parser joining anywhere in the middle, that none is false. unsure are exchanges that may be emitted then, beside the
// wanted ones.
func checkEverywhere(t *testing.T, conversations [][]step, want []string, unsure ...string) {
	t.Helper()
	slices.Sort(want)
	for name, pieces := range map[string]func(int) int{"as recorded": whole, "byte by byte": single} {
		t.Run(name, func(t *testing.T) {
			o := &observer{}
			for _, steps := range conversations {
				c := observed(o)
				c.limits.Outstanding = len(want)
				observe(c, &wire{steps: steps}, closed, pieces)
			}
			slices.Sort(o.emitted)
			check(t, o, want, "")
		})
	}
	t.Run("from the middle", func(t *testing.T) {
		words := map[string]bool{"joined": true, "gap": true, "!connection_closed": true, "!CANCEL": true}
		for _, word := range unsure {
			words[word] = true
		}
		for _, line := range want {
			for word := range strings.FieldsSeq(line) {
				words[word] = true
			}
		}
		emitted := 0
		for _, steps := range conversations {
			for k := 0; k < len(steps); k += 1 + len(steps)/100 {
				c := observed(&observer{})
				c.Joined = true
				o := observe(c, &wire{steps: steps[k:]}, closed, whole)
				emitted += len(o.emitted)
				for _, line := range o.emitted {
					for word := range strings.FieldsSeq(line) {
						if !words[word] {
							t.Fatalf("joined at %d: emitted %q", k, line)
						}
					}
				}
			}
		}
		if emitted <= len(want) {
			t.Errorf("%d exchanges in all", emitted)
		}
	})
}

// This test uses the implementation of HTTP/2 in the standard library.
func TestStandardLibrary(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /quick", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "quick") })
	mux.HandleFunc("GET /missing", http.NotFound)
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<17)) })
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Checksum")
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("Checksum", "1")
	})
	mux.HandleFunc("GET /early", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("GET /broken", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })

	tape := &tape{}
	listener := tape.listen(t)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: mux, Protocols: protocols, ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	transport := &http.Transport{Protocols: protocols}
	client := &http.Client{Transport: transport}
	base := "http://" + listener.Addr().String()
	do := func(method, path, body string) {
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		answer, err := client.Do(r)
		if err != nil {
			return // /broken
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
	do("GET", "/quick", "") // so that the others find the connection
	want := []string{"GET /quick 200"}
	var wait sync.WaitGroup
	for range 10 {
		for path, line := range map[string]string{
			"/quick": "GET /quick 200", "/missing": "GET /missing 404", "/large": "GET /large 200", "/early": "GET /early 202",
			"/broken": "GET /broken !INTERNAL_ERROR",
		} {
			want = append(want, line)
			wait.Go(func() { do("GET", path, "") })
		}
		want = append(want, "POST /echo 200")
		wait.Go(func() { do("POST", "/echo", strings.Repeat("x", 100000)) })
	}
	wait.Wait()
	for range 10 {
		do("GET", "/quick", "")
		want = append(want, "GET /quick 200")
	}
	transport.CloseIdleConnections()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
	checkEverywhere(t, tape.conversations(), want, "_OTHER")
}

// This test uses gRPC's own implementation.
func TestGRPC(t *testing.T) {
	tape := &tape{}
	listener := tape.listen(t)
	server := grpc.NewServer()
	service := health.NewServer()
	service.SetServingStatus("cart", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, service)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	client := grpc_health_v1.NewHealthClient(connection)
	check := func(name string, want codes.Code) {
		_, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: name})
		if status.Code(err) != want {
			t.Error(name, err)
		}
	}
	var want []string
	for range 20 {
		check("cart", codes.OK)
		check("other", codes.NotFound)
		want = append(want, "grpc.health.v1.Health/Check OK", "grpc.health.v1.Health/Check NOT_FOUND")
	}
	if err := connection.Invoke(t.Context(), "/shop.Cart/Add", &grpc_health_v1.HealthCheckRequest{},
		&grpc_health_v1.HealthCheckResponse{}); status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
	want = append(want, "_OTHER UNIMPLEMENTED !UNIMPLEMENTED")

	// This is a stream from the server that the client cancels.
	ctx, cancel := context.WithCancel(t.Context())
	watch, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{Service: "cart"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := watch.Recv(); err != nil {
			t.Error(err)
		}
		service.SetServingStatus("cart", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	}
	cancel()
	if _, err := watch.Recv(); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	want = append(want, "grpc.health.v1.Health/Watch CANCELLED")
	check("cart", codes.OK) // behind RST_STREAM, so that the server has read it
	want = append(want, "grpc.health.v1.Health/Check OK")

	if err := connection.Close(); err != nil {
		t.Error(err)
	}
	server.GracefulStop()
	<-served
	// Without the content type of gRPC a call is emitted as a request.
	checkEverywhere(t, tape.conversations(), want, "_OTHER", "POST", "200", "/shop.Cart/Add", "/grpc.health.v1.Health/Watch")
}
