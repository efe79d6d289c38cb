package fastcgi

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/http"
)

var (
	clientSide = protocol.Session{Side: protocol.Client, Remote: netip.MustParseAddrPort("127.0.0.1:9000")}
	serverSide = protocol.Session{Side: protocol.Server}
)

const traceparent = "HTTP_TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// nginxParams are what nginx sends with its fastcgi.conf.
var nginxParams = []string{
	"SCRIPT_FILENAME=/srv/index.php", "QUERY_STRING=a=1&password=" + secret, "REQUEST_METHOD=POST", "CONTENT_TYPE=text/plain", "CONTENT_LENGTH=5",
	"SCRIPT_NAME=/index.php", "REQUEST_URI=/shop/items?a=1&password=" + secret, "DOCUMENT_URI=/index.php", "DOCUMENT_ROOT=/srv", "SERVER_PROTOCOL=HTTP/1.1",
	"REQUEST_SCHEME=https", "HTTPS=on", "GATEWAY_INTERFACE=CGI/1.1", "SERVER_SOFTWARE=nginx", "REMOTE_ADDR=192.0.2.7", "REMOTE_PORT=4711", "SERVER_ADDR=192.0.2.1",
	"SERVER_PORT=8443", "SERVER_NAME=_", "REDIRECT_STATUS=200", "HTTP_HOST=shop.example", "HTTP_USER_AGENT=agent/1", "HTTP_COOKIE=session=" + secret,
	"HTTP_AUTHORIZATION=Basic " + secret, "PHP_AUTH_PW=" + secret, "DB_PASSWORD=" + secret, traceparent,
}

const nginxScript = "code.file.path=/srv/index.php"

func TestRequestsHaveTheAttributesOfHTTP(t *testing.T) {
	all := pairs(nginxParams...)
	steps := []step{
		c(beginOf(1, responder, 0), rec(typeParams, 1, all[:100]), rec(typeParams, 1, all[100:]), rec(typeParams, 1, ""), rec(typeStdin, 1, "hello"), rec(typeStdin, 1, "")),
		s(answers(1, "Status: 404 Not Found\r\nContent-Type: text/html\r\n\r\nnone")),
	}
	check(t, steps, serverSide, []string{"POST /shop/items?a=1&password=REDACTED 404 client=192.0.2.7:4711 " + nginxScript +
		" parent=b7ad6b7169203331 scheme=https script.name=/index.php sent=5 server=shop.example:443 user_agent.original=agent/1"})
	check(t, steps, clientSide, []string{"POST /shop/items?a=1&password=REDACTED 404 " + nginxScript + " parent=b7ad6b7169203331 scheme=https script.name=/index.php sent=5"})
}

