package http

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/redact"
)

var (
	client = conversation{Session: protocol.Session{Side: protocol.Client, Remote: netip.MustParseAddrPort("10.0.0.1:8080")}}
	server = conversation{Session: protocol.Session{Side: protocol.Server}}
)

// conversation is one under test.
type conversation struct {
	protocol.Session
	headers   HeadersConfig
	redaction *redact.Rules
	account   Account
}

func (c *conversation) pool() *Pool {
	config := &Config{Headers: c.headers}
	keys, err := protocol.NewKeys(Keys(config))
	if err != nil {
		panic(err)
	}
	return NewPool(&protocol.Settings{Config: config, Keys: keys, Redaction: c.redaction})
}

func (c *conversation) get(p *Pool) *Message { return p.Get(&c.Session, &c.account) }

// on is a conversation observed at this side, with this remote address.
func on(c conversation, remote string) conversation {
	c.Remote = netip.MustParseAddrPort(remote)
	return c
}

// listing is a conversation whose settings record these headers.
func listing(c conversation, request, response []string) conversation {
	c.headers = HeadersConfig{Request: request, Response: response}
	return c
}

// unredacted is a conversation whose settings record these headers, which are listed, with their values.
func unredacted(c conversation, names ...string) conversation {
	c.headers.Unredacted = names
	return c
}

// ruled is a conversation with rules of redaction.
func ruled(c conversation, rules *redact.Rules) conversation {
	c.redaction = rules
	return c
}

// apply calls the methods of a message for each line of a script.
//
//	GET /path            method and target; a method alone is possible
//	GET /path HTTP/1.1   of HTTP/1.1, which has no gRPC; otherwise it is HTTP/2
//	:scheme https        of HTTP/2, as is :authority
//	Host: example.com    a request header
//	< 200                a status
//	< Name: value        a response header
//	! CANCEL             a failure
//	! errno 104          a failure: the connection broke
//	! errno 0            a failure: the connection was closed
//	! errno 0 by client  the same, and the client closed it
//	~ gap                a degree of capture
func apply(m *Message, script string) {
	for line := range strings.Lines(script) {
		line = strings.TrimRight(strings.TrimLeft(line, "\t"), "\n")
		name, value, _ := strings.Cut(line, " ")
		switch {
		case line == "":
		case name == "!":
			var e protocol.Ending
			if n, _ := fmt.Sscanf(value, "errno %d by client", &e.Errno); n == 1 {
				e.ByClient = strings.HasSuffix(value, "by client")
				m.CutOff(&e)
				continue
			}
			if value == "CANCEL by client" {
				m.Cancelled()
				value = "CANCEL"
			}
			m.Failed(value)
		case name == "~":
			m.Raise(map[string]protocol.Capture{
				"truncated": protocol.CaptureTruncated, "gap": protocol.CaptureGap, "joined": protocol.CaptureJoined,
			}[value])
		case name == "<":
			if header, value, isHeader := strings.Cut(value, ":"); isHeader {
				m.ResponseHeader([]byte(header), []byte(value))
				continue
			}
			var code int
			_, _ = fmt.Sscan(value, &code)
			m.SetStatus(code)
		case name == ":scheme":
			m.SetScheme([]byte(value))
		case name == ":authority":
			m.SetAuthority([]byte(value))
		case strings.HasSuffix(name, ":"):
			m.RequestHeader([]byte(strings.TrimSuffix(name, ":")), []byte(value))
		default:
			m.SetMethod([]byte(name))
			m.SetVersion("2")
			if target, old := strings.CutSuffix(value, " HTTP/1.1"); old {
				m.SetVersion("1.1")
				value = target
			}
			if value != "" {
				m.SetTarget([]byte(value))
			}
		}
	}
}

// show formats an exchange, one fact a line.
func show(x *protocol.Exchange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", x.Name)
	if x.Server != "" {
		fmt.Fprintf(&b, "to %s %d\n", x.Server, x.ServerPort)
	}
	for i, key := range x.Keys.All() {
		if !x.Mask.Has(i) {
			continue
		}
		switch v := x.Value(i); key.Type {
		case protocol.Int:
			fmt.Fprintf(&b, "%s = %d\n", key.Name, v.Int)
		case protocol.List:
			fmt.Fprintf(&b, "%s = %q\n", key.Name, v.List)
		default:
			fmt.Fprintf(&b, "%s = %s\n", key.Name, v.Text)
		}
	}
	if x.Error != "" {
		fmt.Fprintf(&b, "error %s\n", x.Error)
	}
	if x.Errno != 0 {
		fmt.Fprintf(&b, "errno %d\n", x.Errno)
	}
	if x.Capture != protocol.CaptureComplete {
		fmt.Fprintf(&b, "capture %d\n", x.Capture)
	}
	return b.String()
}

