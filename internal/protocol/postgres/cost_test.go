package postgres

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// costs are turns of a conversation, each with the number of its statements.
var costs = map[string]struct {
	requests, answers string
	statements        int
}{
	"simple":   {query("SELECT abalance FROM pgbench_accounts WHERE aid = 12345"), columns + row + tag("SELECT 1") + idle, 1},
	"extended": {parse("", "SELECT abalance FROM pgbench_accounts WHERE aid = $1") + bind("", "") + describe("P", "") + execute("", 0) + sync, parseDone + bindDone + columns + row + tag("SELECT 1") + idle, 1},
	"prepared": {bind("", "p") + describe("P", "") + execute("", 0) + sync, bindDone + columns + row + tag("SELECT 1") + idle, 1},
	"pipeline": {strings.Repeat(bind("", "p")+describe("P", "")+execute("", 0), 16) + sync, strings.Repeat(bindDone+columns+row+tag("SELECT 1"), 16) + idle, 16},
	"portals":  {parse("s_1", "SELECT 1") + bind("c_1", "s_1") + execute("c_1", 0) + closing("P", "c_1") + closing("S", "s_1") + sync, parseDone + bindDone + tag("SELECT 1") + closeDone + closeDone + idle, 1},
	"rows":     {query("SELECT a FROM t"), columns + strings.Repeat(row, 100) + tag("SELECT 100") + idle, 1},
	"error":    {query("SELECT a FROM nope"), failure("42P01") + idle, 1},
	"several":  {query("BEGIN; UPDATE t SET a = 1; COMMIT"), tag("BEGIN") + tag("UPDATE 1") + tag("COMMIT") + idle, 3},
}

func turn(requests, answers string, piece int) func() {
	return protocoltest.Turn(Protocol(), limits, protocol.Client, append(login[:len(login):len(login)], preparation("p")...), requests, answers, piece)
}

// preparation prepares a statement.
func preparation(name string) []step {
	return []step{c(parse(name, "SELECT abalance FROM pgbench_accounts WHERE aid = $1"), sync), s(parseDone, idle)}
}

func TestExchangesNeedNoAllocation(t *testing.T) {
	for name, x := range costs {
		for _, piece := range []int{1 << 20, 5} {
			if n := testing.AllocsPerRun(100, turn(x.requests, x.answers, piece)); n != 0 {
				t.Errorf("%s in pieces of %d: %v allocations", name, piece, n)
			}
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	for name, x := range costs {
		b.Run(name, func(b *testing.B) {
			run := turn(x.requests, x.answers, 1<<20)
			b.SetBytes(int64(len(x.requests) + len(x.answers)))
			for b.Loop() {
				run()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*x.statements), "ns/statement")
		})
	}
}
