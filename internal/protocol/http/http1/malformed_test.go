package http1

import (
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

func TestResponsesThatCannotBeRead(t *testing.T) {
	const noHTTP = "HTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for name, test := range map[string]script{
		"before the end": {
			[]step{client(get), server(noHTTP), server("more"), closes("ECONNRESET")},
			[]string{"malformed", "1-3 GET /a !malformed_response"},
		},
		"behind another": {
			[]step{client(get), server(ok), client(getB), server(noHTTP), closes("")},
			[]string{"1-2 GET /a 200", "malformed", "3-4 GET /b !malformed_response"},
		},
		"and again": {
			[]step{client(get), server(noHTTP), client(getB), server(noHTTP), closes("")},
			[]string{"malformed", "1-2 GET /a !malformed_response", "3-4 GET /b !malformed_response"},
		},
		"of a pipeline": {
			[]step{client(get + getB), server(ok + noHTTP), closes("")},
			[]string{"1-2 GET /a 200", "malformed", "1-1 GET /b !malformed_response"},
		},
		"of what follows it in a pipeline": {
			[]step{client(get + getB), server(noHTTP), closes("")},
			[]string{"malformed", "1-1 GET /a !malformed_response", "1-1 GET /b !malformed_response"},
		},
		"before the request": { // as nghttpd does to a client that has not begun with HTTP/2
			[]step{server("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"), client(get), closes("")},
			[]string{"malformed", "2-3 GET /a !malformed_response"},
		},
		"to an offer of another protocol": {
			[]step{client("GET /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n"), server("\x00\x00\x06\x04\x00"), closes("")},
			[]string{"malformed", "1-2 GET /a !malformed_response"},
		},
		"under way when observation ends": {
			[]step{client(get), server(noHTTP), stopped()},
			[]string{"malformed", "1-2 GET /a !malformed_response"},
		},
		"but something of it was lost": {
			[]step{client(get), serverGap(10, protocol.Lost), server(noHTTP), closes("")},
			[]string{"1-1 GET /a gap"},
		},
		"but the rest of it was lost": {
			[]step{client(get), server("HTTP/1.1 2"), serverGap(10, protocol.Truncated), server("x\r\n\r\n"), closes("")},
			[]string{"1-4 GET /a gap"},
		},
		"and then one whose beginning was lost": {
			[]step{client(get), server(noHTTP), client(getB), serverGap(10, protocol.Lost), closes("")},
			[]string{"malformed", "1-2 GET /a !malformed_response", "3-3 GET /b gap"},
		},
		"of a server older than HTTP/1.0": { // what such a server sends has no head
			[]step{client(get), server(ok), client("GET /b\r\n"), server("<html>"), closes("")},
			[]string{"1-2 GET /a 200", "malformed", "unpaired"},
		},
	} {
		t.Run(name, func(t *testing.T) { test.check(t, false, whole) })
	}
}

