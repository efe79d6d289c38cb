//go:build e2e && linux

package e2e

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

func init() {
	for _, name := range []string{"hijack", "reverse"} {
		sources[name] = struct{ dir, build string }{"grpc", "go build -o OUTPUT ./" + name}
	}
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// tunnelTargets are some answers with and without errors, small and large.
func (s *scene) tunnelTargets(which string, n int) []string {
	targets := make([]string, n)
	for i := range targets {
		query := []string{"", "?status=404", "?bytes=100000&framing=chunked", "?status=204", "?status=503"}[i%5]
		targets[i] = fmt.Sprintf("/%s/%s/%d%s", s.name, which, i, query)
	}
	return targets
}

// runTinyproxy starts a proxy before a server. The proxy writes no accounts: those of its clients and of the server describe it.
func (s *scene) runTinyproxy() (proxy *actor, proxyPort, serverPort int) {
	s.t.Helper()
	binary := testenv.NeedProgram(s.t, "tinyproxy-bin", "tinyproxy")
	proxyPort, serverPort = freePort(s.t), freePort(s.t)
	server := s.serve(s.command("gohttp server ADDRESS", "127.0.0.1", serverPort), serverPort)
	config := fmt.Sprintf("Port %d\nListen 127.0.0.1\nTimeout 60\nLogLevel Warning\nMaxClients 100\nAllow 127.0.0.1\n", proxyPort)
	proxy = s.start("proxy", exec.Command(binary, "-d", "-c", writeFile(s.t, filepath.Join(openDir(s.t), "tinyproxy.conf"), config)))
	proxy.known = []account{}
	proxy.awaitListening(proxyPort)
	s.mirror(server, proxy.pid(), proxy.service)
	return proxy, proxyPort, serverPort
}

// tunnelCurl has curls open tunnels, and send requests through them.
func tunnelCurl(s *scene) {
	proxy, proxyPort, port := s.runTinyproxy()
	for round := range 4 {
		a := s.curl(port, s.tunnelTargets(fmt.Sprint("tunnel", round), 10), "--proxy", "http://"+loopback(proxyPort), "--proxytunnel", "--noproxy", "")
		asked, err := s.accountsOf(a)
		require.NoError(s.t, err)
		connect := asked[0]
		connect.Method, connect.Target, connect.Status, connect.Version = "CONNECT", "", 200, ""
		s.more = append(s.more, connect, connect.counterpart(proxy.pid(), proxy.service))
		s.mirror(a, proxy.pid(), proxy.service)
	}
}

// tunnelUndici has the client of Node.js open tunnels.
func tunnelUndici(s *scene) {
	proxy, proxyPort, port := s.runTinyproxy()
	a := s.ask(s.npm("npm", "proxied.js", loopback(proxyPort), loopback(port)), s.tunnelTargets("undici", 40))
	s.mirror(a, proxy.pid(), proxy.service)
}

// upgradeNghttpx has curls offer HTTP/2 to a proxy (RFC 7540 section 3.2), which forwards in HTTP/1.1.
func upgradeNghttpx(s *scene) {
	binary := testenv.NeedProgram(s.t, "nghttp2-proxy", "nghttpx", "/usr/sbin/nghttpx")
	front, behind := freePort(s.t), freePort(s.t)
	server := s.serve(s.command("gohttp server ADDRESS", "127.0.0.1", behind), behind)
	proxy := s.serve(exec.Command(binary, "--conf=/dev/null", "--single-process", "--workers=1", "--accesslog-file=/dev/null",
		fmt.Sprintf("--frontend=127.0.0.1,%d;no-tls", front), fmt.Sprintf("--backend=127.0.0.1,%d", behind)), front)
	proxy.known = []account{}
	s.mirror(server, proxy.pid(), proxy.service)
	for round := range 4 {
		a := s.curl(front, s.tunnelTargets(fmt.Sprint("upgrade", round), 1), "--http2")
		a.parse = func(line []byte) (account, error) {
			asked, err := parseCurl(line)
			asked.Version = "" // it changes between the request and the answer
			return asked, err
		}
		s.mirror(a, proxy.pid(), proxy.service)
	}
}

// upgradeHijacked has a server take a connection over, which goes on in HTTP/2 (see the program's manners).
func upgradeHijacked(manner string) func(*scene) {
	return func(s *scene) {
		port := freePort(s.t)
		s.serve(s.command("hijack server ADDRESS", "127.0.0.1", port), port)
		s.ask(s.command("hijack client ADDRESS "+manner, "127.0.0.1", port), nil)
	}
}

// reverse has a process answer requests on a connection that it has opened.
func reverse(version string) func(*scene) {
	return func(s *scene) {
		port := freePort(s.t)
		asks := s.serve(s.command("reverse asks ADDRESS "+version, "127.0.0.1", port), port)
		answers := s.start("client", s.command("reverse answers ADDRESS "+version, "127.0.0.1", port))
		for _, a := range []*actor{asks, answers} {
			require.Zero(s.t, a.wait(30*time.Second), readFile(s.t, a.stderr))
		}
	}
}
