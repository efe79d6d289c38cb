//go:build e2e && linux

package e2e

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// TestRequestComparisonFindsDifferences: the comparison that the tests of requests use finds each kind of fault.
func TestRequestComparisonFindsDifferences(t *testing.T) {
	client := account{
		PID: 10, Role: "client", Method: "GET", Target: "/a/1?x=1", Status: 404, Version: "1.1", service: "it",
		Local: accountEnd{"::ffff:127.0.0.1", 40000}, Peer: accountEnd{"127.0.0.1", 258},
		Traceparent: traceparentOf("1"),
	}
	server := client.counterpart(20, "other")
	status := 5
	call := account{
		PID: 10, Role: "client", Method: "POST", Target: "/s/Call", RPC: &status, Version: "2", service: "it",
		Local: accountEnd{"::1", 40001}, Peer: accountEnd{"::1", 258},
	}
	answer := call.counterpart(20, "other")
	accounts := []account{client, server, call, answer}

	type counts struct{ missing, invented, twice, wrong int }
	for _, c := range []struct {
		name   string
		change func(spans []requestSpan) []requestSpan
		want   counts
	}{
		{"all is well", func(s []requestSpan) []requestSpan { return s }, counts{}},
		{"one is missing", func(s []requestSpan) []requestSpan { return s[1:] }, counts{missing: 1}},
		{"one is emitted twice", func(s []requestSpan) []requestSpan { return append(s, s[3]) }, counts{twice: 1}},
		{"another path", set(0, "url.full", "http://127.0.0.1:258/b?x=1"), counts{missing: 1, invented: 1}},
		{"without the query", set(0, "url.full", "http://127.0.0.1:258/a/1"), counts{missing: 1, invented: 1}},
		{"another host", set(0, "server.address", "127.0.0.2"), counts{wrong: 1}},
		{"another scheme", set(0, "url.full", "https://127.0.0.1:258/a/1?x=1"), counts{wrong: 1}},
		{"another scheme of the server", set(1, "url.scheme", "https"), counts{wrong: 1}},
		{"another status", set(1, "http.response.status_code", int64(200)), counts{wrong: 1}},
		{"another method", set(1, "http.request.method", "HEAD"), counts{wrong: 1}},
		{"another port of the peer", set(1, "network.peer.port", int64(0x0201)), counts{wrong: 1}},
		{"another local address", set(2, "network.local.address", "127.0.0.6"), counts{wrong: 1}},
		{"a mapped address", set(0, "network.peer.address", "::ffff:127.0.0.1"), counts{wrong: 1}},
		{"another RPC", set(2, "rpc.method", "s/Other"), counts{missing: 1, invented: 1}},
		{"another status of an RPC", set(3, "rpc.response.status_code", "OK"), counts{wrong: 1}},
		{"not complete", set(3, "socketflow.capture", "gap"), counts{wrong: 1}},
		{"no connection", set(3, "socketflow.connection.id", ""), counts{wrong: 1}},
		{"the connection of another", set(2, "socketflow.connection.id", "a"), counts{wrong: 1}},
		{"an error that is none", func(s []requestSpan) []requestSpan {
			s[1].status = ptrace.StatusCodeError
			return s
		}, counts{wrong: 1}},
		{"another parent", func(s []requestSpan) []requestSpan {
			s[0].parent = ""
			return s
		}, counts{wrong: 1}},
		{"a parent that nobody sent", func(s []requestSpan) []requestSpan {
			s[2].parent = "0123456789abcdef"
			return s
		}, counts{wrong: 1}},
		{"another service", func(s []requestSpan) []requestSpan {
			s[0].process["service.name"] = "unknown"
			return s
		}, counts{wrong: 1}},
		{"a connection beside its requests", func(s []requestSpan) []requestSpan {
			return append(s, requestSpan{span: span{
				item: item{process: s[0].process, attributes: map[string]any{"network.transport": "tcp"}}, name: "tcp.connection",
			}})
		}, counts{invented: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			spans := []requestSpan{
				spanOf(&client, "a", map[string]any{"url.full": "http://127.0.0.1:258/a/1?x=1", "server.address": "127.0.0.1", "server.port": int64(258)}),
				spanOf(&server, "b", map[string]any{"url.path": "/a/1", "url.query": "x=1", "url.scheme": "http"}),
				spanOf(&call, "c", nil),
				spanOf(&answer, "d", nil),
			}
			v := compareRequests(c.name, accounts, c.change(spans))
			assert.Equal(t, c.want, counts{len(v.missing), len(v.invented), len(v.twice), len(v.wrong)}, "%q", slices.Concat(v.wrong, v.invented))
		})
	}
}

// set sets an attribute of a span.
func set(i int, key string, value any) func([]requestSpan) []requestSpan {
	return func(s []requestSpan) []requestSpan {
		s[i].attributes[key] = value
		return s
	}
}

// spanOf is the expected span of an account, with the attributes that depend on the side.
func spanOf(a *account, connection string, more map[string]any) requestSpan {
	f := a.expected()
	s := requestSpan{
		span: span{
			item: item{
				traceID:    f.trace,
				process:    map[string]any{"process.pid": int64(f.pid), "service.name": f.service},
				attributes: more,
			},
			name: f.name, kind: f.kind,
		},
		parent: f.parent,
	}
	if s.attributes == nil {
		s.attributes = map[string]any{}
	}
	for key, value := range map[string]any{
		"network.protocol.version": f.version, "socketflow.capture": "complete", "socketflow.connection.id": connection,
		"network.local.address": a.Local.address(), "network.local.port": int64(a.Local.Port),
		"network.peer.address": a.Peer.address(), "network.peer.port": int64(a.Peer.Port),
	} {
		s.attributes[key] = value
	}
	if a.RPC != nil {
		s.attributes["rpc.system.name"], s.attributes["rpc.method"] = "grpc", f.rpcMethod
		s.attributes["rpc.response.status_code"] = f.rpcStatus
	} else {
		s.attributes["http.request.method"], s.attributes["http.response.status_code"] = f.method, int64(f.status)
	}
	if f.failure != "" {
		s.status = ptrace.StatusCodeError
		s.attributes["error.type"] = f.failure
	}
	return s
}
