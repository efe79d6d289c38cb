package postgres

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

const second = 1_000_000_000

// Gaps are between calls, so these are not played in pieces.
func TestParserGoesOnAfterGaps(t *testing.T) {
	const get = "SELECT a FROM t"
	prepare := []step{c(parse("s", get), sync), s(parseDone, idle)}
	use := []step{c(bind("", "s"), execute("", 0), sync), s(bindDone, tag("SELECT 0"), idle)}
	simple := []step{c(query(get)), s(columns, tag("SELECT 0"), idle)}
	bigRow := "D\x00\x00\x10\x00"
	// hidden is a call of which the beginning of a Bind was captured: so many bytes follow that message.
	hidden := func(behind uint64) []step {
		return []step{c("B\x00\x00\x10\x00\x00s\x00\x00"), protocoltest.Missing(protocol.FromClient, 0x1000-4-4+behind, protocol.Truncated)}
	}
	all := func(parts ...[]step) (steps []step) {
		for _, p := range parts {
			steps = append(steps, p...)
		}
		return steps
	}
	for name, x := range map[string]struct {
		joined   bool
		steps    []step
		want     []string
		unpaired int
	}{
		"within a row":                              {false, all(login, []step{c(query(get)), s(columns, bigRow), protocoltest.Missing(protocol.FromServer, 0x1000-4, protocol.Skipped), s(tag("SELECT 1"), idle)}), []string{get + " returned_rows=1"}, 0},
		"within a row, lost":                        {false, all(login, []step{c(query(get)), s(columns, bigRow), protocoltest.Missing(protocol.FromServer, 0x1000-4, protocol.Lost), s(tag("SELECT 1"), idle)}), []string{get + " returned_rows=1"}, 0},
		"within a query":                            {false, all(login, []step{c("Q\x00\x00\x10\x00SELECT a, 'x"), protocoltest.Missing(protocol.FromClient, 0x1000-4-12, protocol.Truncated), s(columns, tag("SELECT 0"), idle)}), []string{"SELECT a, ? ... capture=1 returned_rows=0"}, 0},
		"within a query, lost":                      {false, all(login, []step{c("Q\x00\x00\x10\x00SELECT a, 'x"), protocoltest.Missing(protocol.FromClient, 0x1000-4-12, protocol.Lost), s(columns, tag("SELECT 0"), idle)}), []string{"SELECT a, ? ... capture=2 returned_rows=0"}, 0},
		"within parameters":                         {false, all(login, prepare, []step{c("B\x00\x00\x10\x00\x00s\x00\x00"), protocoltest.Missing(protocol.FromClient, 0x1000-4-4, protocol.Skipped), c(execute("", 0), sync), s(bindDone, tag("SELECT 0"), idle)}), []string{get + " returned_rows=0"}, 0},
		"within parameters, to the end of the call": {false, all(login, prepare, hidden(22), []step{s(bindDone, columns, row, tag("SELECT 1"), idle)}, use), []string{get + " returned_rows=1", get + " returned_rows=0"}, 0},
		"within parameters, to the end of a call that is short": {false, all(login, prepare, hidden(15), []step{s(bindDone, tag("SELECT 0"), idle)}, use), []string{get + " returned_rows=0", get + " returned_rows=0"}, 0},
		"within parameters that are refused":                    {false, all(login, prepare, hidden(22), []step{s(failure("22P02"), idle)}, use), []string{get + " status_code=22P02", get + " returned_rows=0"}, 0},
		"within parameters, and another statement":              {false, all(login, prepare, hidden(60), []step{s(bindDone, tag("SELECT 0"), parseDone, bindDone, tag("UPDATE 0"), idle)}, simple), []string{get + " capture=1 returned_rows=0", get + " capture=2 returned_rows=0"}, 1},
		"within parameters, and what fails":                     {false, all(login, prepare, hidden(60), []step{s(bindDone, failure("23505"), idle)}), []string{get + " capture=1 status_code=23505"}, 0},
		"within parameters, and no execution":                   {false, all(login, prepare, hidden(12), []step{s(bindDone, columns, idle)}), nil, 0},
		"within parameters, and no end of the cycle": {false, all(login, prepare, hidden(15), []step{s(bindDone, tag("SELECT 0"))}, use, []step{{Bytes: query(get), Silence: second}, s(columns, tag("SELECT 0"), idle)}),
			[]string{get + " returned_rows=0", get + " capture=1 unanswered", get + " returned_rows=0"}, 1},
		"within a statement's name": {false, all(login, prepare, []step{c("B\x00\x00\x10\x00\x00"), protocoltest.Missing(protocol.FromClient, 0x1000-4-1, protocol.Truncated), c(execute("", 0), sync), s(bindDone, tag("UPDATE 0"), idle)}), []string{"(UPDATE)"}, 0},
		"of an answer":              {false, all(login, []step{c(query(get)), protocoltest.Missing(protocol.FromServer, 40, protocol.Lost)}, simple), []string{get + " capture=2 unanswered", get + " capture=2 returned_rows=0"}, 0},
		"of a part of an answer":    {false, all(login, []step{c(query(get)), s(columns), protocoltest.Missing(protocol.FromServer, 40, protocol.Lost), s(row, tag("SELECT 9"), idle)}, simple), []string{get + " capture=2", get + " capture=2 returned_rows=0"}, 0},
		"of an execute":             {false, all(login, prepare, []step{protocoltest.Missing(protocol.FromClient, 40, protocol.Lost), s(bindDone, row, tag("SELECT 1"), idle)}, use), []string{"(SELECT) capture=2 returned_rows=0"}, 1},
		"within a cycle":            {false, all(login, []step{c(parse("", get), bind("", "")), protocoltest.Missing(protocol.FromClient, 15, protocol.Lost), s(parseDone, bindDone, tag("SELECT 0"), idle)}, simple), []string{get + " capture=2 returned_rows=0", get + " capture=2 returned_rows=0"}, 0},
		"of a prepare":              {false, all(login, prepare, []step{protocoltest.Missing(protocol.FromClient, 40, protocol.Lost), s(parseDone, idle)}, use, prepare, use), []string{"(SELECT) capture=2 returned_rows=0", get + " capture=2 returned_rows=0"}, 1},
		"of the login":              {false, all([]step{protocoltest.Missing(protocol.FromClient, 40, protocol.Lost)}, simple), []string{get + " capture=2 db=unknown returned_rows=0"}, 0},
		"of a welcome":              {false, all([]step{c(startup("user", "u", "database", "db")), protocoltest.Missing(protocol.FromServer, 99, protocol.Lost)}, simple), []string{get + " capture=2 returned_rows=0"}, 0},

		"joined":                       {true, all(simple, simple), []string{get + " capture=3 db=unknown returned_rows=0", get + " capture=3 db=unknown returned_rows=0"}, 0},
		"joined, what was prepared":    {true, all(use, prepare, use), []string{"(SELECT) capture=3 db=unknown returned_rows=0", get + " capture=3 db=unknown returned_rows=0"}, 0},
		"joined in the midst of rows":  {true, all([]step{s(secret + "xxx"), s(row, row, tag("SELECT 9"), idle)}, simple), []string{get + " capture=3 db=unknown returned_rows=0"}, 0},
		"joined, after a silence":      {true, all([]step{s(row)}, []step{{Bytes: query(get), Silence: second}, s(columns, tag("SELECT 0"), idle)}), []string{get + " db=unknown returned_rows=0"}, 0},
		"joined within a query":        {true, all([]step{c("CT secret FROM x\x00")}, []step{s(columns, row, tag("SELECT 1"), idle)}, simple), []string{get + " capture=3 db=unknown returned_rows=0"}, 0},
		"joined in the data of a copy": {true, all([]step{c(data, data), c(data, copied), s(tag("COPY 9"), idle)}, simple), []string{get + " capture=3 db=unknown returned_rows=0"}, 0},
		"joined, a listener":           {true, []step{s(msg('A', number(7), "ch\x00", secret, "\x00"))}, []string{"NOTIFY ch, ? db=unknown pushed"}, 0},
		"joined, only an answer":       {true, []step{s(columns, row, tag("SELECT 1"), idle)}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := play(x.steps, protocol.Session{Joined: x.joined}, 0)
			p.Close(0)
			if got := briefs(r); got != strings.Join(x.want, "\n") {
				t.Errorf("%s\nwant:\n%s", got, strings.Join(x.want, "\n"))
			}
			if r.Errors != [protocol.ParseErrors]int{protocol.Unpaired: x.unpaired} {
				t.Errorf("errors %v, want %d unpaired", r.Errors, x.unpaired)
			}
			ended(t, p, r)
		})
	}
}

