//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

type secureWorkload struct {
	name string
	play func(s *scene)
}

// secureWorkloads are over TLS.
var secureWorkloads = []secureWorkload{
	{"tls-go", converse("::1", "gohttp-stripped server ADDRESS", "gohttp-stripped client ADDRESS -connections 4", 128)},
	{"tls-go-h2", converse("127.0.0.1", "gohttp-pie server ADDRESS", "gohttp client ADDRESS -streams 50", 320)},
	{"tls-go-pie", converse("127.0.0.1", "gohttp server ADDRESS", "gohttp-pie client ADDRESS -connections 4", 64)},
	{"tls-python", converse("127.0.0.1", "python3 server.py ADDRESS", "python3 client.py ADDRESS 4", 128)},
	{"tls-python-asyncio", converse("::1", "python3 streams.py ADDRESS", "python3 client.py ADDRESS 2", 64)},
	{"tls-node", converse("127.0.0.1", "node server.js ADDRESS", "node client.js ADDRESS 20", 320)},
	{"tls-node-h2", converse("127.0.0.1", "node server.js ADDRESS h2", "node http2.js ADDRESS", 128)},
	{"tls-node-static-18", staticNode("node-18")},
	{"tls-node-static-24", staticNode("node-24")},
	{"tls-node-h2-go", converse("127.0.0.1", "node server.js ADDRESS h2", "gohttp-stripped client ADDRESS -streams 20", 128)},
	{"tls-ruby-puma", converse("::1", "ruby puma.rb ADDRESS", "ruby client.rb ADDRESS 4", 128)},
	{"tls-php", converse("127.0.0.1", "python3 server.py ADDRESS", "php client.php ADDRESS", 64)},
	{"tls-grpc", grpcCalls},
	{"tls-nginx", nginxHTTP1},
	{"tls-nginx-h2", nginxHTTP2},
	{"tls-haproxy", haproxy},
	{"tls-forking", forking},
	{"tls-memory", converse("127.0.0.1", "python3 memory.py ADDRESS", "node client.js ADDRESS 16", 256)},
	{"tls-nonblocking", converse("127.0.0.1", "python3 server.py ADDRESS", "python3 nonblocking.py ADDRESS 4", 64)},
	{"tls-callbacks", callbacks},
	{"tls-retry", retry},
	{"tls-renegotiation", renegotiation},
	{"tls-large-go", large("gohttp-stripped server ADDRESS", "gohttp-pie client ADDRESS")},
	{"tls-large-python", large("python3 server.py ADDRESS", "node client.js ADDRESS 1")},
	{"tls-chroot", chroot},
	{"tls-mounts", mounts},
	{"tls-killed", killed},
	{"tls-fibers", converse("127.0.0.1", "tls-server HOST PORT server", "tls-fibers HOST PORT 16 3", 128)},
	{"tls-leaves", converse("127.0.0.1", "tls-server HOST PORT server", "tls-leaves HOST PORT", 64)},
	{"tls-gnutls-fibers", converse("127.0.0.1", "tls-server HOST PORT server", "gnutls-fibers HOST PORT 16 3", 128)},
	{"tls-gnutls-leaves", converse("127.0.0.1", "tls-server HOST PORT server", "gnutls-leaves HOST PORT", 64)},
	{"tls-filter", converse("::1", "gohttp-stripped server ADDRESS", "tls-client HOST PORT tls filter", 64)},
	{"tls-gnutls", gnuTLS("blocking", converse("127.0.0.1", "python3 server.py ADDRESS", "python3 client.py ADDRESS 4", 128))},
	{"tls-gnutls-nonblocking", gnuTLS("nonblocking", converse("::1", "python3 server.py ADDRESS", "python3 client.py ADDRESS 4", 64))},
	{"tls-gnutls-cork", gnuTLS("cork", converse("127.0.0.1", "python3 server.py ADDRESS", "python3 client.py ADDRESS 4", 64))},
	{"tls-gnutls-range", gnuTLS("range", converse("127.0.0.1", "python3 server.py ADDRESS", "python3 client.py ADDRESS 2", 64))},
	{"tls-gnutls-seq", gnuTLS("seq", converse("127.0.0.1", "python3 server.py ADDRESS", "node client.js ADDRESS 4", 64))},
	{"tls-gnutls-memory", gnuTLS("memory", converse("127.0.0.1", "python3 server.py ADDRESS", "python3 client.py ADDRESS 16", 256))},
	{"tls-gnutls-within", gnuTLS("within", converse("127.0.0.1", "python3 server.py ADDRESS", "python3 within.py ADDRESS 2", 64))},
	{"tls-gnutls-stutter", gnuTLS("stutter", converse("::1", "python3 server.py ADDRESS", "python3 client.py ADDRESS 4", 64))},
	{"tls-gnutls-renegotiation", gnuTLS("renegotiate", converse("127.0.0.1", "python3 server.py ADDRESS", "python3 client.py ADDRESS 4", 64))},
	{"tls-gnutls-half", gnuTLS("half", halfClosed)},
	{"tls-gnutls-large", gnuTLS("blocking", large("python3 server.py ADDRESS", "python3 client.py ADDRESS 1"))},
	{"tls-gnutls-curl", converse("127.0.0.1", "python3 server.py ADDRESS", "python3 curl.py ADDRESS 4", 128)},
	{"tls-gnutls-curl-h2", converse("127.0.0.1", "node server.js ADDRESS h2", "python3 curl.py ADDRESS 2", 64)},
	{"tls-gnutls-wget", wget},
	{"tls-gnutls-serv", gnuTLSServ},
	{"tls-200-gnutls", gnuTLS("memory", together("python3 server.py ADDRESS", "node client.js ADDRESS 200"))},
	{"tls-1000-go", thousandConnections},
	{"tls-200-node", together("node server.js ADDRESS", "gohttp-stripped client ADDRESS -together -connections 200")},
	{"tls-200-asyncio", together("python3 streams.py ADDRESS", "node client.js ADDRESS 200")},
}

