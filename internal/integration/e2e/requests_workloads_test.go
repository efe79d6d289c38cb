//go:build e2e && linux

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// requestWorkloads are all workloads. Each makes some hundred requests, of which both ends write accounts.
var requestWorkloads = []struct {
	name string
	play func(s *scene)
}{
	{"go", converse("::1", "gohttp server ADDRESS", "gohttp client ADDRESS -connections 4", 128)},
	{"go-h2c", converse("127.0.0.1", "gohttp server ADDRESS", "gohttp client ADDRESS -streams 100", 320)},
	{"go-namespaces", acrossNamespaces},
	{"h2c-upgrade", upgrade},
	{"python", converse("127.0.0.1", "python3 server.py ADDRESS", "python3 client.py ADDRESS 4", 128)},
	{"python-asyncio", converse("::1", "python3 streams.py ADDRESS", "python3 client.py ADDRESS 2", 64)},
	{"node", converse("127.0.0.1", "node server.js ADDRESS", "node client.js ADDRESS 20", 320)},
	{"java", converse("127.0.0.1", "java Web.java server ADDRESS", "java Web.java client ADDRESS 4", 128)},
	{"java-v6", converse("::1", "java Web.java server ADDRESS", "java Web.java client ADDRESS 2 HTTP_1_1", 64)},
	{"ruby-webrick", converse("127.0.0.1", "ruby webrick.rb ADDRESS", "ruby client.rb ADDRESS 4", 64)},
	{"ruby-puma", converse("::1", "ruby puma.rb ADDRESS", "ruby client.rb ADDRESS 4", 128)},
	{"php", converse("127.0.0.1", "php -S ADDRESS server.php", "php client.php ADDRESS", 64)},
	{"c-write", converse("127.0.0.1", "c-server HOST PORT read", "c-client HOST PORT write read", 64)},
	{"c-bytes", converse("::1", "c-server HOST PORT bytes", "c-client HOST PORT bytes pieces", 32)},
	{"c-vectors", converse("127.0.0.1", "c-server HOST PORT readv", "c-client HOST PORT writev readv", 64)},
	{"c-messages", converse("::1", "c-server HOST PORT recvmsg", "c-client HOST PORT sendmsg recvmsg", 64)},
	{"c-mmsg", converse("127.0.0.1", "c-server HOST PORT recvmmsg", "c-client HOST PORT sendmmsg recvmmsg", 64)},
	{"c-peek", converse("127.0.0.1", "c-server HOST PORT peek", "c-client HOST PORT write peek", 64)},
	{"c-sendfile", converse("127.0.0.1", "c-server HOST PORT read", "c-client HOST PORT sendfile read", 64)},
	{"c-dup", converse("127.0.0.1", "c-server HOST PORT pieces", "c-client HOST PORT dup read", 64)},
	{"c-answers", cAnswers},
	{"uring-plain", converseByUring("127.0.0.1", "plain/recv/send")},
	{"uring-async", converseByUring("::1", "async/read/write")},
	{"uring-sqpoll", converseByUring("127.0.0.1", "sqpoll/recvmsg/sendmsg")},
	{"uring-defer", converseByUring("::1", "defer/multishot/send_zc")},
	{"uring-files", converseByUring("127.0.0.1", "files/readv/writev")},
	{"uring-fixed", converseByUring("::1", "plain/fixed/fixed")},
	{"uring-linked", converseByUring("127.0.0.1", "plain/provided/linked")},
	{"uring-async-vectors", converseByUring("127.0.0.1", "async/recvmsg/writev")},
	{"uring-sqpoll-multishot", converseByUring("127.0.0.1", "sqpoll/multishot/linked")},
	{"pipelined-c", pipelined("c-server HOST PORT read")},
	{"pipelined-asyncio", pipelined("python3 streams.py ADDRESS")},
	{"pipelined-node", pipelined("node server.js ADDRESS")},
	{"pipelined-go", pipelined("gohttp server ADDRESS")},
	{"thousand-connections", thousandConnections},
	{"thousand-streams", thousandStreams},
	{"nginx", nginxHTTP1},
	{"nginx-h2c", nginxHTTP2},
	{"haproxy", haproxy},
	{"grpc", grpcCalls},
	{"etcd", etcdCalls},
}

// kind is a kind of request that every server and client here supports.
type kind struct {
	method, query string // the query selects the answer
	body          int    // bytes
	framing       string // of the body: length or chunked
	traced        bool   // it has a traceparent
}

var kinds = []kind{
	{method: "GET", query: "x=1"},
	{method: "GET"},
	{method: "POST", body: 10, framing: "length"},
	{method: "POST", query: "status=201", body: 70000, framing: "chunked"},
	{method: "GET", query: "status=404"},
	{method: "GET", query: "status=500&x=%20y"},
	{method: "GET", query: "status=204"},
	{method: "GET", query: "status=301"},
	{method: "HEAD", query: "bytes=100"},
	{method: "PUT", query: "bytes=100000", body: 100000, framing: "length"},
	{method: "GET", query: "bytes=300000", traced: true},
	{method: "GET", query: "bytes=100000&framing=chunked"},
	{method: "DELETE", query: "status=202"},
	{method: "OPTIONS"},
	{method: "PATCH", body: 10, framing: "chunked", traced: true},
	{method: "POST", query: "status=503", body: 65537, framing: "length"},
}

// plan is so many requests of all kinds, each with a unique path.
func (s *scene) plan(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		k := kinds[i%len(kinds)]
		lines[i] = k.line(fmt.Sprintf("/%s/%d", s.name, i))
	}
	return lines
}

