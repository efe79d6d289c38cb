//go:build e2e && linux

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

// requestsNginx serves files, and forwards requests to a backend, over connections that stay open. The port determines the
// version of HTTP.
const requestsNginx = `
daemon off;
pid nginx.pid;
worker_processes 1;
error_log stderr;
events { worker_connections 256; }
http {
	log_format account escape=json '{"pid":$pid,"role":"server","method":"$request_method","target":"$request_uri",'
		'"status":$status,"version":"$server_protocol","local":{"address":"$server_addr","port":$server_port},'
		'"peer":{"address":"$remote_addr","port":$remote_port}}';
	access_log accounts.jsonl account;
	sendfile on;
	tcp_nopush on;
	client_body_temp_path body;
	client_max_body_size 100m;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	upstream backend {
		server 127.0.0.1:%[3]d;
		keepalive 4;
	}
	server {
		listen 127.0.0.1:%[1]d %[4]s;
		listen 127.0.0.1:%[2]d %[4]s http2;
		%[5]s
		root files;
		location /proxied/ {
			proxy_pass %[6]s://backend;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
		}
	}
}
`

// runNginx starts nginx before a server in Python. Only the server has accounts of the connections between them.
func (s *scene) runNginx() (http1, http2 int) {
	s.t.Helper()
	binary := testenv.NeedProgram(s.t, "nginx-light", "nginx", "/usr/sbin/nginx")
	prefix := openDir(s.t)
	files := filepath.Join(prefix, "files")
	require.NoError(s.t, os.Mkdir(files, 0o755))
	writeFile(s.t, filepath.Join(files, "small"), "hello\n")
	writeFile(s.t, filepath.Join(files, "large"), strings.Repeat("0123456789abcdef", 5<<16)) // 5 MiB
	http1, http2, backend := freePort(s.t), freePort(s.t), freePort(s.t)
	behind := s.serve(s.command("python3 server.py ADDRESS", "127.0.0.1", backend), backend)
	listen, identity := "", ""
	if s.secure != nil {
		listen, identity = "ssl", fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s;", s.secure.certificate, s.secure.key)
	}
	file := writeFile(s.t, filepath.Join(prefix, "nginx.conf"), fmt.Sprintf(requestsNginx, http1, http2, backend, listen, identity, s.scheme()))
	nginx := s.start("nginx", exec.Command(binary, "-e", "stderr", "-p", prefix, "-c", file))
	nginx.accounts = filepath.Join(prefix, "accounts.jsonl")
	nginx.parse = func(line []byte) (account, error) {
		a, err := parseAccount(line)
		a.Version = strings.TrimSuffix(strings.TrimPrefix(a.Version, "HTTP/"), ".0") // see parseCurl
		return a, err
	}
	nginx.awaitListening(http1, http2)
	eventually(s.t, 10*time.Second, "nginx has a worker", func() error {
		if n := len(nginx.children()); n != 1 {
			return fmt.Errorf("%d workers", n)
		}
		return nil
	})
	s.mirror(behind, nginx.children()[0], "")
	return http1, http2
}

// nginxTargets are small and large files, missing ones, and those that another server answers.
func (s *scene) nginxTargets(round string) []string {
	var targets []string
	for i := range 24 {
		target := []string{"/small?%s%d", "/large?%s%d", "/absent/%s/%d", "/proxied/%s/%d?status=503", "/proxied/%s/%d?bytes=100000&framing=chunked", "/proxied/%s/%d"}[i%6]
		targets = append(targets, fmt.Sprintf(target, round, i))
	}
	return targets
}

func nginxHTTP1(s *scene) {
	port, _ := s.runNginx()
	upload := writeFile(s.t, filepath.Join(openDir(s.t), "upload"), strings.Repeat("u", 200_000))
	s.curl(port, s.nginxTargets("kept"))
	old := s.nginxTargets("old")
	if s.secure != nil { // TLS has an end of its own, behind which the connection may be reset
		old = slices.DeleteFunc(old, func(target string) bool { return strings.Contains(target, "chunked") })
	}
	s.curl(port, old, "--http1.0")
	s.curl(port, s.nginxTargets("head"), "--head")
	s.curl(port, s.nginxTargets("traced"), "--header", "traceparent: "+s.trace(s.nginxTargets("traced")))
	for i, options := range [][]string{
		{"--header", "Expect: 100-continue"},
		{"--header", "Expect: 100-continue", "--header", "Transfer-Encoding: chunked"},
		{"--header", "Expect:"},
	} {
		var targets []string
		for n := range 4 {
			targets = append(targets, fmt.Sprintf("/proxied/upload/%d/%d?status=201", i, n))
		}
		s.curl(port, targets, append(options, "--data-binary", "@"+upload)...)
	}
}

