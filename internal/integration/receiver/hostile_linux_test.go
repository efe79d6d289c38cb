package receiver_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/protocol/http"
	"github.com/socketflow/socketflow/receiver"
)

// A socket's name with the end of a line in it, and a request with secrets and a long query: no line is forged, no secret comes out, and
// what is too long is cut, marked and counted.
func TestHostileNamesSecretsAndLengths(t *testing.T) {
	o := observe(t, hostMode(), func(cfg *receiver.Config) {
		roomy(cfg)
		cfg.Transports = []receiver.Transport{receiver.TransportTCP, receiver.TransportUnix}
		cfg.ExcludeSelf = false
		cfg.Include = []receiver.Selector{{PID: os.Getpid()}}
		cfg.Redaction.SecretNames = []string{"tenant"}
		cfg.Protocols["http"].(*http.Config).Headers.Request = []string{"authorization", "x-note"}
	})
	directory := t.TempDir()
	path := filepath.Join(directory, "a\n\x1b[2J\xff")
	const secret = "hunter2hunter2"
	exchangeOver(t, path, "GET /x?accessToken="+secret+"&Tenant="+secret+"&u=http://user:"+secret+"@h&long="+strings.Repeat("é", 2000)+" HTTP/1.1\r\n"+
		"Host: localhost\r\nAuthorization: Bearer "+secret+"\r\nX-Note: a\x1b[2J\r\n\r\n")

	requests := func() (those []span) {
		for _, s := range o.of(os.Getpid()).spans {
			if s.Name() == "GET" && text(s.Attributes(), "network.transport") == "unix" {
				those = append(those, s)
			}
		}
		return those
	}
	closes := func() (those []record) {
		for _, r := range o.of(os.Getpid()).events(closed) {
			if text(r.Attributes(), "network.transport") == "unix" {
				those = append(those, r)
			}
		}
		return those
	}
	await(t, "both spans of the request", func() bool { return len(requests()) == 2 })
	await(t, "the closes of both ends", func() bool { return len(closes()) == 2 })
	assert.Equal(t, int64(2), o.metric(t, "attributes_truncated"))
	o.shutdown(t)

	name := directory + "/a" + `\n\x1b[2J` + "\ufffd"
	for _, r := range closes() {
		assert.Contains(t, r.Body().Str(), name)
		assert.NotContains(t, r.Body().Str(), "\n")
		assert.Contains(t, []string{text(r.Attributes(), "network.local.address"), text(r.Attributes(), "network.peer.address")}, name)
	}
	for _, s := range requests() {
		a := s.Attributes()
		key := "url.query"
		if text(a, key) == "" {
			key = "url.full"
		}
		assert.Contains(t, text(a, key), "accessToken=REDACTED&Tenant=REDACTED&u=http://REDACTED:REDACTED@h&long=éé")
		assert.LessOrEqual(t, len(text(a, key)), 2048)
		assert.Equal(t, []any{key}, get(a, "socketflow.attributes.truncated"))
		assert.Equal(t, []any{"REDACTED"}, get(a, "http.request.header.authorization"))
		assert.Equal(t, []any{`a\x1b[2J`}, get(a, "http.request.header.x-note"))
		for key, v := range a.All() {
			assert.NotContains(t, v.AsString(), secret, key)
		}
	}
}

// exchangeOver sends a request over a Unix socket of this name, which is answered with 204.
func exchangeOver(t *testing.T, path, request string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			buffer := make([]byte, 2*len(request))
			for n := 0; n < len(request) && err == nil; {
				var more int
				more, err = conn.Read(buffer)
				n += more
			}
			if err == nil {
				_, err = conn.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
			}
			_, _ = conn.Read(buffer) // the end
			_ = conn.Close()
		}
		served <- err
	}()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
	require.NoError(t, err)
	_, err = conn.Write([]byte(request))
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1000))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.NoError(t, <-served)
	require.NoError(t, listener.Close())
}

// A program whose file has the end of a line in its name forges none.
func TestHostileExecutable(t *testing.T) {
	o := observe(t, hostMode(), roomy)
	executable := executableNamed(t, "nginx\nERROR root logged in\x1b[2J")
	ends := end(t, begin(t, commandOf(t, executable, "connections", "-n", "2")))
	o.awaitEnds(t, ends)
	o.shutdown(t)

	const name = `nginx\nERROR root logged in\x1b[2J`
	found := 0
	for _, pid := range pidsOf(ends) {
		for _, r := range o.of(pid).records {
			assert.NotContains(t, r.Body().Str(), "\n")
			if text(r.resource, "process.executable.name") == name && strings.HasPrefix(r.Body().Str(), name+" (pid ") {
				found++
			}
			assert.Equal(t, name, text(r.resource, "service.name"))
			assert.NotContains(t, text(r.resource, "process.executable.path"), "\n")
		}
	}
	assert.Positive(t, found)
}
