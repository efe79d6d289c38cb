package mysql

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

const second = 1_000_000_000

// Gaps are between calls, so these are not played in pieces.
func TestParserGoesOnAfterGaps(t *testing.T) {
	ping, pong := c(cmd(0x0e, "")), s(pkt(1, ok(2)))
	do := c(query("DO 1"))
	rows := pkts(1, "\x01", column("a"), eof(2), text("1"), eof(2))
	long := pkt(0, "\x03SELECT 'x"+strings.Repeat("x", 9000)+"' FROM t")
	for name, x := range map[string]struct {
		joined bool
		steps  []step
		want   []string
		errors [protocol.ParseErrors]int
	}{
		"within a long statement": {
			false, then(c(long[:6000]), protocoltest.Missing(protocol.FromClient, uint64(len(long)-6000), protocol.Skipped), pong, ping, pong),
			[]string{"SELECT capture=1 {SELECT ? ...}", "COM_PING"}, [protocol.ParseErrors]int{protocol.HeadTooLong: 1},
		},
		"at the end of a statement": {
			false, then(c(query("SELECT a, b FROM t")[:18]), protocoltest.Missing(protocol.FromClient, 5, protocol.Lost), s(rows), ping, pong),
			[]string{"SELECT capture=2 response.returned_rows=1 {SELECT a, b ...}", "COM_PING"}, [protocol.ParseErrors]int{protocol.HeadTooLong: 1},
		},
		"within a row": {
			false, then(c(query("SELECT a FROM t")), s(pkts(1, "\x01", column("a"), eof(2)), pkt(4, text(strings.Repeat("x", 240)))[:20]), protocoltest.Missing(protocol.FromServer, 4+241-20, protocol.Truncated), s(pkt(5, eof(2))), ping, pong),
			[]string{"SELECT t response.returned_rows=1 {SELECT a FROM t}", "COM_PING"}, [protocol.ParseErrors]int{},
		},
		"within an error": {
			false, then(do, s(pkt(1, fail(1146, "#42S02x"))[:6]), protocoltest.Missing(protocol.FromServer, 9, protocol.Truncated), ping, pong),
			[]string{"DO capture=1 {DO ?}", "COM_PING"}, [protocol.ParseErrors]int{},
		},
		"within the number of a statement": {
			false, then(c(cmd(0x16, "DO 1")), s(pkt(1, preparedOK(1, 0, 0))[:8]), protocoltest.Missing(protocol.FromServer, 8, protocol.Lost), ping, pong),
			[]string{"COM_STMT_PREPARE capture=2 {DO ?}", "COM_PING capture=2"}, [protocol.ParseErrors]int{},
		},
		"of rows": {
			false, then(c(query("SELECT a FROM t")), s(pkts(1, "\x01", column("a"), eof(2), text("1"))), protocoltest.Missing(protocol.FromServer, 500, protocol.Truncated), s("more rows"), ping, pong, ping, pong),
			[]string{"SELECT t capture=1 {SELECT a FROM t}", "COM_PING", "COM_PING"}, [protocol.ParseErrors]int{},
		},
		"of the last rows": {
			false, then(c(query("SELECT a FROM t")), s(pkts(1, "\x01", column("a"), eof(2), text("1"))), protocoltest.Missing(protocol.FromServer, 500, protocol.Lost)),
			[]string{"SELECT t capture=2 {SELECT a FROM t}"}, [protocol.ParseErrors]int{},
		},
		"of rows, in a pipeline": {
			false, then(c(query("SELECT a FROM t"), cmd(0x0e, "")), s(pkts(1, "\x01", column("a"), eof(2))), protocoltest.Missing(protocol.FromServer, 500, protocol.Lost), pong, step{Bytes: cmd(0x0e, ""), Silence: second}, pong),
			[]string{"SELECT t capture=2 {SELECT a FROM t}", "COM_PING capture=2 unanswered", "COM_PING"}, [protocol.ParseErrors]int{},
		},
		"of a reply": {
			false, then(do, protocoltest.Missing(protocol.FromServer, 11, protocol.Lost), ping, pong), []string{"DO capture=2 unanswered {DO ?}", "COM_PING capture=2"}, [protocol.ParseErrors]int{},
		},
		"of the reply to USE": {
			false, then(c(query("USE x")), protocoltest.Missing(protocol.FromServer, 11, protocol.Truncated), ping, pong), []string{"USE capture=1 db=unknown unanswered {USE x}", "COM_PING db=unknown"}, [protocol.ParseErrors]int{},
		},
		"of a command": {
			false, then(protocoltest.Missing(protocol.FromClient, 5, protocol.Lost), pong, ping, pong), []string{"COM_PING capture=2 db=unknown"}, [protocol.ParseErrors]int{},
		},
		"of a command in a pipeline": {
			false, then(c(cmd(0x0e, ""), query("DO 1")), protocoltest.Missing(protocol.FromClient, 5, protocol.Lost), s(pkt(1, ok(2)), pkt(1, ok(2)), pkt(1, ok(2))), ping, pong, step{Bytes: cmd(0x0e, ""), Silence: second}, pong),
			[]string{"COM_PING db=unknown", "DO db=unknown {DO ?}", "COM_PING db=unknown"}, [protocol.ParseErrors]int{protocol.Unpaired: 1},
		},
		"of the preparation": {
			false, then(c(cmd(0x16, "DO ?")), protocoltest.Missing(protocol.FromServer, 40, protocol.Lost), c(execute(1, "")), pong),
			[]string{"COM_STMT_PREPARE capture=2 unanswered {DO ?}", "COM_STMT_EXECUTE capture=2"}, [protocol.ParseErrors]int{protocol.Undecodable: 1},
		},
		"joined": {
			true, []step{s("ow"), s(pkt(7, eof(2))), c("xx"), do, pong, c(query("SELECT a FROM t")), s(rows), c(cmd(0x02, "shop")), pong, ping, pong, {Bytes: cmd(0x0e, ""), Silence: second}, pong},
			[]string{"DO capture=3 db=unknown {DO ?}", "SELECT t capture=3 db=unknown response.returned_rows=1 {SELECT a FROM t}", "COM_INIT_DB capture=3", "COM_PING capture=3", "COM_PING db=unknown"}, [protocol.ParseErrors]int{},
		},
		"joined, header by header": {
			true, []step{c(query("DO 1")[:4]), c(query("DO 1")[4:]), s(pkt(1, ok(2))[:4]), s(pkt(1, ok(2))[4:]), c(query("SELECT a FROM t")[:4]), c(query("SELECT a FROM t")[4:]), s(rows[:4]), s(rows[4:])},
			[]string{"DO capture=3 db=unknown {DO ?}", "SELECT t capture=3 db=unknown response.returned_rows=1 {SELECT a FROM t}"}, [protocol.ParseErrors]int{},
		},
		"joined, something like a header": {
			true, []step{c("\x08\x00\x00\x00"), c("x\x01345678"), do, pong}, []string{"DO capture=3 db=unknown {DO ?}"}, [protocol.ParseErrors]int{},
		},
		"joined within a login": {
			true, []step{c(pkt(3, secret)), s(pkt(4, ok(2))), do, pong}, []string{"DO capture=3 db=unknown {DO ?}"}, [protocol.ParseErrors]int{},
		},
		"joined, without EOF": {
			true, []step{c(query("SELECT a FROM t")), s(oneRowNew), c(query("SELECT a FROM t")), s(pkts(1, "\x01", column("a"), rowEnd(2))), ping, pong},
			[]string{"SELECT t capture=3 db=unknown response.returned_rows=1 {SELECT a FROM t}", "SELECT t capture=3 db=unknown response.returned_rows=0 {SELECT a FROM t}", "COM_PING capture=3 db=unknown"}, [protocol.ParseErrors]int{},
		},
		"joined, attributes": {
			true, []step{c(query("\x00\x01SELECT a FROM t")), s(rows), c(query("\x01\x01\x00\x01\xfe\x00" + text("n") + text(secret) + "SELECT a FROM t")), s(rows)},
			[]string{"SELECT t capture=3 db=unknown response.returned_rows=1 {SELECT a FROM t}", "SELECT t capture=3 db=unknown response.returned_rows=1 {SELECT a FROM t}"}, [protocol.ParseErrors]int{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := play(x.steps, protocol.Session{Joined: x.joined}, 0, nil)
			p.Close(0)
			if got := briefs(r); got != strings.Join(x.want, "\n") {
				t.Errorf("%s\nwant:\n%s", got, strings.Join(x.want, "\n"))
			}
			if r.Errors != x.errors || len(r.Open) > 0 {
				t.Errorf("errors %v, want %v; open: %v", r.Errors, x.errors, r.Open)
			}
			if held := p.Parser.Held(); held != 0 {
				t.Errorf("%d bytes are held", held)
			}
		})
	}
}

