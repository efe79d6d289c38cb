package memcached

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
	"get":      {"get key:1\r\n", "VALUE key:1 0 3\r\nabc\r\nEND\r\n", 1},
	"set":      {"set key:1 0 0 3\r\nabc\r\n", stored, 1},
	"pipeline": {strings.Repeat("get key:1\r\n", 16), strings.Repeat("END\r\n", 16), 16},
	"meta":     {"mg a q v O1\r\nmg b q v O2\r\nmn\r\n", "VA 1 O2\r\nx\r\nMN\r\n", 3},
	"error":    {"incr key:1 1\r\n", "CLIENT_ERROR cannot increment\r\n", 1},
	"binary":   {req(9, "", "a", "", 1) + req(0x11, extras, "b", "x", 2) + req(noop, "", "", "", 3), res(9, 0, "x", 1) + res(noop, 0, "", 3), 3},
}

func turn(request, reply string, piece int) func() {
	return protocoltest.Turn(Protocol(), limits, protocol.Client, nil, request, reply, piece)
}

func TestExchangesNeedNoAllocation(t *testing.T) {
	for name, x := range costs {
		for _, piece := range []int{1 << 20, 5} {
			if n := testing.AllocsPerRun(100, turn(x.request, x.reply, piece)); n != 0 {
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
