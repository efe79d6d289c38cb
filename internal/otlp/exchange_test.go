package otlp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/http"
	"github.com/socketflow/socketflow/internal/protocol/http/http1"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

var settings = protocoltest.Settings(http1.Protocol(), &http.Config{
	Headers: http.HeadersConfig{Request: []string{"x-team"}, Response: []string{"x-cache"}},
}, protocol.Limits{})

// get is the exchange that the HTTP parsers make of a GET request and its response. Headers with the prefix "< " are the
// response's.
func get(side protocol.Side, status string, headers ...string) *protocol.Exchange {
	return exchange(side, status, func(m *http.Message) {
		m.SetMethod([]byte("GET"))
		m.SetTarget([]byte("/items/42?page=2&token=secret"))
		m.SetVersion("1.1")
		m.RequestHeader([]byte("host"), []byte("shop.example.com:8080"))
		m.RequestHeader([]byte("user-agent"), []byte("curl/8.5.0"))
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			if name, isResponse := strings.CutPrefix(name, "< "); isResponse {
				m.ResponseHeader([]byte(name), []byte(value))
			} else {
				m.RequestHeader([]byte(name), []byte(value))
			}
		}
	})
}

func exchange(side protocol.Side, status string, fill func(*http.Message)) *protocol.Exchange {
	x := new(protocol.Exchange)
	m := http.NewPool(settings).Get(&protocol.Session{Side: side, Remote: netip.MustParseAddrPort("127.0.0.1:80")}, new(http.Account))
	fill(m)
	var code int
	if _, err := fmt.Sscan(status, &code); err == nil {
		m.SetStatus(code)
	}
	m.Fill(x)
	return x
}

// failedExchange was cut short, and its beginning was not seen.
var failedExchange = exchange(protocol.Client, "200", func(m *http.Message) {
	m.SetMethod([]byte("POST"))
	m.SetTarget([]byte("/upload"))
	m.SetVersion("1.0")
	m.Failed("ECONNRESET")
	m.Raise(protocol.CaptureJoined)
})

var call = exchange(protocol.Client, "200", func(m *http.Message) {
	m.SetMethod([]byte("POST"))
	m.SetTarget([]byte("/shop.v1.Cart/Add"))
	m.SetAuthority([]byte("cart.example.com:50051"))
	m.SetVersion("2")
	m.RequestHeader([]byte("content-type"), []byte("application/grpc"))
	m.ResponseHeader([]byte("grpc-status"), []byte("14"))
})

var unknownMethod = exchange(protocol.Client, "207", func(m *http.Message) {
	m.SetMethod([]byte("BREW"))
	m.SetTarget([]byte("/pot"))
	m.SetVersion("2")
})

// redisCommand is an exchange as the parser of Redis makes it.
var redisCommand = func() *protocol.Exchange {
	keys, err := protocol.NewKeys([]protocol.Key{
		{Name: string(semconv.DBSystemNameKey)}, {Name: string(semconv.DBOperationNameKey)}, {Name: string(semconv.DBNamespaceKey)},
		{Name: string(semconv.DBQueryTextKey)}, {Name: string(semconv.DBResponseStatusCodeKey)},
	})
	if err != nil {
		panic(err)
	}
	x := new(protocol.Exchange)
	x.Reset(keys)
	x.Name, x.Protocol, x.Error = "HGET", "redis", "WRONGTYPE"
	for i, value := range []string{"redis", "HGET", "3", "HGET cart ?", "WRONGTYPE"} {
		x.SetText(i, []byte(value))
	}
	return x
}()

// statement is an exchange as the parser of PostgreSQL makes it.
var statement = func() *protocol.Exchange {
	keys, err := protocol.NewKeys([]protocol.Key{
		{Name: string(semconv.DBSystemNameKey)}, {Name: string(semconv.DBOperationNameKey)}, {Name: string(semconv.DBNamespaceKey)},
		{Name: string(semconv.DBQueryTextKey)}, {Name: string(semconv.DBCollectionNameKey)}, {Name: string(semconv.DBQuerySummaryKey)},
		{Name: string(semconv.DBResponseReturnedRowsKey), Type: protocol.Int},
	})
	if err != nil {
		panic(err)
	}
	x := new(protocol.Exchange)
	x.Reset(keys)
	x.Name, x.Protocol = "SELECT carts", "postgresql"
	for i, value := range []string{"postgresql", "SELECT", "shop", "SELECT item FROM carts WHERE id = ?", "carts", "SELECT carts"} {
		x.SetText(i, []byte(value))
	}
	x.SetInt(6, 2)
	return x
}()

