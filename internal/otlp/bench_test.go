package otlp

import (
	"net/netip"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// benchmarkBatch is 64 connections between two processes of one host, seen from both ends.
func benchmarkBatch(end socket.End) []socket.Connection {
	client, server := curl(), nginx()
	batch := make([]socket.Connection, 64)
	for i := range batch {
		near := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i / 4)}), uint16(40000+i))
		far := netip.MustParseAddrPort("10.0.1.7:443")
		c := socket.Connection{
			ID: uint64(i), Process: client, Local: near, Remote: far, NetNS: 4026531840,
			Role: event.RoleClient, RoleSource: event.RoleSourceConnect, AddressSource: event.AddressSourceSock,
			StartedAt: 1_700_000_000_000_000_000, EndedAt: 1_700_000_001_530_000_000, End: end,
			Stats: event.Ending{
				BytesSent: 1234, BytesReceived: 4_567_890, SegmentsSent: 12, SegmentsReceived: 3210, RTT: 431,
				Retransmits: 1,
			},
		}
		if i%2 == 1 {
			c.Process, c.Local, c.Remote = server, far, near
			c.Role, c.RoleSource = event.RoleServer, event.RoleSourceAccept
		}
		batch[i] = c
	}
	return batch
}

// One operation is one connection.
func benchmarkEmission(b *testing.B, end socket.End, emit func(*Builder, *socket.Connection)) {
	for _, c := range [...]struct {
		name    string
		options Options
	}{
		{"log", Options{Records: RecordAll}},
		{"span", Options{Traces: true}},
		{"both", Options{Records: RecordAll, Traces: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			builder, batch := NewBuilder(c.options), benchmarkBatch(end)
			for i := 0; b.Loop(); i++ {
				emit(builder, &batch[i%len(batch)])
				if i%len(batch) == len(batch)-1 {
					builder.Take()
				}
			}
		})
	}
}

func BenchmarkOpened(b *testing.B) {
	benchmarkEmission(b, socket.End{}, (*Builder).Opened)
}

func BenchmarkClosed(b *testing.B) {
	benchmarkEmission(b, socket.End{Way: socket.WayFIN, By: socket.SideRemote}, (*Builder).Closed)
}

// request is what the HTTP parsers make of a request to a server.
func request() *protocol.Exchange {
	x := ownExchange(
		protocol.Key{Name: "http.request.method"}, protocol.Key{Name: "url.scheme"}, protocol.Key{Name: "url.path"},
		protocol.Key{Name: "url.query"}, protocol.Key{Name: "user_agent.original"},
		protocol.Key{Name: "http.response.status_code", Type: protocol.Int},
	)
	x.Protocol, x.Version, x.Name, x.Server, x.ServerPort = "http", "1.1", "GET", "shop.example.com", 8080
	x.Parent = protocol.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Flags: 1}
	for i, value := range []string{"GET", "http", "/api/v1/items/42", "page=2", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"} {
		x.SetText(i, []byte(value))
	}
	x.SetInt(5, 200)
	return x
}

// One operation is one exchange.
func BenchmarkExchange(b *testing.B) {
	for _, c := range [...]struct {
		name      string
		addresses AddressAttributes
		change    func(*socket.Connection)
	}{
		{"both", AddressBoth, func(*socket.Connection) {}},
		{"stable", AddressStable, func(*socket.Connection) {}},
		{"v1.20", AddressV120, func(*socket.Connection) {}},
		{"unix", AddressBoth, overUnix("", "/run/docker.sock", 812)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			builder, batch := NewBuilder(Options{Traces: true, Addresses: c.addresses}), benchmarkBatch(socket.End{})
			for i := range batch {
				c.change(&batch[i])
			}
			x := request()
			for i := 0; b.Loop(); i++ {
				connection := &batch[i%len(batch)]
				connection.Exchanges++
				builder.Exchanged(connection, x, connection.StartedAt, connection.StartedAt+1e6)
				if i%len(batch) == len(batch)-1 {
					builder.Take()
				}
			}
		})
	}
}

