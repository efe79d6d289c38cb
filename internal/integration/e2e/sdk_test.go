//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// sdkSpan is a span of an SDK, as programs write it.
type sdkSpan struct{ Trace, Span, Parent, Kind, Path string }

// sdkSpans are the spans of a program's SDK so far.
func sdkSpans(t testing.TB, a *actor) (all []sdkSpan) {
	t.Helper()
	for line := range strings.Lines(readFile(t, a.stdout)) {
		if !strings.HasSuffix(line, "\n") {
			break // it is still being written
		}
		var s sdkSpan
		require.NoError(t, json.Unmarshal([]byte(line), &s), line)
		s.Kind = strings.ToLower(s.Kind)
		all = append(all, s)
	}
	return all
}

// only is the one span that meets a condition.
func only[S any](t testing.TB, all []S, what string, is func(*S) bool) *S {
	t.Helper()
	var found []*S
	for i := range all {
		if is(&all[i]) {
			found = append(found, &all[i])
		}
	}
	require.Len(t, found, 1, what)
	return found[0]
}

func TestProgramsWithSDKs(t *testing.T) {
	b := newBuilder(t)
	t.Run("kept", func(t *testing.T) { testSpansAreInTheTracesOfSDKs(t, b) })
	t.Run("skipped", func(t *testing.T) { testProgramsThatExportSpansHaveNoSecondOnes(t, b) })
}

// testSpansAreInTheTracesOfSDKs has requests go through programs with the SDKs of Go and JavaScript, which send a traceparent. All spans of a request are
// in the SDKs' trace, and between the SDKs' spans: the client's is a child of the SDK's, and the server's a child of the client's.
func testSpansAreInTheTracesOfSDKs(t *testing.T, b *builder) {
	const requests, together = 60, 6
	s := newScene(t, b, "sdk")
	last, middle, first := freePort(t), freePort(t), freePort(t)
	relays := []*actor{
		s.serve(s.npm("oteljs", "relay.js", loopback(last)), last),
		s.serve(s.command("otelgo relay ADDRESS "+loopback(last), "127.0.0.1", middle), middle),
		s.serve(s.npm("oteljs", "relay.js", loopback(first), loopback(middle)), first),
	}
	c := runRequestCollector(t, withRing("16MiB", "1s"))
	client := s.start("client", s.command(fmt.Sprintf("otelgo client ADDRESS %d %d", requests, together), "127.0.0.1", first))
	require.Zero(t, client.wait(60*time.Second), "exit code of the client: %s", readFile(t, client.stderr))

	way := append(slices.Clone(relays), client)
	slices.Reverse(way)
	hops := len(way) - 1
	of := make([][]sdkSpan, len(way))
	var emitted []requestSpan
	pids := s.processes(nil)
	eventually(t, 20*time.Second, "all spans are written", func() error {
		written := 0
		for i, a := range way {
			of[i] = sdkSpans(t, a)
			written += len(of[i])
		}
		emitted = slices.DeleteFunc(c.of(t, pids), func(s requestSpan) bool { return !s.request() })
		if written != 2*hops*requests || len(emitted) != 2*hops*requests {
			return fmt.Errorf("%d of the SDKs and %d of the collector, not %d each", written, len(emitted), 2*hops*requests)
		}
		return nil
	})
	c.finish(t)
	for n := range requests {
		path := fmt.Sprint("/sdk/", n)
		before := &sdkSpan{} // the SDK's span that the next one is a child of
		trace := only(t, of[0], path, func(s *sdkSpan) bool { return s.Path == path }).Trace
		for hop := range hops {
			what := fmt.Sprintf("%s from %s to %s", path, way[hop].service, way[hop+1].service)
			ofSDK := func(at int, kind string) *sdkSpan {
				return only(t, of[at], what, func(s *sdkSpan) bool { return s.Path == path && s.Kind == kind })
			}
			ours := func(at int, kind ptrace.SpanKind) *requestSpan {
				return only(t, emitted, what, func(s *requestSpan) bool {
					return s.pid() == way[at].pid() && s.kind == kind && s.path() == path
				})
			}
			sdkClient, sdkServer := ofSDK(hop, "client"), ofSDK(hop+1, "server")
			ourClient, ourServer := ours(hop, ptrace.SpanKindClient), ours(hop+1, ptrace.SpanKindServer)
			require.Equal(t, before.Span, sdkClient.Parent, what)
			require.Equal(t, sdkClient.Span, ourClient.parent, what)
			require.Equal(t, ourClient.spanID, ourServer.parent, what)
			require.Equal(t, sdkClient.Span, sdkServer.Parent, what)
			require.Equal(t, "wire", ourClient.text("socketflow.parent.source"), what)
			require.Equal(t, "peer", ourServer.text("socketflow.parent.source"), what)
			require.Equal(t, []string{trace, trace, trace, trace}, []string{sdkClient.Trace, sdkServer.Trace, ourClient.traceID, ourServer.traceID}, what)
			before = sdkServer
		}
	}
}