// local is a request over a Unix socket to a server on the same host; nameless is one without a server name, and anonymous the same of a
// client.
func local(side protocol.Side) *protocol.Exchange {
	return exchange(side, "200", func(m *http.Message) {
		m.SetMethod([]byte("GET"))
		m.SetTarget([]byte("/v1.41/info"))
		m.SetVersion("1.1")
		m.RequestHeader([]byte("host"), []byte("localhost"))
	})
}

var nameless = exchange(protocol.Server, "204", func(m *http.Message) {
	m.SetMethod([]byte("PUT"))
	m.SetTarget([]byte("/boot-source"))
	m.SetVersion("1.0")
})

var anonymous = exchange(protocol.Client, "200", func(m *http.Message) {
	m.SetMethod([]byte("GET"))
	m.SetTarget([]byte("/"))
	m.SetVersion("1.0")
})

// emitExchange emits the next exchange of a connection.
func emitExchange(b *Builder, c *socket.Connection, x *protocol.Exchange) {
	c.Exchanges++
	at := c.OpenedAt + int64(c.Exchanges)*int64(time.Millisecond)
	if c.Exchange.Own == [8]byte{} {
		c.Exchange.Trace, c.Exchange.Own = b.traceIDs.Of(c.Serial, c.Exchanges)
	}
	b.Exchanged(c, x, at, at+int64(750*time.Microsecond))
	c.Last = socket.LastExchange{TraceID: c.Exchange.Trace, SpanID: c.Exchange.Own, Key: c.Key}
	if x.Parent.Valid() {
		c.Last.TraceID = x.Parent.TraceID
	}
	c.Exchange = trace.Exchange{}
}

// exchanged emits one exchange of a connection that is open.
func exchanged(x *protocol.Exchange, changes ...func(*socket.Connection)) func(*Builder) {
	return func(b *Builder) { emitExchange(b, connect(changes...), x) }
}

// conversation emits a connection from beginning to end, with two exchanges on it.
func conversation(b *Builder) {
	c := connect()
	b.Opened(c)
	emitExchange(b, c, get(protocol.Client, "200"))
	emitExchange(b, c, get(protocol.Client, "503"))
	finByPeer(c)
	b.Closed(c)
}

func TestExchangesWithoutAParentStartATraceEach(t *testing.T) {
	b := newBuilder(Options{ConnectionSpans: SpansAlways})
	for number := range uint64(20) {
		c := connect(finByPeer)
		c.ID, c.Serial = number, number
		for range 20 {
			emitExchange(b, c, get(protocol.Client, "200"))
		}
		b.Closed(c)
	}
	_, traces := b.Take()
	traceIDs, spanIDs := make(map[pcommon.TraceID]bool), make(map[pcommon.SpanID]bool)
	spans := spansOf(traces)
	for _, s := range spans {
		traceIDs[s.TraceID()], spanIDs[s.SpanID()] = true, true
		if s.TraceID().IsEmpty() || s.SpanID().IsEmpty() || !s.ParentSpanID().IsEmpty() || s.Flags() != 0x103 {
			t.Fatalf("trace id %v, span id %v, parent %v, flags %x", s.TraceID(), s.SpanID(), s.ParentSpanID(), s.Flags())
		}
	}
	if len(spans) != 20*21 || len(traceIDs) != len(spans) || len(spanIDs) != len(spans) {
		t.Errorf("%d spans have %d trace ids and %d span ids", len(spans), len(traceIDs), len(spanIDs))
	}
}

func TestAnExchangeIsAChildOfTheSpanThatItsRequestNames(t *testing.T) {
	parent := protocol.TraceContext{TraceID: [16]byte{1, 15: 2}, SpanID: [8]byte{3, 7: 4}, Flags: 1, State: "a=1"}
	for _, c := range [...]struct {
		name  string
		role  event.Role
		kind  ptrace.SpanKind
		flags uint32
	}{
		// What a client sends names a span of its own process.
		{"client", event.RoleClient, ptrace.SpanKindClient, 0x101},
		{"server", event.RoleServer, ptrace.SpanKindServer, 0x301},
		{"unknown", event.RoleUnknown, ptrace.SpanKindInternal, 0x001},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBuilder(Options{})
			emitExchange(b, connect(func(o *socket.Connection) { o.Role = c.role }), &protocol.Exchange{Name: "GET", Parent: parent})
			_, traces := b.Take()
			s := spansOf(traces)[0]
			if s.TraceID() != parent.TraceID || s.ParentSpanID() != parent.SpanID || s.TraceState().AsRaw() != "a=1" {
				t.Errorf("trace id %v, parent %v, state %s", s.TraceID(), s.ParentSpanID(), s.TraceState().AsRaw())
			}
			if s.SpanID().IsEmpty() || s.SpanID() == s.ParentSpanID() || s.Kind() != c.kind || s.Flags() != c.flags {
				t.Errorf("span id %v, kind %v, flags %x", s.SpanID(), s.Kind(), s.Flags())
			}
		})
	}
}

