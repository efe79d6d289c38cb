//go:build e2e && linux

package e2e

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// otlpOverGRPC and otlpOverHTTP send spans to Jaeger.
const (
	otlpOverGRPC = `
receivers:
  socketflow: {%s}
exporters:
  otlp_grpc:
    endpoint: 127.0.0.1:%d
    tls:
      insecure: true
service:
  pipelines:
    traces:
      receivers: [socketflow]
      exporters: [otlp_grpc]
`
	otlpOverHTTP = `
receivers:
  socketflow: {%s}
exporters:
  otlp_http:
    endpoint: http://127.0.0.1:%d
service:
  pipelines:
    traces:
      receivers: [socketflow]
      exporters: [otlp_http]
`
)

// TestJaegerConnections checks connections of real programs as a user sees them: in Jaeger.
func TestJaegerConnections(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		name, config string
		port         func(*jaeger) int
	}{
		{"OTLP over gRPC", otlpOverGRPC, func(j *jaeger) int { return j.grpc }},
		{"OTLP over HTTP", otlpOverHTTP, func(j *jaeger) int { return j.http }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := startJaeger(t)
			c := runCollector(t, fmt.Sprintf(tt.config, "protocols: []", tt.port(j)), collectorOptions{})
			t.Run("nginx and curl", func(t *testing.T) { testNginx(t, j) })
			t.Run("a service that names itself", func(t *testing.T) { testNamedService(t, j) })
			t.Run("connection refused", func(t *testing.T) { testRefused(t, j) })
			t.Run("PostgreSQL", func(t *testing.T) { testPostgres(t, j) })
			t.Run("truth", func(t *testing.T) { testTruthInJaeger(t, j) })
			metrics, err := c.scrape()
			require.NoError(t, err)
			metrics.requireHealthy(t, "socketflow")
			c.terminate()
			t.Run("nothing twice", func(t *testing.T) { testNothingTwice(t, j) })
		})
	}
}

// TestJaegerRequests does the same with their requests.
func TestJaegerRequests(t *testing.T) {
	needRoot(t)
	j := startJaeger(t)
	c := runCollector(t, fmt.Sprintf(otlpOverGRPC, "", j.grpc), collectorOptions{})
	nginx, port := startNginx(t)
	curl := runCurl(t, "127.0.0.1", port)
	client := j.one(t, "curl", "process.pid", strconv.Itoa(curl.pid()))
	server := j.one(t, "nginx", "network.peer.port", strconv.Itoa(curl.localPort), "server.port", strconv.Itoa(port))
	for _, side := range []struct {
		span          jaegerSpan
		kind          string
		pid           int
		local, remote int
	}{
		{client, "client", curl.pid(), curl.localPort, port},
		{server, "server", nginx.children()[0], port, curl.localPort},
	} {
		t.Run(side.kind, func(t *testing.T) {
			s := side.span
			assert.Equal(t, "GET", s.Operation)
			assert.Equal(t, side.kind, s.text("span.kind"))
			assert.Equal(t, side.pid, s.pid())
			assert.Empty(t, s.Warnings)
			assert.NotContains(t, s.Tags, "error")
			assert.Equal(t, "GET", s.text("http.request.method"))
			assert.Equal(t, 200, s.number("http.response.status_code"))
			assert.Equal(t, "http", s.text("network.protocol.name"))
			assert.Equal(t, "1.1", s.text("network.protocol.version"))
			assert.Equal(t, "complete", s.text("socketflow.capture"))
			assert.Len(t, s.text("socketflow.connection.id"), 16)
			requireAddresses(t, &s, side.kind, "127.0.0.1", side.local, "127.0.0.1", side.remote)
			requireWithin(t, &s, curl.program, curl.took)
		})
	}
	assert.Empty(t, client.Parents, "references")
	assert.Equal(t, client.TraceID, server.TraceID)
	assert.Equal(t, []jaegerReference{{"CHILD_OF", client.TraceID, client.SpanID}}, server.Parents)
	assert.Equal(t, fmt.Sprintf("http://127.0.0.1:%d/", port), client.text("url.full"))
	assert.Equal(t, "/", server.text("url.path"))
	assert.Contains(t, server.text("user_agent.original"), "curl")
	metrics, err := c.scrape()
	require.NoError(t, err)
	metrics.requireHealthy(t, "socketflow")
	c.terminate()
}

