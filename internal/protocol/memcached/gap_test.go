package memcached

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

const second = 1_000_000_000

// Gaps are between calls, so these are not played in pieces.
func TestParserGoesOnAfterGaps(t *testing.T) {
	get, end := c("get k\r\n"), s("END\r\n")
	bget, bend := c(req(0, "", "k", "", 5)), s(res(0, 1, "", 5))
	for name, x := range map[string]struct {
		joined   bool
		steps    []step
		want     []string
		unpaired int
	}{
		"within data that is sent":          {false, []step{c("set k 0 0 1000\r\nab"), protocoltest.Missing(protocol.FromClient, 1000, protocol.Skipped), c("get k\r\n"), s(stored, "END\r\n")}, []string{"set k ?", "get k found=0"}, 0},
		"within data that is received":      {false, []step{get, s("VALUE k 0 1000\r\nab"), protocoltest.Missing(protocol.FromServer, 1000, protocol.Truncated), end, get, end}, []string{"get k found=1", "get k found=0"}, 0},
		"within data, and beyond":           {false, []step{c("get k l\r\n"), s("VALUE k 0 1000\r\nab"), protocoltest.Missing(protocol.FromServer, 1007, protocol.Truncated), get, end}, []string{"get k l capture=1", "get k found=0"}, 0},
		"within the only value, to the end": {false, []step{get, s("VALUE k 0 1000\r\nab"), protocoltest.Missing(protocol.FromServer, 1005, protocol.Truncated), get, end}, []string{"get k found=1", "get k found=0"}, 0},
		"within the last value of some, to the end, behind a pipeline": {false, []step{c("get a\r\nget b\r\n"), s("END\r\nEND\r\n"), c("get k l\r\n"), s("VALUE k 0 1\r\na\r\nVALUE l 0 1000\r\nab"), protocoltest.Missing(protocol.FromServer, 1005, protocol.Truncated), get, end},
			[]string{"get a found=0", "get b found=0", "get k l found=2", "get k found=0"}, 0},
		"within the only value, and beyond its end": {false, []step{c("get k\r\nget l\r\n"), s("VALUE k 0 1000\r\nab"), protocoltest.Missing(protocol.FromServer, 1010, protocol.Truncated), {Bytes: "get k\r\n", Silence: second}, end},
			[]string{"get k found=1", "get l capture=1 unanswered", "get k found=0"}, 0},
		"of a reply":                        {false, []step{get, protocoltest.Missing(protocol.FromServer, 5, protocol.Lost), get, end}, []string{"get k capture=2 unanswered", "get k capture=2 found=0"}, 0},
		"of a command":                      {false, []step{protocoltest.Missing(protocol.FromClient, 7, protocol.Lost), end, get, end}, []string{"get k capture=2 found=0"}, 0},
		"of a command later":                {false, []step{get, end, protocoltest.Missing(protocol.FromClient, 7, protocol.Lost), end, get, end}, []string{"get k found=0", "get k capture=2 found=0"}, 1},
		"within a binary value":             {false, []step{bget, s(res(0, 0, strings.Repeat("x", 1000), 5)[:50]), protocoltest.Missing(protocol.FromServer, 974, protocol.Truncated), bget, bend}, []string{"get k found=1", "get k found=0"}, 0},
		"of a binary reply":                 {false, []step{bget, bend, bget, protocoltest.Missing(protocol.FromServer, 24, protocol.Lost), bget, bend}, []string{"get k found=0", "get k capture=2 unanswered", "get k capture=2 found=0"}, 0},
		"joined":                            {true, []step{s("lue\r\nEND\r\n"), c("lue\r\n"), get, end, {Bytes: "get k\r\n", Silence: second}, end}, []string{"get k capture=3 found=0", "get k found=0"}, 0},
		"joined, binary":                    {true, []step{bget, bend, {Bytes: req(0, "", "k", "", 6), Silence: second}, s(res(0, 1, "", 6))}, []string{"get k capture=3 found=0", "get k found=0"}, 0},
		"joined, within another's pipeline": {true, []step{c("get a\r\nget b\r\n"), s("END\r\nEND\r\n"), {Bytes: "get k\r\n", Silence: second}, end}, []string{"get a capture=2 unanswered", "get k found=0"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := play(x.steps, protocol.Session{Joined: x.joined}, 0)
			p.Close(0)
			if got := briefs(r); got != strings.Join(x.want, "\n") {
				t.Errorf("%s\nwant:\n%s", got, strings.Join(x.want, "\n"))
			}
			if r.Errors != [protocol.ParseErrors]int{protocol.Unpaired: x.unpaired} || len(r.Open) > 0 || p.Parser.Held() != 0 {
				t.Errorf("errors %v, want %d unpaired; open: %v", r.Errors, x.unpaired, r.Open)
			}
		})
	}
}

