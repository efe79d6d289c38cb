package otlp

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// mixture emits reports of a host with this many processes, whose requests have URLs of up to so many bytes. It returns how many log
// records and spans they are.
func mixture(b *Builder, processes, longest int) (records, spans int) {
	r := rand.New(rand.NewPCG(1, 2))
	infos := make([]*process.Info, processes)
	for i := range infos {
		info := *curl()
		info.PID = uint32(i + 1)
		info.CommandLine = []string{"curl", string(bytes.Repeat([]byte("a"), r.IntN(300)))}
		infos[i] = &info
	}
	x := ownExchange(protocol.Key{Name: "url.full"}, protocol.Key{Name: "http.response.status_code", Type: protocol.Int},
		protocol.Key{Name: "http.request.header.x", Type: protocol.List})
	x.Parent = protocol.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}, State: "vendor=value"}
	x.Links = []protocol.TraceContext{{TraceID: [16]byte{3}, SpanID: [8]byte{4}, State: "vendor=value"}}
	x.SetInt(1, 200)
	x.SetList(2, []string{"", string(bytes.Repeat([]byte("l"), 200))})
	const reports = 5000
	for range reports {
		c := connect()
		c.Process, c.ID = infos[r.IntN(processes)], r.Uint64()
		switch r.IntN(3) {
		case 0:
			x.SetText(0, bytes.Repeat([]byte("u"), r.IntN(longest+1)))
			b.Exchanged(c, x, c.StartedAt, c.StartedAt+1)
			spans++
		case 1:
			b.Opened(c)
			records++
		default:
			finByPeer(c)
			c.End = socket.End{Way: socket.WayError}
			b.Closed(c)
			records, spans = records+1, spans+1
		}
	}
	return records, spans
}

func TestBatchesKeepTheirBounds(t *testing.T) {
	for name, c := range map[string]struct {
		bounds             Bounds
		processes, longest int
		alone              bool // some items are larger than a batch
	}{
		"items":                           {bounds: Bounds{Items: 10}, processes: 3, longest: 100},
		"one item":                        {bounds: Bounds{Items: 1, Bytes: 64 << 10}, processes: 3, longest: 100},
		"bytes":                           {bounds: Bounds{Bytes: 64 << 10}, processes: 3, longest: 3500},
		"bytes, of many processes":        {bounds: Bounds{Items: 1 << 16, Bytes: 128 << 10}, processes: 2000, longest: 100},
		"bytes, some items are too large": {bounds: Bounds{Bytes: 4 << 10}, processes: 3, longest: 8000, alone: true},
		"bytes, long texts":               {bounds: Bounds{Bytes: 256 << 10}, processes: 3, longest: 60000},
		"both":                            {bounds: Bounds{Items: 40, Bytes: 64 << 10}, processes: 5, longest: 3500},
	} {
		t.Run(name, func(t *testing.T) {
			var records, spans, alone int
			var b *Builder
			check := func(signal string, items, groups, size int, l load) {
				if items != l.items || size > l.bytes || l.bytes-size > 2*maxPrefix*groups+size/6 {
					t.Fatalf("%d %s of %d processes in %d bytes were counted as %+v", items, signal, groups, size, l)
				}
				if c.bounds.Items != 0 && items > c.bounds.Items {
					t.Fatalf("%d %s", items, signal)
				}
				if c.bounds.Bytes == 0 || size <= c.bounds.Bytes {
					return
				}
				if alone++; items > 1 || !c.alone {
					t.Fatalf("%d %s in %d bytes", items, signal, size)
				}
			}
			take := func() {
				of := [...]load{b.records, b.spans}
				logs, traces := b.Take()
				check("records", logs.LogRecordCount(), logs.ResourceLogs().Len(), (&plog.ProtoMarshaler{}).LogsSize(logs), of[0])
				check("spans", traces.SpanCount(), traces.ResourceSpans().Len(), (&ptrace.ProtoMarshaler{}).TracesSize(traces), of[1])
				records, spans = records+logs.LogRecordCount(), spans+traces.SpanCount()
			}
			full := 0
			b = newBuilder(Options{Bounds: c.bounds, AttributeLength: 1 << 16, Omitted: []string{}, ConnectionSpans: SpansAlways, ScopeName: "scope", Full: func() {
				full++
				if most := max(b.records.items, b.spans.items); most < c.bounds.Items && max(b.records.bytes, b.spans.bytes) < c.bounds.Bytes/2 && !c.alone {
					t.Fatalf("only %+v and %+v are in a batch that is taken for full", b.records, b.spans)
				}
				take()
			}})
			emittedRecords, emittedSpans := mixture(b, c.processes, c.longest)
			take()
			if records != emittedRecords || spans != emittedSpans {
				t.Errorf("%d records and %d spans are in batches, want %d and %d", records, spans, emittedRecords, emittedSpans)
			}
			if full < 10 || c.alone == (alone == 0) {
				t.Errorf("%d batches were full, %d of one item that is too large", full, alone)
			}
		})
	}
}
