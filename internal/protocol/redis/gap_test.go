package redis

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

const second = 1_000_000_000

// Gaps are between calls, so these are not played in pieces.
func TestParserGoesOnAfterGaps(t *testing.T) {
	get := cmd("GET", "k")
	pair := []step{c(get), s(null)}
	var pairs []step
	for range 6 {
		pairs = append(pairs, pair...)
	}
	set := "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\n"
	for name, x := range map[string]struct {
		joined   bool
		steps    []step
		want     []string
		unpaired int
	}{
		"within a value that is sent":       {false, []step{c(set + "abc"), protocoltest.Missing(protocol.FromClient, 999, protocol.Skipped), c(get), s(ok + null)}, []string{"SET k ?", "GET k"}, 0},
		"at the end of a command":           {false, []step{c(set), protocoltest.Missing(protocol.FromClient, 1002, protocol.Lost), s(ok), c(get), s(null)}, []string{"SET k ?", "GET k"}, 0},
		"within a value that is received":   {false, []step{c(get + get), s("$1000\r\nab"), protocoltest.Missing(protocol.FromServer, 1000, protocol.Truncated), s(null)}, []string{"GET k", "GET k"}, 0},
		"within a key":                      {false, []step{c("*2\r\n$3\r\nGET\r\n$9\r\nab"), protocoltest.Missing(protocol.FromClient, 9, protocol.Truncated), s(null)}, []string{"GET ? capture=1"}, 0},
		"within the name":                   {false, []step{c("*2\r\n$3\r\nG"), protocoltest.Missing(protocol.FromClient, 4, protocol.Truncated), c("$1\r\nk\r\n"), s(null)}, []string{"_OTHER|? ? capture=1"}, 0},
		"beyond a command":                  {false, []step{c("*2\r\n$3\r\nGET\r\n$9\r\nab"), protocoltest.Missing(protocol.FromClient, 99, protocol.Lost), s(null), c(get), s(null)}, []string{"GET ? capture=2 db=unknown", "GET k capture=2 db=unknown"}, 0},
		"of a reply":                        {false, []step{c(get), protocoltest.Missing(protocol.FromServer, 9, protocol.Lost), c(get), s(null)}, []string{"GET k capture=2 unanswered", "GET k capture=2"}, 0},
		"of a reply's beginning":            {false, []step{c(get), protocoltest.Missing(protocol.FromServer, 9, protocol.Truncated), s("rest\r\n"), c(get), s(null)}, []string{"GET k capture=1 unanswered", "GET k"}, 0},
		"of SELECT's reply":                 {false, []step{c(cmd("SELECT", "1")), protocoltest.Missing(protocol.FromServer, 5, protocol.Lost), c(get), s(null)}, []string{"SELECT 1 capture=2 db=unknown unanswered", "GET k capture=2 db=unknown"}, 0},
		"of commands":                       {false, []step{protocoltest.Missing(protocol.FromClient, 30, protocol.Lost), s(null), c(get), s(null)}, []string{"GET k capture=2 db=unknown"}, 1},
		"of commands whose replies come":    {false, []step{c(get), protocoltest.Missing(protocol.FromClient, 30, protocol.Lost), s(null), s(null), c(get), s(null)}, []string{"GET k db=unknown", "GET k capture=2 db=unknown"}, 1},
		"a pipeline goes astray":            {false, []step{c(get + get), protocoltest.Missing(protocol.FromServer, 9, protocol.Lost), c(get), s(null), c(get), s(null)}, []string{"GET k capture=2 unanswered", "GET k capture=2 unanswered"}, 2 + 2},
		"a silence ends that":               {false, []step{c(get + get), protocoltest.Missing(protocol.FromServer, 9, protocol.Lost), {Bytes: get, Silence: second}, s(null)}, []string{"GET k capture=2 unanswered", "GET k capture=2 unanswered", "GET k"}, 0},
		"a pipeline's last certain replies": {false, []step{c(get + get), protocoltest.Missing(protocol.FromClient, 9, protocol.Lost), s(null + null + null), c(get), s(null)}, []string{"GET k db=unknown", "GET k db=unknown"}, 1 + 2},
		"joined":                            {true, append([]step{s("alue\r\n"), c("lue\r\n"), s(ok)}, pairs...), strings.Split(strings.Repeat("GET k capture=3 db=unknown,", 5)+"GET k capture=3 db=unknown", ","), 0},
		"joined, database later":            {true, []step{c(cmd("SELECT", "2")), s(ok), c(get), s(null)}, []string{"SELECT 2 capture=3 db=unknown", "GET k capture=3 db=2"}, 0},
		"joined, certain after a silence":   {true, []step{c(cmd("SELECT", "2")), s(ok), {Bytes: get, Silence: second}, s(null), c(get), s(null)}, []string{"SELECT 2 capture=3 db=unknown", "GET k db=unknown", "GET k db=unknown"}, 0},
		"joined, a silence before a reply":  {true, []step{c(get), {Direction: protocol.FromServer, Bytes: null, Silence: second}, c(get), s(null)}, []string{"GET k capture=3 db=unknown", "GET k capture=3 db=unknown"}, 0},
		"joined, a subscriber":              {true, []step{s("xyz\r\n"), s(cmd("message", "a", "secret")), s(">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n")}, []string{"message a ? pushed", "message a ? pushed"}, 0},
		"joined, a replica":                 {true, []step{s(cmd("SET", "k", "v")), c(cmd("REPLCONF", "ACK", "1")), s(cmd("PING"))}, nil, 0},
		"joined, pipelining":                {true, []step{c(get + get), s(null + null), {Bytes: get, Silence: second}, s(null)}, []string{"GET k capture=2 db=unknown unanswered", "GET k db=unknown"}, 1},
		"of a message":                      {false, []step{c(cmd("SUBSCRIBE", "a")), s(confirm("subscribe", "a", 1)), s("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nx"), protocoltest.Missing(protocol.FromServer, 50, protocol.Lost), s(cmd("message", "a", "y"))}, []string{"SUBSCRIBE a", "message a ? pushed", "message a ? pushed"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := play(x.steps, protocol.Session{Joined: x.joined}, 0)
			p.Close(0)
			if got := briefs(r); got != strings.Join(x.want, "\n") {
				t.Errorf("%s\nwant:\n%s", got, strings.Join(x.want, "\n"))
			}
			if r.Errors != [protocol.ParseErrors]int{protocol.Unpaired: x.unpaired} || len(r.Open) > 0 {
				t.Errorf("errors %v, want %d unpaired; open: %v", r.Errors, x.unpaired, r.Open)
			}
		})
	}
}