// One operation is one exchange whose place in a trace is found when the batch is taken.
func BenchmarkExchangeInATrace(b *testing.B) {
	begins, wire := trace.Parent{Trace: highTrace, Flags: 3}, trace.Parent{Trace: [16]byte{7}, Span: [8]byte{8}, Flags: 1, Source: trace.SourceWire, Wire: true}
	for _, c := range [...]struct {
		name   string
		policy sampling.Policy
		parent trace.Parent
	}{
		{"begins", sampling.Policy{HonourParent: true}, begins},
		{"wire", sampling.Policy{HonourParent: true}, wire},
		{"chosen", sampling.Policy{Threshold: half}, begins},
		{"left out", sampling.Policy{Threshold: sampling.KeepNone}, begins},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			builder, batch := NewBuilder(Options{
				Traces: true, Sampling: c.policy, Resolve: func(trace.ExchangeKey) (trace.Parent, bool) { return c.parent, true },
			}), benchmarkBatch(socket.End{})
			x := request()
			for i := 0; b.Loop(); i++ {
				connection := &batch[i%len(batch)]
				connection.Exchanges++
				connection.Key = trace.ExchangeKey{Socket: uint64(i)}
				builder.Exchanged(connection, x, connection.StartedAt, connection.StartedAt+1e6)
				if i%len(batch) == len(batch)-1 {
					builder.Take()
				}
			}
		})
	}
}

func BenchmarkFailed(b *testing.B) {
	benchmarkEmission(b, socket.End{Way: socket.WayRST, By: socket.SideRemote}, (*Builder).Failed)
}

// BenchmarkFloor measures what pdata alone costs: it copies the same records. pdata allocates each Value by itself.
func BenchmarkFloor(b *testing.B) {
	builder := NewBuilder(Options{Records: RecordAll, Traces: true})
	batch := benchmarkBatch(socket.End{Way: socket.WayFIN, By: socket.SideRemote})
	builder.Closed(&batch[0])
	logs, traces := builder.Take()
	b.Run("log", func(b *testing.B) {
		b.ReportAllocs()
		record := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		copies := plog.NewLogRecordSlice()
		for i := 0; b.Loop(); i++ {
			if i%len(batch) == 0 {
				copies = plog.NewLogRecordSlice()
			}
			record.CopyTo(copies.AppendEmpty())
		}
	})
	b.Run("span", func(b *testing.B) {
		b.ReportAllocs()
		span := traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		copies := ptrace.NewSpanSlice()
		for i := 0; b.Loop(); i++ {
			if i%len(batch) == 0 {
				copies = ptrace.NewSpanSlice()
			}
			span.CopyTo(copies.AppendEmpty())
		}
	})
	batch[1].Exchanges = 1
	builder.Exchanged(&batch[1], request(), 0, 1)
	_, traces = builder.Take()
	b.Run("exchange", func(b *testing.B) {
		b.ReportAllocs()
		span := traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		copies := ptrace.NewSpanSlice()
		for i := 0; b.Loop(); i++ {
			if i%len(batch) == 0 {
				copies = ptrace.NewSpanSlice()
			}
			span.CopyTo(copies.AppendEmpty())
		}
		b.ReportMetric(float64(span.Attributes().Len()), "attributes")
	})
}

// Each connection belongs to another process, so that each needs a resource of its own.
func BenchmarkClosedByShortLivedProcesses(b *testing.B) {
	b.ReportAllocs()
	builder, batch := NewBuilder(Options{Records: RecordAll}), benchmarkBatch(socket.End{Way: socket.WayFIN})
	for i := range batch {
		batch[i].Process = new(process.Info)
		*batch[i].Process = *curl()
	}
	for i := 0; b.Loop(); i++ {
		builder.Closed(&batch[i%len(batch)])
		if i%len(batch) == len(batch)-1 {
			builder.Take()
		}
	}
}