// unindented removes indentation, so that expected text can be indented in the source.
func unindented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimLeft(line, "\t"); line != "\n" {
			b.WriteString(line)
		}
	}
	if text := strings.TrimRight(b.String(), "\n"); text != "" {
		return text + "\n"
	}
	return ""
}

func filled(c conversation, script string) protocol.Exchange {
	var x protocol.Exchange
	m := c.get(c.pool())
	apply(m, script)
	m.Fill(&x)
	return x
}

func TestExchanges(t *testing.T) {
	for _, c := range [...]struct {
		name         string
		conversation conversation
		script, want string
	}{
		{"client", client, `
			GET /a/b?x=1&y=2
			Host: example.com:8080
			User-Agent: curl/8
			< 200`, `
			GET
			to example.com 8080
			http.request.method = GET
			url.full = http://example.com:8080/a/b?x=1&y=2
			http.response.status_code = 200`},
		{"server", server, `
			POST /a/b?x=1
			host:   example.com
			user-agent: curl/8
			< 201`, `
			POST
			to example.com 80
			http.request.method = POST
			url.scheme = http
			url.path = /a/b
			url.query = x=1
			user_agent.original = curl/8
			http.response.status_code = 201`},
		{"pseudo headers of HTTP/2 come first", client, `
			GET /x
			:scheme HTTPS
			:authority a.example
			Host: b.example
			< 204`, `
			GET
			to a.example 443
			http.request.method = GET
			url.full = https://a.example/x
			http.response.status_code = 204`},
		{"no answer yet", client, `
			GET /
			Host: h`, `
			GET
			to h 80
			http.request.method = GET
			url.full = http://h/`},
		{"target in absolute form overrides Host", client, `
			GET http://origin.example:81/p?q=1#secret
			Host: proxy.example
			< 200`, `
			GET
			to origin.example 81
			http.request.method = GET
			url.full = http://origin.example:81/p?q=1
			http.response.status_code = 200`},
		{"empty path of an absolute target is a slash", server, `
			GET https://h?a=b
			< 200`, `
			GET
			to h 443
			http.request.method = GET
			url.scheme = https
			url.path = /
			url.query = a=b
			http.response.status_code = 200`},
		{"CONNECT has no path", client, `
			CONNECT h.example:443
			Host: proxy
			< 200`, `
			CONNECT
			to h.example 443
			http.request.method = CONNECT
			url.full = http://h.example:443
			http.response.status_code = 200`},
		{"CONNECT on the server", server, `
			CONNECT h.example:443
			< 200`, `
			CONNECT
			to h.example 443
			http.request.method = CONNECT
			url.scheme = http
			http.response.status_code = 200`},
		{"CONNECT of HTTP/2 has no target", client, `
			CONNECT
			:authority h.example:443
			< 200`, `
			CONNECT
			to h.example 443
			http.request.method = CONNECT
			url.full = http://h.example:443
			http.response.status_code = 200`},
		{"asterisk is no part of a URL", client, `
			OPTIONS *
			Host: h
			< 200`, `
			OPTIONS
			to h 80
			http.request.method = OPTIONS
			url.full = http://h
			http.response.status_code = 200`},
		{"asterisk on the server", server, `
			OPTIONS *
			Host: h
			< 200`, `
			OPTIONS
			to h 80
			http.request.method = OPTIONS
			url.scheme = http
			url.path = *
			http.response.status_code = 200`},
		{"without Host the address counts", client, `
			GET /x
			< 200`, `
			GET
			http.request.method = GET
			url.full = http://10.0.0.1:8080/x
			http.response.status_code = 200`},
		{"address over IPv6 at the scheme's port", on(client, "[2001:db8::1]:80"), `
			GET /x
			< 200`, `
			GET
			http.request.method = GET
			url.full = http://[2001:db8::1]/x
			http.response.status_code = 200`},
		{"neither Host nor address", conversation{}, `
			GET /x
			< 200`, `
			GET
			http.request.method = GET
			http.response.status_code = 200`},
		{"several Hosts are invalid", client, `
			GET /
			Host: a
			Host: b
			< 200`, `
			GET
			http.request.method = GET
			url.full = http://10.0.0.1:8080/
			http.response.status_code = 200`},
		{"malformed target cannot change the host", client, `
			GET .evil.example/x
			Host: h
			< 400`, `
			GET
			to h 80
			http.request.method = GET
			url.full = http://h/.evil.example/x
			http.response.status_code = 400
			error 400`},
		{"a scheme that is none", server, `
			GET /
			:scheme <b>
			< 200`, `
			GET
			http.request.method = GET
			url.scheme = http
			url.path = /
			http.response.status_code = 200`},
		{"credentials are redacted", client, `
			GET http://user:pa@ss@h:81/x
			< 200`, `
			GET
			to h 81
			http.request.method = GET
			url.full = http://REDACTED:REDACTED@h:81/x
			http.response.status_code = 200`},
		{"unknown method", server, `
			get /
			Host: h
			< 200`, `
			HTTP
			to h 80
			http.request.method = _OTHER
			http.request.method_original = get
			url.scheme = http
			url.path = /
			http.response.status_code = 200`},
		{"nothing known", client, ``, `
			HTTP
			http.request.method = _OTHER`},
		{"client: 404 is an error", client, `
			GET /
			< 404`, `
			GET
			http.request.method = GET
			url.full = http://10.0.0.1:8080/
			http.response.status_code = 404
			error 404`},
		{"server: 404 is none", server, `
			GET /
			< 404`, `
			GET
			http.request.method = GET
			url.scheme = http
			url.path = /
			http.response.status_code = 404`},
		{"server: 503 is an error", server, `
			GET /
			< 503`, `
			GET
			http.request.method = GET
			url.scheme = http
			url.path = /
			http.response.status_code = 503
			error 503`},
		{"no status code at all", server, `
			GET /
			< 1000`, `
			GET
			http.request.method = GET
			url.scheme = http
			url.path = /`},
		{"failure before the response", client, `
			GET /
			! errno 104`, `
			GET
			http.request.method = GET
			url.full = http://10.0.0.1:8080/
			errno 104`},
		{"failure within the response", server, `
			GET /
			< 200
			! errno 0`, `
			GET
			http.request.method = GET
			url.scheme = http
			url.path = /
			http.response.status_code = 200
			error connection_closed`},
		{"the client closes when it has the status", server, `
			GET /
			< 200
			! errno 104 by client`, `
			GET
			http.request.method = GET
			url.scheme = http
			url.path = /
			http.response.status_code = 200`},
		{"the client closes before it has the status", client, `
			GET /
			! errno 0 by client`, `
			GET
			http.request.method = GET
			url.full = http://10.0.0.1:8080/
			error canceled`},
		{"the client closes, and may still wait for the status", server, `
			GET /
			! errno 0 by client`, `
			GET
			http.request.method = GET
			url.scheme = http
			url.path = /
			error connection_closed`},
		{"the client cancels", client, `
			GET /
			! CANCEL by client`, `
			GET
			http.request.method = GET
			url.full = http://10.0.0.1:8080/`},
		{"the server cancels", client, `
			GET /
			! CANCEL`, `
			GET
			http.request.method = GET
			url.full = http://10.0.0.1:8080/
			error CANCEL`},
		{"a gap is marked", server, `
			GET /
			< 200
			~ gap
			~ truncated`, `
			GET
			http.request.method = GET
			url.scheme = http
			url.path = /
			http.response.status_code = 200
			capture 2`},
		{"not UTF-8", server, "GET /\xff\xc3(\n< 200\nuser-agent: \xe2\x82\n", `
			GET
			http.request.method = GET
			url.scheme = http
			url.path = /` + "\ufffd\ufffd" + `(
			user_agent.original = ` + "\ufffd\ufffd" + `
			http.response.status_code = 200`},
		{"listed headers", listing(client, []string{"x-a", "user-agent", "host"}, []string{"x-b", "set-cookie"}), `
			GET /
			Host: h
			X-A: 1
			X-C: not listed
			x-a: 2
			User-Agent: curl/8
			< 200
			< X-B:  b
			< X-A: not listed here
			< x-b: `, `
			GET
			to h 80
			http.request.method = GET
			url.full = http://h/
			user_agent.original = curl/8
			http.response.status_code = 200
			http.request.header.x-a = ["1" "2"]
			http.request.header.user-agent = ["curl/8"]
			http.request.header.host = ["h"]
			http.response.header.x-b = ["b" ""]`},
		{"secrets of a client's URL", client, `
			GET /reset/q7Zt3VbX9mK2pLw8RfYc/x;jsessionid=1?accessToken=a&u=http://a:b@c&y=2
			Host: h
			< 200`, `
			GET
			to h 80
			http.request.method = GET
			url.full = http://h/reset/REDACTED/x;jsessionid=REDACTED?accessToken=REDACTED&u=http://REDACTED:REDACTED@c&y=2
			http.response.status_code = 200`},
		{"secrets of a server's URL", server, `
			GET /hooks/q7Zt3VbX9mK2pLw8RfYc?private_token=a
			< 200`, `
			GET
			http.request.method = GET
			url.scheme = http
			url.path = /hooks/REDACTED
			url.query = private_token=REDACTED
			http.response.status_code = 200`},
		{"secrets of a path that is no method of gRPC", client, `
			POST /hooks/q7Zt3VbX9mK2pLw8RfYc!/x
			content-type: application/grpc
			< 200
			< grpc-status: 0`, `
			grpc
			rpc.system.name = grpc
			rpc.method = _OTHER
			rpc.method_original = hooks/REDACTED!/x
			rpc.response.status_code = OK`},
		{"secrets of recorded headers", listing(server,
			[]string{"authorization", "cookie", "referer", "x-api-key", "x-request-id", "x-note"}, []string{"set-cookie", "location"}), `
			GET /
			Authorization: Bearer abc
			Cookie: a=b; c=d
			Referer: http://h/reset/q7Zt3VbX9mK2pLw8RfYc?a=b
			X-Api-Key: k
			X-Request-Id: 4bf92f3577b34da6a3ce929d0e0e4736
			X-Note: see token=a; b
			< 302
			< Set-Cookie: a=b
			< Set-Cookie: c=d
			< Location: /cb?code=a&b=c`, `
			GET
			http.request.method = GET
			url.scheme = http
			url.path = /
			http.response.status_code = 302
			http.request.header.authorization = ["REDACTED"]
			http.request.header.cookie = ["REDACTED"]
			http.request.header.referer = ["http://h/reset/REDACTED?REDACTED"]
			http.request.header.x-api-key = ["REDACTED"]
			http.request.header.x-request-id = ["4bf92f3577b34da6a3ce929d0e0e4736"]
			http.request.header.x-note = ["see token=REDACTED; b"]
			http.response.header.set-cookie = ["REDACTED" "REDACTED"]
			http.response.header.location = ["/cb?code=REDACTED&b=c"]`},
		{"headers that are asked for with their value", unredacted(listing(server, []string{"authorization", "referer", "cookie"}, nil), "Authorization", "referer"), `
			GET /
			Authorization: Bearer abc
			Referer: http://h/?token=b
			Cookie: a`, `
			GET
			http.request.method = GET
			url.scheme = http
			url.path = /
			http.request.header.authorization = ["Bearer abc"]
			http.request.header.referer = ["http://h/?token=b"]
			http.request.header.cookie = ["REDACTED"]`},
		{"configured names", ruled(listing(server, []string{"cookie", "x-tenant"}, nil), redact.New([]string{"x-tenant"}, []string{"cookie", "code"})), `
			GET /?code=a&xTenant=b
			Cookie: a
			X-Tenant: b`, `
			GET
			http.request.method = GET
			url.scheme = http
			url.path = /
			url.query = code=a&xTenant=REDACTED
			http.request.header.cookie = ["a"]
			http.request.header.x-tenant = ["REDACTED"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := filled(c.conversation, c.script)
			if got, want := show(&x), unindented(c.want); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestKnownMethodsTakeThePlaceOfTheDefault(t *testing.T) {
	for _, c := range []struct {
		known        []string
		method, want string
	}{
		{nil, "GET", "GET"},
		{nil, "QUERY", "QUERY"},
		{nil, "PROPFIND", "_OTHER"},
		{nil, "get", "_OTHER"},
		{[]string{}, "GET", "_OTHER"},
		{[]string{"PROPFIND", "GET"}, "PROPFIND", "PROPFIND"},
		{[]string{"PROPFIND", "GET"}, "GET", "GET"},
		{[]string{"PROPFIND", "GET"}, "POST", "_OTHER"},
	} {
		config := &Config{KnownMethods: c.known}
		keys, err := protocol.NewKeys(Keys(config))
		if err != nil {
			t.Fatal(err)
		}
		m := NewPool(&protocol.Settings{Config: config, Keys: keys}).Get(&protocol.Session{Side: protocol.Server}, new(Account))
		m.SetMethod([]byte(c.method))
		var x protocol.Exchange
		m.Fill(&x)
		name := map[bool]string{true: "HTTP", false: c.want}[c.want == "_OTHER"]
		if got := string(x.Value(requestMethod).Text); got != c.want || x.Name != name {
			t.Errorf("%s is %s, name %s; want %s", c.method, got, x.Name, c.want)
		}
	}
}