func TestCloseEndsOutstandingCommands(t *testing.T) {
	for name, x := range map[string]struct {
		side   protocol.Side
		ending protocol.Ending
		want   string
	}{
		"in good order":            {protocol.Client, protocol.Ending{}, "GET k error=connection_closed unanswered"},
		"by the client":            {protocol.Client, protocol.Ending{ByClient: true}, "GET k error=canceled unanswered"},
		"by the client's one half": {protocol.Server, protocol.Ending{ByClient: true}, "GET k error=connection_closed unanswered"},
		"broken":                   {protocol.Client, protocol.Ending{Errno: 104}, "GET k errno=104 unanswered"},
		"not known":                {protocol.Client, protocol.Ending{Unknown: true}, "GET k capture=2 unanswered"},
		"cut":                      {protocol.Client, protocol.Ending{Unknown: true, Cut: true}, "GET k capture=4 unanswered"},
	} {
		p, r := play([]step{c(cmd("GET", "k"))}, protocol.Session{Side: x.side}, 0)
		x.ending.At.Time = p.Time + 5
		p.Parser.Close(x.ending)
		if got := briefs(r); got != x.want || r.Exchanges[0].End.Time != p.Time+5 {
			t.Errorf("%s: %s, want %s; %+v", name, got, x.want, r.Exchanges[0].End)
		}
	}
	p, r := play([]step{c(cmd("SUBSCRIBE", "a")), s(confirm("subscribe", "a", 1))}, protocol.Session{}, 0)
	p.Close(104)
	if got := briefs(r); got != "SUBSCRIBE a" {
		t.Errorf("a subscriber that is cut off: %s", got)
	}
	p, r = play([]step{c(cmd("SUBSCRIBE", "a")), s(confirm("subscribe", "a", 1) + "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n")}, protocol.Session{}, 0)
	p.Close(104)
	if got := briefs(r); got != "SUBSCRIBE a\nmessage a errno=104 pushed" {
		t.Errorf("a message that is cut off: %s", got)
	}
}