func testNginx(t *testing.T, j *jaeger) {
	nginx, port := startNginx(t)
	worker := nginx.children()[0]
	for _, tt := range []struct{ name, host, address, networkType string }{
		{"IPv4", "127.0.0.1", "127.0.0.1", "ipv4"},
		{"IPv6", "[::1]", "::1", "ipv6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			curl := runCurl(t, tt.host, port)
			require.Equal(t, tt.address, curl.localIP)

			client := j.one(t, "curl", "process.pid", strconv.Itoa(curl.pid()))
			server := j.one(t, "nginx", "network.peer.port", strconv.Itoa(curl.localPort), "server.port", strconv.Itoa(port))

			for _, side := range []struct {
				name           string
				span           jaegerSpan
				kind           string
				pid            int
				executable     string
				local, remote  int
				sent, received int
				roleSource     string
			}{
				{"client", client, "client", curl.pid(), curl.cmd.Path, curl.localPort, port, curl.sent, curl.received, "connect"},
				{"server", server, "server", worker, nginx.cmd.Path, port, curl.localPort, curl.received, curl.sent, "accept"},
			} {
				t.Run(side.name, func(t *testing.T) {
					s := side.span
					assert.Equal(t, "tcp.connection", s.Operation)
					assert.Equal(t, side.kind, s.text("span.kind"))
					assert.Empty(t, s.Parents, "references")
					assert.Empty(t, s.Warnings)
					assert.NotContains(t, s.Tags, "error")
					assert.NotContains(t, s.Tags, "error.type")

					assert.Equal(t, side.pid, s.pid())
					executable, err := filepath.EvalSymlinks(side.executable)
					require.NoError(t, err)
					assert.Equal(t, executable, s.Process["process.executable.path"])
					assert.Equal(t, filepath.Base(executable), s.Process["process.executable.name"])

					requireAddresses(t, &s, side.kind, tt.address, side.local, tt.address, side.remote)
					assert.Equal(t, tt.networkType, s.text("network.type"))

					assert.Equal(t, side.kind, s.text("socketflow.role.name"))
					assert.Equal(t, side.roleSource, s.text("socketflow.role.source"))
					assert.Equal(t, "complete", s.text("socketflow.capture"))
					assert.Equal(t, "sock", s.text("socketflow.address.source"))
					assert.Len(t, s.text("socketflow.connection.id"), 16)
					assert.Equal(t, side.sent, s.number("socketflow.bytes.sent"))
					assert.Equal(t, side.received, s.number("socketflow.bytes.received"))
					assert.Equal(t, "fin", s.text("socketflow.end.how"))

					requireWithin(t, &s, curl.program, curl.took)
				})
			}
			assert.NotEqual(t, client.TraceID, server.TraceID)
			assert.Equal(t, "local", client.text("socketflow.end.by"), "curl hangs up")
			assert.Equal(t, "remote", server.text("socketflow.end.by"))
		})
	}
}

func testNamedService(t *testing.T, j *jaeger) {
	server, port := startPython(t)
	client := runPythonClient(t, port, "OTEL_SERVICE_NAME=shop",
		"OTEL_RESOURCE_ATTRIBUTES=service.name=not-this,deployment.environment.name=e2e,service.namespace=fruit%20and%20vegetables")
	took := time.Since(client.began)

	shop := j.one(t, "shop", "process.pid", strconv.Itoa(client.pid()))
	assert.Equal(t, "client", shop.text("span.kind"))
	assert.Equal(t, "e2e", shop.Process["deployment.environment.name"])
	assert.Equal(t, "fruit and vegetables", shop.Process["service.namespace"])
	assert.Equal(t, port, shop.number("server.port"))

	// It sets no service name, so its executable names it.
	python := j.one(t, filepath.Base(server.cmd.Path), "process.pid", strconv.Itoa(server.pid()))
	assert.Equal(t, "server", python.text("span.kind"))
	assert.Equal(t, shop.number("network.local.port"), python.number("network.peer.port"))
	assert.NotContains(t, python.Process, "deployment.environment.name")

	for _, span := range []jaegerSpan{shop, python} {
		assert.GreaterOrEqual(t, span.Duration, slowAnswer, span.Service)
		requireWithin(t, &span, client, took)
	}
}

func testRefused(t *testing.T, j *jaeger) {
	for _, tt := range []struct{ name, host, address string }{
		{"IPv4", "127.0.0.1", "127.0.0.1"},
		{"IPv6", "[::1]", "::1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := freePort(t)
			curl := runCurl(t, tt.host, port)
			const couldntConnect = 7 // CURLE_COULDNT_CONNECT
			require.Equal(t, couldntConnect, curl.cmd.ProcessState.ExitCode())

			s := j.one(t, "curl", "process.pid", strconv.Itoa(curl.pid()))
			assert.Equal(t, "tcp.connect", s.Operation)
			assert.Equal(t, "client", s.text("span.kind"))
			assert.Equal(t, true, s.Tags["error"])
			assert.Equal(t, "ECONNREFUSED", s.text("error.type"))
			assert.Equal(t, "ERROR", s.text("otel.status_code"))
			assert.NotContains(t, s.Tags, "otel.status_description", "it would repeat error.type")
			local := s.number("network.local.port")
			assert.Positive(t, local)
			requireAddresses(t, &s, "client", tt.address, local, tt.address, port)
			requireWithin(t, &s, curl.program, curl.took)
		})
	}
}