// nginxHTTP2 gets requests from a client with many streams on one connection, and from curls with one: by prior knowledge the
// curl of Debian 12 fails from the second request of a connection on.
func nginxHTTP2(s *scene) {
	_, port := s.runNginx()
	var plan []string
	for i, target := range s.nginxTargets("streams") {
		k := kind{method: "GET", traced: i%2 == 0}
		plan = append(plan, k.line(target))
		k = kind{method: "POST", body: 100_000, framing: []string{"length", "chunked"}[i%2]}
		plan = append(plan, k.line(fmt.Sprintf("/proxied/streams/post/%d", i)))
	}
	s.ask(s.command("gohttp client ADDRESS -streams 12", "127.0.0.1", port), plan)

	upload := writeFile(s.t, filepath.Join(openDir(s.t), "upload"), strings.Repeat("u", 200_000))
	http2 := "--http2-prior-knowledge"
	if s.secure != nil {
		http2 = "--http2"
	}
	for _, target := range s.nginxTargets("curl")[:6] {
		s.curl(port, []string{target}, http2, "--header", "traceparent: "+s.trace([]string{target}))
	}
	s.curl(port, []string{"/small?head"}, http2, "--head")
	s.curl(port, []string{"/proxied/curl/upload"}, http2, "--data-binary", "@"+upload)
}

// trace is a traceparent that is sent to all the targets.
func (s *scene) trace(targets []string) string {
	traceparent := traceparentOf(s.name + targets[0])
	for _, target := range targets {
		s.traceparents[target] = traceparent
	}
	return traceparent
}

// curl requests targets, in one call, over connections that are kept alive. Options are for each.
func (s *scene) curl(port int, targets []string, options ...string) *actor {
	s.t.Helper()
	arguments := []string{"-q"} // no configuration of the user's
	for i, target := range targets {
		if i > 0 {
			arguments = append(arguments, "--next")
		}
		arguments = append(arguments, "--noproxy", "*", "--insecure", "--silent", "--show-error", "--max-time", "60", "--output", "/dev/null",
			"--write-out", `%{json}\n`, fmt.Sprintf("%s://127.0.0.1:%d%s", s.scheme(), port, target))
		arguments = append(arguments, options...)
	}
	a := s.start("curl", exec.Command(testenv.NeedProgram(s.t, "curl", "curl"), arguments...))
	a.parse = parseCurl
	require.Zero(s.t, a.wait(90*time.Second), "exit code of curl: %s", readFile(s.t, a.stderr))
	return a
}

// grpcCalls are calls of all kinds, many at a time on one connection, with all statuses.
func grpcCalls(s *scene) {
	port := freePort(s.t)
	s.serve(s.command("grpc server ADDRESS", "::1", port), port)
	var plan []string
	for i := range 17 * 4 * 4 {
		method := []string{"Unary", "Up", "Down", "Both"}[i%4]
		status := i / 4 % len(rpcStatuses)
		traceparent := "-"
		if i%3 == 0 {
			traceparent = traceparentOf(fmt.Sprint("grpc", i))
		}
		size := []int{10, 1000, 30_000}[i%3]
		plan = append(plan, fmt.Sprintf("%s %d %d %d %s", method, status, 1+i%7, size, traceparent))
	}
	s.ask(s.command("grpc client ADDRESS -streams 20", "::1", port), plan)
}

// etcdCalls are calls of an etcd server: by a client that knows its addresses, and by etcdctl.
func etcdCalls(s *scene) {
	client, peer := freePort(s.t), freePort(s.t)
	clientURL, peerURL := fmt.Sprintf("http://127.0.0.1:%d", client), fmt.Sprintf("http://127.0.0.1:%d", peer)
	etcd := s.serve(exec.Command(testenv.NeedProgram(s.t, "etcd-server", "etcd"), "--data-dir", openDir(s.t),
		"--enable-grpc-gateway=false", // the gateway is a client of its own
		"--listen-client-urls", clientURL, "--advertise-client-urls", clientURL,
		"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL, "--initial-cluster", "default="+peerURL), client)
	etcd.accounts = "" // it writes no accounts
	var plan []string
	for i := range 20 {
		plan = append(plan, fmt.Sprint("Put key", i), fmt.Sprint("Range key", i))
	}
	plan = append(plan, "Put -", "Watch key3", "Range none", "Watch key4")
	a := s.ask(s.command("grpc etcd ADDRESS", "127.0.0.1", client), plan)
	s.mirror(a, etcd.pid(), etcd.service)

	for i, call := range []struct{ arguments, target string }{
		{"put key value", "/etcdserverpb.KV/Put"},
		{"get key", "/etcdserverpb.KV/Range"},
		{"del key", "/etcdserverpb.KV/DeleteRange"},
		{"lease grant 60", "/etcdserverpb.Lease/LeaseGrant"},
	} {
		words := strings.Fields(call.arguments)
		ctl := s.start("etcdctl"+strconv.Itoa(i), exec.Command(testenv.NeedProgram(s.t, "etcd-client", "etcdctl"),
			append([]string{"--endpoints", net.JoinHostPort("127.0.0.1", strconv.Itoa(client))}, words...)...))
		require.Zero(s.t, ctl.wait(30*time.Second), readFile(s.t, ctl.stderr))
		ok := 0
		ctl.known = []account{{
			PID: ctl.pid(), Role: "client", Method: "POST", Target: call.target, RPC: &ok, Version: "2", service: ctl.service,
			Peer: accountEnd{"127.0.0.1", uint16(client)},
		}}
		s.mirror(ctl, etcd.pid(), etcd.service)
	}
}