func TestStatusOfAnExchange(t *testing.T) {
	for _, c := range [...]struct {
		x       protocol.Exchange
		err     string
		code    ptrace.StatusCode
		message string
	}{
		{protocol.Exchange{}, "", ptrace.StatusCodeUnset, ""},
		{protocol.Exchange{Description: "of no error"}, "", ptrace.StatusCodeUnset, ""},
		{protocol.Exchange{Error: "500"}, "500", ptrace.StatusCodeError, ""},
		{protocol.Exchange{Error: "42P01", Description: "no such table"}, "42P01", ptrace.StatusCodeError, "no such table"},
		{protocol.Exchange{Errno: 104}, "ECONNRESET", ptrace.StatusCodeError, ""},
		{protocol.Exchange{Errno: 4095}, "4095", ptrace.StatusCodeError, ""},
	} {
		b := newBuilder(Options{})
		emitExchange(b, connect(), &c.x)
		_, traces := b.Take()
		s := spansOf(traces)[0]
		if s.Status().Code() != c.code || s.Status().Message() != c.message {
			t.Errorf("%+v: %v, %q", c.x, s.Status().Code(), s.Status().Message())
		}
		kind, found := s.Attributes().Get(errorType)
		if found != (c.err != "") || found && kind.Str() != c.err {
			t.Errorf("%+v: %s is %q", c.x, errorType, kind.Str())
		}
	}
}

func TestServerOfAnExchange(t *testing.T) {
	named := &protocol.Exchange{Server: "named.example", ServerPort: 99}
	unnamed := &protocol.Exchange{}
	for _, c := range [...]struct {
		name    string
		x       *protocol.Exchange
		changes []func(*socket.Connection)
		want    map[string]any
	}{
		{"client", named, nil, map[string]any{
			serverAddress: "named.example", serverPort: int64(99), netPeerName: "named.example", netPeerPort: int64(99),
			netHostName: nil, netHostPort: nil, networkPeerAddress: "127.0.0.1", networkPeerPort: int64(80),
		}},
		{"server", named, []func(*socket.Connection){accepted}, map[string]any{
			serverAddress: "named.example", serverPort: int64(99), netHostName: "named.example", netHostPort: int64(99),
			netPeerName: "127.0.0.1", netPeerPort: int64(40000), clientAddress: "127.0.0.1", clientPort: int64(40000),
		}},
		{"client that does not name it", unnamed, nil, map[string]any{
			serverAddress: "127.0.0.1", serverPort: int64(80), netPeerName: "127.0.0.1", netPeerPort: int64(80),
		}},
		{"server that is not named", unnamed, []func(*socket.Connection){accepted}, map[string]any{
			serverAddress: "127.0.0.1", serverPort: int64(80), netHostName: "127.0.0.1", netHostPort: int64(80),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBuilder(Options{})
			emitExchange(b, connect(c.changes...), c.x)
			_, traces := b.Take()
			got := spansOf(traces)[0].Attributes().AsRaw()
			for key, want := range c.want {
				if got[key] != want {
					t.Errorf("%s is %v, want %v", key, got[key], want)
				}
			}
		})
	}
}

func TestCaptureOfAnExchange(t *testing.T) {
	for value, want := range map[protocol.Capture]string{
		protocol.CaptureComplete: "complete", protocol.CaptureTruncated: "truncated", protocol.CaptureGap: "gap",
		protocol.CaptureJoined: "joined_midstream", protocol.CaptureCut: "cut", 99: "unknown",
	} {
		b := newBuilder(Options{})
		emitExchange(b, connect(), &protocol.Exchange{Capture: value})
		_, traces := b.Take()
		if got, _ := spansOf(traces)[0].Attributes().Get(capture); got.Str() != want {
			t.Errorf("%d is %s, want %s", value, got.Str(), want)
		}
	}
}

