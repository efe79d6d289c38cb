//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

// collector is the collector that runs, or has run.
type collector struct {
	*program
	config  string // SIGHUP makes it read this file again
	health  string // URL
	metrics string // URL
}

// base is the configuration that all collectors here share. The health check is that of all components, which needs a feature
// gate. The collector's own metrics can only be scraped, and its log is complete.
const base = `
extensions:
  health_check:
    http:
      endpoint: 127.0.0.1:%d
      status:
        enabled: true
        path: /
    component_health:
      include_permanent_errors: true
service:
  extensions: [health_check]
  telemetry:
    logs:
      sampling:
        enabled: false
    metrics:
      readers:
        - pull:
            exporter:
              prometheus:
                host: 127.0.0.1
                port: %d
                without_type_suffix: true
                without_units: true
                without_scope_info: true
`

// collectorBinary is the collector that is tested.
func collectorBinary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("SOCKETFLOW_COLLECTOR")
	if path == "" {
		path = filepath.Join(root, "_build", "otelcol-socketflow")
	}
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	if _, err := os.Stat(path); err != nil {
		testenv.Lacking(t, "no collector to test: make build (%v)", err)
	}
	return path
}

// collectorOptions are what differs from a collector that runs as root.
type collectorOptions struct {
	binary     string
	attributes *syscall.SysProcAttr
	env        []string
}

// startCollector returns a collector that has begun to start.
func startCollector(t testing.TB, config string, options collectorOptions) *collector {
	t.Helper()
	needRoot(t)
	dir := openDir(t)
	if options.binary == "" {
		options.binary = collectorBinary(t)
	}
	health, metrics := freePort(t), freePort(t)
	c := &collector{
		config:  writeFile(t, filepath.Join(dir, "config.yaml"), config),
		health:  fmt.Sprintf("http://127.0.0.1:%d/", health),
		metrics: fmt.Sprintf("http://127.0.0.1:%d/metrics", metrics),
	}
	common := writeFile(t, filepath.Join(dir, "base.yaml"), fmt.Sprintf(base, health, metrics))
	cmd := exec.Command(options.binary, "--feature-gates=+extension.healthcheck.useComponentStatus", "--config", common, "--config", c.config)
	cmd.Dir = dir
	cmd.SysProcAttr = options.attributes
	cmd.Env = quiet(dir, options.env...)
	c.program = start(t, cmd)
	t.Cleanup(func() {
		if metrics, err := c.scrape(); err == nil && t.Failed() {
			metrics.explain(t)
		}
	})
	return c
}

// runCollector returns a collector that is ready to observe.
func runCollector(t testing.TB, config string, options collectorOptions) *collector {
	t.Helper()
	c := startCollector(t, config, options)
	c.waitReady(1)
	c.waitHealthy()
	return c
}

// waitReady waits until the collector has become ready so many times: each reload adds one.
func (c *collector) waitReady(times int) {
	c.t.Helper()
	eventually(c.t, 60*time.Second, "the collector is ready", func() error {
		if !c.running() {
			return errors.New("it has ended")
		}
		if n := strings.Count(c.log(), "Everything is ready."); n < times {
			return fmt.Errorf("ready %d times of %d", n, times)
		}
		return nil
	})
}

// waitHealthy waits until all components of the collector report that they are healthy.
func (c *collector) waitHealthy() {
	c.t.Helper()
	eventually(c.t, 10*time.Second, "the collector is healthy", func() error {
		status, body, err := get(c.health)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", status, body)
		}
		return err
	})
}

// log is what the collector has written on standard error.
func (c *collector) log() string { return readFile(c.t, c.stderr) }

// terminate shuts the collector down in good order.
func (c *collector) terminate() {
	c.t.Helper()
	require.Zero(c.t, c.stop(syscall.SIGTERM, 30*time.Second), "exit code of the collector")
	require.NotContains(c.t, c.log(), "\terror\t", "no errors in the collector's log")
	require.NotContains(c.t, c.log(), "WARNING: DATA RACE") // for a collector built with -race
}

// metric is a metric of the collector's own telemetry, with its labels.
type metric struct {
	name   string
	labels map[string]string
	value  float64
}

var (
	metricLine  = regexp.MustCompile(`^(\w+)(?:\{(.*)\})? (\S+)$`)
	metricLabel = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// scrape reads the collector's metrics about itself.
func (c *collector) scrape() (scrape, error) {
	status, body, err := get(c.metrics)
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("status %d: %w", status, err)
	}
	var s scrape
	for line := range strings.Lines(body) {
		match := metricLine.FindStringSubmatch(strings.TrimSpace(line))
		if match == nil {
			continue // a comment
		}
		m := metric{name: match[1], labels: map[string]string{}}
		for _, label := range metricLabel.FindAllStringSubmatch(match[2], -1) {
			m.labels[label[1]] = label[2]
		}
		if m.value, err = strconv.ParseFloat(match[3], 64); err != nil {
			return nil, err
		}
		s = append(s, m)
	}
	return s, nil
}

// scrape holds the collector's own metrics at one moment.
type scrape []metric

// sum adds up a metric over the series that have the labels: name, value, name, value.
func (s scrape) sum(name string, labels ...string) int {
	var sum float64
	for _, m := range s {
		matches := m.name == "otelcol_"+name
		for i := 0; i < len(labels); i += 2 {
			matches = matches && m.labels[labels[i]] == labels[i+1]
		}
		if matches {
			sum += m.value
		}
	}
	return int(sum)
}

// requireHealthy fails if the receiver reports a failure. Events lost for want of room may be the fault of other programs on this
// machine.
func (s scrape) requireHealthy(t testing.TB, receiver string) {
	t.Helper()
	require.NotEmpty(t, s)
	for _, name := range []string{"socketflow_decode_errors", "socketflow_items_refused"} {
		require.Zero(t, s.sum(name, "receiver", receiver), name)
	}
}

// explain logs the losses, which may be the reason for missing telemetry.
func (s scrape) explain(t testing.TB) {
	t.Helper()
	for _, m := range s {
		if m.value != 0 && (m.labels["cause"] != "" || m.labels["kind"] == "close") {
			t.Log(m.name, m.labels, m.value)
		}
	}
}

// client keeps its connections, so that polling opens few.
var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2}}

func get(url string) (status int, body string, err error) {
	response, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, string(data), err
}
