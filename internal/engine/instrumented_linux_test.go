//go:build amd64 || arm64

package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/testenv"
)

// asPeer is set in a process of this executable that serves, and makes the requests that lines of its standard input ask for.
const asPeer = "SOCKETFLOW_TEST_AS_PEER"

func init() {
	if _, asked := os.LookupEnv(asPeer); asked {
		if err := bePeer(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// bePeer prints its address, and a line when it has made a request.
func bePeer() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go serveNothing(listener)
	fmt.Println(listener.Addr())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		address, rest, _ := strings.Cut(lines.Text(), " ")
		path, parent, _ := strings.Cut(rest, " ")
		fmt.Println("done", postWithin(address, path, parent))
	}
	return lines.Err()
}

func postWithin(address, path, traceparent string) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+address+path, strings.NewReader("body"))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	if traceparent != "" {
		request.Header.Set("Traceparent", traceparent)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return errors.Join(err, response.Body.Close())
}

// peer is such a process.
type peer struct {
	t       *testing.T
	pid     uint32
	address string
	input   io.WriteCloser
	output  *bufio.Reader
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	child := exec.Command("/proc/self/exe") // it ends with its input, after the test's context
	child.Env = append(os.Environ(), asPeer+"=")
	input, err := child.StdinPipe()
	require.NoError(t, err)
	output, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	p := &peer{t: t, pid: uint32(child.Process.Pid), input: input, output: bufio.NewReader(output)}
	t.Cleanup(func() { assert.NoError(t, errors.Join(input.Close(), child.Wait())) })
	p.address = p.line()
	return p
}

func (p *peer) line() string {
	p.t.Helper()
	line, err := p.output.ReadString('\n')
	require.NoError(p.t, err)
	return strings.TrimSpace(line)
}

// ask has the process make a request, and waits for the answer.
func (p *peer) ask(address, path, traceparent string) {
	p.t.Helper()
	_, err := fmt.Fprintln(p.input, address, path, traceparent)
	require.NoError(p.t, err)
	require.Equal(p.t, "done <nil>", p.line())
}

// A process that has exported spans to the collector itself, whose other ends are left out.
func TestRequestsOfAProcessThatExportsSpansHaveOneSpanEach(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	t.Run("socket", func(t *testing.T) { testInstrumented(t, kernel.ModeSocket, true) })
	t.Run("syscall", func(t *testing.T) { testInstrumented(t, kernel.ModeSyscall, true) })
	t.Run("kept", func(t *testing.T) { testInstrumented(t, kernel.ModeSocket, false) })
}

func testInstrumented(t *testing.T, mode kernel.Mode, skip bool) {
	const (
		trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
		traceparent = "00-" + trace + "-" + span + "-01"
	)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go serveNothing(listener)
	defer func() { assert.NoError(t, listener.Close()) }()
	exporting, plain := newPeer(t), newPeer(t)

	sink := &spanSink{}
	options := optionsOf(t, mode, sink)
	options.Rules = []selection.Rule{{PID: exporting.pid}, {PID: plain.pid}}
	options.ExcludeSelf, options.ExcludeOTLP, options.SkipInstrumented = true, true, skip
	e := engine.New(options)
	require.NoError(t, e.Start())
	exchanges := func(n uint64) {
		awaitTrue(t, "requests have been seen", func() bool { return e.Snapshot().Exchanges["http"] >= n })
	}
	exporting.ask(plain.address, "/before", traceparent)
	exchanges(2)
	exporting.ask(listener.Addr().String(), "/v1/traces", "")
	awaitTrue(t, "the export has been seen", func() bool { return !skip || e.Snapshot().ProcessesInstrumented == 1 })
	exporting.ask(plain.address, "/named", traceparent)
	exporting.ask(plain.address, "/unnamed", "")
	plain.ask(exporting.address, "/served", "")
	exchanges(8)
	whole, err := e.Drain(t.Context())
	require.NoError(t, err)
	assert.True(t, whole)
	s := e.Snapshot()
	require.NoError(t, e.Close())

	want := map[string]string{ // the parent
		"Client /before": span, "Server /before": "Client /before", "Server /named": span, "Client /unnamed": "", "Server /unnamed": "Client /unnamed", "Client /served": "",
	}
	if !skip {
		want["Client /named"], want["Server /named"], want["Server /served"] = span, "Client /named", "Client /served"
	}
	got := map[string]string{}
	names := map[string]string{"": ""}
	for _, each := range sink.spans {
		names[each.SpanID().String()] = each.Kind().String() + " " + pathOf(each)
	}
	for _, each := range sink.spans {
		parent := each.ParentSpanID().String()
		if name, found := names[parent]; found {
			parent = name
		}
		got[names[each.SpanID().String()]] = parent
		if strings.HasSuffix(names[each.SpanID().String()], "/named") {
			assert.Equal(t, trace, each.TraceID().String())
		}
	}
	if mode == kernel.ModeSyscall { // which joins both ends by their times, and a busy machine may be late with one of them
		for _, name := range []string{"Server /before", "Server /unnamed"} {
			assert.Contains(t, got, name)
			got[name] = want[name]
		}
	}
	assert.Equal(t, want, got)
	assert.Equal(t, uint64(8), s.Exchanges["http"], "all are in metrics")
	assert.Equal(t, uint64(8-len(want)), s.SpansInstrumented)
}

// pathOf is the path of a span's request.
func pathOf(span ptrace.Span) string {
	for _, key := range []string{"url.path", "url.full"} {
		if value, found := span.Attributes().Get(key); found {
			return value.Str()[strings.LastIndexByte(value.Str(), '/'):]
		}
	}
	return ""
}