// ownExchange is an empty exchange of a protocol with these attributes.
func ownExchange(own ...protocol.Key) *protocol.Exchange {
	keys, err := protocol.NewKeys(own)
	if err != nil {
		panic(err)
	}
	x := &protocol.Exchange{}
	x.Reset(keys)
	return x
}

// An attribute of a parser must not replace an observed one, nor appear twice. The number of remembered layouts is bounded,
// even if peers cause many.
func TestAttributesOfExchanges(t *testing.T) {
	b := newBuilder(Options{})
	c := connect()
	emitExchange(b, c, &protocol.Exchange{})
	_, traces := b.Take()
	plain := spansOf(traces)[0].Attributes()
	var own []protocol.Key
	for i := range 11 {
		own = append(own, protocol.Key{Name: fmt.Sprint("own.", i), Type: protocol.Int})
	}
	own = append(own, protocol.Key{Name: networkPeerAddress}, protocol.Key{Name: "text"}, protocol.Key{Name: "list", Type: protocol.List},
		protocol.Key{Name: "list of none", Type: protocol.List})
	x := ownExchange(own...)
	for set := range 2 * maxExchangeLayouts {
		x.Reset(x.Keys)
		want := pcommon.NewMap()
		plain.CopyTo(want)
		for i := range 11 {
			if set>>i&1 != 0 {
				x.SetInt(i, int64(set))
				want.PutInt(own[i].Name, int64(set))
			}
		}
		x.SetList(14, nil)
		x.SetList(13, []string{"a", "b"})
		x.SetText(12, []byte(strings.Repeat("x", set)))
		x.SetText(11, []byte("192.0.2.1"))
		want.PutStr("text", strings.Repeat("x", set))
		list := want.PutEmptySlice("list")
		list.AppendEmpty().SetStr("a")
		list.AppendEmpty().SetStr("b")
		want.PutEmptySlice("list of none")
		for range 2 { // the second uses the layout that the first made
			emitExchange(b, c, x)
			_, traces := b.Take()
			if got := spansOf(traces)[0].Attributes(); !got.Equal(want) || !slices.Equal(keysOf(got), keysOf(want)) {
				t.Fatalf("got  %v\nwant %v", got.AsRaw(), want.AsRaw())
			}
		}
	}
	if n := len(b.attrLayouts.exchanges); n > maxExchangeLayouts {
		t.Errorf("%d layouts are remembered", n)
	}
}

func TestKindsOfExchangeSpans(t *testing.T) {
	for _, test := range [...]struct {
		kind      protocol.Kind
		initiator protocol.Direction
		role      event.Role
		want      ptrace.SpanKind
	}{
		{protocol.Call, protocol.FromClient, event.RoleClient, ptrace.SpanKindClient},
		{protocol.Call, protocol.FromClient, event.RoleServer, ptrace.SpanKindServer},
		{protocol.Call, protocol.FromServer, event.RoleClient, ptrace.SpanKindServer},
		{protocol.Call, protocol.FromServer, event.RoleServer, ptrace.SpanKindClient},
		{protocol.Message, protocol.FromServer, event.RoleServer, ptrace.SpanKindProducer},
		{protocol.Message, protocol.FromServer, event.RoleClient, ptrace.SpanKindConsumer},
		{protocol.Message, protocol.FromClient, event.RoleClient, ptrace.SpanKindProducer},
		{protocol.Message, protocol.FromClient, event.RoleServer, ptrace.SpanKindConsumer},
		{protocol.Call, protocol.FromClient, event.RoleUnknown, ptrace.SpanKindInternal},
	} {
		x := &protocol.Exchange{Kind: test.kind, Initiator: test.initiator}
		if got := kindOf(x, test.role); got != test.want {
			t.Errorf("kind %d begun by %d at role %d: %s, want %s", test.kind, test.initiator, test.role, got, test.want)
		}
	}
}

func TestLinksOfExchanges(t *testing.T) {
	b := newBuilder(Options{})
	link := protocol.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Flags: 1, State: "a=1"}
	emitExchange(b, connect(), &protocol.Exchange{Links: []protocol.TraceContext{link}})
	_, traces := b.Take()
	links := spansOf(traces)[0].Links()
	if links.Len() != 1 {
		t.Fatalf("%d links", links.Len())
	}
	if l := links.At(0); l.TraceID() != link.TraceID || l.SpanID() != link.SpanID || l.Flags() != 1 || l.TraceState().AsRaw() != "a=1" {
		t.Errorf("%v %v %d %s", l.TraceID(), l.SpanID(), l.Flags(), l.TraceState().AsRaw())
	}
}

