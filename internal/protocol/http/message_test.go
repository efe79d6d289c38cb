package http

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

var (
	client = protocol.Conversation{
		Side: protocol.Client, Settings: &protocol.Settings{}, Remote: netip.MustParseAddrPort("10.0.0.1:8080"),
	}
	server = protocol.Conversation{Side: protocol.Server, Settings: &protocol.Settings{}}
)

// on is a conversation with its remote end there.
func on(c protocol.Conversation, remote string) protocol.Conversation {
	c.Remote = netip.MustParseAddrPort(remote)
	return c
}

// listing is a conversation of which these headers are recorded.
func listing(c protocol.Conversation, request, response []string) protocol.Conversation {
	c.Settings = &protocol.Settings{RequestHeaders: request, ResponseHeaders: response}
	return c
}

// script is a message as a parser tells it: one line for each call.
//
//	GET /path            method and target; a method alone is possible
//	:scheme https        of HTTP/2, as is :authority
//	Host: example.com    a request header
//	< 200                a status
//	< Name: value        a response header
//	! ECONNRESET         a failure
//	~ gap                a degree of capture
func tell(m *Message, script string) {
	for line := range strings.Lines(script) {
		line = strings.TrimRight(strings.TrimLeft(line, "\t"), "\n")
		name, value, _ := strings.Cut(line, " ")
		switch {
		case line == "":
		case name == "!":
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
			if value != "" {
				m.SetTarget([]byte(value))
			}
		}
	}
}

// show is an exchange in lines.
func show(x *protocol.Exchange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", x.Name)
	if x.Server != "" {
		fmt.Fprintf(&b, "to %s %d\n", x.Server, x.ServerPort)
	}
	for _, a := range x.Attributes {
		switch a.Kind {
		case protocol.IntAttribute:
			fmt.Fprintf(&b, "%s = %d\n", a.Key, a.Int)
		case protocol.ListAttribute:
			fmt.Fprintf(&b, "%s = %q\n", a.Key, a.List)
		default:
			fmt.Fprintf(&b, "%s = %s\n", a.Key, a.Text)
		}
	}
	if x.Error != "" {
		fmt.Fprintf(&b, "error %s\n", x.Error)
	}
	if x.Capture != protocol.CaptureComplete {
		fmt.Fprintf(&b, "capture %d\n", x.Capture)
	}
	return b.String()
}

// unindented makes lines written within source comparable.
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

func filled(c protocol.Conversation, script string) protocol.Exchange {
	var pool Pool
	var x protocol.Exchange
	m := pool.Get(&c)
	tell(m, script)
	m.Fill(&x)
	return x
}

