//go:build amd64 || arm64

package engine_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pair is a TCP connection of this process with itself.
type pair struct{ client, server net.Conn }

func newPair(t *testing.T) pair {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, listener.Close()) }()
	client, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	server, err := listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { // no later test finds it
		_, _ = client.Close(), server.Close()
	})
	return pair{client, server}
}

func (p pair) close(t *testing.T) {
	t.Helper()
	assert.NoError(t, p.client.Close())
	assert.NoError(t, p.server.Close())
}

// runWorkload does what is counted in whole.
func runWorkload(t *testing.T) {
	t.Helper()
	serveHTTP(t, "tcp", "127.0.0.1:0")
	serveHTTP(t, "unix", filepath.Join(t.TempDir(), "http"))
	failToConnect(t)
	sendDatagrams(t)
}

// serveHTTP serves requests, each on a connection of its own.
func serveHTTP(t *testing.T, network, address string) {
	t.Helper()
	listener, err := net.Listen(network, address)
	require.NoError(t, err)
	served := make(chan error)
	server := http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() { served <- server.Serve(listener) }()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, listener.Addr().String())
		},
	}, Timeout: 10 * time.Second}
	for range requests {
		response, err := client.Get("http://host.test/path")
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(t, server.Shutdown(ctx))
	require.ErrorIs(t, <-served, http.ErrServerClosed)
}

// failToConnect asks for a port that nobody listens on.
func failToConnect(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	for range refusals {
		_, err := net.Dial("tcp", listener.Addr().String())
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	}
}

func sendDatagrams(t *testing.T) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	client, err := net.Dial("udp", server.LocalAddr().String())
	require.NoError(t, err)
	buffer := make([]byte, 16)
	for range 3 {
		_, err := client.Write([]byte("datagram"))
		require.NoError(t, err)
		n, _, err := server.ReadFrom(buffer)
		require.NoError(t, err)
		require.Equal(t, "datagram", string(buffer[:n]))
	}
	assert.NoError(t, client.Close())
	assert.NoError(t, server.Close())
}
