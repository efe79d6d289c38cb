package mongodb

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// costs are turns of a conversation, each with the number of its commands.
var costs = map[string]struct {
	request, reply string
	commands       int
}{
	"find":     {find(1), cursor(1, "firstBatch", 1), 1},
	"rows":     {find(1), cursor(1, "firstBatch", 100), 1},
	"insert":   {message(opMsg, 1, 0, n32(0), body(doc(str("insert", "orders"), str("$db", "db"))), sequence("documents", strings.Repeat(doc(str("a", "value")), 100))), answer(1, i32("n", 100), good), 1},
	"error":    {find(1), answer(1, num("ok", 0), i32("code", 59)), 1},
	"pipeline": {find(1) + find(2) + find(3) + find(4), cursor(4, "firstBatch", 1) + cursor(2, "firstBatch", 1) + cursor(1, "firstBatch", 1) + cursor(3, "firstBatch", 1), 4},
	"mute":     {message(opMsg, 1, 0, n32(flagMoreToCome), body(doc(str("insert", "orders")))) + find(2), cursor(2, "firstBatch", 1), 2},
	"snappy":   {packed(compressedSnappy, find(1)), packed(compressedSnappy, cursor(1, "firstBatch", 10)), 1},
	"zstd":     {packed(compressedZstd, find(1)), packed(compressedZstd, cursor(1, "firstBatch", 10)), 1},
}

func turn(request, reply string, piece int) func() {
	return protocoltest.Turn(Protocol(), limits, protocol.Client, nil, request, reply, piece)
}

func TestExchangesNeedNoAllocation(t *testing.T) {
	for name, x := range costs {
		for _, piece := range []int{1 << 20, 5} {
			most := 0.0
			if name == "zstd" { // the library keeps decoders in a sync.Pool, which the race detector has forget some
				most = 4
			}
			if n := testing.AllocsPerRun(100, turn(x.request, x.reply, piece)); n > most {
				t.Errorf("%s in pieces of %d: %v allocations", name, piece, n)
			}
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	for name, x := range costs {
		b.Run(name, func(b *testing.B) {
			run := turn(x.request, x.reply, 1<<20)
			b.SetBytes(int64(len(x.request) + len(x.reply)))
			for b.Loop() {
				run()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*x.commands), "ns/command")
		})
	}
}