func TestCloseEndsOutstandingStatements(t *testing.T) {
	for name, x := range map[string]struct {
		side   protocol.Side
		ending protocol.Ending
		want   string
	}{
		"in good order": {protocol.Client, protocol.Ending{}, "SELECT ? error=connection_closed unanswered"},
		"by the client": {protocol.Client, protocol.Ending{ByClient: true}, "SELECT ? error=canceled unanswered"},
		"broken":        {protocol.Client, protocol.Ending{Errno: 104}, "SELECT ? errno=104 unanswered"},
		"not known":     {protocol.Client, protocol.Ending{Unknown: true}, "SELECT ? capture=2 unanswered"},
		"cut":           {protocol.Client, protocol.Ending{Unknown: true, Cut: true}, "SELECT ? capture=4 unanswered"},
	} {
		p, r := play(append(login[:len(login):len(login)], c(query("SELECT 1"))), protocol.Session{Side: x.side}, 0)
		x.ending.At = protocol.Stamp{Time: p.Time + 1, Began: p.Time + 1}
		p.Parser.Close(x.ending)
		if got := briefs(r); got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
}

// TestAnswerSeenBeforeItsRequest: two threads share the socket, and the kernel has seen the one that reads first.
func TestAnswerSeenBeforeItsRequest(t *testing.T) {
	parser, r := protocoltest.New(Protocol(), protocol.Session{}, limits, nil)
	stamp := func(at, began uint64) protocol.Stamp { return protocol.Stamp{Time: at, Began: began, PID: 1, TID: 1} }
	at := uint64(0)
	send := func(x step) {
		at += 10
		parser.Data(&protocol.Chunk{Direction: x.Direction, Bytes: []byte(x.Bytes), Stamp: stamp(at, 1)})
	}
	for _, x := range login {
		send(x)
	}
	for range 3 {
		send(s(parseDone, bindDone, columns, row, row, tag("SELECT 2"), idle))
		send(c(parse("", "SELECT a FROM t"), bind("", ""), describe("P", "")))
		send(c(execute("", 0), sync))
	}
	parser.Close(protocol.Ending{At: stamp(at+1, at+1)})
	if got := briefs(r); got != strings.TrimSuffix(strings.Repeat("SELECT a FROM t returned_rows=2\n", 3), "\n") || r.Errors != [protocol.ParseErrors]int{} {
		t.Errorf("%s, errors %v", got, r.Errors)
	}
}
