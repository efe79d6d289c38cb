package http1

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/socketflow/socketflow/internal/protocol"
)

// hostile are requests that servers refuse, or understand differently. Those that name neither the protocol nor one of its methods, or
// begin with what is no text, are no HTTP, whoever answers.
var hostile = []struct {
	name, request string
	none          bool
}{
	{name: "a long method", request: strings.Repeat("M", 300) + " / HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "a longer method", request: strings.Repeat("M", 900) + " / HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "a method that is no text", request: "G\xffT / HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "a method with a control character", request: "G\x01T / HTTP/1.1\r\nHost: h\r\n\r\n", none: true},
	{name: "a method with a separator", request: "G(T / HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "a method in small letters", request: "get / HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "no method", request: " / HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "bare line feeds", request: "GET / HTTP/1.1\nHost: h\n\n"},
	{name: "bare line feeds of HTTP/1.0", request: "GET / HTTP/1.0\n\n"},
	{name: "empty lines before it", request: "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "empty lines with bare line feeds before it", request: "\n\nGET / HTTP/1.1\nHost: h\n\n"},
	{name: "a space before it", request: " GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "two spaces", request: "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "tabs", request: "GET\t/\tHTTP/1.1\r\nHost: h\r\n\r\n", none: true},
	{name: "no version", request: "GET /\r\n\r\n"},
	{name: "no target", request: "GET\r\n\r\n"},
	{name: "no target, but a version", request: "GET HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "a version of two digits", request: "GET / HTTP/1.10\r\nHost: h\r\n\r\n"},
	{name: "HTTP/2.0", request: "GET / HTTP/2.0\r\nHost: h\r\n\r\n"},
	{name: "HTTP/9", request: "GET / HTTP/9\r\nHost: h\r\n\r\n"},
	{name: "a version in small letters", request: "GET / http/1.1\r\nHost: h\r\n\r\n"},
	{name: "something after the version", request: "GET / HTTP/1.1 x\r\nHost: h\r\n\r\n"},
	{name: "a target without a slash", request: "GET x HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "a target with a zero", request: "GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "a target with a space", request: "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "a target that is no text", request: "GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "another scheme", request: "GET gopher://h/ HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "a long target", request: "GET /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "no Host", request: "GET / HTTP/1.1\r\n\r\n"},
	{name: "two Hosts", request: "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
	{name: "a bad Host", request: "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
	{name: "a field without a colon", request: "GET / HTTP/1.1\r\nHost: h\r\nfield\r\n\r\n"},
	{name: "a field with a space before the colon", request: "GET / HTTP/1.1\r\nHost : h\r\n\r\n"},
	{name: "a field with a zero", request: "GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n"},
	{name: "a field without a name", request: "GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n"},
	{name: "a line that goes on", request: "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n"},
	{name: "a length that is none", request: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n"},
	{name: "two lengths", request: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"},
	{name: "a negative length", request: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n"},
	{name: "an unknown coding", request: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\n\r\n"},
	{name: "a chunk of no size", request: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"},
	{name: "an unknown expectation", request: "GET / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n"},
	{name: "an unknown method", request: "FROB / HTTP/1.1\r\nHost: h\r\n\r\n"},
	{name: "gRPC", request: "POST /a.B/C HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n"},
	{name: "a refused expectation", request: "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 28\r\n\r\n" + getB},
	{name: "words", request: "hello world\r\n\r\n", none: true},
	{name: "TLS", request: "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n", none: true},
}

func TestWhatServersRefuseIsAnExchange(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 0 {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	for _, test := range hostile {
		t.Run(test.name, func(t *testing.T) {
			answer := ask(t, server.Listener.Addr().String(), test.request)
			checkHostile(t, test.request, answer, test.none)
		})
	}
}

// ask returns all that a server answers to bytes.
func ask(t *testing.T, address, request string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(conn)
	if err != nil && len(answer) == 0 {
		t.Fatal(err)
	}
	return string(answer)
}

// checkHostile checks that there is one exchange if the answer is one of HTTP, with its status.
func checkHostile(t *testing.T, request, answer string, none bool) {
	t.Helper()
	var both protocol.Sample
	both.Bytes[protocol.FromClient], both.Bytes[protocol.FromServer] = []byte(request), []byte(answer)
	alone := sample(protocol.FromClient, request, false)
	found := detect(alone) >= protocol.NeedMore && detect(&both) >= protocol.Weak
	if none || !strings.HasPrefix(answer, "HTTP/1.") {
		if detect(&both) == protocol.Certain && none {
			t.Errorf("it is recognised, answered with %.20q", answer)
		}
		return
	}
	if !found {
		t.Fatalf("alone %d, with %.20q %d", detect(alone), answer, detect(&both))
	}
	s := newWideScene()
	s.playAll([]step{client(request), server(answer), closes("")}, whole)
	want := answer[len("HTTP/1.1 "):][:3]
	if s.exchanges != 1 || !strings.Contains(strings.Join(s.emitted, "\n"), " "+want) {
		t.Errorf("answered with %.20q (%d), emitted %q", answer, len(strconv.Quote(answer)), s.emitted)
	}
}