func TestListedHeaderFieldsAreRecordedAndSecretOnesRedacted(t *testing.T) {
	steps := []step{
		c(asks(1, nginxParams...)),
		s(answers(1, "Content-Type: text/html\r\nSet-Cookie: a="+secret+"\r\nX-Powered-By: PHP\r\n\r\n")),
	}
	p, r := play(steps, serverSide, 0, func(config any) {
		config.(*http.Config).Headers = http.HeadersConfig{
			Request: []string{"Cookie", "Authorization", "User-Agent", "Content-Length"}, Response: []string{"Set-Cookie", "X-Powered-By"},
		}
	})
	p.Close(0)
	got := briefs(r)
	for _, want := range []string{
		"http.request.header.cookie=[REDACTED]", "http.request.header.authorization=[REDACTED]", "http.request.header.user-agent=[agent/1]",
		"http.request.header.content-length=[5]", "http.response.header.set-cookie=[REDACTED]", "http.response.header.x-powered-by=[PHP]",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
	if strings.Contains(got, secret) {
		t.Errorf("a secret in %s", got)
	}
}

func TestForwardedFieldsCountOnlyIfTheyAreConfigured(t *testing.T) {
	steps := []step{c(asks(1, "REQUEST_METHOD=GET", "REQUEST_URI=/", "REMOTE_ADDR=192.0.2.7", "HTTP_X_FORWARDED_FOR=198.51.100.9")), s(answers(1, okText))}
	for configured, want := range map[bool]string{false: "192.0.2.7:0", true: "198.51.100.9:0"} {
		_, r := play(steps, serverSide, 0, func(config any) { config.(*http.Config).Forwarded = configured })
		if got := r.Exchanges[0].Client.String(); got != want {
			t.Errorf("forwarded %v: %s, want %s", configured, got, want)
		}
	}
}

// TestResponses has the rest of the responses to one request.
func TestResponses(t *testing.T) {
	for name, x := range map[string]struct{ response, want string }{
		"without a status":              {answers(1, okText), "GET / 200"},
		"bare LF":                       {answers(1, "Status: 500\nA: b\n\n"), "GET / 500"},
		"status behind others":          {answers(1, "A: b\r\nstatus:503 Busy\r\n\r\n"), "GET / 503"},
		"redirect":                      {answers(1, "Location: https://b.example/\r\n\r\n"), "GET / 302"},
		"redirect within the server":    {answers(1, "Location: /other\r\n\r\n"), "GET / <nil>"},
		"redirect with a status":        {answers(1, "Location: /other\r\nStatus: 301 Moved\r\n\r\n"), "GET / 301"},
		"as HTTP has it":                {answers(1, "HTTP/1.1 201 Created\r\nA: b\r\n\r\n"), "GET / 201"},
		"head over records":             {rec(typeStdout, 1, "Sta") + rec(typeStdout, 1, "tus: 40") + rec(typeStderr, 1, "oh") + rec(typeStdout, 1, "4 x\r\n\r") + answers(1, "\nbody"), "GET / 404 stderr.size=2"},
		"without STDOUT's end":          {rec(typeStdout, 1, okText) + endOf(1, 0, 0), "GET / 200"},
		"exit status":                   {rec(typeStdout, 1, okText) + endOf(1, 255, 0), "GET / 200 app_status=255"},
		"negative exit status":          {rec(typeStdout, 1, okText) + endOf(1, -1, 0), "GET / 200 app_status=-1"},
		"nothing":                       {endOf(1, 1, 0), "GET / <nil> app_status=1 error=malformed_response"},
		"no head":                       {answers(1, "hello\nworld\n"), "GET / <nil> error=malformed_response"},
		"status that is none":           {answers(1, "Status: ok\r\n\r\n"), "GET / <nil> error=malformed_response"},
		"head that does not end":        {answers(1, "Status: 200 OK\r\n"), "GET / 200 error=malformed_response"},
		"only STDERR":                   {rec(typeStderr, 1, "Primary script unknown") + endOf(1, 0, 0), "GET / <nil> error=malformed_response stderr.size=22"},
		"overloaded":                    {endOf(1, 0, 2), "GET / <nil> error=OVERLOADED protocol_status=OVERLOADED"},
		"cannot multiplex":              {endOf(1, 0, 1), "GET / <nil> error=CANT_MPX_CONN protocol_status=CANT_MPX_CONN"},
		"role that is not known":        {endOf(1, 0, 3), "GET / <nil> error=UNKNOWN_ROLE protocol_status=UNKNOWN_ROLE"},
		"status that is not known":      {endOf(1, 0, 9), "GET / <nil> error=_OTHER protocol_status=_OTHER"},
		"management records beside":     {rec(typeValues, 0, pairs("FCGI_MAX_CONNS=1")) + rec(typeUnknown, 0, "\x20\x00\x00\x00\x00\x00\x00\x00") + answers(1, okText), "GET / 200"},
		"closed within the head":        {rec(typeStdout, 1, "Sta"), "GET / <nil> error=connection_closed"},
		"closed before the end":         {rec(typeStdout, 1, okText), "GET / 200 error=connection_closed"},
		"closed before anything":        {"", "GET / <nil> error=connection_closed"},
		"closed within END_REQUEST":     {rec(typeStdout, 1, okText) + endOf(1, 0, 0)[:12], "GET / 200 error=connection_closed"},
		"something else than a request": {answers(1, okText) + "", "GET / 200"},
	} {
		t.Run(name, func(t *testing.T) {
			steps := []step{c(get(1, "/"))}
			if x.response != "" {
				steps = append(steps, s(x.response))
			}
			check(t, steps, serverSide, []string{x.want})
		})
	}
}

// TestRequests has requests, each with a response.
func TestRequests(t *testing.T) {
	long := strings.Repeat("x", 200)
	for name, x := range map[string]struct{ request, want string }{
		"lengths of four bytes":        {asks(1, "A="+long, long+"=b", "REQUEST_METHOD=GET", "REQUEST_URI=/a"), "GET /a 200"},
		"short lengths in four bytes":  {beginOf(1, responder, 0) + rec(typeParams, 1, "\x80\x00\x00\x0b\x80\x00\x00\x02REQUEST_URI/a") + rec(typeParams, 1, "") + rec(typeStdin, 1, ""), "HTTP /a 200 method=_OTHER"},
		"without REQUEST_URI":          {asks(1, "REQUEST_METHOD=GET", "SCRIPT_NAME=/a b?.php", "PATH_INFO=/c", "QUERY_STRING=d=1"), "GET /a b%3F.php/c?d=1 200 script.name=/a b?.php"},
		"garbage for a path":           {asks(1, "REQUEST_METHOD=GET", "REQUEST_URI=\x01\x02garbage"), "GET  200"},
		"control characters in a path": {asks(1, "REQUEST_METHOD=GET", "REQUEST_URI=/a\x01b"), "GET  200"},
		"unknown method":               {asks(1, "REQUEST_METHOD=BREW", "REQUEST_URI=/pot"), "HTTP /pot 200 http.request.method_original=BREW method=_OTHER"},
		"no parameters":                {beginOf(1, responder, 0) + rec(typeParams, 1, "") + rec(typeStdin, 1, ""), "HTTP  200 method=_OTHER"},
		"authorizer":                   {beginOf(1, authorizer, 1) + rec(typeParams, 1, pairs("REQUEST_METHOD=GET", "REQUEST_URI=/a")) + rec(typeParams, 1, ""), "GET /a 200 role=authorizer"},
		"filter": {beginOf(1, filter, 1) + rec(typeParams, 1, pairs("REQUEST_METHOD=GET", "REQUEST_URI=/a")) + rec(typeParams, 1, "") + rec(typeStdin, 1, "") +
			rec(typeData, 1, "file") + rec(typeData, 1, ""), "GET /a 200 role=filter"},
		"another role":                       {beginOf(1, 7, 1) + rec(typeParams, 1, pairs("REQUEST_METHOD=GET")) + rec(typeParams, 1, "") + rec(typeStdin, 1, ""), "GET  200"},
		"GET_VALUES before it":               {rec(typeGetValues, 0, pairs("FCGI_MAX_CONNS=", "FCGI_MPXS_CONNS=")) + get(1, "/"), "GET / 200"},
		"Apache's script":                    {asks(1, "REQUEST_METHOD=GET", "REQUEST_URI=/a.php", "SCRIPT_FILENAME=proxy:fcgi://127.0.0.1:9000/srv/a.php?key="+secret), "GET /a.php 200 code.file.path=/srv/a.php"},
		"Apache's script, by a Unix socket":  {asks(1, "REQUEST_METHOD=GET", "REQUEST_URI=/", "SCRIPT_FILENAME=proxy:unix:/run/a|fcgi://localhost/srv/a.php"), "GET / 200 code.file.path=/srv/a.php"},
		"name and port of the server":        {asks(1, "REQUEST_METHOD=GET", "REQUEST_URI=/", "SERVER_NAME=a.example", "SERVER_PORT=8080"), "GET / 200 server=a.example:8080"},
		"IPv6 for the name of the server":    {asks(1, "REQUEST_METHOD=GET", "REQUEST_URI=/", "SERVER_NAME=::1", "SERVER_PORT=8080"), "GET / 200 server=::1:8080"},
		"name that stands for any":           {asks(1, "REQUEST_METHOD=GET", "REQUEST_URI=/", "SERVER_NAME=_", "SERVER_PORT=8080"), "GET / 200"},
		"host, and not the server's port":    {asks(1, "REQUEST_METHOD=GET", "REQUEST_URI=/", "HTTP_HOST=b.example:81", "SERVER_NAME=a.example", "SERVER_PORT=8080"), "GET / 200 server=b.example:81"},
		"client that has come by a socket":   {asks(1, "REQUEST_METHOD=GET", "REQUEST_URI=/", "REMOTE_ADDR=unix:", "REMOTE_PORT="), "GET / 200"},
		"client that is hostile":             {asks(1, "REQUEST_METHOD=GET", "REQUEST_URI=/", "REMOTE_ADDR=192.0.2.1", "REMOTE_PORT=99999999"), "GET / 200 client=192.0.2.1:0"},
		"keep_conn and ABORT_REQUEST":        {beginOf(1, responder, 1) + rec(typeParams, 1, pairs("REQUEST_METHOD=GET", "REQUEST_URI=/")) + rec(typeParams, 1, "") + rec(typeAbort, 1, ""), "GET / 200"},
		"ids of two bytes":                   {asks(0x1234, "REQUEST_METHOD=GET", "REQUEST_URI=/"), "GET / 200"},
		"body whose records go on":           {beginOf(1, responder, 1) + rec(typeParams, 1, pairs("REQUEST_METHOD=PUT", "REQUEST_URI=/")) + rec(typeParams, 1, "") + rec(typeStdin, 1, long) + rec(typeStdin, 1, long) + rec(typeStdin, 1, ""), "PUT / 200 sent=400"},
		"records of a request that is not":   {rec(typeGetValues, 0, "\x05\x00FCGI_") + rec(typeStdin, 9, "x") + get(1, "/"), "GET / 200"},
		"header field with a name too long":  {asks(1, "HTTP_"+strings.Repeat("A", 500)+"=b", "REQUEST_METHOD=GET", "REQUEST_URI=/"), "GET / 200"},
		"HTTPS that is off":                  {asks(1, "REQUEST_METHOD=GET", "REQUEST_URI=/", "HTTPS=off"), "GET / 200"},
		"HTTPS without a scheme":             {asks(1, "REQUEST_METHOD=GET", "REQUEST_URI=/", "HTTPS=on", "HTTP_HOST=a.example"), "GET / 200 scheme=https server=a.example:443"},
		"trace context of two header fields": {asks(1, "REQUEST_METHOD=GET", "REQUEST_URI=/", traceparent, traceparent), "GET / 200"},
	} {
		t.Run(name, func(t *testing.T) {
			id := 1
			if strings.Contains(name, "two bytes") {
				id = 0x1234
			}
			check(t, []step{c(x.request), s(answers(id, okText))}, serverSide, []string{x.want})
		})
	}
}

func TestParametersThatAreNotWholeAreMalformed(t *testing.T) {
	check(t, []step{c(beginOf(1, responder, 0), rec(typeParams, 1, pairs("REQUEST_METHOD=GET")+"\x0b\x7fREQUEST_URI/a"), rec(typeParams, 1, ""), rec(typeStdin, 1, "")), s(answers(1, okText))},
		serverSide, []string{"GET  200 capture=1"}, protocol.Malformed)
}

func TestParametersAreReadUpToTheLimit(t *testing.T) {
	filler := strings.Repeat("x", limits.HeadBytes)
	check(t, []step{c(asks(1, "REQUEST_METHOD=GET", "REQUEST_URI=/", "A="+filler, "HTTP_USER_AGENT=late")), s(answers(1, okText))},
		serverSide, []string{"GET / 200 capture=1"}, protocol.HeadTooLong)
	check(t, []step{c(get(1, "/")), s(answers(1, "A: "+filler+"\r\nStatus: 404 x\r\n\r\n"))},
		serverSide, []string{"GET / <nil> capture=1"}, protocol.HeadTooLong)
}

func TestExchangesAreMultiplexed(t *testing.T) {
	check(t, []step{
		c(beginOf(1, responder, 1), beginOf(2, responder, 1), rec(typeParams, 2, pairs("REQUEST_METHOD=GET", "REQUEST_URI=/two")), rec(typeParams, 1, pairs("REQUEST_METHOD=GET"))),
		c(rec(typeParams, 2, ""), rec(typeStdin, 2, ""), rec(typeParams, 1, pairs("REQUEST_URI=/one")), rec(typeParams, 1, ""), rec(typeStdin, 1, "")),
		s(rec(typeStdout, 1, "Status: 201 x\r"), rec(typeStdout, 2, "Status: 202 x\r\n"), rec(typeStdout, 2, "\r\n"), rec(typeStdout, 1, "\n\r\n"), endOf(2, 0, 0)),
		c(get(2, "/three")),
		s(answers(2, "Status: 203 x\r\n\r\n"), endOf(1, 0, 0)),
	}, serverSide, []string{"GET /two 202", "GET /three 203", "GET /one 201"})
}

func TestResponsesMayBeSeenBeforeTheirRequests(t *testing.T) {
	p, r := play([]step{s(answers(1, okText)), c(get(1, "/"))}, serverSide, 0, nil)
	p.Close(0)
	// Each call of the player begins after the one before, so the response cannot be that to the request.
	compare(t, "after", p, r, []string{"GET / <nil> error=connection_closed"}, []protocol.ParseError{protocol.Unpaired})

	parser, r := newScene(serverSide)
	parser.Data(&protocol.Chunk{Direction: protocol.FromServer, Bytes: []byte(answers(1, okText)), Stamp: protocol.Stamp{Time: 20, Began: 20}})
	parser.Data(&protocol.Chunk{Direction: protocol.FromClient, Bytes: []byte(get(1, "/")), Stamp: protocol.Stamp{Time: 30, Began: 10}})
	if got := briefs(r); got != "GET / 200" {
		t.Errorf("at the same time: %s", got)
	}
}

func TestAResponseMayEndBeforeItsRequest(t *testing.T) {
	body := beginOf(1, responder, 1) + rec(typeParams, 1, pairs("REQUEST_METHOD=POST", "REQUEST_URI=/")) + rec(typeParams, 1, "") + rec(typeStdin, 1, "a")
	refused := s(answers(1, "Status: 413 x\r\n\r\n"))
	check(t, []step{c(body), refused, c(rec(typeStdin, 1, "b"), rec(typeStdin, 1, "")), c(get(1, "/next")), s(answers(1, okText))},
		serverSide, []string{"POST / 413 sent=2", "GET /next 200"})
	check(t, []step{c(body), refused, c(get(1, "/next")), s(answers(1, okText))}, serverSide, []string{"POST / 413", "GET /next 200"})
	check(t, []step{c(body), refused}, serverSide, []string{"POST / 413"})
}

func TestTheOldestOfTooManyRequestsIsDropped(t *testing.T) {
	var steps []step
	var want []string
	var errors []protocol.ParseError
	for id := 1; id <= limits.Outstanding+2; id++ {
		steps = append(steps, c(get(id, "/")))
	}
	for id := 1; id <= limits.Outstanding+2; id++ {
		steps = append(steps, s(answers(id, okText)))
		if id > 2 {
			want = append(want, "GET / 200")
		} else { // the request, and then its response
			errors = append(errors, protocol.TooMany, protocol.Unpaired)
		}
	}
	check(t, steps, serverSide, want, errors...)
}

func TestAServerThatSpeaksAnotherProtocolIsMalformed(t *testing.T) {
	check(t, []step{c(get(1, "/")), s("HTTP/1.1 400 Bad Request\r\n\r\n")}, clientSide, []string{"GET / <nil> error=malformed_response"}, protocol.Malformed)
}

func TestAbortedRequestsAreNoErrors(t *testing.T) {
	aborted := []step{c(get(1, "/"), rec(typeAbort, 1, ""))}
	check(t, append(aborted, s(endOf(1, 0, 0))), serverSide, []string{"GET / <nil>"})
}
