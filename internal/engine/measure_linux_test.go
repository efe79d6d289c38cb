//go:build amd64 || arm64

package engine_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/metrics"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/testenv"
)

// measuringOptions are options for metrics.
func measuringOptions(t *testing.T, sink *metricsSink) engine.Options {
	opts := optionsOf(t, kernel.ModeSocket, sink)
	opts.MetricsSink = sink
	opts.Metrics = metrics.Options{Interval: 50 * time.Millisecond, StaleAfter: time.Minute, Series: 2000}
	opts.Shards, opts.RingBytes, opts.ParserMemory = 2, 1<<23, 1<<24
	return opts
}

// variedServer answers with the status that the path ends with.
func variedServer(t *testing.T) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var status int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &status); err != nil {
			status = http.StatusTeapot
		}
		w.WriteHeader(status)
		if status == http.StatusOK {
			_, _ = io.WriteString(w, "hello")
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// askVaried sends requests over so many connections at a time, and returns how many there were by method and status.
func askVaried(t *testing.T, url string, requests, connections int) map[string]int {
	t.Helper()
	truth := map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for k := range connections {
		all.Go(func() {
			transport := &http.Transport{MaxIdleConns: 1}
			defer transport.CloseIdleConnections()
			client := http.Client{Transport: transport}
			for i := range requests / connections {
				method := []string{"GET", "PUT", "DELETE"}[(i+k)%3]
				status := []int{200, 204, 404, 500, 503}[i%5]
				request, err := http.NewRequestWithContext(t.Context(), method, fmt.Sprintf("%s/%d/%d/%d", url, status, k, i), strings.NewReader("body"))
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
	return truth
}

// httpSeries is the series of requests at one side.
func httpSeries(side, of, method string, status int) string {
	key := fmt.Sprintf("http.%s.%s http.request.method=%s", side, of, method)
	if side == "server" {
		key += " url.scheme=http"
	}
	key += fmt.Sprintf(" http.response.status_code=%d", status)
	if side == "client" && status >= 400 || status >= 500 {
		key += fmt.Sprintf(" error.type=%d", status)
	}
	key += " network.protocol.version=1.1"
	if side == "client" {
		key += " server.address=127.0.0.1"
	}
	return key
}

// checkTruth compares the counts of all series of requests with what was sent.
func checkTruth(t *testing.T, sink *metricsSink, truth map[string]int) {
	t.Helper()
	for _, side := range []string{"server", "client"} {
		for of, many := range truth {
			var method string
			var status int
			_, err := fmt.Sscan(of, &method, &status)
			require.NoError(t, err)
			assert.EqualValues(t, many, sink.get(httpSeries(side, "request.duration", method, status)).count, "%s: %s", side, of)
			body := sink.get(httpSeries(side, "request.body.size", method, status))
			assert.EqualValues(t, many, body.count, "%s: %s", side, of)
			assert.EqualValues(t, many*len("body"), body.sum, "%s: %s", side, of)
			answer := sink.get(httpSeries(side, "response.body.size", method, status))
			assert.EqualValues(t, many, answer.count, "%s: %s", side, of)
		}
		assert.Len(t, sink.keys("http."+side+".request.duration"), len(truth), "no others: %s", sink.keys("http."+side+".request.duration"))
	}
}

// TestMetricsAreTheTruth: of each request at both ends, without a span or a record.
func TestMetricsAreTheTruth(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) {
			sink := newMetricsSink()
			opts := measuringOptions(t, sink)
			opts.Mode = mode
			opts.BatchTimeout = time.Minute // who has the other end is waited for, however busy the machine is
			measureOnly(&opts)
			truth, s := measureRequests(t, opts, 6000, 32)
			assert.Empty(t, sink.spans)
			checkTruth(t, sink, truth)
			assert.Zero(t, s.SeriesOverflowed)
			assert.Positive(t, s.Series)
			for _, key := range sink.keys("") {
				assert.NotContains(t, key, "/200", "no metric has a path")
			}
			if mode == kernel.ModeSocket {
				assert.Equal(t, s.EndsAsked, s.EndsAsking, "both ends have reported all")
				edge := fmt.Sprintf("traces_service_graph_request_total client=%[1]s server=%[1]s", ownService(t))
				assert.EqualValues(t, 6000/32*32, sink.get(edge).count)
			}
		})
	}
}

// measureOnly leaves out all but metrics.
func measureOnly(opts *engine.Options) {
	opts.Telemetry.Records, opts.Telemetry.Traces, opts.Parents = 0, false, 0
}

// measureRequests sends requests while an engine runs, and returns how many there were.
func measureRequests(t *testing.T, opts engine.Options, requests, connections int) (truth map[string]int, s engine.Snapshot) {
	t.Helper()
	e := engine.New(opts)
	require.NoError(t, e.Start())
	server := variedServer(t)
	truth = askVaried(t, server.URL, requests, connections)
	server.Close()
	awaitTrue(t, "all requests", func() bool { return e.Snapshot().Exchanges["http"] >= uint64(2*(requests/connections*connections)) })
	_, err := e.Drain(t.Context())
	require.NoError(t, err)
	s = e.Snapshot()
	require.NoError(t, e.Close())
	return truth, s
}

// TestRestartBeginsAnew: what a second engine emits counts from its own start on, and no earlier.
func TestRestartBeginsAnew(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	key := httpSeries("server", "request.duration", "GET", 200)
	var last pcommon.Timestamp
	for range 2 {
		sink := newMetricsSink()
		opts := measuringOptions(t, sink)
		measureOnly(&opts)
		truth, _ := measureRequests(t, opts, 300, 4)
		checkTruth(t, sink, truth)
		assert.Greater(t, sink.get(key).start, last)
		last = pcommon.NewTimestampFromTime(time.Now())
	}
}

// TestSumsAreThoseOfSpans: with all spans, the sums are the same; with a few spans, the counts are those of all.
func TestSumsAreThoseOfSpans(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	const requests, connections = 1500, 8
	for name, ratio := range map[string]float64{"all": 1, "sampled": 0.1} {
		t.Run(name, func(t *testing.T) {
			sink := newMetricsSink()
			opts := measuringOptions(t, sink)
			opts.Telemetry.ConnectionSpans = otlp.SpansNever
			opts.Telemetry.Sampling = sampling.Policy{Threshold: sampling.ThresholdOf(ratio), HonourParent: true}
			opts.Telemetry.Bounds.Items = 100
			truth, _ := measureRequests(t, opts, requests, connections)
			checkTruth(t, sink, truth)

			sums, traces := map[string]float64{}, map[pcommon.TraceID]bool{}
			for _, span := range sink.spans {
				status, _ := span.Attributes().Get("http.response.status_code")
				side := map[ptrace.SpanKind]string{ptrace.SpanKindClient: "client", ptrace.SpanKindServer: "server"}[span.Kind()]
				sums[httpSeries(side, "request.duration", text(span.Attributes(), "http.request.method"), int(status.Int()))] +=
					time.Duration(span.EndTimestamp() - span.StartTimestamp()).Seconds()
				traces[span.TraceID()] = true
			}
			exemplars := 0
			for key, sum := range sums {
				x := sink.get(key)
				if ratio == 1 {
					assert.InEpsilon(t, sum, x.sum, 0.001, key)
				}
				for _, id := range x.exemplars {
					assert.True(t, traces[id], "an exemplar is of a span that was emitted")
					exemplars++
				}
			}
			assert.Positive(t, exemplars)
		})
	}
}

// TestConnectionsAreMeasured: those that are open, those that have ended, and attempts.
func TestConnectionsAreMeasured(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	sink := newMetricsSink()
	opts := measuringOptions(t, sink)
	measureOnly(&opts)
	e := engine.New(opts)
	require.NoError(t, e.Start())
	short, long := 20, 3
	own := ownService(t)
	of := func(metric, role string) string {
		return fmt.Sprintf("socketflow.%s network.transport=tcp socketflow.role.name=%s service.peer.name=%s", metric, role, own)
	}
	var open []pair
	for range long {
		p := newPair(t)
		_, err := io.WriteString(p.client, "neither")
		require.NoError(t, err)
		open = append(open, p)
	}
	for range short {
		p := newPair(t)
		_, err := io.WriteString(p.client, "four")
		require.NoError(t, err)
		_, err = io.ReadFull(p.server, make([]byte, 4))
		require.NoError(t, err)
		p.close(t)
	}
	_, err := net.Dial("tcp", "127.0.0.1:1")
	require.Error(t, err)
	for _, role := range []string{"client", "server"} {
		awaitTrue(t, "opened, "+role, func() bool { return sink.get(of("connection.opened", role)).count == uint64(short+long) })
		awaitTrue(t, "open, "+role, func() bool { return sink.get(of("connection.count", role)).count == uint64(long) })
	}
	carried := short*4 + long*len("neither")
	awaitTrue(t, "what the open ones have carried, too", func() bool { return sink.get(of("connection.bytes.sent", "client")).count == uint64(carried) })
	for _, p := range open {
		p.close(t)
	}
	awaitTrue(t, "all closed", func() bool { return e.Snapshot().ConnectionsClosed == uint64(2*(short+long)) })
	_, err = e.Drain(t.Context())
	require.NoError(t, err)
	require.NoError(t, e.Close())
	for _, role := range []string{"client", "server"} {
		assert.EqualValues(t, short+long, sink.get(of("connection.opened", role)).count, role)
		assert.EqualValues(t, short+long, sink.get(of("connection.duration", role)).count, role)
	}
	assert.EqualValues(t, carried, sink.get(of("connection.bytes.sent", "client")).count)
	assert.EqualValues(t, short+long, sink.get(of("connection.connect.duration", "client")).count)
	assert.EqualValues(t, 1, sink.get("socketflow.connection.failed network.transport=tcp socketflow.role.name=client error.type=ECONNREFUSED").count)
}

// ownService is the name of this process as a service.
func ownService(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return filepath.Base(path)
}

// TestSeriesOfAProcessThatHasEndedEnd, while this one's go on.
func TestSeriesOfAProcessThatHasEndedEnd(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	sink := newMetricsSink()
	opts := measuringOptions(t, sink)
	opts.Rules = []selection.Rule{{Executable: "**/curl"}, opts.Rules[0]}
	opts.Metrics.StaleAfter = 300 * time.Millisecond
	measureOnly(&opts)
	e := engine.New(opts)
	require.NoError(t, e.Start())
	server := variedServer(t)
	require.NoError(t, exec.CommandContext(t.Context(), "curl", "-s", server.URL+"/204").Run())
	asked, served := httpSeries("client", "request.duration", "GET", 204), httpSeries("server", "request.duration", "GET", 204)
	awaitTrue(t, "the request", func() bool { return sink.get(asked).count == 1 && sink.get(served).count == 1 })
	awaitTrue(t, "the end of the client's series", func() bool { return sink.get(asked).ended })
	assert.False(t, sink.get(served).ended)
	_, err := e.Drain(t.Context())
	require.NoError(t, err)
	require.NoError(t, e.Close())
}

// TestObservedRatioSaysHowMuchIsMissing: with a ring buffer that is far too small, what was measured over the ratio is about the truth.
func TestObservedRatioSaysHowMuchIsMissing(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	const requests, connections = 6000, 8
	sink := newMetricsSink()
	opts := measuringOptions(t, sink)
	measureOnly(&opts)
	opts.Shards, opts.RingBytes, opts.PollInterval = 1, 1<<17, 100*time.Millisecond
	opts.Metrics.Interval = time.Hour // the ratio is of what came since the last emission
	e := engine.New(opts)
	require.NoError(t, e.Start())
	server := variedServer(t)
	truth := 0
	for _, n := range askVaried(t, server.URL, requests, connections) {
		truth += n
	}
	server.Close()
	_, err := e.Drain(t.Context())
	require.NoError(t, err)
	s := e.Snapshot()
	require.NoError(t, e.Close())
	var measured uint64
	for _, key := range sink.keys("http.server.request.duration") {
		measured += sink.get(key).count
	}
	ratio := sink.get("socketflow.observed.ratio").ratio
	if s.PayloadLost > 0 {
		assert.Less(t, ratio, 1.)
		assert.LessOrEqual(t, measured, uint64(truth))
	}
	assert.InEpsilon(t, truth, float64(measured)/ratio, 0.25)
}
