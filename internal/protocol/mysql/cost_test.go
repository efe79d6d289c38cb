package mysql

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
	"select":   {query("SELECT a FROM t WHERE b = 'some text' AND c = 5"), oneRow, 1},
	"rows":     {query("SELECT a FROM t"), pkts(1, append(append([]string{"\x01", column("a"), eof(2)}, strings.Split(strings.Repeat("\x05value,", 99)+"\x05value", ",")...), eof(2))...), 1},
	"error":    {query("SELECT a FROM nowhere"), pkt(1, fail(1146, "#42S02Table does not exist")), 1},
	"prepared": {cmd(0x16, "SELECT a FROM t WHERE b = ?") + execute(1, "") + cmd(0x19, little(1, 4)), pkts(1, preparedOK(1, 1, 1), column("?"), eof(2), column("a"), eof(2)) + oneRow, 3},
}

func turn(request, reply string, piece int) func() {
	return protocoltest.Turn(Protocol(), limits, protocol.Client, login(caps, "shop"), request, reply, piece)
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
