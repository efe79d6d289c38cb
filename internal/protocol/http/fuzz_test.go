package http

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/socketflow/socketflow/internal/protocol"
)

func FuzzExchange(f *testing.F) {
	f.Add([]byte("GET"), []byte("/a?token=x"), []byte("h:80"), []byte("user-agent"), []byte("curl"), 200, true)
	f.Add([]byte("CONNECT"), []byte("u:p@h:80"), []byte("[::1]"), []byte("content-type"), []byte("application/grpc"), 0, false)
	f.Add([]byte("\xff"), []byte("http://\xff@h"), []byte("@"), []byte("tracestate"), []byte("a=\xff"), 1000, true)
	f.Add([]byte("POST"), []byte("/S/\xf0\x9f"), []byte(""), []byte("grpc-status"), []byte("17"), 404, false)
	f.Fuzz(func(t *testing.T, method, target, host, name, value []byte, status int, isServer bool) {
		c := listing(client, []string{"x-a", "user-agent"}, []string{"x-a", "grpc-status"})
		if isServer {
			c.Side = protocol.Server
		}
		pool := c.pool()
		var x protocol.Exchange
		for range 2 { // the second round reuses a message
			m := c.get(pool)
			m.SetMethod(method)
			m.SetTarget(target)
			m.SetScheme(name)
			m.SetAuthority(host)
			m.RequestHeader([]byte("host"), host)
			m.RequestHeader([]byte("traceparent"), []byte(parent))
			m.RequestHeader([]byte("user-agent"), value)
			m.RequestHeader(name, value)
			m.ResponseHeader([]byte("x-a"), host)
			m.ResponseHeader(name, value)
			m.SetStatus(status)
			m.Fill(&x)
			mustBePresentable(t, &x)
			pool.Put(m)
		}
	})
}

// mustBePresentable checks the properties that every exchange has, for any input.
func mustBePresentable(t *testing.T, x *protocol.Exchange) {
	t.Helper()
	check := func(key, value string, limit int) {
		if !utf8.ValidString(value) || len(value) > limit {
			t.Errorf("%s has %d bytes: %q", key, len(value), value)
		}
	}
	check("name", x.Name, maxCall)
	check("server", x.Server, maxHost)
	check("error", x.Error, maxCall)
	check("state", x.Parent.State, maxState)
	seen := make(map[string]bool)
	for i, key := range x.Keys.All() {
		if seen[key.Name] {
			t.Errorf("%s is there twice", key.Name)
		}
		seen[key.Name] = true
		if !x.Mask.Has(i) {
			continue
		}
		limit := maxValue
		if strings.HasPrefix(key.Name, "url.") {
			limit = maxURL
		}
		check(key.Name, string(x.Value(i).Text), limit)
		for _, value := range x.Value(i).List {
			check(key.Name, value, maxValue)
		}
	}
}