// TestRequestsTLS plays workloads over TLS, one after the other: all is as it is without TLS.
func TestRequestsTLS(t *testing.T) { requestsTLS(t, "socket", secureWorkloads) }

// inSyscallMode are workloads of each library, and those that differ in how descriptors and processes come into it.
var inSyscallMode = []string{
	"tls-go", "tls-python", "tls-node-h2", "tls-nginx", "tls-forking", "tls-callbacks", "tls-large-go", "tls-gnutls", "tls-gnutls-curl", "tls-memory",
	"tls-200-asyncio", "tls-fibers", "tls-gnutls-leaves",
}

// TestRequestsTLSInSyscallMode plays some of them before that mode.
func TestRequestsTLSInSyscallMode(t *testing.T) {
	var some []secureWorkload
	for _, w := range secureWorkloads {
		if slices.Contains(inSyscallMode, w.name) {
			some = append(some, w)
		}
	}
	require.Len(t, some, len(inSyscallMode))
	requestsTLS(t, "syscall", some)
}

func requestsTLS(t *testing.T, mode string, workloads []secureWorkload) {
	t.Helper()
	needRoot(t)
	builder := newBuilder(t)
	over := newSecure(t)
	c := runRequestCollector(t, inMode(mode, secureConfig(t, builder)))
	c.mode = mode
	over.collector = c
	over.awaitShared(c)
	type played struct {
		*scene
		accounts []account
	}
	var all []played
	for _, w := range workloads {
		t.Run(w.name, func(t *testing.T) {
			s := newScene(t, builder, w.name)
			s.secure = over
			w.play(s)
			accounts := s.accounts()
			c.await(s, accounts)
			all = append(all, played{s, accounts})
		})
	}
	c.finish(t)
	var table comparisons
	for _, p := range all {
		t.Run(p.name+"/spans", func(t *testing.T) {
			v := compareRequests(p.name, p.accounts, c.of(t, p.processes(p.accounts)))
			table = append(table, v)
			v.requireExact(t)
		})
	}
	t.Log(table)
}

