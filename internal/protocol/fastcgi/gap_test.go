package fastcgi

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

func newScene(session protocol.Session) (protocol.Parser, *protocoltest.Recorder) {
	return protocoltest.New(Protocol(), session, limits, nil)
}

func TestLosses(t *testing.T) {
	one, two := get(1, "/one"), get(1, "/two")
	ok, missing := answers(1, okText), answers(1, "Status: 404 x\r\n\r\n")
	half := len(ok) / 2
	for name, x := range map[string]struct {
		steps  []step
		want   []string
		errors []protocol.ParseError
	}{
		"a response":            {[]step{c(one), lost(true, ok), c(two), s(missing)}, []string{"GET /one <nil> capture=2", "GET /two 404"}, nil},
		"the end of a response": {[]step{c(one), s(ok[:half]), lost(true, ok[half:]), c(two), s(missing)}, []string{"GET /one 200 capture=2", "GET /two 404"}, nil},
		"a request":             {[]step{lost(false, one), s(ok), c(two), s(missing)}, []string{"GET /two 404"}, nil},
		"a request and a response": {[]step{c(one), lost(true, ok), lost(false, two), s(missing), c(one), s(ok)},
			[]string{"GET /one <nil> capture=2", "GET /one 200"}, []protocol.ParseError{}},
		"the end of a request":       {[]step{c(one[:20]), lost(false, one[20:]), s(missing), c(two), s(ok)}, []string{"HTTP  404 capture=2 method=_OTHER", "GET /two 200"}, nil},
		"the beginning of a request": {[]step{lost(false, one[:20]), c(one[20:]), s(missing), c(two), s(ok)}, []string{"GET /two 200"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := play(x.steps, serverSide, 0, nil)
			p.Close(0)
			if got := briefs(r); got != strings.Join(x.want, "\n") {
				t.Errorf("\n%s\nwant:\n%s", got, strings.Join(x.want, "\n"))
			}
		})
	}
}

func TestMissingBodiesChangeNothing(t *testing.T) {
	big := strings.Repeat("x", 8000)
	request := beginOf(1, responder, 1) + rec(typeParams, 1, pairs("REQUEST_METHOD=POST", "REQUEST_URI=/")) + rec(typeParams, 1, "")
	check(t, []step{
		c(request + rec(typeStdin, 1, big)[:100]), lost(false, big[:8000-92]), c(rec(typeStdin, 1, "")),
		s(rec(typeStdout, 1, okText), rec(typeStdout, 1, big)[:8]), lost(true, big), s(endOf(1, 0, 0)),
	}, serverSide, []string{"POST / 200 sent=8000"})
}

func TestResponseBehindALongBodyThatIsNotCaptured(t *testing.T) {
	request := beginOf(1, responder, 0) + rec(typeParams, 1, pairs("REQUEST_METHOD=POST", "REQUEST_URI=/")) + rec(typeParams, 1, "")
	steps := []step{c(request), protocoltest.Missing(protocol.FromClient, 1<<20, protocol.Truncated)}
	for range 1000 {
		steps = append(steps, c(strings.Repeat("x", 8200)))
	}
	p, r := play(append(steps, s(answers(1, "Status: 404 x\r\n\r\n"))), serverSide, 0, nil)
	p.Close(0)
	if got, want := briefs(r), "POST / 404 capture=1"; got != want || r.Ignored {
		t.Errorf("%s, want %s; ignored: %v", got, want, r.Ignored)
	}
}

func TestPaddingIsNotDemanded(t *testing.T) {
	for _, padding := range []byte{0, 1, 7, 255} {
		parser, r := newScene(serverSide)
		p := &protocoltest.Player{Parser: parser}
		p.Data(protocol.FromClient, beginOf(1, responder, 0)+rec(typeParams, 1, pairs("REQUEST_METHOD=POST", "REQUEST_URI=/"))+rec(typeParams, 1, ""))
		p.Data(protocol.FromClient, string([]byte{version, typeStdin, 0, 1, 0x40, 0, padding, 0}))
		if got, want := parser.Demand(protocol.FromClient).Skip, uint64(0x4000)+uint64(padding); got != want {
			t.Errorf("padding of %d: %d bytes are not needed, want %d", padding, got, want)
		}
		p.Gap(protocol.FromClient, 0x4000+uint64(padding), protocol.Skipped)
		p.Data(protocol.FromClient, rec(typeStdin, 1, ""))
		p.Data(protocol.FromServer, answers(1, okText))
		if got, want := briefs(r), "POST / 200 sent=16384"; got != want {
			t.Errorf("padding of %d: %s, want %s", padding, got, want)
		}
	}
}

