//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/socketflow/socketflow/internal/testenv"
)

// TestMetricsOfProtocolsAreTheTruth: HTTP/2, gRPC and Redis, as Prometheus has them.
func TestMetricsOfProtocolsAreTheTruth(t *testing.T) {
	needRoot(t)
	port := freePort(t)
	runCollector(t, fmt.Sprintf(toPrometheus, port), collectorOptions{})
	p := startPrometheus(t, onHost(port))
	own := filepath.Base(executable(t))
	expect := func(what, promQL string, want map[string]float64, labels ...string) {
		t.Helper()
		eventually(t, 30*time.Second, what, func() error {
			got, err := p.query(promQL, labels...)
			if err == nil && !assert.ObjectsAreEqual(want, got) {
				err = fmt.Errorf("%v, not %v", got, want)
			}
			return err
		})
	}

	commands := requestsOfTruth(t, 20_000)
	redis := benchmarkRedis(t, commands)
	expect("Redis, at the client", `sum by (db_operation_name) (db_client_operation_duration_seconds_count{job="redis-benchmark", db_operation_name=~"GET|SET"})`,
		redis, "db_operation_name")
	expect("Redis, at the server", `sum by (db_operation_name) (socketflow_db_server_operation_duration_seconds_count{job="redis-server", db_operation_name=~"GET|SET"})`,
		redis, "db_operation_name")

	well, missing := requestsOfTruth(t, 2000), 500
	callHealth(t, well, missing)
	calls := map[string]float64{"OK": float64(well / 10 * 10), "NOT_FOUND": float64(missing)}
	for _, side := range []string{"client", "server"} {
		expect("gRPC, "+side, fmt.Sprintf(`sum by (rpc_response_status_code) (rpc_%s_call_duration_seconds_count{job=%q, rpc_method="grpc.health.v1.Health/Check"})`, side, own),
			calls, "rpc_response_status_code")
	}

	requests, bytes := requestsOfTruth(t, 1000), 100_000
	if requests > 1000 {
		bytes = 1000
	}
	getOverHTTP2(t, requests, bytes)
	for _, side := range []string{"client", "server"} {
		expect("HTTP/2, "+side, fmt.Sprintf(`sum by (network_protocol_version) (http_%s_request_duration_seconds_count{job=%q, network_protocol_version="2"})`, side, own),
			map[string]float64{"2": float64(requests)}, "network_protocol_version")
		expect("HTTP/2, bytes, "+side, fmt.Sprintf(`sum by (network_protocol_version) (http_%s_response_body_size_bytes_sum{job=%q, network_protocol_version="2"})`, side, own),
			map[string]float64{"2": float64(requests * bytes)}, "network_protocol_version")
	}
}

// benchmarkRedis sends so many commands of each kind at least, and returns how many the server says it was.
func benchmarkRedis(t testing.TB, commands int) map[string]float64 {
	t.Helper()
	port := freePort(t)
	server := start(t, exec.Command(testenv.NeedProgram(t, "redis-server", "redis-server"), "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--dir", openDir(t)))
	server.waitListening(port)
	load := start(t, exec.Command(testenv.NeedProgram(t, "redis-tools", "redis-benchmark"), "-p", strconv.Itoa(port), "-t", "set,get", "-n", strconv.Itoa(commands),
		"-c", "20", "-P", "4", "-q"))
	require.Zero(t, load.wait(enoughFor(commands)))
	out, err := exec.Command("redis-cli", "-p", strconv.Itoa(port), "info", "commandstats").Output()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, c := range regexp.MustCompile(`cmdstat_(get|set):calls=(\d+),`).FindAllStringSubmatch(string(out), -1) {
		n, err := strconv.ParseFloat(c[2], 64)
		require.NoError(t, err)
		counts[strings.ToUpper(c[1])] = n
	}
	require.Len(t, counts, 2, "%s", out)
	return counts
}

// callHealth calls a server of gRPC for a service that it has, and for one that it has not.
func callHealth(t testing.TB, well, missing int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(listener) //nolint:errcheck // its clients notice
	defer server.Stop()
	connection, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { assert.NoError(t, connection.Close()) }()
	client := grpc_health_v1.NewHealthClient(connection)
	call := func(service string, n int, want codes.Code) {
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				for range n / 10 {
					_, err := client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{Service: service})
					assert.Equal(t, want, status.Code(err))
				}
			})
		}
		all.Wait()
	}
	call("", well, codes.OK)
	call("none", missing, codes.NotFound)
}

// getOverHTTP2 asks for so many bytes each time.
func getOverHTTP2(t testing.TB, requests, bytes int) {
	t.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, bytes))
	}))
	server.Config.Protocols = &protocols
	server.Start()
	defer server.Close()
	transport := &http.Transport{Protocols: &protocols}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport}
	for range requests {
		response, err := client.Get(server.URL)
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.EqualValues(t, bytes, n)
		require.NoError(t, response.Body.Close())
	}
}
