//go:build amd64 || arm64

package engine_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/testenv"
)

// Pauses before a connection carries a request.
const (
	inLookup    = 60 * time.Millisecond
	inConnect   = 500 * time.Millisecond // of the second that Linux waits until it sends a SYN again
	inHandshake = 40 * time.Millisecond
)

// slowLookup asks a slow server of DNS for an address of 127.0.0.1.
func slowLookup(t *testing.T) {
	t.Helper()
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, socket.Close()) }()
	client, err := net.Dial("udp4", socket.LocalAddr().String())
	require.NoError(t, err)
	defer func() { assert.NoError(t, client.Close()) }()
	name := dnsmessage.MustNewName("slow.test.")
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true}, Questions: []dnsmessage.Question{
		{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
	}}
	query, err := m.Pack()
	require.NoError(t, err)
	_, err = client.Write(query)
	require.NoError(t, err)
	buffer := make([]byte, 512)
	_, from, err := socket.ReadFrom(buffer)
	require.NoError(t, err)
	time.Sleep(inLookup)
	m.Response, m.RecursionAvailable = true, true
	m.Answers = []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: 60},
		Body:   &dnsmessage.AResource{A: netip.MustParseAddr("127.0.0.1").As4()},
	}}
	answer, err := m.Pack()
	require.NoError(t, err)
	_, err = socket.WriteTo(answer, from)
	require.NoError(t, err)
	_, err = client.Read(buffer)
	require.NoError(t, err)
}

// slowToConnect listens at a port whose queue is full until the pause is over: the kernel drops a SYN until then.
func slowToConnect(t *testing.T) (listener int, port uint16) {
	t.Helper()
	listener, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, syscall.Close(listener)) })
	require.NoError(t, syscall.Bind(listener, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(listener, 0))
	name, err := syscall.Getsockname(listener)
	require.NoError(t, err)
	port = uint16(name.(*syscall.SockaddrInet4).Port)
	first, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, first.Close()) })
	return listener, port
}

// acceptFrom takes the next connection of a listener.
func acceptFrom(listener int) (net.Conn, error) {
	fd, _, err := syscall.Accept(listener)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "accepted")
	defer func() { _ = f.Close() }()
	return net.FileConn(f)
}

// TestWhatComesBeforeARequestTakesWhatItTook: a lookup, a connect and a handshake.
func TestWhatComesBeforeARequestTakesWhatItTook(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	sink := newMetricsSink()
	opts := measuringOptions(t, sink)
	opts.Telemetry.Phases = true
	e := engine.New(opts)
	require.NoError(t, e.Start())
	listener, port := slowToConnect(t)
	slowLookup(t)
	served := make(chan error, 1)
	go func() {
		time.Sleep(inConnect)
		first, err := acceptFrom(listener)
		if err != nil {
			served <- err
			return
		}
		defer func() { _ = first.Close() }()
		c, err := acceptFrom(listener)
		if err == nil {
			defer func() { _ = c.Close() }()
			if _, err = http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, err = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
			}
		}
		served <- err
	}()
	client, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	require.NoError(t, err)
	_, err = io.WriteString(client, "GET /slow HTTP/1.1\r\nHost: slow.test\r\n\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(client), nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.NoError(t, <-served)
	require.NoError(t, client.Close())
	slowHandshake(t)
	awaitTrue(t, "the request", func() bool { return e.Snapshot().Exchanges["http"] >= 2 })
	_, err = e.Drain(t.Context())
	require.NoError(t, err)
	require.NoError(t, e.Close())

	found := 0
	for _, span := range sink.spans {
		if text(span.Attributes(), "http.request.method") == "" || span.Kind() != ptrace.SpanKindClient {
			continue
		}
		found++
		for key, least := range map[string]time.Duration{"resolving": inLookup, "connecting": inConnect} {
			took, known := span.Attributes().Get("socketflow.duration." + key)
			require.True(t, known, key)
			assert.GreaterOrEqual(t, took.Double(), least.Seconds(), key)
			t.Logf("%s: %.1f ms, of which %v is a pause", key, 1e3*took.Double(), least)
		}
	}
	assert.Equal(t, 1, found)
	for metric, least := range map[string]time.Duration{
		"socketflow.connection.lookup.duration": inLookup, "socketflow.connection.connect.duration": inConnect, "socketflow.tls.handshake.duration": 2 * inHandshake,
	} {
		assert.GreaterOrEqual(t, sink.metric(metric).sum, least.Seconds(), metric)
	}
	assert.EqualValues(t, 1, sink.metric("socketflow.connection.lookup.duration").count, "the other connections have waited for none")
	assert.EqualValues(t, 2, sink.metric("socketflow.tls.handshake.duration").count, "both ends measure it")
}

// slowHandshake makes a connection with TLS whose server waits before it answers the hello.
func slowHandshake(t *testing.T) {
	t.Helper()
	certificate, _, _ := selfSigned(t)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, listener.Close()) }()
	served := make(chan error, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			served <- err
			return
		}
		secured := tls.Server(c, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			time.Sleep(inHandshake) // behind the client's hello
			return &tls.Config{Certificates: []tls.Certificate{certificate}}, nil
		}})
		err = secured.Handshake()
		_, _ = io.Copy(io.Discard, secured)
		_ = secured.Close()
		served <- err
	}()
	c, err := tls.Dial("tcp4", listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	_, err = io.WriteString(c, "hello")
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, <-served)
}
