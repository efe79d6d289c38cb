//go:build amd64 || arm64

package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/testenv"
)

// asOtherEnd is set in a process of this executable that talks to itself and to the process whose TCP address and Unix socket the value
// has.
const asOtherEnd = "SOCKETFLOW_TEST_AS_OTHER_END"

func init() {
	if parent, asked := os.LookupEnv(asOtherEnd); asked {
		if err := beOtherEnd(parent); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// beOtherEnd makes requests once a line is on the standard input, writes one when it has, and ends with the input.
func beOtherEnd(parent string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go serveNothing(listener)
	input := bufio.NewReader(os.Stdin)
	if _, err := input.ReadString('\n'); err != nil {
		return err
	}
	own := listener.Addr().String()
	parent, unixSocket, _ := strings.Cut(parent, ",")
	err = errors.Join(
		post("tcp", own, "/control"), post("tcp", own, "/v1/traces"), post("tcp", parent, "/parent"), post("unix", unixSocket, "/parent"),
	)
	fmt.Println("done", err)
	_, _ = io.Copy(io.Discard, input)
	return err
}

func serveNothing(listener net.Listener) {
	server := http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }),
		ReadHeaderTimeout: 10 * time.Second,
	}
	_ = server.Serve(listener)
}

func post(network, address, path string) error {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}, Timeout: 10 * time.Second}
	response, err := client.Post("http://host.test"+path, "application/x-protobuf", strings.NewReader("body"))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return errors.Join(err, response.Body.Close())
}

// The other ends of this process' connections, and requests that carry telemetry, are left out, unless they are asked for.
func TestOtherEndsOfOwnConnectionsAndOTLPAreLeftOut(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		for _, exclude := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, exclude %v", mode, exclude), func(t *testing.T) { testOtherEnds(t, mode, exclude) })
		}
	}
}

func testOtherEnds(t *testing.T, mode kernel.Mode, exclude bool) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go serveNothing(listener)
	unixListener, err := net.Listen("unix", filepath.Join(t.TempDir(), "http"))
	require.NoError(t, err)
	go serveNothing(unixListener)
	defer func() { assert.NoError(t, errors.Join(listener.Close(), unixListener.Close())) }()

	child := exec.CommandContext(t.Context(), "/proc/self/exe")
	child.Env = append(os.Environ(), asOtherEnd+"="+listener.Addr().String()+","+unixListener.Addr().String())
	input, err := child.StdinPipe()
	require.NoError(t, err)
	output, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())

	sink := &spanSink{}
	options := optionsOf(t, mode, sink)
	options.Rules = []selection.Rule{{PID: uint32(child.Process.Pid)}}
	options.ExcludeSelf, options.ExcludeOTLP = exclude, exclude
	e := engine.New(options)
	require.NoError(t, e.Start())
	_, err = io.WriteString(input, "begin\n")
	require.NoError(t, err)
	done, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "done <nil>\n", done)

	want, omitted, ends := map[string]int{"/control": 2}, uint64(2), uint64(2)
	switch {
	case !exclude:
		want, omitted, ends = map[string]int{"/control": 2, "/v1/traces": 2, "/parent": 2}, 0, 0
	case mode == kernel.ModeSyscall: // which does not know the processes at the ends of Unix sockets
		want["/parent"], ends = 1, 1
	}
	awaitTrue(t, "all requests have been seen", func() bool {
		s := e.Snapshot()
		return s.Exchanges["http"] >= uint64(sumOf(want)) && s.ExchangesOmitted >= omitted && s.ConnectionsOtherEnd >= ends
	})
	whole, err := e.Drain(t.Context())
	require.NoError(t, err)
	assert.True(t, whole)
	s := e.Snapshot()
	require.NoError(t, e.Close())
	require.NoError(t, input.Close())
	require.NoError(t, child.Wait())

	got := map[string]int{}
	for _, span := range sink.spans {
		for _, key := range []string{"url.path", "url.full"} {
			if value, found := span.Attributes().Get(key); found {
				got[strings.TrimPrefix(value.Str(), "http://host.test")]++
			}
		}
	}
	assert.True(t, maps.Equal(want, got), "%v, want %v", got, want)
	assert.Equal(t, omitted, s.ExchangesOmitted)
	assert.Equal(t, ends, s.ConnectionsOtherEnd)
	assert.Equal(t, uint64(sumOf(want)), s.Exchanges["http"])
}

func sumOf(counts map[string]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}