func TestReplyOfWhichAPartIsMissingEndsBeforeTheNextCommand(t *testing.T) {
	p, r := play(then(c(query("SELECT a FROM t")), s(pkts(1, "\x01", column("a"), eof(2), text("1"))), protocoltest.Missing(protocol.FromServer, 500, protocol.Truncated), step{Direction: protocol.FromServer, Bytes: "the last rows", Silence: second}), protocol.Session{}, 0, nil)
	last := p.Time
	p.Time += second
	p.Data(protocol.FromClient, cmd(0x0e, ""))
	if x := r.Exchanges[0]; x.End.Time != last {
		t.Errorf("it ends at %d, want %d", x.End.Time, last)
	}
	p.Close(0)
}

func TestCloseEndsOutstandingCommands(t *testing.T) {
	for name, x := range map[string]struct {
		side   protocol.Side
		ending protocol.Ending
		want   string
	}{
		"in good order":            {protocol.Client, protocol.Ending{}, "COM_PING error=connection_closed unanswered"},
		"by the client":            {protocol.Client, protocol.Ending{ByClient: true}, "COM_PING error=canceled unanswered"},
		"by the client's one half": {protocol.Server, protocol.Ending{ByClient: true}, "COM_PING error=connection_closed unanswered"},
		"broken":                   {protocol.Client, protocol.Ending{Errno: 104}, "COM_PING errno=104 unanswered"},
		"not known":                {protocol.Client, protocol.Ending{Unknown: true}, "COM_PING capture=2 unanswered"},
		"cut":                      {protocol.Client, protocol.Ending{Unknown: true, Cut: true}, "COM_PING capture=4 unanswered"},
	} {
		p, r := play(then(c(cmd(0x0e, ""))), protocol.Session{Side: x.side}, 0, nil)
		x.ending.At.Time = p.Time + 5
		p.Parser.Close(x.ending)
		if got := brief(&r.Exchanges[0]); got != x.want || r.Exchanges[0].End.Time != p.Time+5 {
			t.Errorf("%s: %s, want %s; %+v", name, got, x.want, r.Exchanges[0].End)
		}
	}
}

