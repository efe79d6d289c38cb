package mongodb

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

const (
	skipped   = protocol.Skipped
	truncated = protocol.Truncated
	lost      = protocol.Lost
)

// gapIn is a message of which n bytes from the i-th on are missing.
func gapIn(d protocol.Direction, m string, i, n int, why protocol.Loss) []scene {
	steps := []scene{{Direction: d, Bytes: m[:i]}, missing(d, uint64(n), why)}
	if i+n < len(m) {
		steps = append(steps, scene{Direction: d, Bytes: m[i+n:]})
	}
	return steps
}

// Gaps are between calls, so these are not played in pieces.
func TestParserGoesOnAfterGaps(t *testing.T) {
	long := ask(1, str("find", "orders"), sub("filter", str("status", strings.Repeat("x", 5000))), i32("limit", 5))
	many := cursor(1, "firstBatch", 100)
	failed := answer(1, sub("cursor", array("firstBatch", doc(str("a", strings.Repeat("x", 500))), doc())), num("ok", 0), i32("code", 43))
	whole := func(all ...[]scene) (steps []scene) {
		for _, x := range all {
			steps = append(steps, x...)
		}
		return steps
	}
	one := []scene{c(find(1)), s(cursor(1, "firstBatch", 1))}
	two := []scene{c(find(2)), s(cursor(2, "firstBatch", 2))}
	const second = found + " returned_rows=2"
	for name, x := range map[string]struct {
		joined bool
		steps  []scene
		want   []string
	}{
		"within a value":                  {false, whole(gapIn(client, long, 500, 3000, truncated), []scene{s(cursor(1, "firstBatch", 1))}, two), []string{found + " returned_rows=1 capture=1", second}},
		"within a value that is skipped":  {false, whole(gapIn(client, long, 500, 3000, skipped), []scene{s(cursor(1, "firstBatch", 1))}), []string{found + " returned_rows=1"}},
		"up to the end of a command":      {false, whole(gapIn(client, long, 500, len(long)-500, truncated), []scene{s(cursor(1, "firstBatch", 1))}, two), []string{`find orders query.text={"find": "orders", "filter": {"status": ?}} returned_rows=1 capture=1`, second}},
		"up to the next but one command":  {false, whole([]scene{c(find(1)), s(cursor(1, "firstBatch", 1)), missing(client, 100, lost), s(cursor(9, "firstBatch", 1))}, two), []string{found + " returned_rows=1", second}},
		"within documents that are found": {false, whole([]scene{c(find(1))}, gapIn(server, many, 150, 3000, truncated), two), []string{found + " returned_rows=3 capture=1", second}},
		"before an error":                 {false, whole([]scene{c(find(1))}, gapIn(server, failed, 120, 200, truncated), two), []string{found + " status_code=43 capture=1", second}},
		"of a reply":                      {false, whole([]scene{c(find(1)), missing(server, 200, lost)}, two), []string{found + " capture=2 unanswered", second}},
		"of the beginning of a reply":     {false, whole([]scene{c(find(1)), missing(server, 20, lost), s(many[20:])}, two), []string{found + " capture=2 unanswered", second}},
		"of a reply, in a pipeline":       {false, []scene{c(find(1), find(2), find(3)), missing(server, 200, lost), s(cursor(2, "firstBatch", 2)), c(find(4)), s(cursor(4, "firstBatch", 4))}, []string{second, found + " returned_rows=4", found + " capture=2 unanswered", found + " capture=2 unanswered"}},
		"of an answer of a stream":        {false, []scene{c(message(opMsg, 5, 0, n32(flagExhaust), body(doc(i32("hello", 1))))), s(message(opMsg, 20, 5, n32(flagMoreToCome), body(doc(good)))), missing(server, 60, lost), s(message(opMsg, 22, 21, n32(0), body(doc(good))))}, []string{`hello query.text={"hello": ?} capture=2`}},
		"joined within a command":         {true, whole([]scene{c(find(1)[30:]), s(cursor(1, "firstBatch", 1))}, two), []string{second}},
		"joined within a reply":           {true, whole([]scene{s(many[40:])}, one, two), []string{found + " returned_rows=1", second}},
		"joined, header by header":        {true, []scene{c(find(2)), s(cursor(2, "firstBatch", 2)[:4]), s(cursor(2, "firstBatch", 2)[4:])}, []string{second}},
		"compressed, cut":                 {false, whole(gapIn(client, packed(compressedSnappy, long), 130, 10, truncated), []scene{s(cursor(1, "firstBatch", 1))}, two), []string{`find orders query.text={"find": "orders", "filter": {"status": ?}} returned_rows=1 capture=1`, second}},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := play(x.steps, protocol.Session{Joined: x.joined}, 0, nil)
			p.Close(0)
			if got := briefs(r); got != strings.Join(x.want, "\n") {
				t.Errorf("%s\nwant:\n%s", got, strings.Join(x.want, "\n"))
			}
			r.Ended(t, p.Parser, secret)
		})
	}
}