// line is a line of a plan: method, target, size of the body, how that is framed, traceparent or "-".
func (k *kind) line(target string) string {
	if k.query != "" {
		target += "?" + k.query
	}
	traceparent := "-"
	if k.traced {
		traceparent = traceparentOf(target)
	}
	framing := k.framing
	if framing == "" {
		framing = "length"
	}
	return fmt.Sprintf("%s %s %d %s %s", k.method, target, k.body, framing, traceparent)
}

// traceparentOf is a unique traceparent.
func traceparentOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	id := hex.EncodeToString(sum[:])
	return fmt.Sprintf("00-%s-%s-01", id[:32], id[32:48])
}

// converse has a client send requests of all kinds to a server.
func converse(host, server, client string, requests int) func(*scene) {
	return func(s *scene) {
		port := freePort(s.t)
		s.serve(s.command(server, host, port), port)
		s.ask(s.command(client, host, port), s.plan(requests))
	}
}

// converseByUring has both ends use io_uring in a way of uring.c.
func converseByUring(host, way string) func(*scene) {
	return converse(host, "uring-server HOST PORT "+way, "uring-client HOST PORT uring "+way, 64)
}

// cAnswers are answers in all ways that the server in C supports, including no answer, from a port whose two bytes differ.
func cAnswers(s *scene) {
	const port = 0x0102
	s.serve(s.command("c-server HOST PORT read", "127.0.0.1", port), port)
	var plan []string
	for round := range 4 {
		for _, answer := range []string{
			"write", "writev", "writev&bytes=200000", "bytes", "sendfile", "sendfile&bytes=500000", "reset", "write", "close",
		} {
			k := kind{method: "GET", query: "answer=" + answer}
			plan = append(plan, k.line(fmt.Sprintf("/%s/%d/%d", s.name, round, len(plan))))
		}
	}
	s.ask(s.command("c-client HOST PORT write read", "127.0.0.1", port), plan)
}

// pipelined has 100 requests sent in one write, and the responses read in small pieces.
func pipelined(server string) func(*scene) {
	return func(s *scene) {
		port := freePort(s.t)
		s.serve(s.command(server, "127.0.0.1", port), port)
		some := []kind{
			{method: "GET", query: "x=1"},
			{method: "POST", body: 100, framing: "length"},
			{method: "GET", query: "status=404"},
			{method: "POST", body: 100, framing: "chunked"},
			{method: "GET", query: "status=204"},
			{method: "HEAD"},
		}
		var plan []string
		for i := range 100 {
			plan = append(plan, some[i%len(some)].line(fmt.Sprintf("/%s/%d", s.name, i)))
		}
		s.ask(s.command("c-client HOST PORT pipeline pieces", "127.0.0.1", port), plan)
	}
}

// thousandConnections are open at once: no first request is answered before all have come.
func thousandConnections(s *scene) {
	const connections = 1000
	port := freePort(s.t)
	s.serve(s.command("gohttp server ADDRESS", "127.0.0.1", port), port)
	var plan []string
	for i := range 2 * connections {
		k := kind{method: "GET"}
		if i < connections {
			k.query = fmt.Sprint("together=", connections)
		}
		plan = append(plan, k.line(fmt.Sprintf("/%s/%d", s.name, i)))
	}
	s.ask(s.command(fmt.Sprint("gohttp client ADDRESS -together -connections ", connections), "127.0.0.1", port), plan)
}

// thousandStreams are open at once on one connection. The first request waits for no other: the server first has to announce how
// many streams it allows.
func thousandStreams(s *scene) {
	const streams = 1000
	port := freePort(s.t)
	s.serve(s.command("gohttp server ADDRESS", "::1", port), port)
	k := kind{method: "GET"}
	plan := []string{k.line("/" + s.name + "/first")}
	for i := range streams {
		k := kind{method: "POST", body: 1000, framing: "chunked", query: fmt.Sprint("bytes=3000&together=", streams), traced: i%10 == 0}
		plan = append(plan, k.line(fmt.Sprintf("/%s/%d", s.name, i)))
	}
	s.ask(s.command(fmt.Sprint("gohttp client ADDRESS -streams ", streams), "::1", port), plan)
}

// acrossNamespaces has client and server in network namespaces of their own.
func acrossNamespaces(s *scene) {
	names, addresses := newNamespaces(s.t)
	const port = 8080
	s.serve(inNamespace(s.t, names[0], s.command("gohttp server ADDRESS", addresses[0], port)), port)
	client := s.command("gohttp client ADDRESS -connections 4", addresses[0], port)
	s.ask(inNamespace(s.t, names[1], client), s.plan(64))
}

// upgrade has clients offer an upgrade to HTTP/2, which the server accepts.
func upgrade(s *scene) {
	port := freePort(s.t)
	s.serve(s.command("upgrade ADDRESS", "127.0.0.1", port), port)
	var plan, targets []string
	for i := range 32 {
		k := []kind{{method: "GET", query: "x=1"}, {method: "GET", query: "status=404"}, {method: "POST", body: 70000, framing: "length"}}[i%3]
		plan = append(plan, k.line(fmt.Sprintf("/%s/java/%d", s.name, i)))
		targets = append(targets, fmt.Sprintf("/%s/curl/%d?x=1", s.name, i))
	}
	s.ask(s.command("java Web.java client ADDRESS 1", "127.0.0.1", port), plan)
	s.curl(port, targets, "--http2")
}