// The address that a proxy has named is that of the client, and the socket's remains that of the peer.
func TestClientBehindAProxy(t *testing.T) {
	b := newBuilder(Options{})
	emitExchange(b, connect(accepted), &protocol.Exchange{Client: netip.MustParseAddrPort("203.0.113.7:4711")})
	_, traces := b.Take()
	got := spansOf(traces)[0].Attributes().AsRaw()
	for key, want := range map[string]any{
		clientAddress: "203.0.113.7", clientPort: int64(4711), netPeerName: "203.0.113.7", netPeerPort: int64(4711),
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	if got[networkPeerAddress] == "203.0.113.7" || got[netSockPeerAddr] == "203.0.113.7" {
		t.Errorf("the socket's peer: %v, %v", got[networkPeerAddress], got[netSockPeerAddr])
	}
}

func keysOf(m pcommon.Map) (keys []string) {
	for key := range m.All() {
		keys = append(keys, key)
	}
	return keys
}

// The caller may reuse an exchange after the call.
func TestBuilderKeepsNothingOfAnExchange(t *testing.T) {
	b := newBuilder(Options{})
	x := get(protocol.Client, "200", "x-team: a")
	emitExchange(b, connect(), x)
	want := ptrace.NewTraces()
	b.traces.CopyTo(want)
	for i := range x.Keys.All() {
		clear(x.Value(i).Text)
		clear(x.Value(i).List)
	}
	var before, after ptrace.JSONMarshaler
	wantJSON, err := before.MarshalTraces(want)
	must(t, err)
	_, traces := b.Take()
	gotJSON, err := after.MarshalTraces(traces)
	must(t, err)
	if string(gotJSON) != string(wantJSON) {
		t.Errorf("got  %s\nwant %s", gotJSON, wantJSON)
	}
	if b.report.exchange != nil || b.report.connection != nil {
		t.Error("the exchange is still referred to")
	}
}

func TestNoExchangeEndsBeforeItStarts(t *testing.T) {
	b := newBuilder(Options{})
	b.Exchanged(connect(), &protocol.Exchange{}, 10, 9)
	_, traces := b.Take()
	if s := spansOf(traces)[0]; s.StartTimestamp() != 10 || s.EndTimestamp() != 10 {
		t.Errorf("from %d to %d", s.StartTimestamp(), s.EndTimestamp())
	}
}

func TestShortTextsAreRemembered(t *testing.T) {
	b := newBuilder(Options{})
	for _, text := range []string{"", "GET", strings.Repeat("x", longestInterned), strings.Repeat("x", longestInterned+1)} {
		raw := []byte(text)
		for range 2 {
			if got := b.interned.of(raw); got != text {
				t.Errorf("%q is remembered as %q", text, got)
			}
		}
		want := 0.0
		if len(text) > longestInterned {
			want = 1
		}
		if got := testing.AllocsPerRun(100, func() { b.interned.of(raw) }); got != want {
			t.Errorf("%d bytes: %v allocations", len(text), got)
		}
	}
	for number := range uint64(1000) { // more than there is room for
		for range 2 {
			if got := b.ids.of(number, b.identity); got != b.identity.connectionID(number) {
				t.Fatalf("%d is remembered as %s", number, got)
			}
		}
	}
}

// A proxy may name a client without its port.
func TestClientThatAProxyNames(t *testing.T) {
	for client, want := range map[string][2]any{
		"203.0.113.7:5050": {"203.0.113.7", int64(5050)}, "203.0.113.7:0": {"203.0.113.7", nil},
	} {
		x := get(protocol.Server, "200")
		x.Client = netip.MustParseAddrPort(client)
		b := newBuilder(Options{})
		emitExchange(b, connect(accepted), x)
		_, traces := b.Take()
		got := spansOf(traces)[0].Attributes().AsRaw()
		for key, value := range map[string]any{
			clientAddress: want[0], clientPort: want[1], netPeerName: want[0], netPeerPort: want[1], networkPeerAddress: "127.0.0.1",
		} {
			if got[key] != value {
				t.Errorf("%s: %s is %v, want %v", client, key, got[key], value)
			}
		}
	}
}