// TestRequestsTLSOnOlderConnections is TestRequestsOnOlderConnections over TLS.
func TestRequestsTLSOnOlderConnections(t *testing.T) {
	needRoot(t)
	requestsOnOlderConnections(t, "socket", newSecure(t), []olderWorkload{
		{name: "tls-go", server: "gohttp-stripped server ADDRESS", client: "gohttp-pie client ADDRESS"},
		{name: "tls-python", server: "python3 server.py ADDRESS", client: "python3 client.py ADDRESS 1"},
		{name: "tls-asyncio", server: "python3 streams.py ADDRESS", client: "node client.js ADDRESS 1"},
		{name: "tls-node", server: "node server.js ADDRESS", client: "node client.js ADDRESS 1"},
		{name: "tls-ruby", server: "ruby puma.rb ADDRESS", client: "ruby client.rb ADDRESS 1"},
		{name: "tls-go-h2", server: "gohttp-stripped server ADDRESS", client: "gohttp-stripped client ADDRESS -streams 1", lossy: true},
		{name: "tls-gnutls", server: "python3 server.py ADDRESS", client: "python3 client.py ADDRESS 1", environment: []string{"TLS_WAY=blocking"}},
		{name: "tls-gnutls-memory", server: "python3 server.py ADDRESS", client: "python3 client.py ADDRESS 1", environment: []string{"TLS_WAY=memory"}},
	})
}

// TestRequestsTLSOnOlderConnectionsInSyscallMode has the calls that transfer from files, too, which ask for no socket: it is to be found before.
func TestRequestsTLSOnOlderConnectionsInSyscallMode(t *testing.T) {
	needRoot(t)
	requestsOnOlderConnections(t, "syscall", newSecure(t), []olderWorkload{
		{name: "tls-go-syscall", server: "gohttp-stripped server ADDRESS", client: "gohttp-pie client ADDRESS"},
	})
}

// staticNode has both ends be a Node.js that is linked with its OpenSSL, over HTTP/1.1 and HTTP/2.
func staticNode(node string) func(*scene) {
	return func(s *scene) {
		port := freePort(s.t)
		s.serve(s.command(node+" server.js ADDRESS h2", "127.0.0.1", port), port)
		s.ask(s.command(node+" client.js ADDRESS 4", "127.0.0.1", port), s.plan(64))
		s.ask(s.command(node+" http2.js ADDRESS", "127.0.0.1", port), s.again(64))
	}
}

// together opens 200 connections, which are all open before one of them has its second request.
func together(server, client string) func(*scene) {
	return func(s *scene) {
		port := freePort(s.t)
		s.serve(s.command(server, "127.0.0.1", port), port)
		var plan []string
		for i := range 1000 {
			k := []kind{{method: "GET"}, {method: "GET", query: "bytes=20000"}, {method: "POST", body: 3000, framing: "length"}}[i%3]
			plan = append(plan, k.line(fmt.Sprintf("/%s/%d", s.name, i)))
		}
		s.ask(s.command(client, "127.0.0.1", port), plan)
	}
}