func TestBodiesAreNotDemanded(t *testing.T) {
	parser, _ := newScene(serverSide)
	p := &protocoltest.Player{Parser: parser}
	big := strings.Repeat("x", 8000)
	p.Data(protocol.FromClient, beginOf(1, responder, 1)+rec(typeParams, 1, "")+rec(typeStdin, 1, big)[:108])
	if got := parser.Demand(protocol.FromClient).Skip; got != 7900 {
		t.Errorf("%d bytes of the request are not needed", got)
	}
	p.Data(protocol.FromServer, rec(typeStdout, 1, okText+big)[:8+len(okText)+100])
	if got := parser.Demand(protocol.FromServer).Skip; got < 7900 || got > 7907 {
		t.Errorf("%d bytes of the response are not needed", got)
	}
}

func TestConversationsThatAreJoined(t *testing.T) {
	ok, joined := answers(1, okText), protocol.Session{Side: protocol.Server, Joined: true}
	hello := rec(typeStdout, 1, "hello")
	for name, x := range map[string]struct {
		steps []step
		want  []string
	}{
		"between requests":      {[]step{c(get(1, "/a")), s(ok)}, []string{"GET /a 200"}},
		"within a request":      {[]step{c(get(1, "/a")[30:]), s(ok), c(get(1, "/b")), s(ok)}, []string{"GET /b 200"}},
		"within a body":         {[]step{c("\x01\x02\x00\x01GET / HTTP/1.1\r\n\r\n"), s(ok), c(get(1, "/b")), s(ok)}, []string{"GET /b 200"}},
		"within a response":     {[]step{s(hello[9:]), s(hello, endOf(1, 0, 0)), c(get(1, "/b")), s(ok)}, []string{"GET /b 200"}},
		"between its records":   {[]step{s(hello), s(endOf(1, 0, 0)), c(get(1, "/b")), s(ok)}, []string{"GET /b 200"}},
		"with another's answer": {[]step{s(hello), c(get(2, "/b")), s(hello), s(endOf(1, 0, 0)), s(answers(2, okText))}, []string{"GET /b <nil> capture=2"}},
		"nothing but garbage":   {[]step{c("\x01\x01 no record"), s("\x01\x06 nor here")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := play(x.steps, joined, 0, nil)
			p.Close(0)
			if got := briefs(r); got != strings.Join(x.want, "\n") {
				t.Errorf("\n%s\nwant:\n%s", got, strings.Join(x.want, "\n"))
			}
		})
	}
}

// TestCallsOfEightBytes: PHP reads the header of each record by itself.
func TestAConversationIsJoinedInCallsOfEightBytes(t *testing.T) {
	parser, r := newScene(protocol.Session{Side: protocol.Server, Joined: true})
	p := &protocoltest.Player{Parser: parser}
	p.Data(protocol.FromClient, "within")
	p.Pieces(protocol.FromClient, get(1, "/a"), 8)
	p.Data(protocol.FromServer, answers(1, okText))
	if got := briefs(r); got != "GET /a 200" {
		t.Error(got)
	}
}

func TestGarbageIsGivenUp(t *testing.T) {
	parser, r := newScene(protocol.Session{Side: protocol.Server, Joined: true})
	p := &protocoltest.Player{Parser: parser}
	for range 10000 {
		if p.Data(protocol.FromClient, "garbage garbage"); r.Ignored {
			return
		}
	}
	t.Error("it is still followed")
}

func TestAnUnknownEndingIsNoFailure(t *testing.T) {
	for ending, want := range map[protocol.Ending]string{
		{Unknown: true}:            "GET / <nil> capture=2",
		{Unknown: true, Cut: true}: "GET / <nil> capture=4",
		{Errno: 104}:               "GET / <nil> errno=104",
		{ByClient: true}:           "GET / <nil> error=canceled",
	} {
		p, r := play([]step{c(get(1, "/"))}, clientSide, 0, nil)
		ending.At = protocol.Stamp{Time: p.Time + 1}
		p.Parser.Close(ending)
		if got := briefs(r); got != want {
			t.Errorf("%+v: %s, want %s", ending, got, want)
		}
	}
}