func TestExchanges(t *testing.T) {
	for _, c := range [...]struct {
		name         string
		conversation protocol.Conversation
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
		{"neither Host nor address", protocol.Conversation{Settings: &protocol.Settings{}}, `
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
			! ECONNRESET`, `
			GET
			http.request.method = GET
			url.full = http://10.0.0.1:8080/
			error ECONNRESET`},
		{"failure within the response", server, `
			GET /
			< 200
			! connection_closed`, `
			GET
			http.request.method = GET
			url.scheme = http
			url.path = /
			http.response.status_code = 200
			error connection_closed`},
		{"a gap is told", server, `
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
	} {
		t.Run(c.name, func(t *testing.T) {
			x := filled(c.conversation, c.script)
			if got, want := show(&x), unindented(c.want); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestAuthorities(t *testing.T) {
	long := strings.Repeat("a", maxHost)
	for text, want := range map[string]string{
		"example.com":         "example.com 80",
		"example.com:":        "example.com 80",
		"example.com:1":       "example.com 1",
		"example.com:65535":   "example.com 65535",
		"10.0.0.1:08080":      "10.0.0.1 8080",
		"my_host-1.x":         "my_host-1.x 80",
		"[::1]":               "::1 80",
		"[2001:DB8::1]:258":   "2001:DB8::1 258",
		"[::ffff:10.0.0.1]:8": "::ffff:10.0.0.1 8",
		"u:p@h:5":             "h 5",
		long:                  long + " 80",

		"": "", ":80": "", "example.com:0": "", "example.com:65536": "", "example.com:999999": "", "h:-1": "", "h:1x": "",
		"::1": "", "[::1": "", "[::1]x": "", "[::1]:x": "", "[]": "", "[host]": "", "[1:2]": "", "[fe80::1%25eth0]": "",
		"a b": "", "a/b": "", "h<script>": "", "é": "", "user:password": "", "u:p@": "", long + "a": "", "a,b": "",
	} {
		x := filled(server, "GET /\nHost: "+text+"\n")
		got := ""
		if x.Server != "" {
			got = fmt.Sprint(x.Server, " ", x.ServerPort)
		}
		if got != want {
			t.Errorf("%q names %q, want %q", text, got, want)
		}
	}
}

func TestSchemesHaveTheirPorts(t *testing.T) {
	for scheme, want := range map[string]uint16{"http": 80, "https": 443, "ws": 80, "WSS": 443, "gopher": 0, "1": 80} {
		if x := filled(server, "GET /\n:authority h\n:scheme "+scheme+"\n"); x.ServerPort != want {
			t.Errorf("%s has port %d, want %d", scheme, x.ServerPort, want)
		}
	}
}

func textOf(t *testing.T, x *protocol.Exchange, key string) string {
	t.Helper()
	at := slices.IndexFunc(x.Attributes, func(a protocol.Attribute) bool { return a.Key == key })
	if at < 0 {
		t.Fatalf("no %s", key)
	}
	return string(x.Attributes[at].Text)
}

func TestWhatIsTooLongIsCutAndMarked(t *testing.T) {
	for _, c := range [...]struct {
		name         string
		conversation protocol.Conversation
		script       string
		key, want    string
	}{
		{
			"path", server, "GET /" + strings.Repeat("a", maxTarget),
			urlPath, "/" + strings.Repeat("a", maxTarget-1),
		},
		{
			"not within a character", server, "GET /" + strings.Repeat("€", maxTarget),
			urlPath, "/" + strings.Repeat("€", (maxTarget-1)/len("€")),
		},
		{
			"replacements that are longer than what they replace", server, "GET /" + strings.Repeat("\xff", maxTarget-1),
			urlPath, "/" + strings.Repeat("\ufffd", (maxTarget-1)/3),
		},
		{
			"redaction that is longer than what it replaces", server, "GET /?" + strings.Repeat("&sid=", maxTarget/8),
			urlQuery, strings.Repeat("&sid=REDACTED", maxTarget)[:maxTarget],
		},
		{
			"user agent", server, "GET /\nuser-agent: " + strings.Repeat("u", maxValue+1),
			userAgentOriginal, strings.Repeat("u", maxValue),
		},
		{
			"method", server, strings.Repeat("M", maxMethod+1) + " /",
			requestMethodOriginal, strings.Repeat("M", maxMethod),
		},
		{
			// What is there of the target might be the beginning of a password.
			"authority of the target", client, "GET http://u:" + strings.Repeat("p", maxTarget),
			urlFull, "http://10.0.0.1:8080",
		},
		{
			"call", server, "POST /" + strings.Repeat("s", maxCall) + "/M\ncontent-type: application/grpc\n< 200",
			rpcMethodOriginal, strings.Repeat("s", maxCall),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := filled(c.conversation, c.script)
			if got := textOf(t, &x, c.key); got != c.want {
				t.Errorf("%s has %d bytes: %.80s", c.key, len(got), got)
			}
			if x.Capture != protocol.CaptureTruncated {
				t.Error("not marked")
			}
		})
	}
}

func TestListedHeadersAreBounded(t *testing.T) {
	script := "GET /\n" + strings.Repeat("x-a: "+strings.Repeat("v", maxValue+1)+"\n", maxValues+1)
	x := filled(listing(server, []string{"x-a"}, nil), script)
	values := x.Attributes[len(x.Attributes)-1].List
	if len(values) != maxValues || len(values[0]) != maxValue || x.Capture != protocol.CaptureTruncated {
		t.Errorf("%d values of %d bytes, capture %d", len(values), len(values[0]), x.Capture)
	}
}

func TestWhatAMessageKeepsIsBounded(t *testing.T) {
	var pool Pool
	m := pool.Get(&server)
	for range 100 {
		m.SetTarget(bytes.Repeat([]byte{'a'}, maxTarget))
	}
	if len(m.kept) > maxKept {
		t.Errorf("keeps %d bytes", len(m.kept))
	}
	pool.Put(m)
	if m = pool.Get(&server); cap(m.kept) > maxIdle {
		t.Errorf("keeps %d bytes for the next", cap(m.kept))
	}
	for range 2 * maxFree {
		pool.Put(&Message{})
	}
	if pool.count != maxFree {
		t.Errorf("keeps %d messages", pool.count)
	}
}

const (
	parent      = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	otherParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203332-00"
)

func TestTraceContext(t *testing.T) {
	for _, c := range [...]struct {
		name, script string
		valid        bool
		state        string
	}{
		{"none", ``, false, ""},
		{"parent", "Traceparent: " + parent, true, ""},
		{"with state", "tracestate: a=1, b=2\ntraceparent: " + parent, true, "a=1, b=2"},
		{"state in several fields", "traceparent: " + parent + "\ntracestate: a=1\ntracestate: \ntracestate: b=2", true, "a=1,b=2"},
		{"state without parent", "tracestate: a=1", false, ""},
		{"malformed", "traceparent: " + strings.ToUpper(parent) + "\ntracestate: a=1", false, ""},
		{"several", "traceparent: " + parent + "\ntraceparent: " + otherParent, false, ""},
		{"several, of which one is malformed", "traceparent: x\ntraceparent: " + parent, false, ""},
		{"state of the longest length", "traceparent: " + parent + "\ntracestate: a=" + strings.Repeat("x", maxState-2), true,
			"a=" + strings.Repeat("x", maxState-2)},
		{"state that is too long", "traceparent: " + parent + "\ntracestate: a=" + strings.Repeat("x", maxState-1), true, ""},
		{"state that is too long together", "traceparent: " + parent + "\ntracestate: a=" + strings.Repeat("x", maxState-5) +
			"\ntracestate: b=2", true, ""},
		{"state without a value", "traceparent: " + parent + "\ntracestate: a", true, ""},
		{"state without a key", "traceparent: " + parent + "\ntracestate: a=1,=1", true, ""},
		{"state that is not ASCII", "traceparent: " + parent + "\ntracestate: a=\xff", true, ""},
		{"broken state stays broken", "traceparent: " + parent + "\ntracestate: a=\xff\ntracestate: b=1", true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := filled(server, "GET /\n"+c.script)
			if x.Parent.Valid() != c.valid || x.Parent.State != c.state {
				t.Errorf("valid %v, state %q", x.Parent.Valid(), x.Parent.State)
			}
		})
	}
}

// A message starts anew, whatever it was used for before.
func TestMessagesAreCleared(t *testing.T) {
	var pool Pool
	listed := listing(server, []string{"x-a"}, []string{"x-b"})
	m := pool.Get(&listed)
	m.Start, m.End = protocol.Mark{Time: 1}, protocol.Mark{Time: 2}
	m.SetVersion("2")
	tell(m, "POST /a/B?token=x\n:scheme https\n:authority h\nhost: h\nuser-agent: u\ncontent-type: application/grpc\n"+
		"traceparent: "+parent+"\ntracestate: a=1\nx-a: 1\n< 200\n< grpc-status: 5\n< x-b: 1\n! CANCEL\n~ gap")
	var x protocol.Exchange
	m.Fill(&x)
	pool.Put(m)
	again := pool.Get(&listed)
	if again != m {
		t.Fatal("another message")
	}
	again.Fill(&x)
	if got, want := show(&x), "HTTP\nhttp.request.method = _OTHER\nurl.scheme = http\n"; got != want {
		t.Errorf("got\n%s", got)
	}
	if x.Parent.Valid() || x.Version != "" || x.Start.Time != 0 || x.End.Time != 0 || again.GRPC() || again.Status() != 0 {
		t.Error("something is left")
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for _, c := range [...]struct {
		name         string
		conversation protocol.Conversation
		fields       [][2]string
	}{
		{"client", client, [][2]string{{"Host", "example.com"}, {"User-Agent", "curl"}, {"Accept", "*/*"}, {"traceparent", parent}}},
		{"server", server, [][2]string{{"host", "example.com"}, {"user-agent", "\xffcurl"}, {"x-anything", "1"}}},
		{"grpc client", client, [][2]string{{"content-type", "application/grpc"}, {"host", "example.com:50051"}}},
		{"grpc server", server, [][2]string{{"content-type", "application/grpc+proto"}, {"te", "trailers"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var pool Pool
			var x protocol.Exchange
			method, target := []byte("POST"), []byte("/pkg.Service/Method")
			if !strings.HasPrefix(c.name, "grpc") {
				target = []byte("/a/b;jsessionid=1?token=x&page=2")
			}
			fields := make([][2][]byte, len(c.fields))
			for i, f := range c.fields {
				fields[i] = [2][]byte{[]byte(f[0]), []byte(f[1])}
			}
			status, value := []byte("grpc-status"), []byte("5")
			if got := testing.AllocsPerRun(1000, func() {
				m := pool.Get(&c.conversation)
				m.SetMethod(method)
				m.SetTarget(target)
				m.SetVersion("2")
				for _, f := range fields {
					m.RequestHeader(f[0], f[1])
				}
				m.SetStatus(500)
				m.ResponseHeader(status, value)
				m.Fill(&x)
				pool.Put(m)
			}); got != 0 {
				t.Errorf("%v allocations", got)
			}
		})
	}
}

func BenchmarkUninterestingHeader(b *testing.B) {
	var pool Pool
	m := pool.Get(&server)
	name, value := []byte("accept-encoding"), []byte("gzip, deflate, br")
	for b.Loop() {
		m.RequestHeader(name, value)
	}
}

func BenchmarkExchange(b *testing.B) {
	var pool Pool
	var x protocol.Exchange
	method, target := []byte("GET"), []byte("/api/v1/items/42?page=2&token=abcdef")
	host, authority := []byte("Host"), []byte("shop.example.com")
	agent, product := []byte("User-Agent"), []byte("Mozilla/5.0 (X11; Linux x86_64)")
	accept, all := []byte("Accept"), []byte("*/*")
	b.ReportAllocs()
	for b.Loop() {
		m := pool.Get(&server)
		m.SetMethod(method)
		m.SetTarget(target)
		m.RequestHeader(host, authority)
		m.RequestHeader(agent, product)
		m.RequestHeader(accept, all)
		m.SetStatus(200)
		m.Fill(&x)
		pool.Put(m)
	}
}