// haproxy is before a server in Python. It ends TLS, and begins it anew. Of two threads that write to its log at once, one would give up.
func haproxy(s *scene) {
	const config = `
global
	nbthread 1
	log stdout format raw local0
defaults
	mode http
	timeout connect 10s
	timeout client 60s
	timeout server 60s
frontend front
	bind 127.0.0.1:%[1]d %[2]s
	log global
	log-format '{"pid":%%pid,"role":"server","method":"%%HM","target":"%%HU","status":%%ST,"version":"%%HV","local":{"address":"%%fi","port":%%fp},"peer":{"address":"%%ci","port":%%cp}}'
	default_backend back
backend back
	server one 127.0.0.1:%[3]d %[4]s
`
	dir := openDir(s.t)
	listen, connect := "", ""
	if s.secure != nil {
		both := writeFile(s.t, filepath.Join(dir, "both.pem"), readFile(s.t, s.secure.certificate)+readFile(s.t, s.secure.key))
		listen, connect = "ssl alpn h2,http/1.1 crt "+both, "ssl verify none"
	}
	front, back := freePort(s.t), freePort(s.t)
	behind := s.serve(s.command("python3 server.py ADDRESS", "127.0.0.1", back), back)
	file := writeFile(s.t, filepath.Join(dir, "haproxy.cfg"), fmt.Sprintf(config, front, listen, back, connect))
	proxy := s.start("haproxy", exec.Command(testenv.NeedProgram(s.t, "haproxy", "haproxy", "/usr/sbin/haproxy"), "-db", "-f", file))
	proxy.parse = func(line []byte) (account, error) {
		a, err := parseAccount(line)
		a.Version = strings.TrimSuffix(strings.TrimPrefix(a.Version, "HTTP/"), ".0")
		return a, err
	}
	proxy.awaitListening(front)
	s.secure.awaitObserved(proxy)
	s.mirror(behind, proxy.pid(), "")
	s.ask(s.command("python3 client.py ADDRESS 4", "127.0.0.1", front), s.plan(64))
}

// callbacks has a proxy in Node write on one connection from within the callback of another.
func callbacks(s *scene) {
	front, back := freePort(s.t), freePort(s.t)
	behind := s.serve(s.command("python3 server.py ADDRESS", "127.0.0.1", back), back)
	proxy := s.serve(s.command(fmt.Sprintf("node proxy.js ADDRESS 127.0.0.1:%d", back), "127.0.0.1", front), front)
	s.mirror(behind, proxy.pid(), "")
	s.ask(s.command("python3 client.py ADDRESS 8", "127.0.0.1", front), s.plan(128))
}

// forking has a server hand connections to children, whose addresses it uses for others. What a child has received before it sends waits until
// then, if its parent was quicker, and has to be small.
func forking(s *scene) {
	const connections = 8
	port := freePort(s.t)
	s.serve(s.command("python3 forking.py ADDRESS", "127.0.0.1", port), port)
	var plan []string
	for i := range 4 * connections {
		plan = append(plan, (&kind{method: "GET"}).line(fmt.Sprintf("/%s/first/%d", s.name, i)))
	}
	s.ask(s.command(fmt.Sprint("python3 client.py ADDRESS ", connections), "127.0.0.1", port), append(plan, s.plan(128)...))
}

// retry has a server demand a second hello of each client (RFC 8446, 4.1.4): the random of what it says is the same in all connections.
func retry(s *scene) {
	s.environment = append(s.environment, "TLS_CURVE=secp521r1")
	port := freePort(s.t)
	s.serve(s.command("python3 server.py ADDRESS", "127.0.0.1", port), port)
	s.ask(s.command("node client.js ADDRESS 16", "127.0.0.1", port), s.plan(64))
	s.ask(s.command("python3 client.py ADDRESS 8", "127.0.0.1", port), s.again(64))
}

// renegotiation has a server of TLS 1.2 do another handshake before each answer. OpenSSL takes no request's body in the midst of one.
func renegotiation(s *scene) {
	port := freePort(s.t)
	s.serve(s.command("node server.js ADDRESS renegotiate", "127.0.0.1", port), port)
	var plan []string
	for i := range 64 {
		if k := kinds[i%len(kinds)]; k.body == 0 {
			plan = append(plan, k.line(fmt.Sprintf("/%s/%d", s.name, i)))
		}
	}
	s.ask(s.command("node client.js ADDRESS 4", "127.0.0.1", port), plan)
}

