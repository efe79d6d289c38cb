package redis

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
	"get":      {cmd("GET", "key:1"), "$3\r\nabc\r\n", 1},
	"pipeline": {strings.Repeat(cmd("SET", "key:1", "value")+cmd("EVALSHA", "abc", "1", "k"), 8), strings.Repeat(ok+"-WRONGTYPE x\r\n", 8), 16},
	"lrange":   {cmd("LRANGE", "l", "0", "99"), "*100\r\n" + strings.Repeat("$3\r\nabc\r\n", 100), 1},
	"message":  {cmd("PING"), ">3\r\n+message\r\n+a\r\n+b\r\n+PONG\r\n", 1},
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