func TestBodiesThatMustNotBeThere(t *testing.T) {
	const (
		none        = "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"
		noneChunked = "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"
	)
	for name, test := range map[string]script{
		"of 204, with it": {
			[]step{client(get), server(none + "Hello"), client(getB), server(ok)},
			[]string{"1-2 GET /a 204", "3-4 GET /b 200"},
		},
		"of 204, read with the next response": {
			[]step{client(get), server(none), client(getB), server("hello" + ok)},
			[]string{"1-2 GET /a 204", "3-4 GET /b 200"},
		},
		"of 204, in pieces": {
			[]step{client(get), server(none + "he"), server("llo"), client(getB), server(ok)},
			[]string{"1-2 GET /a 204", "4-5 GET /b 200"},
		},
		"of 204, in chunks": {
			[]step{client(get), server(noneChunked), client(getB), server("5\r\nhello\r\n0\r\n\r\n" + ok)},
			[]string{"1-2 GET /a 204", "3-4 GET /b 200"},
		},
		"of 204, which are not there": {
			[]step{client(get), server(none), client(getB), server(ok), client(getC), server(noneChunked), client(getD), server(ok)},
			[]string{"1-2 GET /a 204", "3-4 GET /b 200", "5-6 GET /c 204", "7-8 GET /d 200"},
		},
		"of 204, of unknown length": {
			[]step{client(get), server("HTTP/1.1 204 No Content\r\n\r\nHello"), client(getB), server(ok)},
			[]string{"1-2 GET /a 204", "malformed", "3-4 GET /b 200"},
		},
		"of HEAD": {
			[]step{client("HEAD /a HTTP/1.1\r\n\r\n"), server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"), client(getB), server("HTML" + ok)},
			[]string{"1-2 HEAD /a 200", "3-4 GET /b 200"},
		},
		"of 205, which has none": {
			[]step{client(get), server("HTTP/1.1 205 Reset Content\r\n\r\n"), client(getB), server(ok)},
			[]string{"1-2 GET /a 205", "3-4 GET /b 200"},
		},
		"of 205, whose length is known": {
			[]step{client(get), server("HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nHello"), client(getB), server(ok)},
			[]string{"1-2 GET /a 205", "3-4 GET /b 200"},
		},
	} {
		t.Run(name, func(t *testing.T) { test.check(t, false, whole) })
	}
}

func TestStatusLinesOfShoutcast(t *testing.T) {
	for name, test := range map[string]script{
		"a stream":             {[]step{client(get), server("ICY 200 OK\r\nicy-name: x\r\n\r\nmusic"), closes("")}, []string{"1-2 GET /a 200"}},
		"one that ends":        {[]step{client(get), server("ICY 404 None\r\nContent-Length: 2\r\n\r\nno"), client(getB), server(ok)}, []string{"1-2 GET /a 404", "3-4 GET /b 200"}},
		"one that is none":     {[]step{client(get), server("ICY hot\r\n\r\n"), closes("")}, []string{"malformed", "1-2 GET /a !malformed_response"}},
		"another word like it": {[]step{client(get), server("ICYX 200 OK\r\n\r\n"), closes("")}, []string{"malformed", "1-2 GET /a !malformed_response"}},
	} {
		t.Run(name, func(t *testing.T) { test.check(t, false, whole, 1, 7) })
	}
}

func TestStatusLinesOfAnotherVersion(t *testing.T) {
	for name, test := range map[string]script{
		"HTTP/2.0": {[]step{client(get), server("HTTP/2.0 404 Not Found\r\nContent-Length: 2\r\n\r\nno"), client(getB), server(ok)}, []string{"1-2 GET /a 404", "3-4 GET /b 200"}},
		"HTTP/2":   {[]step{client(get), server("HTTP/2 200 OK\r\n\r\n"), closes("")}, []string{"malformed", "1-2 GET /a !malformed_response"}},
		"HTTP/3.0": {[]step{client(get), server("HTTP/3.0 200 OK\r\n\r\n"), closes("")}, []string{"malformed", "1-2 GET /a !malformed_response"}},
	} {
		t.Run(name, func(t *testing.T) { test.check(t, false, whole, 1, 7) })
	}
}

func TestStatusLinesWithMoreSpace(t *testing.T) {
	for name, test := range map[string]script{
		"spaces before the status": {[]step{client(get), server("HTTP/1.1   404 Not Found\r\nContent-Length: 2\r\n\r\nno"), client(getB), server(ok)}, []string{"1-2 GET /a 404", "3-4 GET /b 200"}},
		"tabs around it":           {[]step{client(get), server("HTTP/1.1\t200\tOK\r\nContent-Length: 2\r\n\r\nok"), client(getB), server(ok)}, []string{"1-2 GET /a 200", "3-4 GET /b 200"}},
		"space and no status":      {[]step{client(get), server("HTTP/1.1  OK\r\n\r\n"), closes("")}, []string{"malformed", "1-2 GET /a !malformed_response"}},
	} {
		t.Run(name, func(t *testing.T) { test.check(t, false, whole, 1, 7) })
	}
}