func TestStampsAreThoseOfTheFirstAndLastBytes(t *testing.T) {
	p, r := play([]step{c("*2\r\n$3\r\nGET\r\n$1\r\n"), c("k\r\n" + cmd("PING")), s("$3\r\na"), s("bc\r\n+PONG\r\n")}, protocol.Session{}, 0)
	p.Close(0)
	x := r.Exchanges[0]
	got := [...][2]uint64{
		{x.Start.Time, x.Start.Position}, {x.RequestEnd.Time, x.RequestEnd.Position},
		{x.ResponseStart.Time, x.ResponseStart.Position}, {x.End.Time, x.End.Position},
	}
	if want := [...][2]uint64{{1000, 0}, {2000, 19}, {3000, 0}, {4000, 8}}; got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if y := r.Exchanges[1]; y.Start.Position != 20 || y.ResponseStart.Position != 9 || y.ID != 2 || x.ID != 1 {
		t.Errorf("%+v", y)
	}
}

func TestReplySeenBeforeItsCommandIsPaired(t *testing.T) {
	for name, x := range map[string]struct{ early, late, request, want string }{
		"whole":             {"$1\r\nv\r\n", "", cmd("GET", "k"), "GET k\nPING"},
		"beginning":         {"$1\r\n", "v\r\n", cmd("GET", "k"), "GET k\nPING"},
		"error":             {"-ERR x\r\n", "", cmd("GET", "k"), "GET k response.status_code=ERR\nPING"},
		"subscription":      {confirm("subscribe", "a", 1), "", cmd("SUBSCRIBE", "a"), "SUBSCRIBE a\nPING"},
		"subscription half": {confirm("subscribe", "a", 1), confirm("subscribe", "b", 2), cmd("SUBSCRIBE", "a", "b"), "SUBSCRIBE a b\nPING"},
		"database":          {ok, "", cmd("SELECT", "4"), "SELECT 4\nPING db=4"},
	} {
		t.Run(name, func(t *testing.T) {
			parser, r := protocoltest.New(Protocol(), protocol.Session{}, limits, nil)
			send := func(d protocol.Direction, bytes string, began, at, position uint64) {
				if bytes != "" {
					parser.Data(&protocol.Chunk{Direction: d, Bytes: []byte(bytes), Stamp: protocol.Stamp{Time: at, Began: began, Position: position}})
				}
			}
			send(protocol.FromServer, x.early, 20, 20, 0)
			send(protocol.FromClient, x.request, 10, 30, 0)
			send(protocol.FromServer, x.late, 31, 31, uint64(len(x.early)))
			send(protocol.FromClient, cmd("PING"), 40, 40, uint64(len(x.request)))
			send(protocol.FromServer, "+PONG\r\n", 50, 50, uint64(len(x.early)+len(x.late)))
			parser.Close(protocol.Ending{})
			if got := briefs(r); got != x.want || r.Errors != [protocol.ParseErrors]int{} {
				t.Errorf("%s\nwant:\n%s\n%v", got, x.want, r.Errors)
			}
		})
	}
}

func TestDemandLeavesValuesOut(t *testing.T) {
	for name, x := range map[string]struct {
		steps []step
		d     protocol.Direction
		want  uint64
	}{
		"value that is sent":     {[]step{c("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\nabc")}, protocol.FromClient, 999},
		"script":                 {[]step{c("*3\r\n$4\r\nEVAL\r\n$500\r\n")}, protocol.FromClient, 502},
		"key":                    {[]step{c("*2\r\n$3\r\nGET\r\n$300\r\nab")}, protocol.FromClient, 0},
		"key's end":              {[]step{c("*2\r\n$3\r\nGET\r\n$300\r\n" + strings.Repeat("k", 280))}, protocol.FromClient, 22},
		"value that is received": {[]step{c(cmd("GET", "k")), s("$1000\r\n")}, protocol.FromServer, 1002},
		"nothing":                {[]step{c(cmd("GET", "k")), s("$1000")}, protocol.FromServer, 0},
		"replication":            {[]step{c(cmd("PSYNC", "a", "1")), s("+CONTINUE\r\n")}, protocol.FromServer, protocol.Forever},
		"monitor, client":        {[]step{c(cmd("MONITOR")), s(ok)}, protocol.FromClient, protocol.Forever},
	} {
		p, _ := play(x.steps, protocol.Session{}, 0)
		if got := p.Parser.Demand(x.d); got != (protocol.Demand{Skip: x.want}) {
			t.Errorf("%s: %+v, want to skip %d", name, got, x.want)
		}
	}
}

