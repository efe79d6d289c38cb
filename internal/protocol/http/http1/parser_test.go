package http1

import (
	"fmt"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

const (
	get      = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
	getB     = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n"
	getC     = "GET /c HTTP/1.1\r\nHost: h\r\n\r\n"
	getD     = "GET /d HTTP/1.1\r\nHost: h\r\n\r\n"
	ok       = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	notFound = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	failed   = "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno"
	chunked  = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	forever  = "HTTP/1.1 200 OK\r\n\r\n"
)

// These conversations are seen whole. So the result does not depend on how their bytes are spread over system calls.
func TestExchangesOfConversations(t *testing.T) {
	for name, test := range map[string]script{
		"a request and its response": {
			[]step{client(get), server(ok)},
			[]string{"1-2 GET /a 200"},
		},
		"keep-alive": {
			[]step{client(get), server(ok), client(getB), server(notFound), client(getC), server(failed)},
			[]string{"1-2 GET /a 200", "3-4 GET /b 404", "5-6 GET /c 500 !500"},
		},
		"pipelining": {
			[]step{client(get + getB + getC), server(ok + notFound), server(failed)},
			[]string{"1-2 GET /a 200", "1-2 GET /b 404", "1-3 GET /c 500 !500"},
		},
		"requests with bodies": {
			[]step{
				client("POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"), server(ok),
				client("PUT /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), server(ok),
			},
			[]string{"1-2 POST /a 200", "3-4 PUT /b 200"},
		},
		"a body that looks like a message": {
			[]step{
				client("POST /a HTTP/1.1\r\nContent-Length: 28\r\n\r\n" + getB), server(ok),
				client(getC), server("HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n" + notFound), client(getD), server(ok),
			},
			[]string{"1-2 POST /a 200", "3-4 GET /c 200", "5-6 GET /d 200"},
		},
		"chunks with extensions and trailers": {
			[]step{
				client(get), server(chunked + "5;a=b\r\nhello\r\n1 ; c=\"d\"\r\nx\r\n00a\r\n0123456789\r\n0;e\r\nX-Sum: 1\r\nY: 2\r\n\r\n"),
				client(getB), server(notFound),
			},
			[]string{"1-2 GET /a 200", "3-4 GET /b 404"},
		},
		"chunks with leading zeros": {
			steps: []step{
				client(get), server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n000000000000000000000005\r\nhello\r\n00000000000000000000\r\n\r\n"),
				client(getB), server(ok),
			},
			want: []string{"1-2 GET /a 200", "3-4 GET /b 200"},
		},
		"chunks with bare line feeds": {
			[]step{client(get), server(chunked + "2\nhi\n0\n\n"), client(getB), server(ok)},
			[]string{"1-2 GET /a 200", "3-4 GET /b 200"},
		},
		"a body over many calls": {
			[]step{
				client(get), server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), server("def"), server("ghi"), client(getB),
				server(chunked), server("3\r\nab"), server("c\r\n0\r\n"), server("\r\n"),
			},
			[]string{"1-4 GET /a 200", "5-9 GET /b 200"},
		},
		"a length given twice": {
			[]step{client(get), server("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\ncontent-length: 2\r\n\r\nok"), client(getB), server(ok)},
			[]string{"1-2 GET /a 200", "3-4 GET /b 200"},
		},
		"chunks count, not the length": {
			[]step{
				client(get), server("HTTP/1.1 200 OK\r\nContent-Length: 500\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n0\r\n\r\n"),
				client(getB), server(ok),
			},
			[]string{"1-2 GET /a 200", "3-4 GET /b 200"},
		},
		"identity is no coding": {
			[]step{client(get), server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: identity\r\n\r\nok"), client(getB), server(ok)},
			[]string{"1-2 GET /a 200", "3-4 GET /b 200"},
		},
		"responses without a body": {
			[]step{
				client("HEAD /a HTTP/1.1\r\n\r\n"), server("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
				client(getB), server("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
				client("DELETE /c HTTP/1.1\r\n\r\n"), server("HTTP/1.1 204 No Content\r\n\r\n"),
				client("HEAD /d HTTP/1.1\r\n\r\n"), server(chunked),
				client(get), server(ok),
			},
			[]string{"1-2 HEAD /a 200", "3-4 GET /b 304", "5-6 DELETE /c 204", "7-8 HEAD /d 200", "9-10 GET /a 200"},
		},
		"interim responses": {
			[]step{
				client("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"), server("HTTP/1.1 100 Continue\r\n\r\n"),
				client("hi"), server("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 9\r\n\r\n"),
				server(ok), client(getB), server(ok),
			},
			[]string{"1-5 POST /a 200", "6-7 GET /b 200"},
		},
		"a body that the close ends": {
			[]step{client(get), server(forever + "some"), server("thing"), closes("")},
			[]string{"1-3 GET /a 200"},
		},
		"a body that a reset ends": {
			[]step{client(get), server(forever + "some"), closes("ECONNRESET")},
			[]string{"1-3 GET /a 200 !ECONNRESET"},
		},
		"a coding that only the close ends": {
			[]step{client(get), server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\nContent-Length: 1\r\n\r\nabcd"), closes("")},
			[]string{"1-2 GET /a 200"},
		},
		"HTTP/1.0": {
			[]step{client("GET /a HTTP/1.0\r\n\r\n"), server("HTTP/1.0 200 OK\r\n\r\nhello"), closes("")},
			[]string{"1-2 GET /a 200"},
		},
		"no reason phrase": {
			[]step{client(get), server("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), client(getB), server("HTTP/1.1 404 \nContent-Length: 0\n\n")},
			[]string{"1-2 GET /a 200", "3-4 GET /b 404"},
		},
		"folded fields": {
			[]step{
				client("POST /a HTTP/1.1\r\nContent-Length:\r\n 5\r\nX: a\r\n\tb\r\n c\r\n\r\nhello"), server(ok), client(getB), server(ok),
			},
			[]string{"1-2 POST /a 200", "3-4 GET /b 200"},
		},
		"bare line feeds and empty lines": {
			[]step{client("\r\n\n\r\nGET /a HTTP/1.1\nHost: h\n\n"), server("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), client("\r\n" + getB), server(ok)},
			[]string{"1-2 GET /a 200", "3-4 GET /b 200"},
		},
		"fields that are none": {
			[]step{client("GET /a HTTP/1.1\r\n\x00\xff\r\n: x\r\nno colon\r\n\r\n"), server("HTTP/1.1 200 OK\r\n:\r\nContent-Length : 0\r\n\r\n"), client(getB), server(ok)},
			[]string{"1-2 GET /a 200", "3-4 GET /b 200"},
		},
		"targets of all forms": {
			[]step{
				client("OPTIONS * HTTP/1.1\r\n\r\n"), server(ok), client("GET http://h/a?b=c HTTP/1.1\r\n\r\n"), server(ok),
				client("GET /a b HTTP/1.1\r\n\r\n"), server("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
				client("FROB /x HTTP/1.9\r\n\r\n"), server(ok),
			},
			[]string{"1-2 OPTIONS * 200", "3-4 GET /a?b=c 200", "5-6 GET /a b 400", "7-8 HTTP /x 200"},
		},
		"a tunnel": {
			[]step{client("CONNECT h:443 HTTP/1.1\r\n\r\n"), server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x16\x03"), client("\x16\x03\x01"), server(ok), closes("")},
			[]string{"1-2 CONNECT 200"},
		},
		"a tunnel that is refused": {
			[]step{
				client("CONNECT h:443 HTTP/1.1\r\n\r\n"), server("HTTP/1.1 407 Who\r\nContent-Length: 2\r\n\r\nno"),
				client("CONNECT h:443 HTTP/1.1\r\n\r\n"), server("HTTP/1.1 200 OK\r\n\r\n"), client("\x16\x03\x01"), closes("ECONNRESET"),
			},
			[]string{"1-2 CONNECT 407", "3-4 CONNECT 200"},
		},
		"a tunnel that is used before it stands": {
			[]step{client("CONNECT h:443 HTTP/1.1\r\n\r\n\x16\x03\x01"), client(get), server("HTTP/1.1 200 OK\r\n\r\n"), closes("")},
			[]string{"1-3 CONNECT 200"},
		},
		"a websocket": {
			[]step{
				client("GET /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
				server("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi"), client("\x81\x82xxxx"), closes(""),
			},
			[]string{"1-2 GET /a 101"},
		},
		"an upgrade that is ignored": {
			[]step{
				client("GET /a HTTP/1.1\r\nUpgrade: h2c\r\n\r\n" + getB), server(ok), server(notFound), client(getC), server(ok),
			},
			[]string{"1-2 GET /a 200", "1-3 GET /b 404", "4-5 GET /c 200"},
		},
		"a response that ends before its request": {
			[]step{
				client("POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"), server("HTTP/1.1 413 Too Much\r\nContent-Length: 0\r\n\r\n"),
				client("def"), client("ghi"), client(getB), server(ok),
			},
			[]string{"1-2 POST /a 413", "5-6 GET /b 200"},
		},
		"a response to a request that never ends": {
			[]step{client("POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"), server("HTTP/1.1 413 Too Much\r\nContent-Length: 0\r\n\r\n"), closes("ECONNRESET")},
			[]string{"1-2 POST /a 413"},
		},
		"a response to half a head": {
			[]step{client("GET /a HTTP/1.1\r\nCook"), server("HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\n\r\n"), closes("")},
			[]string{"1-2 GET /a 431"},
		},
		"a response before its request": {
			[]step{server(ok), client(get), client(getB), server(notFound)},
			[]string{"2-1 GET /a 200", "3-4 GET /b 404"},
		},
		"responses before and between their requests": {
			[]step{server(ok), server("HTTP/1.1 404 Not Found\r\nContent-"), client(get), server("Length: 0\r\n"), client("GET /b"), server("\r\n"), client(" HTTP/1.1\r\n\r\n")},
			[]string{"3-1 GET /a 200", "5-6 GET /b 404"},
		},
		"no response": {
			[]step{client(get), closes("")},
			[]string{"1-2 GET /a !connection_closed"},
		},
		"no response, and a reset": {
			[]step{client(get), server(ok), client(getB + getC), closes("ECONNRESET")},
			[]string{"1-2 GET /a 200", "3-4 GET /b !ECONNRESET", "3-4 GET /c !ECONNRESET"},
		},
		"half a response": {
			[]step{client(get), server("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"), closes("ECONNRESET")},
			[]string{"1-3 GET /a 200 !ECONNRESET"},
		},
		"half of the chunks": {
			[]step{client(get), server(chunked + "5\r\nhello\r\n"), closes("")},
			[]string{"1-3 GET /a 200 !connection_closed"},
		},
		"half a head of a response": {
			[]step{client(get), server("HTTP/1.1 503 Oh\r\nRetry"), closes("")},
			[]string{"1-3 GET /a 503 !connection_closed"},
		},
		"only an interim response": {
			[]step{client(get), server("HTTP/1.1 103 Early Hints\r\n\r\n"), closes("")},
			[]string{"1-3 GET /a !connection_closed"},
		},
		"half a request": {
			[]step{client("POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"), closes("EPIPE")},
			[]string{"1-2 POST /a !EPIPE"},
		},
		"half a request line": {
			[]step{client(get), server(ok), client("GET /b HT"), closes("")},
			[]string{"1-2 GET /a 200", "unpaired"},
		},
		"a response to nothing": {
			[]step{client(get), server(ok), server("HTTP/1.1 408 Request Timeout\r\n\r\n"), closes("")},
			[]string{"1-2 GET /a 200", "unpaired"},
		},
		"what is not followed any more": {
			[]step{client(get), server("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"), client(getB), forgotten()},
			[]string{"1-2 GET /a 200 gap", "3-3 GET /b gap"},
		},
		"under way when observation ends": {
			[]step{client(get), server("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"), client(getB), client("GET /c HT"), stopped()},
			[]string{"1-5 GET /a 200 cut", "3-5 GET /b cut", "unpaired"},
		},
		"a body until close that is under way when observation ends": {
			[]step{client(get), server(forever + "x"), stopped()},
			[]string{"1-3 GET /a 200 cut"},
		},
		"a body until close that is not followed any more": {
			[]step{client(get), server(forever + "x"), forgotten()},
			[]string{"1-2 GET /a 200 gap"},
		},
		"more requests than are kept": {
			[]step{client(strings.Repeat(get, testLimits.Outstanding) + getB + getC), server(strings.Repeat(ok, testLimits.Outstanding)), server(notFound + failed)},
			append(append([]string{"too_many", "too_many"}, repeat("1-2 GET /a 200", testLimits.Outstanding-2)...),
				"1-3 GET /b 404", "1-3 GET /c 500 !500"),
		},
		"more requests than are kept, of which one has no body": {
			[]step{client("HEAD /x HTTP/1.1\r\n\r\n" + strings.Repeat(get, testLimits.Outstanding)), server(ok), closes("")},
			append([]string{"too_many", "1-1 HEAD /x gap"}, repeat("1-1 GET /a gap", testLimits.Outstanding-1)...),
		},
	} {
		t.Run(name, func(t *testing.T) { test.check(t, false, whole, 1, 2, 3, 7, 16) })
	}
}

func repeat(line string, n int) (lines []string) {
	for range n {
		lines = append(lines, line)
	}
	return lines
}

func TestLongHeads(t *testing.T) {
	field := "X: " + strings.Repeat("y", 300) + "\r\n"
	long := strings.Repeat(field, 2*testLimits.HeadBytes/len(field)+1)
	for name, test := range map[string]script{
		"of a request": {
			[]step{client("GET /a HTTP/1.1\r\n" + long + "\r\n" + getB), server(ok + ok)},
			[]string{"head_too_long", "1-2 GET /a 200 truncated", "1-2 GET /b 200"},
		},
		"whose length comes late": {
			[]step{client("POST /a HTTP/1.1\r\n" + long + "Content-Length: 3\r\n" + long + "\r\nabc" + getB), server(ok + ok)},
			[]string{"head_too_long", "1-2 POST /a 200 truncated", "1-2 GET /b 200"},
		},
		"of a response": {
			[]step{client(get + getB), server(chunked[:len(chunked)-2] + long + "\r\n0\r\n\r\n" + ok)},
			[]string{"head_too_long", "1-2 GET /a 200 truncated", "1-2 GET /b 200"},
		},
		"of an interim response": {
			[]step{client(get), server("HTTP/1.1 103 Early Hints\r\n" + long + "\r\n" + ok)},
			[]string{"head_too_long", "1-2 GET /a 200 truncated"},
		},
		"with one long line": {
			[]step{client("GET /a HTTP/1.1\r\nCookie: " + strings.Repeat("c", 5000) + "\r\n\r\n" + getB), server(ok + ok)},
			[]string{"head_too_long", "1-2 GET /a 200 truncated", "1-2 GET /b 200"},
		},
		"with a long length": {
			[]step{client("GET /a HTTP/1.1\r\n" + long + "Content-Length: " + strings.Repeat("0", 300) + "\r\n\r\n"), server(ok), client(getB), server(ok)},
			[]string{"head_too_long", "malformed", "1-2 GET /a 200 truncated", "3-4 GET /b 200 gap"},
		},
		"with a long target": { // nothing is emitted, because the target is not complete
			[]step{client("GET /" + strings.Repeat("t", 5000) + " HTTP/1.1\r\nContent-Length: 1\r\n\r\nx" + getB), server(ok + ok)},
			[]string{"head_too_long", "1-2 GET 200 truncated", "1-2 GET /b 200"},
		},
		"with a long target, and no end": {
			[]step{client("GET /" + strings.Repeat("t", 5000)), closes("")},
			[]string{"head_too_long", "1-2 GET truncated !connection_closed"},
		},
		"with a long reason": {
			[]step{client(get + getB), server("HTTP/1.1 404 " + strings.Repeat("r", 5000) + "\r\nContent-Length: 1\r\n\r\nx" + ok)},
			[]string{"head_too_long", "1-2 GET /a 404 truncated", "1-2 GET /b 200"},
		},
		"of trailers": {
			[]step{client(get + getB), server(chunked + "0\r\n" + long + "\r\n" + ok)},
			[]string{"head_too_long", "1-2 GET /a 200 truncated", "1-2 GET /b 200"},
		},
		"a method without end": {
			[]step{client(strings.Repeat("G", 3000)), closes("")},
			[]string{"malformed"},
		},
	} {
		t.Run(name, func(t *testing.T) { test.check(t, false, whole, 1, 7, 1000) })
	}
	t.Run("without end", func(t *testing.T) {
		s := newScene(false)
		s.play(1, client("GET /a HTTP/1.1\r\n"), whole)
		for range (maxExcess + testLimits.HeadBytes) / len(field) {
			s.play(2, client(field), whole)
		}
		s.play(3, client(field), whole)
		s.playAll([]step{server(ok), client(getB), server(ok)}, whole)
		want := []string{"head_too_long", "malformed", "1-1 GET /a 200 truncated", "2-3 GET /b 200 gap"}
		if fmt.Sprint(s.emitted) != fmt.Sprint(want) {
			t.Errorf("got %q, want %q", s.emitted, want)
		}
	})
}

func TestStampsAreThoseOfTheFirstAndTheLastByte(t *testing.T) {
	s := newScene(false)
	s.playAll([]step{
		client("\r\nGE"), client("T /a HTTP/1.1\r\n\r\n" + getB), server(ok), server("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na"),
		{direction: protocol.FromServer, missing: 2, why: protocol.Skipped},
	}, whole)
	stamp := func(time, position uint64) protocol.Stamp {
		return protocol.Stamp{Time: time, Began: time, Position: position, PID: 7}
	}
	want := fmt.Sprint([][2]protocol.Stamp{{stamp(1, 2), stamp(3, 39)}, {stamp(2, 21), stamp(5, 80)}})
	if got := fmt.Sprint(s.stamps); len(ok) != 40 || got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestUnneededBytesAreSkipped(t *testing.T) {
	for name, test := range map[string]struct {
		steps []step
		want  [protocol.Directions]uint64
	}{
		"nothing at first":   {nil, [2]uint64{0, 0}},
		"nothing of a head":  {[]step{client("POST /a HTTP/1.1\r\nContent-Length: 90\r\n")}, [2]uint64{0, 0}},
		"the rest of a body": {[]step{client("POST /a HTTP/1.1\r\nContent-Length: 90\r\n\r\nabc")}, [2]uint64{87, 0}},
		"nothing of a body that may not come": {
			[]step{client("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 90\r\n\r\n")}, [2]uint64{0, 0},
		},
		"the rest of a chunk":      {[]step{client(get), server(chunked + "40\r\nabc")}, [2]uint64{0, 61}},
		"nothing between chunks":   {[]step{client(get), server(chunked + "3\r\nabc")}, [2]uint64{0, 0}},
		"all until close":          {[]step{client(get), server(forever)}, [2]uint64{0, protocol.Forever}},
		"nothing that has to wait": {[]step{server("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nabc")}, [2]uint64{0, 0}},
		"all of a tunnel": {
			[]step{client("CONNECT h:1 HTTP/1.1\r\n\r\n"), server(forever)}, [2]uint64{protocol.Forever, protocol.Forever},
		},
		"all of another protocol": {
			[]step{client(get), server("HTTP/1.1 101 Switching Protocols\r\n\r\n")}, [2]uint64{protocol.Forever, protocol.Forever},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(false)
			s.playAll(test.steps, whole)
			if got := [2]uint64{s.parser.Demand(protocol.FromClient).Skip, s.parser.Demand(protocol.FromServer).Skip}; got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestTheBeginningOfACallIsEnoughForLargeBodies(t *testing.T) {
	var large, pipelined []step
	for range bulkyEnough {
		large = append(large, client(get), server("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc"),
			step{direction: protocol.FromServer, missing: 99_997, why: protocol.Truncated})
	}
	pipelined = append(append(pipelined, client(get)), large...)
	for name, test := range map[string]struct {
		steps []step
		want  int
	}{
		"not before one was seen":          {[]step{client(get)}, 0},
		"not for the first ones":           {large[:len(large)-3], 0},
		"after some in a row":              {large, enoughForHead},
		"for the next messages":            {append(large[:len(large):len(large)], client(get)), enoughForHead},
		"never behind a chunked body":      {append([]step{client(get), server(chunked)}, large...), 0},
		"not behind a chunked body":        {append(large[:len(large):len(large)], client(get), server(chunked)), 0},
		"not behind a small body":          {append(large[:len(large):len(large)], client(get), server("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")), 0},
		"not where requests are pipelined": {pipelined, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(false)
			s.playAll(test.steps, whole)
			if got := s.parser.Demand(protocol.FromServer).Enough; got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
			if got := s.parser.Demand(protocol.FromClient).Enough; got != 0 {
				t.Errorf("of requests: got %d, want 0", got)
			}
		})
	}
}

// The bytes after a chunk's data are fixed, so a gap over both is no loss.
func TestAGapOverAChunkAndItsLineEnd(t *testing.T) {
	s := newScene(false)
	s.playAll([]step{
		client(get), server(chunked + "40\r\nabc"),
		{direction: protocol.FromServer, missing: 0x40 - 3 + 2, why: protocol.Truncated},
		server("3\r\nabc\r\n0\r\n\r\n"),
	}, whole)
	if got := s.emitted; len(got) != 1 || strings.Contains(got[0], "truncated") {
		t.Errorf("emitted %q", got)
	}
}
