package http

import (
	"bytes"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

func textOf(t *testing.T, x *protocol.Exchange, key int) string {
	t.Helper()
	if !x.Mask.Has(key) {
		t.Fatalf("no %s", x.Keys.All()[key].Name)
	}
	return string(x.Value(key).Text)
}

func TestLongValuesAreCutAndMarked(t *testing.T) {
	for _, c := range [...]struct {
		name         string
		conversation conversation
		script       string
		key          int
		want         string
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
			// The captured part of the target might be the beginning of a password.
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
				t.Errorf("%d has %d bytes: %.80s", c.key, len(got), got)
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
	values := x.Value(firstListed).List
	if len(values) != maxValues || len(values[0]) != maxValue || x.Capture != protocol.CaptureTruncated {
		t.Errorf("%d values of %d bytes, capture %d", len(values), len(values[0]), x.Capture)
	}
}

func TestMessageMemoryIsBounded(t *testing.T) {
	pool := server.pool()
	m := server.get(pool)
	for range 100 {
		m.SetTarget(bytes.Repeat([]byte{'a'}, maxTarget))
	}
	if len(m.kept) > maxKept {
		t.Errorf("keeps %d bytes", len(m.kept))
	}
	pool.Put(m)
	if m = server.get(pool); cap(m.kept) > maxIdle {
		t.Errorf("keeps %d bytes for the next", cap(m.kept))
	}
	for range 2 * maxFree {
		pool.Put(&Message{account: &server.account})
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

// A reused message keeps nothing of its former use.
func TestMessagesAreCleared(t *testing.T) {
	listed := listing(server, []string{"x-a"}, []string{"x-b"})
	pool := listed.pool()
	m := listed.get(pool)
	m.Start, m.End = protocol.Stamp{Time: 1}, protocol.Stamp{Time: 2}
	m.SetVersion("2")
	apply(m, "POST /a/B?token=x\n:scheme https\n:authority h\nhost: h\nuser-agent: u\ncontent-type: application/grpc\n"+
		"traceparent: "+parent+"\ntracestate: a=1\nx-a: 1\n< 200\n< grpc-status: 5\n< x-b: 1\n! CANCEL\n~ gap")
	var x protocol.Exchange
	m.Fill(&x)
	pool.Put(m)
	again := listed.get(pool)
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
		conversation conversation
		fields       [][2]string
	}{
		{"client", client, [][2]string{{"Host", "example.com"}, {"User-Agent", "curl"}, {"Accept", "*/*"}, {"traceparent", parent}}},
		{"server", server, [][2]string{{"host", "example.com"}, {"user-agent", "\xffcurl"}, {"x-anything", "1"}}},
		{"grpc client", client, [][2]string{{"content-type", "application/grpc"}, {"host", "example.com:50051"}}},
		{"grpc server", server, [][2]string{{"content-type", "application/grpc+proto"}, {"te", "trailers"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			pool := c.conversation.pool()
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
				m := c.conversation.get(pool)
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
	pool := server.pool()
	m := server.get(pool)
	name, value := []byte("accept-encoding"), []byte("gzip, deflate, br")
	for b.Loop() {
		m.RequestHeader(name, value)
	}
}

func BenchmarkExchange(b *testing.B) {
	pool := server.pool()
	var x protocol.Exchange
	method, target := []byte("GET"), []byte("/api/v1/items/42?page=2&token=abcdef")
	host, authority := []byte("Host"), []byte("shop.example.com")
	agent, product := []byte("User-Agent"), []byte("Mozilla/5.0 (X11; Linux x86_64)")
	accept, all := []byte("Accept"), []byte("*/*")
	b.ReportAllocs()
	for b.Loop() {
		m := server.get(pool)
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