func TestTooManyOutstandingCommandsAreCountedAndTheOthersPaired(t *testing.T) {
	n := limits.Outstanding
	first := strings.Repeat(cmd("GET", "dropped"), 3)
	p, r := play([]step{c(first + strings.Repeat(cmd("GET", "k"), n-1) + cmd("INCR", "last")), s(strings.Repeat(null, n+2) + ":1\r\n"), c(cmd("PING")), s("+PONG\r\n")}, protocol.Session{}, 0)
	p.Close(0)
	if len(r.Exchanges) != n+1 || r.Errors != [protocol.ParseErrors]int{protocol.TooMany: 3} || len(r.Open) > 0 {
		t.Errorf("%d exchanges, errors %v", len(r.Exchanges), r.Errors)
	}
	if got := brief(&r.Exchanges[n-1]); got != "INCR last" {
		t.Errorf("the last one is %s", got)
	}
}

func TestAnotherProtocolIsRejected(t *testing.T) {
	for name, steps := range map[string][]step{
		"client": {c("PING\n"), c("\x00\x01\n")},
		"server": {c("GET /\r\n"), s("<html>\r\n")},
	} {
		_, r := play(steps, protocol.Session{}, 0)
		last := steps[1]
		if !r.Rejected || string(r.Returned[last.Direction]) != last.Bytes || len(r.Exchanges) > 0 || len(r.Open) > 0 || r.Errors[protocol.Malformed] != 1 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestRepliesThatCannotBeRead(t *testing.T) {
	get, http := cmd("GET", "k"), "HTTP/1.1 400 Bad Request\r\n\r\n"
	const failed = "GET k error=malformed_response unanswered"
	for name, x := range map[string]struct {
		steps []step
		want  []string
	}{
		"at first":                       {[]step{c(get), s(http), s("more\r\n")}, []string{failed}},
		"of a pipeline":                  {[]step{c(get + get), s(http)}, []string{failed, failed}},
		"behind others":                  {[]step{c(get), s(null), c(get), s(http)}, []string{"GET k", failed}},
		"and again":                      {[]step{c(get), s(http), c(get), s(http)}, []string{failed, failed}},
		"within one":                     {[]step{c(get), s("*2\r\n:1\r\nhello\r\n")}, []string{"GET k error=malformed_response"}},
		"and then one that can":          {[]step{c(get), s("hello\r\n"), c(get), s(null)}, []string{failed, "GET k"}},
		"but something was lost there":   {[]step{c(get), protocoltest.Missing(protocol.FromServer, 9, protocol.Lost), s("hello\r\n")}, []string{"GET k capture=2 unanswered"}},
		"but something was lost earlier": {[]step{c(get), protocoltest.Missing(protocol.FromServer, 9, protocol.Lost), c(get), s("hello\r\n")}, []string{"GET k capture=2 unanswered", "GET k capture=2 unanswered"}},
		"of a message": {
			[]step{c(cmd("SUBSCRIBE", "a")), s(confirm("subscribe", "a", 1)), s("*3\r\n$7\r\nmessage\r\n$1\r\na\r\nhello\r\n")},
			[]string{"SUBSCRIBE a", "message a error=malformed_response pushed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := play(x.steps, protocol.Session{}, 0)
			p.Close(0)
			if got := briefs(r); got != strings.Join(x.want, "\n") || len(r.Open) > 0 || r.Rejected {
				t.Errorf("%s\nwant:\n%s\n%+v", got, strings.Join(x.want, "\n"), r)
			}
		})
	}
}

func TestTextIsBounded(t *testing.T) {
	long := strings.Repeat("x", 300)
	p, r := play([]step{c(cmd(append([]string{"DEL"}, strings.Split(strings.Repeat("k ", 40)+"k", " ")...)...) + cmd("GET", long) + cmd("DEL", long, long, long, long, long)), s(":1\r\n" + null + ":1\r\n")}, protocol.Session{}, 0)
	p.Close(0)
	for i, want := range []string{
		"DEL" + strings.Repeat(" k", maxArguments) + " ...", "GET " + long[:maxArgument] + "...",
		"DEL" + strings.Repeat(" "+long[:maxArgument]+"...", 4) + " ...",
	} {
		if got := r.Exchanges[i].Attributes["db.query.text"]; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
