package otlp

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// hostileTexts are what programs may call themselves, their files and their sockets, and what peers may send.
var hostileTexts = []string{
	"nginx\nERROR root logged in", "\r\x1b[2J\x1b[31m", "\x9b31m", "\u0085\u009b2J", "gpj.\u202eexe", "\u2066\u2028", "\xff\xfe\xc3(", "\x00", "\x7f\b\a",
	strings.Repeat("\xff\n", 3000), strings.Repeat("é\x1b", 3000),
}

// setTexts sets every text that a value has, by whatever way, to the same. So a member that is added tomorrow is tested, too.
func setTexts(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		if !v.IsNil() {
			setTexts(v.Elem(), text)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			setTexts(v.Index(i), text)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				setTexts(v.Field(i), text)
			}
		}
	}
}

// hostileProcess has this text wherever a process has one.
func hostileProcess(text string) *process.Info {
	info := redis()
	info.CommandLine = []string{"a", "b"}
	setTexts(reflect.ValueOf(info).Elem(), text)
	info.Executable = "/" + text // only a path has a name
	return info
}

func hostileExchange(text string) *protocol.Exchange {
	x := ownExchange(protocol.Key{Name: "own.text"}, protocol.Key{Name: "own.list", Type: protocol.List})
	x.Links = []protocol.TraceContext{{TraceID: [16]byte{1}, SpanID: [8]byte{1}}}
	x.Parent = protocol.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}}
	keys := x.Keys
	x.Keys = nil // these are of the program
	setTexts(reflect.ValueOf(x).Elem(), text)
	x.Keys = keys
	x.SetText(0, []byte(text))
	x.SetList(1, []string{text, "b", text})
	x.Client = netip.MustParseAddrPort("10.0.0.9:1")
	return x
}

// hostileScene emits everything that there is, with this text wherever there is a text.
func hostileScene(b *Builder, text string) {
	for _, transport := range []event.Transport{event.TCP, event.UDP, event.UnixStream} {
		for _, role := range []event.Role{event.RoleUnknown, event.RoleClient, event.RoleServer} {
			c := connect(of(hostileProcess(text)), secured(&protocol.TLS{Offered: []string{"a", "b"}}))
			setTexts(reflect.ValueOf(c.TLS).Elem(), text)
			if transport == event.UnixStream {
				overUnix(text, text, 7)(c)
			}
			c.Transport, c.Role = transport, role
			b.Opened(c)
			b.Exchanged(c, hostileExchange(text), c.StartedAt, c.StartedAt+1)
			ended(socket.WayError, socket.SideRemote, 104)(c)
			b.Closed(c)
			b.Failed(c)
		}
	}
}

// textsOf calls see with every text of a batch, and the place where it is.
func textsOf(logs plog.Logs, traces ptrace.Traces, see func(where, text string)) {
	resource := func(r pcommon.Resource, schema string) {
		see("schema", schema)
		textsOfMap(r.Attributes(), see)
	}
	scope := func(s pcommon.InstrumentationScope) {
		see("scope name", s.Name())
		see("scope version", s.Version())
		textsOfMap(s.Attributes(), see)
	}
	for _, rl := range logs.ResourceLogs().All() {
		resource(rl.Resource(), rl.SchemaUrl())
		for _, sl := range rl.ScopeLogs().All() {
			scope(sl.Scope())
		}
	}
	for _, r := range recordsOf(logs) {
		see("body", r.Body().AsString())
		see("event", r.EventName())
		see("severity", r.SeverityText())
		textsOfMap(r.Attributes(), see)
	}
	for _, rs := range traces.ResourceSpans().All() {
		resource(rs.Resource(), rs.SchemaUrl())
		for _, ss := range rs.ScopeSpans().All() {
			scope(ss.Scope())
		}
	}
	for _, s := range spansOf(traces) {
		see("span", s.Name())
		see("status", s.Status().Message())
		see("state", s.TraceState().AsRaw())
		textsOfMap(s.Attributes(), see)
		for _, l := range s.Links().All() {
			see("link", l.TraceState().AsRaw())
			textsOfMap(l.Attributes(), see)
		}
		for _, e := range s.Events().All() {
			see("event", e.Name())
			textsOfMap(e.Attributes(), see)
		}
	}
}

func textsOfMap(m pcommon.Map, see func(where, text string)) {
	for key, v := range m.All() {
		see("key", key)
		textsOfValue(key, v, see)
	}
}

func textsOfValue(key string, v pcommon.Value, see func(where, text string)) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		see(key, v.Str())
	case pcommon.ValueTypeSlice:
		for _, element := range v.Slice().All() {
			textsOfValue(key, element, see)
		}
	case pcommon.ValueTypeMap:
		textsOfMap(v.Map(), see)
	}
}

func TestNothingUnsoundIsEmitted(t *testing.T) {
	for _, text := range hostileTexts {
		b := NewBuilder(Options{
			Records: RecordAll, Traces: true, ConnectionSpans: SpansAlways,
			ScopeName: text, ScopeVersion: text,
		})
		hostileScene(b, text)
		seen := 0
		logs, traces := b.Take()
		textsOf(logs, traces, func(where, got string) {
			seen++
			if !isSound(got) {
				t.Errorf("%q: %s has %q", text, where, got)
			}
		})
		if want := 9 * 4 * 20; seen < want {
			t.Errorf("%d texts, want %d at least: the scene has lost something", seen, want)
		}
	}
}
