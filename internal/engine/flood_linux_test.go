//go:build amd64 || arm64

package engine_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
)

// TestFloodOfDatagramsSilencesNoConnection: a connection goes on to be observed as the same though meanwhile there are more UDP flows than
// are followed at a time.
func TestFloodOfDatagramsSilencesNoConnection(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	const sockets, flood = 1024, 3000
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) {
			u := startEngineFor(t, &refusal{asked: mode}, pair{}, sockets)
			defer u.stop(t)
			get := keepAlive(t)
			get(requests)
			await(t, []*engineUnderTest{u}, func(u *engineUnderTest) bool { return u.count(tcpRequests) == 2*requests })
			floodWithDatagrams(t, flood)
			await(t, []*engineUnderTest{u}, func(u *engineUnderTest) bool { return u.count(udpFlows) >= flood })
			get(requests)
			await(t, []*engineUnderTest{u}, func(u *engineUnderTest) bool { return u.count(tcpRequests) == 4*requests })
			assert.Zero(t, u.count(olderOpens), "the connection was taken up again")
		})
	}
}

// TestConnectionThatHadToGiveWayIsTakenUpAgain: when it is used again after a flood of other connections. The first requests may
// only show that the socket was forgotten.
func TestConnectionThatHadToGiveWayIsTakenUpAgain(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	const sockets, flood = 256, 600
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) {
			u := startEngineFor(t, &refusal{asked: mode}, pair{}, sockets)
			defer u.stop(t)
			get := keepAlive(t)
			get(requests)
			await(t, []*engineUnderTest{u}, func(u *engineUnderTest) bool { return u.count(tcpRequests) == 2*requests })
			for range flood {
				p := newPair(t)
				defer p.close(t)
			}
			await(t, []*engineUnderTest{u}, func(u *engineUnderTest) bool { return u.Snapshot().SocketsEvictedTableFull >= flood })
			await(t, []*engineUnderTest{u}, func(u *engineUnderTest) bool {
				get(1)
				return u.count(olderOpens) >= 2 // both ends
			})
			before := u.count(tcpRequests)
			get(5 * requests)
			await(t, []*engineUnderTest{u}, func(u *engineUnderTest) bool { return u.count(tcpRequests) >= before+10*requests })
		})
	}
}

// keepAlive returns a function that makes requests over one connection, which lasts as long as the test.
func keepAlive(t *testing.T) (get func(n int)) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }),
		ReadHeaderTimeout: 10 * time.Second,
	}
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	transport := &http.Transport{MaxConnsPerHost: 1}
	client := http.Client{Transport: transport, Timeout: 10 * time.Second}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		assert.NoError(t, server.Shutdown(ctx))
		assert.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	return func(n int) {
		t.Helper()
		for range n {
			response, err := client.Get("http://" + listener.Addr().String() + "/path")
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
		}
	}
}

// floodWithDatagrams sends a datagram from each of n ports.
func floodWithDatagrams(t *testing.T, n int) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, server.Close()) }()
	buffer := make([]byte, 16)
	for range n {
		client, err := net.Dial("udp", server.LocalAddr().String())
		require.NoError(t, err)
		_, err = client.Write([]byte("datagram"))
		require.NoError(t, err)
		require.NoError(t, client.Close())
		_, _, err = server.ReadFrom(buffer)
		require.NoError(t, err)
	}
}