func TestStampsAreThoseOfTheFirstAndLastBytes(t *testing.T) {
	p, r := play(then(c(query("SELECT 1")[:6]), c(query("SELECT 1")[6:]), s(oneRow[:3]), s(oneRow[3:]), c(cmd(0x19, little(1, 4)))), protocol.Session{}, 0, nil)
	p.Close(0)
	x, before := r.Exchanges[0], uint64(len(pkt(1, loginBody(caps, "shop"))))
	got := [...][2]uint64{
		{x.Start.Time, x.Start.Position - before}, {x.RequestEnd.Time, x.RequestEnd.Position - before}, {x.ResponseStart.Time, x.ResponseStart.Position}, {x.End.Time, x.End.Position},
	}
	replies := uint64(len(greets("8.0.36")) + len(pkt(2, ok(2))))
	if want := [...][2]uint64{{4000, 0}, {5000, uint64(len(query("SELECT 1")) - 1)}, {6000, replies}, {7000, replies + uint64(len(oneRow)) - 1}}; got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if y := r.Exchanges[1]; y.End != y.RequestEnd || y.End.Time != 8000 {
		t.Errorf("a command without a reply: %+v", y)
	}
}

func TestReplySeenBeforeItsCommandIsPaired(t *testing.T) {
	for name, x := range map[string]struct {
		began uint64 // of the command's call
		want  string
		errs  int
	}{
		"sent at the same time": {50, "SELECT t response.returned_rows=1 {SELECT a FROM t}\nCOM_PING", 0},
		"sent afterwards":       {300, "SELECT t error=connection_closed unanswered {SELECT a FROM t}", 2},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := play(login(caps, "shop"), protocol.Session{}, 0, nil)
			send := func(d protocol.Direction, bytes string, began, at uint64) {
				p.Parser.Data(&protocol.Chunk{Direction: d, Bytes: []byte(bytes), Stamp: protocol.Stamp{Time: p.Time + at, Began: p.Time + began}})
			}
			send(protocol.FromServer, oneRow[:20], 100, 100)
			send(protocol.FromServer, oneRow[20:], 110, 110)
			send(protocol.FromClient, query("SELECT a FROM t"), x.began, 320)
			if name == "sent at the same time" {
				send(protocol.FromClient, cmd(0x0e, ""), 330, 330)
				send(protocol.FromServer, pkt(1, ok(2)), 340, 340)
			}
			p.Parser.Close(protocol.Ending{At: protocol.Stamp{Time: p.Time + 400}})
			if got := briefs(r); got != x.want {
				t.Errorf("%s\nwant:\n%s", got, x.want)
			}
			if r.Errors[protocol.Unpaired] > x.errs || p.Parser.Held() != 0 {
				t.Errorf("errors %v, %d bytes are held", r.Errors, p.Parser.Held())
			}
		})
	}
}