// again is a plan after another one.
func (s *scene) again(n int) []string {
	plan := s.plan(n)
	for i := range plan {
		plan[i] = strings.Replace(plan[i], "/"+s.name+"/", "/"+s.name+"/again/", 1)
	}
	return plan
}

// large transfers 160 MB each way on one connection, and then more requests. Their spans are joined only if both ends have counted the same bytes.
func large(server, client string) func(*scene) {
	return func(s *scene) {
		const size = 160_000_000
		port := freePort(s.t)
		s.serve(s.command(server, "127.0.0.1", port), port)
		var plan []string
		for i, k := range []kind{
			{method: "POST", body: size, framing: "length"}, {method: "GET"},
			{method: "GET", query: fmt.Sprint("bytes=", size)}, {method: "GET"},
		} {
			plan = append(plan, k.line(fmt.Sprintf("/%s/%d", s.name, i)))
		}
		s.ask(s.command(client, "127.0.0.1", port), plan)
	}
}

// chroot has a server run where its path is another.
func chroot(s *scene) {
	dir := openDir(s.t)
	program := filepath.Join(dir, "gohttp-chroot")
	copyFile(s.t, s.builder.path(s.t, "gohttp-static"), program)
	inside := *s.secure
	for _, file := range []*string{&inside.certificate, &inside.key} {
		name := filepath.Base(*file)
		copyFile(s.t, *file, filepath.Join(dir, name))
		*file = "/" + name
	}
	port := freePort(s.t)
	s.environment = inside.environment() // of the programs outside, too
	outside := s.secure
	s.secure = &inside
	s.serve(exec.Command(testenv.NeedProgram(s.t, "coreutils", "chroot", "/usr/sbin/chroot"), dir, "/gohttp-chroot", "server",
		fmt.Sprintf("127.0.0.1:%d", port)), port)
	s.environment, s.secure = nil, outside
	s.ask(s.command("gohttp-pie client ADDRESS -connections 4", "127.0.0.1", port), s.plan(64))
}

// mounts has a server run from a file that no other mount namespace has.
func mounts(s *scene) {
	const script = `mount -t tmpfs socketflow /mnt && cp "$1" /mnt/gohttp-mounted && exec /mnt/gohttp-mounted server "$2"`
	port := freePort(s.t)
	s.serve(exec.Command(testenv.NeedProgram(s.t, "util-linux", "unshare"), "--mount", "sh", "-c", script, "sh",
		s.builder.path(s.t, "gohttp-static"), fmt.Sprintf("127.0.0.1:%d", port)), port)
	s.ask(s.command("python3 client.py ADDRESS 4", "127.0.0.1", port), s.plan(64))
}

// killed has clients end within a call, by a signal, before others use the server.
func killed(s *scene) {
	port := freePort(s.t)
	server := *s // its connections without requests are compared with nothing
	server.serve(s.command("python3 server.py ADDRESS", "127.0.0.1", port), port)
	const script = `
import socket, ssl, sys, account
tls = account.client_context().wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))))
print("reads", flush=True)
tls.recv(100)
`
	for range 10 {
		victim := exec.Command(needPython(s.t), "-c", script, fmt.Sprint(port))
		path, err := filepath.Abs(filepath.Join(programsDir, "python"))
		require.NoError(s.t, err)
		victim.Env = quiet(s.t.TempDir(), append(s.secure.environment(), "PYTHONPATH="+path, "PYTHONDONTWRITEBYTECODE=1")...)
		p := start(s.t, victim)
		eventually(s.t, 20*time.Second, "it reads", func() error {
			if readFile(s.t, p.stdout) == "" {
				return fmt.Errorf("not yet")
			}
			return nil
		})
		p.stop(os.Kill, 10*time.Second)
	}
	port = freePort(s.t)
	s.serve(s.command("python3 server.py ADDRESS", "127.0.0.1", port), port)
	s.ask(s.command("python3 client.py ADDRESS 4", "127.0.0.1", port), s.plan(64))
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, data, 0o755))
}