func TestReplySeenBeforeItsCommandIsPaired(t *testing.T) {
	parser, r := protocoltest.New(Protocol(), protocol.Session{}, limits, nil)
	send := func(d protocol.Direction, bytes string, began, at uint64) {
		parser.Data(&protocol.Chunk{Direction: d, Bytes: []byte(bytes), Stamp: protocol.Stamp{Time: at, Began: began}})
	}
	send(server, cursor(1, "firstBatch", 1), 20, 20)
	send(client, find(1)[:40], 10, 30)
	send(client, find(1)[40:], 31, 31)
	send(client, find(2)[:40], 40, 40)
	send(server, cursor(2, "firstBatch", 2), 41, 41)
	send(client, find(2)[40:], 42, 42)
	send(server, cursor(3, "firstBatch", 1), 50, 50) // which cannot be that to the next
	send(client, find(3), 51, 51)
	parser.Close(protocol.Ending{At: protocol.Stamp{Time: 60, Began: 60}})
	const want = found + " returned_rows=1\n" + found + " returned_rows=2\n" + found + " error=connection_closed unanswered"
	if got := briefs(r); got != want || r.Errors != [protocol.ParseErrors]int{protocol.Unpaired: 1} {
		t.Errorf("%s\nwant:\n%s\n%v", got, want, r.Errors)
	}
}

func TestDemandLeavesValuesOut(t *testing.T) {
	long := ask(1, str("find", "orders"), sub("filter", str("status", strings.Repeat("x", 5000))))
	p, _ := play([]scene{c(long[:1000])}, protocol.Session{}, 0, nil)
	if skip := p.Parser.Demand(client).Skip; skip < 3000 || skip > uint64(len(long)-1000) {
		t.Errorf("%d bytes are skipped", skip)
	}
	reply := answer(1, sub("cursor", array("firstBatch", doc(str("a", strings.Repeat("x", 5000))))), good)
	p, _ = play([]scene{c(find(1)), s(reply[:200])}, protocol.Session{}, 0, nil)
	if skip := p.Parser.Demand(server).Skip; skip < 4000 || skip > uint64(len(reply)-200) {
		t.Errorf("%d bytes are skipped", skip)
	}
}

func TestAnotherProtocolIsRejected(t *testing.T) {
	const other = "HTTP/1.1 400 Bad Request\r\n\r\n"
	_, r := play([]scene{c("GET / HTTP/1.1\r\nHost: h\r\n\r\n")}, protocol.Session{}, 0, nil)
	if !r.Rejected {
		t.Error("it is not rejected")
	}
	p, r := play([]scene{c(find(1)), s(cursor(1, "firstBatch", 1)), c(find(2)), s(other), c(find(3)), s(cursor(3, "firstBatch", 3))}, protocol.Session{}, 0, nil)
	p.Close(0)
	const want = found + " returned_rows=1\n" + found + " error=malformed_response unanswered\n" + found + " returned_rows=3"
	if got := briefs(r); got != want {
		t.Errorf("%s\nwant:\n%s", got, want)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	var all []string
	for i := range 200 {
		all = append(all, find(uint32(i+1)))
	}
	p, r := play([]scene{c(all...)}, protocol.Session{}, 0, nil)
	if len(r.Open) != limits.Outstanding || r.Errors[protocol.TooMany] != 200-limits.Outstanding {
		t.Errorf("%d are open, errors %v", len(r.Open), r.Errors)
	}
	if held := p.Parser.Held(); held > limits.Outstanding*(entrySize+1024) {
		t.Errorf("%d bytes are held", held)
	}
}
