//go:build amd64 || arm64

package engine_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/recording"
	"github.com/socketflow/socketflow/internal/testenv"
)

// textSink has each span and each record as JSON, with its resource.
type textSink struct {
	mu    sync.Mutex
	items []string
}

func (s *textSink) Deliver(_ context.Context, from *otlp.Builder) {
	logs, traces := from.Take()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				one := ptrace.NewTraces()
				r := one.ResourceSpans().AppendEmpty()
				resource.Resource().CopyTo(r.Resource())
				span.CopyTo(r.ScopeSpans().AppendEmpty().Spans().AppendEmpty())
				text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(one)
				s.add(text, err)
			}
		}
	}
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				one := plog.NewLogs()
				r := one.ResourceLogs().AppendEmpty()
				resource.Resource().CopyTo(r.Resource())
				copied := r.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
				record.CopyTo(copied)
				copied.SetObservedTimestamp(0) // that of the recording is not known
				text, err := (&plog.JSONMarshaler{}).MarshalLogs(one)
				s.add(text, err)
			}
		}
	}
}

func (s *textSink) add(text []byte, err error) {
	if err != nil {
		text = []byte(err.Error())
	}
	s.items = append(s.items, string(text))
}

// sorted are the items in an order that does not depend on which shard delivered first.
func (s *textSink) sorted() []string { return slices.Sorted(slices.Values(s.items)) }

// recordRequests records what an engine is given while this process serves requests, and returns what the engine has emitted.
func recordRequests(t *testing.T, mode kernel.Mode, with recording.Options) (file []byte, emitted []string) {
	t.Helper()
	testenv.NeedRoot(t, "loading eBPF programs")
	var to bytes.Buffer
	with.Bytes = recording.MaxBytes
	writer, err := recording.NewWriter(&to, with)
	require.NoError(t, err)
	sink := &textSink{}
	opts := optionsOf(t, mode, sink)
	opts.Shards, opts.Recording = 2, writer
	e := engine.New(opts)
	require.NoError(t, e.Start())
	runWorkload(t)
	p := connectOver(t, "tcp", "127.0.0.1:0")
	_, err = io.WriteString(p.client, "GET /people/jane%20doe?token=hunter2&of=acme HTTP/1.1\r\nHost: shop.acme.test\r\nAuthorization: Basic aHVudGVyMg==\r\n"+
		"X-Acme: hunter3\r\nContent-Length: 7\r\n\r\nhunter4")
	require.NoError(t, err)
	answerWithBody(t, p)
	awaitTrue(t, "the last request", func() bool { return e.Snapshot().Exchanges["http"] >= 2*2 })
	_, err = e.Drain(t.Context())
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.NoError(t, writer.Close())
	assert.Zero(t, writer.Totals().LeftOut)
	return to.Bytes(), sink.sorted()
}

// answerWithBody reads a request with a body, and answers it.
func answerWithBody(t *testing.T, p pair) {
	t.Helper()
	request, err := http.ReadRequest(bufio.NewReader(p.server))
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, request.Body)
	require.NoError(t, err)
	_, err = io.WriteString(p.server, "HTTP/1.1 200 OK\r\nSet-Cookie: id=hunter5\r\nContent-Length: 7\r\n\r\nhunter6")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(p.client), request)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
}

// namesOfThisHost are those that a recording may have of it.
func namesOfThisHost(t *testing.T) []string {
	t.Helper()
	host, err := os.Hostname()
	require.NoError(t, err)
	id, err := os.ReadFile("/etc/machine-id")
	require.NoError(t, err)
	return []string{host, string(bytes.TrimSpace(id)), "root"}
}

// replayed returns what a replay emits.
func replayed(t *testing.T, file []byte) []string {
	t.Helper()
	from, err := recording.NewReader(bytes.NewReader(file))
	require.NoError(t, err)
	sink := &textSink{}
	cut, err := engine.Replay(t.Context(), optionsOf(t, kernel.ModeAuto, sink), from)
	require.NoError(t, err)
	assert.False(t, cut)
	return sink.sorted()
}

// sameNumber compares without printing what is long.
func sameNumber(t *testing.T, emitted, again []string) {
	t.Helper()
	if len(again) != len(emitted) {
		t.Fatalf("%d items were emitted, and %d are by the replay", len(emitted), len(again))
	}
}

func TestAReplayEmitsWhatWasEmitted(t *testing.T) {
	file, emitted := recordRequests(t, kernel.ModeSocket, recording.Options{Payload: recording.PayloadAll, KeepNames: true, KeepAddresses: true})
	again := replayed(t, file)
	require.NotEmpty(t, emitted)
	sameNumber(t, emitted, again)
	for i := range emitted {
		require.JSONEq(t, emitted[i], again[i])
	}
}

// The syscall mode, whose events come from the search for addresses.
func TestARecordingOfHeadsHasRequestsAndNoSecrets(t *testing.T) {
	file, emitted := recordRequests(t, kernel.ModeSyscall, recording.Options{Payload: recording.PayloadHeads})
	again := replayed(t, file)
	sameNumber(t, emitted, again)
	count := func(items []string, what string) (n int) {
		for _, item := range items {
			n += strings.Count(item, what)
		}
		return n
	}
	for _, what := range []string{`"http.response.status_code"`, `"http.request.body.size"`, `"kind":3`, `"kind":2`, `"parentSpanId":""`} {
		assert.Equal(t, count(emitted, what), count(again, what), what)
	}
	zip, err := gzip.NewReader(bytes.NewReader(file))
	require.NoError(t, err)
	lines, err := io.ReadAll(zip)
	require.NoError(t, err)
	for _, name := range append(namesOfThisHost(t), "hunter", "aHVudGVyMg", "jane", "acme", "engine.test") {
		assert.NotContains(t, string(lines), name)
		assert.Zero(t, count(again, name), name)
	}
}
