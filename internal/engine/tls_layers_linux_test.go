//go:build amd64 || arm64

package engine_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/ports"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/testenv"
	"github.com/socketflow/socketflow/internal/tlslib"
)

// needWithin ends a test that looks into TLS if the kernel is too old for that.
func needWithin(t *testing.T) {
	t.Helper()
	testenv.NeedRoot(t, "loading eBPF programs")
	var name unix.Utsname
	require.NoError(t, unix.Uname(&name))
	var major, minor int
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	require.NoError(t, err)
	if major < 6 || major == 6 && minor < 13 {
		testenv.Lacking(t, "this kernel does not attach programs to libraries")
	}
}

// inBothModes runs a test that looks into TLS.
func inBothModes(t *testing.T, run func(*testing.T, kernel.Mode)) {
	t.Helper()
	needWithin(t)
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) { run(t, mode) })
	}
}

// withinSink keeps a line for each span of a request.
type withinSink struct {
	mu    sync.Mutex
	names map[string]string // of ports
	lines []string

	captures bool // lines end with what of the request was captured
	snapshot func() engine.Snapshot
}

// Deliver keeps "Client GET https /path 1.3 shop.example.com client>proxy": kind, name, scheme, path, what is known of TLS, and the ends of its
// connection, the one first that has connected.
func (s *withinSink) Deliver(_ context.Context, from *otlp.Builder) {
	_, traces := from.Take()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				a := span.Attributes()
				if text(a, "network.protocol.name") == "" || span.Name() == "tcp.connection" {
					continue
				}
				capture := ""
				if s.captures {
					capture = text(a, "socketflow.capture")
				}
				s.lines = append(s.lines, strings.Join(strings.Fields(strings.Join([]string{
					span.Kind().String(), span.Name(), target(a), text(a, "tls.protocol.version"), text(a, "tls.client.server_name"), resumed(a),
					s.ends(span.Kind().String() == "Server", a), text(a, "error.type"), capture,
				}, " ")), " "))
			}
		}
	}
}

func resumed(a pcommon.Map) string {
	if text(a, "tls.resumed") == "true" {
		return "resumed"
	}
	return ""
}

// target is the scheme and the path of a request.
func target(a pcommon.Map) string {
	if full, err := url.Parse(text(a, "url.full")); err == nil && full.Path != "" {
		return full.Scheme + " " + full.Path
	}
	return text(a, "url.scheme") + " " + text(a, "url.path")
}

func (s *withinSink) ends(server bool, a pcommon.Map) string {
	from, to := text(a, "network.local.port"), text(a, "network.peer.port")
	if server {
		from, to = to, from
	}
	return cmp.Or(s.names[from], "client") + ">" + cmp.Or(s.names[to], "client")
}

// take waits for so many lines, and returns them, sorted.
func (s *withinSink) take(t *testing.T, n int) []string {
	t.Helper()
	all := func() []string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Clone(s.lines)
	}
	assert.Eventually(t, func() bool { return len(all()) >= n }, 20*time.Second, 5*time.Millisecond, "%d spans", n)
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	s.lines = nil
	slices.Sort(lines)
	return lines
}

// startWithin starts an engine that looks into TLS on the connections with some ports, which have names, and waits until it has found this
// program and this host's OpenSSL.
func startWithin(t *testing.T, mode kernel.Mode, names map[uint16]string) *withinSink {
	t.Helper()
	return startWithinOf(t, mode, names, "libssl.so.3", "libcrypto.so.3")
}

// startWithinOf waits until the engine has found this program and shared libraries.
func startWithinOf(t *testing.T, mode kernel.Mode, names map[uint16]string, files ...string) *withinSink {
	t.Helper()
	core, log := observer.New(zap.InfoLevel)
	sink := &withinSink{names: map[string]string{}}
	opts := optionsOf(t, mode, sink)
	opts.Rules = nil
	for port, name := range names {
		sink.names[fmt.Sprint(port)] = name
		at := ports.Range{Low: port, High: port}
		opts.Rules = append(opts.Rules, selection.Rule{LocalPort: at}, selection.Rule{RemotePort: at})
	}
	opts.TLS = map[tlslib.Kind]bool{tlslib.OpenSSL: true, tlslib.Go: true, tlslib.GnuTLS: true}
	opts.RingBytes = 1 << 24 // this machine may be busy
	opts.Logger = zap.New(core)
	e := engine.New(opts)
	require.NoError(t, e.Start())
	t.Cleanup(func() {
		_, err := e.Drain(context.WithoutCancel(t.Context()))
		assert.NoError(t, err)
		assert.NoError(t, e.Close())
	})
	sink.snapshot = e.Snapshot
	own, err := os.Executable()
	require.NoError(t, err)
	for _, file := range append([]string{own}, files...) {
		awaitTrue(t, file+" is observed", func() bool {
			return log.FilterMessageSnippet("watching TLS calls of").FilterMessageSnippet(file).Len() > 0
		})
	}
	return sink
}

// listen listens on a port of its own.
func listen(t *testing.T) (net.Listener, uint16) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l, uint16(l.Addr().(*net.TCPAddr).Port)
}