func TestTooManyOutstandingCommandsAreCounted(t *testing.T) {
	n := limits.Outstanding
	p, r := play(then(c(strings.Repeat(cmd(0x0e, ""), n+3)), s(strings.Repeat(pkt(1, ok(2)), n+3)), step{Bytes: cmd(0x09, ""), Silence: second}, s(pkt(1, "Uptime"))), protocol.Session{}, 0, nil)
	p.Close(0)
	if len(r.Exchanges) != n+1 || r.Errors[protocol.TooMany] == 0 || len(r.Open) > 0 {
		t.Errorf("%d exchanges, errors %v", len(r.Exchanges), r.Errors)
	}
	if got := brief(&r.Exchanges[n]); got != "COM_STATISTICS db=unknown" {
		t.Errorf("the last one is %s", got)
	}
}

func TestDemandLeavesLongValuesOut(t *testing.T) {
	rows := pkts(1, "\x01", column("a"), eof(2))
	for name, x := range map[string]struct {
		steps []step
		d     protocol.Direction
		want  uint64
	}{
		"statement":   {[]step{c(pkt(0, "\x03INSERT INTO t VALUES ('"+strings.Repeat("x", 9000)+"')")[:6004])}, protocol.FromClient, 9026 - 6000},
		"its head":    {[]step{c(pkt(0, "\x03INSERT INTO t VALUES ('"+strings.Repeat("x", 9000)+"')")[:3000])}, protocol.FromClient, 0},
		"row":         {[]step{c(query("SELECT 1")), s(rows, pkt(4, "\xfc\x10\x27"+strings.Repeat("x", 10000))[:1004])}, protocol.FromServer, 9003},
		"file":        {[]step{c(query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t")), s(pkt(1, "\xfbx")), c(pkt(2, strings.Repeat("x", 9000))[:104])}, protocol.FromClient, 8900},
		"binlog":      {[]step{c(cmd(0x12, "\x04\x00\x00\x00\x00\x00\x01\x00\x00\x00x")), s(pkt(1, "\x00event"))}, protocol.FromServer, protocol.Forever},
		"between two": {[]step{c(query("SELECT 1")), s(rows)}, protocol.FromServer, 0},
	} {
		p, _ := play(then(x.steps...), protocol.Session{}, 0, nil)
		if got := p.Parser.Demand(x.d); got != (protocol.Demand{Skip: x.want}) {
			t.Errorf("%s: %+v, want to skip %d", name, got, x.want)
		}
		p.Close(0)
	}
}

func TestAnotherProtocolIsRejected(t *testing.T) {
	for name, steps := range map[string][]step{
		"client": {s(greets("8.0.36")), c("GET / HTTP/1.1\r\n\r\n" + strings.Repeat("x", 0x544547))},
		"server": {s(greets("8.0.36")), c(pkt(1, loginBody(caps, "x"))), s(pkt(2, "\x77what"))},
	} {
		_, r := play(steps, protocol.Session{}, 0, nil)
		last := steps[len(steps)-1]
		if !r.Rejected || string(r.Returned[last.Direction]) != last.Bytes || len(r.Exchanges) > 0 || len(r.Open) > 0 || r.Errors[protocol.Malformed] != 1 {
			t.Errorf("%s: rejected %t, %d exchanges, errors %v", name, r.Rejected, len(r.Exchanges), r.Errors)
		}
	}
}

// packedOf is packets as a compressed connection has them.
func packedOf(sequence byte, content string, compressed bool) string {
	if !compressed {
		return little(uint64(len(content)), 3) + string([]byte{sequence}) + "\x00\x00\x00" + content
	}
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write([]byte(content))
	_ = w.Close()
	return little(uint64(b.Len()), 3) + string([]byte{sequence}) + little(uint64(len(content)), 3) + b.String()
}

func TestCompressedConnections(t *testing.T) {
	const sql = "SELECT a FROM t WHERE b = 'a literal that is long enough to be worth it'"
	const selected = "SELECT t response.returned_rows=1 {SELECT a FROM t WHERE b = ?}"
	rows := pkts(1, "\x01", column("a"), eof(2), text(strings.Repeat("row", 300)), eof(2))
	zipped := func(more ...step) []step { return append(login(caps|canCompress, "shop"), more...) }
	check(t, zipped(c(packedOf(0, query(sql), true)), s(packedOf(1, rows, true)), c(packedOf(0, cmd(0x0e, ""), false)), s(packedOf(1, pkt(1, ok(2)), false))), protocol.Session{}, []string{selected, "COM_PING"})
	// The reply comes in two outer packets, which are not cut where the inner ones are.
	check(t, zipped(c(packedOf(0, query(sql), true)), s(packedOf(1, rows[:100], true), packedOf(2, rows[100:], true)), c(packedOf(0, cmd(0x0e, ""), false)), s(packedOf(1, pkt(1, ok(2)), false))), protocol.Session{}, []string{selected, "COM_PING"})
	broken := packedOf(1, rows, true)
	broken = broken[:20] + "\xff\xff\xff\xff" + broken[24:]
	p, r := play(zipped(c(packedOf(0, query(sql), true)), s(broken), c(packedOf(0, cmd(0x0e, ""), false)), s(packedOf(1, pkt(1, ok(2)), false)), c(packedOf(0, cmd(0x0e, ""), false)), s(packedOf(1, pkt(1, ok(2)), false))), protocol.Session{}, 0, nil)
	p.Close(0)
	compare(t, "broken", p, r, []string{"SELECT t capture=1 {SELECT a FROM t WHERE b = ?}", "COM_PING", "COM_PING"}, []protocol.ParseError{protocol.Undecodable})
	p, r = play(zipped(c(packedOf(0, query(sql), true)), s(packedOf(1, rows, true)), c(packedOf(0, cmd(0x0e, ""), false)), s(packedOf(1, pkt(1, ok(2)), false))), protocol.Session{}, 0, nil)
	if x := r.Exchanges[0]; x.Start.Position != uint64(len(pkt(1, loginBody(caps, "shop")))) || x.End.Position >= p.Position[1] {
		t.Errorf("it is from %d to %d", x.Start.Position, x.End.Position)
	}
	p.Close(0)
	_, r = play(append(login(caps|canCompressZstd, "shop"), c("xxx")), protocol.Session{}, 0, nil)
	if !r.Ignored || briefs(r) != "" || r.Errors[protocol.Undecodable] != 1 {
		t.Errorf("zstd: %+v", r)
	}
}

// numbered returns a command, and a reply that shows to which command it belongs.
func numbered(n int) (request, reply string) {
	return query(fmt.Sprintf("SELECT %05d", n)), pkt(1, fail(uint64(1000+n), "#HY000x"))
}

// judge counts the exchanges that have a reply, and lists those that have another command's without saying so.
func judge(r *protocoltest.Recorder, joined bool) (paired int, wrong []string) {
	offset := uint64(len(pkt(1, loginBody(caps, "shop"))))
	if joined {
		offset = 0
	}
	request, _ := numbered(0) // all are of the same length
	for _, x := range r.Exchanges {
		code, ok := x.Attributes["db.response.status_code"].(string)
		if !ok {
			continue
		}
		paired++
		if n := int(x.Start.Position-offset) / len(request); code != fmt.Sprint(1000+n) && x.Capture < protocol.CaptureGap {
			wrong = append(wrong, fmt.Sprintf("command %d has the reply %s: %s", n, code, brief(&x)))
		}
	}
	return paired, wrong
}

func TestNoReplyIsPairedWithAnotherCommandAfterLosses(t *testing.T) {
	for _, depth := range []int{1, 3} {
		total, all := 0, 0
		for seed := range uint64(200) {
			random := rand.New(rand.NewPCG(seed, uint64(depth)))
			joined := seed%3 == 0
			parser, r := protocoltest.New(Protocol(), protocol.Session{Joined: joined}, limits, nil)
			p := &protocoltest.Player{Parser: parser}
			if !joined {
				for _, x := range login(caps, "shop") {
					p.Data(x.Direction, x.Bytes)
				}
			}
			transfer := func(d protocol.Direction, b string) {
				n := 1 + random.IntN(len(b)-1)
				switch random.IntN(50) {
				case 0, 1:
					p.Gap(d, uint64(len(b)), protocol.Lost)
				case 2: // the beginning of a call was captured
					p.Data(d, b[:n])
					p.Gap(d, uint64(len(b)-n), protocol.Truncated)
				case 3:
					p.Gap(d, uint64(n), protocol.Lost)
					p.Data(d, b[n:])
				default:
					p.Data(d, b)
				}
			}
			for n := 0; n < 200; {
				var requests, replies string
				for range depth {
					request, reply := numbered(n)
					requests, replies = requests+request, replies+reply
					n, all = n+1, all+1
				}
				if depth > 1 && random.IntN(5) == 0 {
					p.Time += second
				}
				transfer(protocol.FromClient, requests)
				transfer(protocol.FromServer, replies)
			}
			p.Close(0)
			paired, wrong := judge(r, joined)
			if total += paired; len(wrong) > 0 || len(r.Open) > 0 {
				t.Errorf("seed %d: %q, %d open", seed, wrong, len(r.Open))
			}
		}
		if least := map[int]int{1: 80, 3: 25}[depth]; total*100 < least*all {
			t.Errorf("depth %d: %d of %d commands are paired, want %d %%", depth, total, all, least)
		}
	}
}

func TestConversationWithoutACommandIsGivenUp(t *testing.T) {
	var steps []step
	for range 20 {
		steps = append(steps, c("what is this"))
	}
	_, r := play(steps, protocol.Session{Joined: true}, 0, nil)
	if !r.Ignored || len(r.Exchanges) > 0 {
		t.Errorf("%+v", r)
	}
}