func testPostgres(t *testing.T, j *jaeger) {
	postgres, port := startPostgres(t)
	psql := runPSQL(t, port)
	took := time.Since(psql.began)

	client := j.one(t, "psql", "process.pid", strconv.Itoa(psql.pid()))
	assert.Equal(t, "client", client.text("span.kind"))
	assert.Equal(t, port, client.number("server.port"))
	// The postmaster accepts, and forks a backend that serves: the socket is the postmaster's.
	server := j.one(t, "postgres", "network.peer.port", strconv.Itoa(client.number("network.local.port")))
	assert.Equal(t, "server", server.text("span.kind"))
	assert.Equal(t, postgres.pid(), server.pid())
	for _, span := range []jaegerSpan{client, server} {
		requireWithin(t, &span, psql, took)
	}
}

// testTruthInJaeger requires exactly one span for each end of each socket.
func testTruthInJaeger(t *testing.T, j *jaeger) {
	ends := someOfEverything(t)
	pids := pidsOf(ends)
	var emitted []fact
	eventually(t, 30*time.Second, "Jaeger has all spans of the truth", func() error {
		spans, err := j.spans(truthService)
		emitted = nil
		for i := range spans {
			if s := &spans[i]; pids[s.pid()] {
				emitted = append(emitted, factEmitted(t, s, s.Operation == "tcp.connect"))
			}
		}
		if err == nil && len(emitted) < len(ends) {
			err = fmt.Errorf("it has %d of %d", len(emitted), len(ends))
		}
		return err
	})
	requireTruth(t, ends, emitted)
}

// testNothingTwice checks everything in Jaeger, when no more will come.
func testNothingTwice(t *testing.T, j *jaeger) {
	services, err := j.services()
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, service := range services {
		spans, err := j.spans(service)
		require.NoError(t, err)
		for i := range spans {
			s := &spans[i]
			trace := s.TraceID + " at the " + s.text("span.kind") // both ends of a request have one
			for _, id := range []string{trace, s.SpanID, s.text("socketflow.connection.id")} {
				assert.False(t, seen[id], "%s of two spans", id)
				seen[id] = true
			}
		}
	}
	assert.NotEmpty(t, seen)
}

// requireWithin fails if a span is outside the life of the client that made the connection, or has no duration.
func requireWithin(t testing.TB, s *jaegerSpan, client *program, took time.Duration) {
	t.Helper()
	// Jaeger rounds times down to microseconds. The other end of the client's socket closes only after the client has ended.
	const grain, late = 2 * time.Microsecond, time.Second
	assert.Positive(t, s.Duration, "duration")
	assert.WithinRange(t, s.Began, client.began.Add(-grain), client.began.Add(took), "begin")
	assert.WithinRange(t, s.Began.Add(s.Duration), client.began, client.began.Add(took+late), "end")
}

// requireAddresses fails unless a span has its addresses under all their names, and under none of earlier conventions.
func requireAddresses(t testing.TB, s *jaegerSpan, kind, localAddress string, localPort int, remoteAddress string, remotePort int) {
	t.Helper()
	type end struct {
		address string
		port    int
	}
	local, remote := end{localAddress, localPort}, end{remoteAddress, remotePort}
	names := []struct {
		address, port string
		of            end
	}{
		{"network.local.address", "network.local.port", local},
		{"network.peer.address", "network.peer.port", remote},
	}
	if kind == "client" {
		names = append(names, struct {
			address, port string
			of            end
		}{"server.address", "server.port", remote})
		assert.NotContains(t, s.Tags, "client.address")
	} else {
		names = append(names, []struct {
			address, port string
			of            end
		}{
			{"client.address", "client.port", remote},
			{"server.address", "server.port", local},
		}...)
	}
	for _, name := range names {
		assert.Equal(t, name.of.address, s.text(name.address), name.address)
		assert.Equal(t, name.of.port, s.number(name.port), name.port)
	}
	assert.Equal(t, "tcp", s.text("network.transport"))
	for name := range s.Tags {
		assert.False(t, strings.HasPrefix(name, "net."), name)
	}
}
