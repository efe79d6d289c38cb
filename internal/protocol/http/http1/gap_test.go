package http1

import (
	"slices"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

const (
	skipped   = protocol.Skipped
	truncated = protocol.Truncated
	missing   = protocol.Lost

	post       = "POST /a HTTP/1.1\r\nContent-Length: 100\r\n\r\n"
	postChunks = "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	large      = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
)

func TestGapsInBodiesOfKnownLengthChangeNothing(t *testing.T) {
	for name, test := range map[string]script{
		"of a request": {
			[]step{client(post), clientGap(100, truncated), server(ok), client(getB), server(ok)},
			[]string{"1-3 POST /a 200", "4-5 GET /b 200"},
		},
		"of a response": {
			[]step{client(get), server(large + "x"), serverGap(98, missing), server("x"), client(getB), server(ok)},
			[]string{"1-4 GET /a 200", "5-6 GET /b 200"},
		},
		"of a response, at its end": {
			[]step{client(get), server(large), serverGap(50, missing), serverGap(50, skipped), client(getB), server(ok)},
			[]string{"1-4 GET /a 200", "5-6 GET /b 200"},
		},
		"within a chunk": {
			[]step{client(get), server(chunked + "64\r\nx"), serverGap(98, truncated), server("x\r\n0\r\n\r\n"), client(getB), server(ok)},
			[]string{"1-4 GET /a 200", "5-6 GET /b 200"},
		},
		"at the end of a chunk": {
			[]step{client(get), server(chunked + "64\r\n"), serverGap(100, truncated), server("\r\n0\r\n\r\n"), client(getB), server(ok)},
			[]string{"1-4 GET /a 200", "5-6 GET /b 200"},
		},
		"until close": {
			[]step{client(get), server(forever + "x"), serverGap(1<<40, missing), serverGap(5, skipped), closes("")},
			[]string{"1-4 GET /a 200"},
		},
		"while pipelining": {
			[]step{client(get + getB), server(large), serverGap(100, missing), server(ok)},
			[]string{"1-3 GET /a 200", "1-4 GET /b 200"},
		},
		"in a tunnel": {
			[]step{client("CONNECT h:1 HTTP/1.1\r\n\r\n"), server(forever), serverGap(5, missing), clientGap(5, missing), closes("ECONNRESET")},
			[]string{"1-2 CONNECT 200"},
		},
	} {
		t.Run(name, func(t *testing.T) { test.check(t, false, whole) })
	}
}

func TestGapsInResponses(t *testing.T) {
	for name, test := range map[string]script{
		"in the chunks, with more of them behind it": {
			[]step{client(get), server(chunked + "64\r\nx"), serverGap(1000, truncated), server("rest\r\n0\r\n\r\n"), client(getB), server(ok)},
			[]string{"1-4 GET /a 200 truncated", "5-6 GET /b 200"},
		},
		"in the chunks, up to the end": {
			[]step{client(get), server(chunked), serverGap(1000, missing), client(getB), server(ok), client(getC), server(ok)},
			[]string{"1-3 GET /a 200 gap", "4-5 GET /b 200 gap", "6-7 GET /c 200 gap"},
		},
		"in the chunks, and the next response in pieces": {
			[]step{client(get), server(chunked), serverGap(1000, truncated), server("rest"), client(getB), server("HTTP/"), server(ok[5:])},
			[]string{"1-4 GET /a 200 truncated", "5-7 GET /b 200"},
		},
		"in the chunks, and then the close": { // whether something is missing is not known
			[]step{client(get), server(chunked), serverGap(1000, truncated), closes("ECONNRESET")},
			[]string{"1-3 GET /a 200 truncated"},
		},
		"beyond a body, up to the next response": {
			[]step{client(get), server(large), serverGap(150, truncated), client(getB), server(ok)},
			[]string{"1-3 GET /a 200 truncated", "4-5 GET /b 200"},
		},
		"in the head": {
			[]step{client(get), server("HTTP/1.1 404 Not Found\r\nX: "), serverGap(1000, truncated), server("body"), client(getB), server(ok)},
			[]string{"1-4 GET /a 404 truncated", "5-6 GET /b 200"},
		},
		"in the status line": {
			[]step{client(get), server("HTTP/1.1 4"), serverGap(1000, truncated), client(getB), server(ok)},
			[]string{"1-3 GET /a gap", "4-5 GET /b 200"},
		},
		"of the whole response": {
			[]step{client(get), serverGap(1000, truncated), server("body"), client(getB), server(ok)},
			[]string{"1-3 GET /a gap", "4-5 GET /b 200"},
		},
		"of an interim response, it may be": { // or the next request was lost too
			[]step{client(get), serverGap(30, truncated), server(ok), client(getB), server(ok)},
			[]string{"1-2 GET /a gap", "unpaired", "4-5 GET /b 200"},
		},
		"in an interim response": {
			[]step{client(get), server("HTTP/1.1 100 Continue\r\n"), serverGap(2, truncated), server(ok)},
			[]string{"1-3 GET /a gap", "unpaired"},
		},
		"with which the next request was lost too": {
			[]step{client(get), serverGap(1000, missing), server(failed), clientGap(30, missing), client(getC), server(ok)},
			[]string{"1-1 GET /a gap", "unpaired", "5-6 GET /c 200 gap"},
		},
		"that shows only after the next request": {
			[]step{client(get), client(getB), serverGap(1000, missing), server(failed), client(getC), server(ok)},
			[]string{"1-1 GET /a gap", "2-2 GET /b gap", "unpaired", "5-6 GET /c 200 gap"},
		},
		"in the middle of one, that shows only after the next request": {
			[]step{client(get), server(chunked), client(getB), serverGap(1000, missing), server(failed), client(getC), server(ok)},
			[]string{"1-2 GET /a 200 gap", "3-3 GET /b gap", "unpaired", "6-7 GET /c 200 gap"},
		},
		"with a request that is not complete": {
			[]step{client(post), serverGap(25, missing), clientGap(100, skipped), server(ok), client(getB), server(ok)},
			[]string{"1-1 POST /a gap", "unpaired", "5-6 GET /b 200 gap"},
		},
		"while pipelining, in the last response": {
			[]step{client(get + getB), server(ok), server(chunked), serverGap(1000, truncated), client(getC), server(ok)},
			[]string{"1-2 GET /a 200", "1-4 GET /b 200 truncated", "5-6 GET /c 200"},
		},
		"while pipelining": { // it is not known which one the next response belongs to
			[]step{client(get + getB + getC), server(chunked), serverGap(1000, truncated), server(failed), client(getD), server(failed), closes("")},
			[]string{"1-2 GET /a 200 truncated", "1-1 GET /b gap", "1-1 GET /c gap"},
		},
		"and no response at the close": {
			[]step{client(get), serverGap(1, truncated), closes("ECONNRESET")},
			[]string{"1-2 GET /a gap"},
		},
		"of the answer to an upgrade": {
			[]step{client("GET /a HTTP/1.1\r\nUpgrade: x\r\n\r\n"), serverGap(50, truncated), client("\x01\x02"), client(getB), server(ok)},
			[]string{"1-2 GET /a gap", "4-5 GET /b 200"},
		},
		"in the head that opens a tunnel": {
			[]step{client("CONNECT h:1 HTTP/1.1\r\n\r\n"), server("HTTP/1.1 200 OK\r\nX: "), serverGap(50, truncated), client(get), server(ok), closes("")},
			[]string{"1-2 CONNECT 200 truncated"},
		},
		"of a response that came before its request": {
			[]step{server(chunked + "64\r\n"), serverGap(100, truncated), server("\r\n0\r\n"), client(get), server("\r\n"), client(getB), server(ok)},
			[]string{"4-5 GET /a 200", "6-7 GET /b 200"},
		},
	} {
		t.Run(name, func(t *testing.T) { test.check(t, false, whole) })
	}
}

func TestGapsInRequests(t *testing.T) {
	for name, test := range map[string]script{
		"in the chunks": {
			[]step{client(postChunks + "64\r\nx"), clientGap(500, truncated), client("rest\r\n0\r\n\r\n"), server(ok), client(getB), server(ok)},
			[]string{"1-4 POST /a 200 truncated", "5-6 GET /b 200 gap"},
		},
		"in the head": {
			[]step{client("GET /a HTTP/1.1\r\nHost: "), clientGap(500, missing), server(ok), client(getB), server(ok)},
			[]string{"1-3 GET /a 200 gap", "4-5 GET /b 200 gap"},
		},
		"in the request line": {
			[]step{client("GET /a"), clientGap(500, truncated), server(failed), client(getB), server(ok)},
			[]string{"unpaired", "4-5 GET /b 200 gap"},
		},
		"of a whole request": {
			[]step{client(get), server(ok), clientGap(500, missing), server(failed), client(getC), server(ok)},
			[]string{"1-2 GET /a 200", "unpaired", "5-6 GET /c 200 gap"},
		},
		"of a whole request, that shows after its response": {
			[]step{client(get), server(ok), server(failed), clientGap(30, missing), client(getC), server(ok)},
			[]string{"1-2 GET /a 200", "unpaired", "5-6 GET /c 200 gap"},
		},
		"of a request and of two responses": {
			[]step{client(get), clientGap(30, missing), client(getC), serverGap(90, missing), server(ok), client(getD), server(notFound)},
			[]string{"1-1 GET /a gap", "3-3 GET /c gap", "unpaired", "6-7 GET /d 404 gap"},
		},
		"behind one that is not answered": {
			[]step{client(get), clientGap(30, truncated), server(ok), server(failed), client(getC), server(notFound)},
			[]string{"1-3 GET /a 200", "unpaired", "5-6 GET /c 404 gap"},
		},
		"of a body and what follows": {
			[]step{client(post), clientGap(150, missing), server(ok), client(getB), server(ok)},
			[]string{"1-3 POST /a 200 gap", "4-5 GET /b 200 gap"},
		},
		"while pipelining": { // those before it are answered first
			[]step{client(get + getB), clientGap(30, truncated), server(ok), client(getD), server(notFound), server(failed), closes("")},
			[]string{"1-3 GET /a 200", "1-5 GET /b 404"},
		},
		"after pipelining": {
			[]step{client(get + getB), server(ok + ok), clientGap(30, truncated), client(getD), server(failed), closes("")},
			[]string{"1-2 GET /a 200", "1-2 GET /b 200"},
		},
		"at the close": {
			[]step{client("GET /a HTTP/1.1\r\nHost: "), clientGap(9, missing), closes("")},
			[]string{"1-3 GET /a gap !connection_closed"},
		},
	} {
		t.Run(name, func(t *testing.T) { test.check(t, false, whole) })
	}
}

func TestMalformed(t *testing.T) {
	for name, test := range map[string]script{
		"a request": {
			[]step{client("\x16\x03\x01"), server("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), client(getB), server(ok)},
			[]string{"malformed", "unpaired", "3-4 GET /b 200 gap"},
		},
		"a version": {
			[]step{client("GET / HTTP/2.0\r\n\r\n"), server("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), client(getB), server(ok)},
			[]string{"1-2 GET 400", "3-4 GET /b 200"},
		},
		"a target": {
			[]step{client("GET /a\x00b HTTP/1.1\r\n\r\n"), server("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), client(getB), server(ok)},
			[]string{"1-2 GET 400", "3-4 GET /b 200"},
		},
		"requests in the way of other servers": {
			[]step{
				client("get /a HTTP/1.1\r\n\r\n"), server("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), client("GET  /a  HTTP/1.1\r\n\r\n"), server("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
				client("GET /a HTTP/1.1\n\n"), server(ok), client(strings.Repeat("LONG", 20) + " /a HTTP/1.1\r\n\r\n"), server("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
			},
			[]string{"1-2 HTTP /a 400", "3-4 GET /a 400", "5-6 GET /a 200", "7-8 HTTP /a 400 truncated"},
		},
		"lengths that contradict each other, of a request": {
			[]step{client("POST /a HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), server("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")},
			[]string{"malformed", "1-2 POST /a 400 truncated"},
		},
		"lengths that contradict each other, of a response": {
			[]step{client(get), server("HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello"), client(getB), server(ok)},
			[]string{"malformed", "1-2 GET /a 200 !malformed_response", "3-4 GET /b 200"},
		},
		"a length that is none": {
			[]step{client(get), server("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), client(getB), server("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n"), closes("")},
			[]string{"malformed", "1-2 GET /a 200 !malformed_response", "malformed", "3-4 GET /b 200 !malformed_response"},
		},
		"a coding of a request that gives no length": {
			[]step{client("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\nhello"), server("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")},
			[]string{"1-2 POST /a 400 truncated"},
		},
		"the size of a chunk": {
			[]step{client(get), server(chunked + "x\r\n"), client(getB), server(chunked + "fffffffffffffffff\r\n"), client(getC), server(chunked + "\r\n"), client(getD), server(ok)},
			[]string{"malformed", "1-2 GET /a 200 !malformed_response", "malformed", "3-4 GET /b 200 !malformed_response", "malformed", "5-6 GET /c 200 !malformed_response", "7-8 GET /d 200"},
		},
		"the end of a chunk": {
			[]step{client(get), server(chunked + "2\r\nokk\r\n0\r\n\r\n"), client(getB), server(ok)},
			[]string{"malformed", "1-2 GET /a 200 !malformed_response", "3-4 GET /b 200"},
		},
		"an extension without end": {
			[]step{client(get), server(chunked + "2;" + strings.Repeat("x", 2000)), client(getB), server(ok)},
			[]string{"malformed", "1-2 GET /a 200 truncated", "3-4 GET /b 200"},
		},
		"a response": {
			[]step{client(get), server("hello"), server(ok), client(getB), server(ok)},
			[]string{"malformed", "1-2 GET /a !malformed_response", "unpaired", "4-5 GET /b 200"},
		},
		"a status": {
			[]step{client(get), server("HTTP/1.1 099 Oh\r\n\r\n"), server(ok)},
			[]string{"malformed", "1-2 GET /a !malformed_response", "unpaired"},
		},
		"a body that should not be there": {
			[]step{client("HEAD /a HTTP/1.1\r\n\r\n"), server(ok), client(getB), server(ok)},
			[]string{"1-2 HEAD /a 200", "3-4 GET /b 200"},
		},
	} {
		t.Run(name, func(t *testing.T) { test.check(t, false, whole) })
	}
}

func TestJoinedInTheMiddle(t *testing.T) {
	for name, test := range map[string]script{
		"of nothing": {
			[]step{client(get), server(ok), client(getB), server(ok)},
			[]string{"1-2 GET /a 200 joined", "3-4 GET /b 200 joined"},
		},
		"of a request": {
			[]step{client("ost: h\r\n\r\n"), server(failed), client(getB), server(ok)},
			[]string{"3-4 GET /b 200 joined"},
		},
		"of a response": {
			[]step{server("ody"), client(getB), server(ok)},
			[]string{"2-3 GET /b 200 joined"},
		},
		"before a response": {
			[]step{server(failed), server(chunked), client(getB), server(ok), client(getC), server(ok)},
			[]string{"3-4 GET /b 200 joined", "5-6 GET /c 200 joined"},
		},
		"of an exchange whose response comes with the next request": {
			[]step{client(get), client(getB), server(ok)},
			[]string{"1-1 GET /a gap", "2-3 GET /b 200 joined"},
		},
		"with the first byte of a request": {
			[]step{client("G"), client("ET /a HTTP/1.1\r\n"), client("\r\n"), server("HTTP"), server("/1.1 200 OK\r\n\r\n"), closes("")},
			[]string{"1-5 GET /a 200 joined"},
		},
		"with something that is not the beginning of a request": {
			[]step{client("ABC"), client(get), server("HTTP/1."), server(ok), client("PURGE"), client(" /b HTTP/1.1\r\n\r\n"), server(ok)},
			[]string{"2-4 GET /a 200 joined", "5-7 HTTP /b 200 joined"},
		},
		"of a body with a long word": {
			[]step{client(strings.Repeat("A", 21)), client("GET /" + strings.Repeat("a", 2000)), client(get), server(ok)},
			[]string{"3-4 GET /a 200 joined"},
		},
		"pipelining": {
			[]step{client(get + getB), server(ok + notFound)},
			[]string{"1-2 GET /a 200 joined", "1-2 GET /b 404 joined"},
		},
		"without a response": {
			[]step{client(get), closes("ECONNRESET")},
			[]string{"1-2 GET /a !ECONNRESET"},
		},
		"without a response, but something that may be one": {
			[]step{client(get), server("body"), closes("ECONNRESET")},
			[]string{"1-1 GET /a gap"},
		},
	} {
		t.Run(name, func(t *testing.T) { test.check(t, true, whole) })
	}
}

func TestRefusedBodyMayBeLeftOut(t *testing.T) {
	const refused = "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"
	for name, test := range map[string]script{
		"of known length": {
			[]step{client("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"), server(refused), client(getB), server(ok)},
			[]string{"1-2 POST /a 417", "3-4 GET /b 200"},
		},
		"chunked": {
			[]step{client("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"), server(refused), client(getB), server(ok)},
			[]string{"1-2 POST /a 417", "3-4 GET /b 200"},
		},
		"but it came": {
			[]step{client("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"), server(refused), client("GET / HTT" + getB), server(ok)},
			[]string{"1-2 POST /a 417", "3-4 GET /b 200"},
		},
		"but it came, and looks like a request": {
			[]step{client("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 28\r\n\r\n"), server(refused), client(getB), client(getC), server(ok)},
			[]string{"1-2 POST /a 417", "4-5 GET /c 200"},
		},
		"but it came with the next request, and looks like one": {
			[]step{client("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 28\r\n\r\n"), server(refused), client(getB + getC), server(ok)},
			[]string{"1-2 POST /a 417", "3-4 GET /c 200"},
		},
		"and is longer than the next request": {
			[]step{client("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99\r\n\r\n"), server(refused), client(getB), server(ok)},
			[]string{"1-2 POST /a 417", "3-4 GET /b 200"},
		},
		"and is shorter than the next request": {
			[]step{client("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"), server("HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n"), client(getB), server(ok)},
			[]string{"1-2 POST /a 401", "3-4 GET /b 200"},
		},
		"but it was asked for": {
			[]step{
				client("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 28\r\n\r\n"), server("HTTP/1.1 100 Continue\r\n\r\n" + refused),
				client(getB), client(getC), server(ok),
			},
			[]string{"1-2 POST /a 417", "4-5 GET /c 200"},
		},
	} {
		t.Run(name, func(t *testing.T) { test.check(t, false, whole) })
	}
}

func TestUpgradeToHTTP2(t *testing.T) {
	const (
		request  = "GET /a HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n"
		switches = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
		settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
		response = "\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88" // HEADERS, END_STREAM and END_HEADERS, stream 1, :status 200
		preface  = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings
	)
	for name, test := range map[string]script{
		"in one call":                 {[]step{client(request), server(switches + settings + response), client(preface)}, []string{"1-2 GET /a 200"}},
		"in many":                     {[]step{client(request), server(switches), server(settings), client(preface), server(response)}, []string{"1-5 GET /a 200"}},
		"with the preface seen early": {[]step{client(request), client(preface), server(switches + settings), server(response)}, []string{"1-4 GET /a 200"}},
		"seen before its request":     {[]step{server(switches + settings), client(request + preface), server(response)}, []string{"2-3 GET /a 200"}},
		"that ends":                   {[]step{client(request), server(switches), closes("ECONNRESET")}, []string{"1-3 GET /a !ECONNRESET"}},
	} {
		t.Run(name, func(t *testing.T) { test.check(t, false, whole) })
	}
}

// What follows an upgrade, or a tunnel, is returned in order, whenever it was seen.
func TestRestIsReturnedAfterASwitch(t *testing.T) {
	const (
		h2c      = "POST /grpc HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"
		switches = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
		tunnel   = "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n"
	)
	for name, test := range map[string]struct {
		script
		client, server string
	}{
		"an upgrade without settings for HTTP/2": {
			script{[]step{client(h2c + "\r\n"), server(switches), client("preface"), server("settings")}, []string{"1-2 POST /grpc 101"}}, "preface", "settings",
		},
		"both in one call": {
			script{[]step{client(h2c + "\r\n"), server(switches + "settings"), client("preface")}, []string{"1-2 POST /grpc 101"}}, "preface", "settings",
		},
		"an answer before the body was sent": {
			script{[]step{client(h2c + "Content-Length: 4\r\n\r\nbo"), server(switches + "set"), server("tings"), client("dypreface")}, []string{"1-2 POST /grpc 101"}}, "preface", "settings",
		},
		"bytes that are sent early": {
			script{[]step{client(h2c + "\r\npre"), client("face"), server(switches)}, []string{"1-3 POST /grpc 101"}}, "preface", "",
		},
		"a tunnel": {
			script{[]step{client(tunnel), server("HTTP/1.1 200 OK\r\n\r\n"), client("hello"), server("hi")}, []string{"1-2 CONNECT 200"}}, "hello", "hi",
		},
		"a gap": {
			script{[]step{client(tunnel + "hello"), clientGap(7, protocol.Lost), server("HTTP/1.1 200 OK\r\n\r\n")}, []string{"1-3 CONNECT 200"}}, "hello<7>", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{whole, 1, 7} {
				s := newScene(false)
				s.playAll(test.steps, n)
				if s.returned != [...]string{test.client, test.server} || !s.switched {
					t.Errorf("in pieces of %d: switched %v, returned %q", n, s.switched, s.returned)
				}
				if !slices.Equal(s.emitted, test.want) {
					t.Errorf("in pieces of %d: emitted %q", n, s.emitted)
				}
			}
		})
	}
}

// After so many bytes, or calls, without a message the parser gives up; after so many times as many if there was an exchange before.
const (
	garbageBytes  = 64 << 10
	garbageChunks = 16
	proven        = 16
)

func TestGarbageEndsParsing(t *testing.T) {
	for name, test := range map[string]struct {
		chunks int
		bytes  string
		before []step
		given  bool
	}{
		"many chunks":             {garbageChunks, "x", nil, true},
		"not so many":             {garbageChunks - 1, "x", nil, false},
		"many bytes":              {garbageBytes / 8192, strings.Repeat("x", 8192), nil, true},
		"not so many bytes":       {garbageBytes/8192 - 1, strings.Repeat("x", 8192), nil, false},
		"with an exchange before": {garbageChunks, "x", []step{client(get), server(ok)}, false},
		"with an exchange before, very many chunks": {proven*garbageChunks + 1, "x", []step{client(get), server(ok)}, true},
		"that is the rest of a response":            {10 * proven * garbageChunks, "x", []step{client(get), server(chunked + "!")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(true)
			s.playAll(test.before, whole)
			for range test.chunks {
				s.play(1, server(test.bytes), whole)
			}
			given := s.parser.Demand(protocol.FromClient).Skip == protocol.Forever && s.parser.Demand(protocol.FromServer).Skip == protocol.Forever
			if given != test.given {
				t.Errorf("given up: %v", given)
			}
		})
	}
}