// secureConfig is a configuration that leaves out all programs but those of the workloads.
func secureConfig(t *testing.T, b *builder) string {
	t.Helper()
	return strings.Replace(withRing("16MiB", "1s"), "socketflow:\n", "socketflow:\n    include: "+secureInclude(b)+"\n", 1)
}

// inMode is a configuration with a mode.
func inMode(mode, config string) string {
	return strings.Replace(config, "socketflow:\n", "socketflow:\n    mode: "+mode+"\n", 1)
}

func secureInclude(b *builder) string {
	return fmt.Sprintf(`[{executable: %q}, {executable: "/**/{python3*,node,ruby*,php*,nginx,curl,haproxy,openssl,wget,gnutls-serv,gohttp*,mariadbd,memcached}"}]`, b.dir+"/*")
}

// scheme is that of the scene's URLs.
func (s *scene) scheme() string {
	if s.secure != nil {
		return "https"
	}
	return "http"
}

// libraries are the files of a process that have TLS in them.
func libraries(t testing.TB, pid int) []string {
	t.Helper()
	found := map[string]bool{}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	require.NoError(t, err)
	within := !strings.Contains(readFile(t, fmt.Sprintf("/proc/%d/maps", pid)), "/libssl.so")
	if name := filepath.Base(exe); strings.HasPrefix(name, "gohttp") || within && slices.Contains([]string{"grpc", "memcached", "mongodb", "mysql", "node"}, name) {
		return []string{exe}
	}
	var all []string
	for line := range strings.Lines(readFile(t, fmt.Sprintf("/proc/%d/maps", pid))) {
		_, path, _ := strings.Cut(strings.TrimSpace(line), "/")
		path = "/" + path // ends with " (deleted)" if it is
		name := filepath.Base(path)
		if gnuTLS, _, is := strings.Cut(path, "/libgnutls.so.30"); is {
			path, name = gnuTLS+"/libgnutls.so.30", "libgnutls.so" // which may have been found by its other name
		}
		if (strings.HasPrefix(name, "libssl.so") || strings.HasPrefix(name, "libcrypto.so") || name == "libgnutls.so") && !found[path] {
			found[path] = true
			all = append(all, path)
		}
	}
	return all
}

// awaitIn waits until the collector sees the calls of all TLS libraries of the actor.
func (s *secure) awaitIn(c *requestCollector, a *actor) {
	if s == nil || c == nil {
		return
	}
	a.t.Helper()
	eventually(a.t, 30*time.Second, "the TLS libraries of "+a.service+" are observed", func() error {
		all := libraries(a.t, a.pid())
		if len(all) == 0 {
			return fmt.Errorf("it has none")
		}
		return c.observes(all)
	})
}

// awaitObserved is awaitIn the collector of all.
func (s *secure) awaitObserved(a *actor) {
	if s != nil {
		a.t.Helper()
		s.awaitIn(s.collector, a)
	}
}

// awaitShared waits until the collector sees the calls of this host's OpenSSL and GnuTLS: programs may be short.
func (s *secure) awaitShared(c *requestCollector) {
	c.t.Helper()
	eventually(c.t, 30*time.Second, "OpenSSL and GnuTLS are observed", func() error {
		return c.observes([]string{"/libssl.so.3", "/libcrypto.so.3", "/libgnutls.so.30"})
	})
}

// observes returns an error unless the collector's log has files whose names end so, or go on with a version.
func (c *requestCollector) observes(files []string) error {
	log := c.log()
	for _, file := range files {
		if !strings.Contains(log, file+`"`) && !strings.Contains(log, file+".") {
			return fmt.Errorf("not %s", file)
		}
	}
	return nil
}