// serveTunnels is a proxy whose clients reach one server only.
func serveTunnels(l net.Listener, server string) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer client.Close() //nolint:errcheck // the test sees what its client gets
			reader := bufio.NewReader(client)
			if r, err := http.ReadRequest(reader); err != nil || r.Method != http.MethodConnect {
				return
			}
			behind, err := net.Dial("tcp", server)
			if err != nil {
				return
			}
			defer behind.Close() //nolint:errcheck // likewise
			_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
			go func() { _, _ = io.Copy(client, behind) }()
			_, _ = io.Copy(behind, reader)
		}()
	}
}

// getWithGo gets two paths of a server through a proxy.
func getWithGo(t *testing.T, proxy string) {
	t.Helper()
	at, err := url.Parse(proxy)
	require.NoError(t, err)
	transport := &http.Transport{Proxy: http.ProxyURL(at), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	for _, path := range []string{"/one", "/two"} {
		answer, err := (&http.Client{Transport: transport}).Get("https://shop.example.com" + path)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
	}
}

func getWithCurl(t *testing.T, proxy string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), testenv.NeedProgram(t, "curl", "curl"), "-sSk", "-q", "-m", "20", "--noproxy", "", "--proxy-insecure",
		"-x", proxy, "https://shop.example.com/one", "https://shop.example.com/two").CombinedOutput()
	require.NoError(t, err, string(output))
}

// A client asks a proxy for a tunnel, in plain text or over TLS, and speaks TLS with the server within it. The proxy sees bytes only.
func TestRequestsWithinTunnels(t *testing.T) { inBothModes(t, requestsWithinTunnels) }

func requestsWithinTunnels(t *testing.T, mode kernel.Mode) {
	certificate, _, _ := selfSigned(t)
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	serving, serverPort := listen(t)
	plain, plainPort := listen(t)
	secured, securedPort := listen(t)
	server := &http.Server{TLSConfig: config, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })}
	go func() { _ = server.ServeTLS(serving, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	go serveTunnels(plain, serving.Addr().String())
	go serveTunnels(tls.NewListener(secured, config), serving.Addr().String())
	sink := startWithin(t, mode, map[uint16]string{serverPort: "server", plainPort: "proxy", securedPort: "proxy"})
	for name, c := range map[string]struct {
		proxy  string
		scheme string
		outer  string // what is known of TLS between the client and the proxy
		get    func(*testing.T, string)
	}{
		"Go":                   {"http://" + plain.Addr().String(), " http", "", getWithGo},
		"curl":                 {"http://" + plain.Addr().String(), " http", "", getWithCurl},
		"Go, TLS within TLS":   {"https://" + secured.Addr().String(), " https", " 1.3", getWithGo},
		"curl, TLS within TLS": {"https://" + secured.Addr().String(), " https", " 1.3", getWithCurl},
	} {
		t.Run(name, func(t *testing.T) {
			c.get(t, c.proxy)
			assert.Equal(t, []string{
				"Client CONNECT" + c.outer + " client>proxy",
				"Client GET https /one 1.3 shop.example.com client>proxy",
				"Client GET https /two 1.3 shop.example.com client>proxy",
				"Server CONNECT" + c.scheme + c.outer + " client>proxy",
				"Server GET https /one 1.3 shop.example.com client>server",
				"Server GET https /two 1.3 shop.example.com client>server",
			}, sink.take(t, 6))
		})
	}
}

// What is special in the life of a connection changes nothing of its requests.
func TestRequestsWithinTLSOfSpecialConnections(t *testing.T) {
	inBothModes(t, requestsWithinTLSOfSpecialConnections)
}

func requestsWithinTLSOfSpecialConnections(t *testing.T, mode kernel.Mode) {
	certificate, _, _ := selfSigned(t)
	serving, port := listen(t)
	closed := map[string]chan struct{}{} // the client has closed its direction, or will not
	for _, path := range []string{"/first", "/resumed", "/half-closed"} {
		closed[path] = make(chan struct{})
	}
	server := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-closed[r.URL.Path]
			_, _ = io.WriteString(w, r.URL.Path)
		}),
	}
	go func() { _ = server.ServeTLS(serving, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	sink := startWithin(t, mode, map[uint16]string{port: "server"})
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "shop.example.com", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	ask := func(t *testing.T, c *tls.Conn, path string, half bool) {
		_, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n")
		require.NoError(t, err)
		if half {
			require.NoError(t, c.CloseWrite())
			require.NoError(t, c.NetConn().(*net.TCPConn).CloseWrite())
		}
		close(closed[path])
		answer, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Contains(t, string(answer), "200 OK")
		_ = c.Close() // the server may have closed what is left
	}
	for _, c := range []struct {
		path, said string
		half       bool
	}{
		{"/first", "", false},
		{"/resumed", " resumed", false},
		{"/half-closed", " resumed", true},
	} {
		conn, err := tls.Dial("tcp", serving.Addr().String(), config)
		require.NoError(t, err)
		ask(t, conn, c.path, c.half)
		assert.Equal(t, []string{
			"Client GET https " + c.path + " 1.3 shop.example.com" + c.said + " client>server",
			"Server GET https " + c.path + " 1.3 shop.example.com" + c.said + " client>server",
		}, sink.take(t, 2))
	}
}
