//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

// toPrometheus is a collector that makes nothing but metrics.
const toPrometheus = `
receivers:
  socketflow:
    metrics: {interval: 1s, stale_after: 10s}
exporters:
  prometheus: {endpoint: "127.0.0.1:%d"}
service:
  pipelines:
    metrics: {receivers: [socketflow], exporters: [prometheus]}
`

// prometheus is a Prometheus that scrapes some targets.
type prometheus struct {
	*program
	url string
}

func startPrometheus(t testing.TB, targets ...string) *prometheus {
	t.Helper()
	binary := testenv.NeedProgram(t, "prometheus", "prometheus")
	dir, port := openDir(t), freePort(t)
	config := writeFile(t, filepath.Join(dir, "prometheus.yaml"), fmt.Sprintf(`
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: collector
    honor_labels: true
    static_configs: [{targets: [%s]}]
`, strings.Join(targets, ", ")))
	cmd := exec.Command(binary, "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", fmt.Sprintf("127.0.0.1:%d", port))
	cmd.Dir, cmd.Env = dir, quiet(dir)
	p := &prometheus{start(t, cmd), fmt.Sprintf("http://127.0.0.1:%d", port)}
	p.waitListening(port)
	return p
}

// onHost is the address of a port of this host.
func onHost(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// query returns the values of an instant query, by the values of some labels.
func (p *prometheus) query(promQL string, labels ...string) (map[string]float64, error) {
	_, body, err := get(p.url + "/api/v1/query?query=" + url.QueryEscape(promQL))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return nil, fmt.Errorf("%s: %w", body, err)
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	values := map[string]float64{}
	for _, r := range answer.Data.Result {
		var key []string
		for _, label := range labels {
			key = append(key, r.Metric[label])
		}
		text, _ := r.Value[1].(string)
		if values[strings.Join(key, " ")], err = strconv.ParseFloat(text, 64); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// TestPrometheusScrapesTheTruth: what Prometheus answers about requests is how many there were, by method and status, at both ends.
func TestPrometheusScrapesTheTruth(t *testing.T) {
	needRoot(t)
	port := freePort(t)
	c := runCollector(t, fmt.Sprintf(toPrometheus, port), collectorOptions{})
	p := startPrometheus(t, onHost(port))
	const connections = 64
	each := requestsOfTruth(t, connections*150) / connections
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(strings.Split(r.URL.Path, "/")[1])
		w.WriteHeader(status)
	}))
	defer server.Close()
	truth := map[string]float64{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for k := range connections {
		all.Go(func() {
			transport := new(http.Transport)
			defer transport.CloseIdleConnections()
			client := http.Client{Transport: transport}
			for i := range each {
				method, status := []string{"GET", "POST", "DELETE"}[(i+k)%3], []int{200, 404, 503}[i%3]
				request, err := http.NewRequestWithContext(t.Context(), method, fmt.Sprintf("%s/%d/%d/%d", server.URL, status, k, i), http.NoBody)
				if !assert.NoError(t, err) {
					return
				}
				response, err := client.Do(request)
				if !assert.NoError(t, err) {
					return
				}
				_, err = io.Copy(io.Discard, response.Body)
				assert.NoError(t, err)
				assert.NoError(t, response.Body.Close())
				mu.Lock()
				truth[fmt.Sprintf("%s %d", method, status)]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	own := filepath.Base(executable(t))
	_, serverPort, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	for side, labels := range map[string]string{"server": "", "client": fmt.Sprintf(`, server_port=%q`, serverPort)} { // this process asks others, too
		eventually(t, 30*time.Second, "the requests of the "+side, func() error {
			got, err := p.query(fmt.Sprintf(`sum by (http_request_method, http_response_status_code) (http_%s_request_duration_seconds_count{job=%q%s})`, side, own, labels),
				"http_request_method", "http_response_status_code")
			if err == nil && !assert.ObjectsAreEqual(truth, got) {
				err = fmt.Errorf("%v, not %v", got, truth)
			}
			return err
		})
	}
	eventually(t, 30*time.Second, "the edge of the service graph", func() error {
		got, err := p.query(fmt.Sprintf(`traces_service_graph_request_total{client=%q, server=%q}`, own, own), "server")
		if err == nil && got[own] != float64(connections*each) {
			err = fmt.Errorf("%v requests", got)
		}
		return err
	})
	failed, err := p.query(fmt.Sprintf(`sum(traces_service_graph_request_failed_total{client=%q, server=%q}) / sum(traces_service_graph_request_total{client=%q, server=%q})`, own, own, own, own))
	require.NoError(t, err)
	assert.InDelta(t, 1./3, failed[""], 0.001)
	half, err := p.query(fmt.Sprintf(`histogram_quantile(0.5, sum by (le) (http_server_request_duration_seconds_bucket{job=%q}))`, own))
	require.NoError(t, err)
	assert.Positive(t, half[""])
	opened, err := p.query(fmt.Sprintf(`sum by (socketflow_role_name) (socketflow_connection_opened_total{job=%q, service_peer_name=%q})`, own, own), "socketflow_role_name")
	require.NoError(t, err)
	assert.GreaterOrEqual(t, opened["client"], float64(connections))
	c.terminate()
}

// TestSeriesOfADeadProcessLeavePrometheus: a client that has ended is there for a while, and then no more.
func TestSeriesOfADeadProcessLeavePrometheus(t *testing.T) {
	needRoot(t)
	port := freePort(t)
	c := runCollector(t, fmt.Sprintf(toPrometheus, port), collectorOptions{})
	p := startPrometheus(t, onHost(port))
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	require.NoError(t, exec.CommandContext(t.Context(), "curl", "-s", server.URL).Run())
	const of = `http_client_request_duration_seconds_count{job="curl"}`
	eventually(t, 10*time.Second, "the series", func() error {
		got, err := p.query(of, "job")
		if err == nil && len(got) != 1 {
			err = fmt.Errorf("%v", got)
		}
		return err
	})
	eventually(t, 30*time.Second, "the end of the series", func() error {
		got, err := p.query(of, "job")
		if err == nil && len(got) != 0 {
			err = fmt.Errorf("%v", got)
		}
		return err
	})
	c.terminate()
}