// testProgramsThatExportSpansHaveNoSecondOnes has requests go through a program that exports the spans of its SDK, to one that does not.
func testProgramsThatExportSpansHaveNoSecondOnes(t *testing.T, b *builder) {
	const requests = 20
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-protobuf") // and no partial success
	}))
	defer backend.Close()
	s := newScene(t, b, "instrumented")
	s.environment = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + backend.URL}
	last, first := freePort(t), freePort(t)
	plain := s.serve(s.npm("oteljs", "relay.js", loopback(last)), last) // which exports nothing
	exporting := s.serve(s.command("otelgo relay ADDRESS "+loopback(last), "127.0.0.1", first), first)
	c := runRequestCollector(t, strings.Replace(withRing("16MiB", "1s"), "socketflow:\n", "socketflow:\n    instrumented: skip\n", 1))
	// ask sends requests, and returns the traces in which the client's SDK says that they are.
	ask := func(requests int) map[string]bool {
		client := s.start("client", s.command(fmt.Sprintf("otelgo client ADDRESS %d 1", requests), "127.0.0.1", first))
		require.Zero(t, client.wait(60*time.Second), "exit code of the client: %s", readFile(t, client.stderr))
		traces := map[string]bool{}
		for _, span := range sdkSpans(t, client) {
			traces[span.Trace] = true
		}
		require.Len(t, traces, requests)
		return traces
	}
	of := func(a *actor, traces map[string]bool) []requestSpan {
		return slices.DeleteFunc(c.of(t, map[int]bool{a.pid(): true}), func(s requestSpan) bool { return !s.request() || !traces[s.traceID] })
	}
	arrived := func(traces map[string]bool) []requestSpan {
		eventually(t, 20*time.Second, "the spans of the program that exports none", func() error {
			if n := len(of(plain, traces)); n != len(traces) {
				return fmt.Errorf("%d of %d", n, len(traces))
			}
			return nil
		})
		return of(plain, traces)
	}
	// Of the first request the program has exported a span before it answered: whoever sees the last one has seen that.
	arrived(ask(3))
	traces := ask(requests)
	served := arrived(traces)
	metrics, err := c.scrape()
	require.NoError(t, err)
	c.finish(t)
	require.Empty(t, of(exporting, traces))
	require.GreaterOrEqual(t, metrics.sum("socketflow_spans_instrumented"), 2*requests)
	own := sdkSpans(t, exporting)
	for _, span := range served {
		sent := only(t, own, span.traceID, func(s *sdkSpan) bool { return s.Trace == span.traceID && s.Kind == "client" })
		require.Equal(t, sent.Span, span.parent)
		require.Equal(t, "wire", span.text("socketflow.parent.source"))
	}
}

// path is that of the request.
func (s *requestSpan) path() string {
	if u, err := url.Parse(s.text("url.full")); err == nil && u.Path != "" {
		return u.Path
	}
	return s.text("url.path")
}