func TestReplySeenBeforeItsCommandIsPaired(t *testing.T) {
	for name, x := range map[string]struct{ early, late, request, want string }{
		"whole":     {"END\r\n", "", "get k\r\n", "get k found=0"},
		"beginning": {"VALUE k 0 1\r\nx\r\n", "END\r\n", "get k\r\n", "get k found=1"},
		"error":     {"ERROR\r\n", "", "get\r\n", "memcached|_OTHER response.status_code=ERROR"},
		"binary":    {res(noop, 0, "", 1), "", req(noop, "", "", "", 1), "noop"},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := play(nil, protocol.Session{}, 0)
			send := func(d protocol.Direction, bytes string, began, at uint64) {
				if bytes != "" {
					p.Parser.Data(&protocol.Chunk{Direction: d, Bytes: []byte(bytes), Stamp: protocol.Stamp{Time: at, Began: began}})
				}
			}
			send(protocol.FromServer, x.early, 20, 20)
			send(protocol.FromClient, x.request, 10, 30)
			send(protocol.FromServer, x.late, 31, 31)
			p.Parser.Close(protocol.Ending{})
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
		"value that is sent":     {[]step{c("set k 0 0 1000\r\nabc")}, protocol.FromClient, 999},
		"value that is received": {[]step{c("get k\r\n"), s("VALUE k 0 1000\r\n")}, protocol.FromServer, 1002},
		"key":                    {[]step{c("get " + strings.Repeat("k", 100))}, protocol.FromClient, 0},
		"binary value":           {[]step{c(req(1, extras, "k", strings.Repeat("x", 1000), 0)[:500])}, protocol.FromClient, 24 + 9 + 1000 - 500},
		"watcher":                {[]step{c("watch\r\n"), s("OK\r\n")}, protocol.FromServer, protocol.Forever},
	} {
		p, _ := play(x.steps, protocol.Session{}, 0)
		if got := p.Parser.Demand(x.d); got != (protocol.Demand{Skip: x.want}) {
			t.Errorf("%s: %+v, want to skip %d", name, got, x.want)
		}
	}
}

func TestAnotherProtocolIsRejected(t *testing.T) {
	for name, steps := range map[string][]step{
		"client": {c("version\r\n"), c("\x00\x01\n")},
		"server": {c("version\r\n"), s("<html>\r\n")},
		"binary": {c(req(noop, "", "", "", 0)), s("HTTP/1.1 400 Bad Request\r\n\r\n")},
	} {
		_, r := play(steps, protocol.Session{}, 0)
		last := steps[1]
		if !r.Rejected || string(r.Returned[last.Direction]) != last.Bytes || len(r.Exchanges) > 0 || len(r.Open) > 0 || r.Errors[protocol.Malformed] != 1 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestConversationWithoutACommandIsGivenUp(t *testing.T) {
	var steps []step
	for range 20 {
		steps = append(steps, c("what is this"))
	}
	_, r := play(steps, protocol.Session{Joined: true}, 0)
	if !r.Ignored || len(r.Exchanges) > 0 {
		t.Errorf("%+v", r)
	}
}
