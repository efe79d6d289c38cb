package http

import (
	"strings"
	"testing"
	"time"

	"github.com/socketflow/socketflow/internal/protocol"
)

func TestCalls(t *testing.T) {
	for _, c := range [...]struct {
		name         string
		conversation conversation
		script, want string
	}{
		{"client", client, `
			POST /pkg.Service/Method
			:authority api.example:50051
			content-type: application/grpc
			user-agent: grpc-go/1
			< 200
			< grpc-status: 0`, `
			pkg.Service/Method
			to api.example 50051
			rpc.system.name = grpc
			rpc.method = pkg.Service/Method
			rpc.response.status_code = OK`},
		{"client: every other status is an error", client, `
			POST /S/M
			content-type: application/grpc+proto
			< 200
			< grpc-status: 5
			< grpc-message: secret`, `
			S/M
			rpc.system.name = grpc
			rpc.method = S/M
			rpc.response.status_code = NOT_FOUND
			error NOT_FOUND`},
		{"server: what the caller got wrong is no error", server, `
			POST /S/M
			content-type: application/grpc
			< 200
			< grpc-status: 5`, `
			S/M
			rpc.system.name = grpc
			rpc.method = S/M
			rpc.response.status_code = NOT_FOUND`},
		{"server: what it got wrong is", server, `
			POST /S/M
			content-type: application/grpc;charset=utf-8
			< 200
			< grpc-status: 13`, `
			S/M
			rpc.system.name = grpc
			rpc.method = S/M
			rpc.response.status_code = INTERNAL
			error INTERNAL`},
		{"server: a method that it does not have", server, `
			POST /S/Guessed
			content-type: application/grpc
			< 200
			< grpc-status: 12`, `
			grpc
			rpc.system.name = grpc
			rpc.method = _OTHER
			rpc.method_original = S/Guessed
			rpc.response.status_code = UNIMPLEMENTED
			error UNIMPLEMENTED`},
		{"client: a method that the server does not have", client, `
			POST /S/M
			content-type: application/grpc
			< 200
			< grpc-status: 12`, `
			S/M
			rpc.system.name = grpc
			rpc.method = S/M
			rpc.response.status_code = UNIMPLEMENTED
			error UNIMPLEMENTED`},
		{"server: a method of which nothing is known", server, `
			POST /S/M
			content-type: application/grpc
			! CANCEL`, `
			grpc
			rpc.system.name = grpc
			rpc.method = _OTHER
			rpc.method_original = S/M
			rpc.response.status_code = CANCELLED`},
		{"server: a call that was given up while it was answered", server, `
			POST /S/M
			content-type: application/grpc
			< 200
			! CANCEL`, `
			S/M
			rpc.system.name = grpc
			rpc.method = S/M
			rpc.response.status_code = CANCELLED`},
		{"client: a call that was reset", client, `
			POST /S/M
			content-type: application/grpc
			! REFUSED_STREAM`, `
			S/M
			rpc.system.name = grpc
			rpc.method = S/M
			rpc.response.status_code = UNAVAILABLE
			error UNAVAILABLE`},
		{"a call whose connection broke", client, `
			POST /S/M
			content-type: application/grpc
			! errno 104`, `
			S/M
			rpc.system.name = grpc
			rpc.method = S/M
			rpc.response.status_code = UNAVAILABLE
			errno 104`},
		{"a call whose connection was closed", server, `
			POST /S/M
			content-type: application/grpc
			< 200
			! errno 0`, `
			S/M
			rpc.system.name = grpc
			rpc.method = S/M
			rpc.response.status_code = UNAVAILABLE
			error connection_closed`},
		{"a call whose client closes the connection", client, `
			POST /S/M
			content-type: application/grpc
			< 200
			! errno 0 by client`, `
			S/M
			rpc.system.name = grpc
			rpc.method = S/M
			rpc.response.status_code = CANCELLED
			error CANCELLED`},
		{"status is missing", client, `
			POST /S/M
			content-type: application/grpc
			< 200`, `
			S/M
			rpc.system.name = grpc
			rpc.method = S/M
			rpc.response.status_code = UNKNOWN
			error UNKNOWN`},
		{"status may be in what is missing", client, `
			POST /S/M
			content-type: application/grpc
			< 200
			~ gap`, `
			S/M
			rpc.system.name = grpc
			rpc.method = S/M
			capture 2`},
		{"HTTP/1.1 has no gRPC", client, `
			POST /S/M HTTP/1.1
			content-type: application/grpc
			< 200`, `
			POST
			http.request.method = POST
			url.full = http://10.0.0.1:8080/S/M
			http.response.status_code = 200`},
		{"an answer that cannot be read, to the client", client, `
			POST /S/M
			content-type: application/grpc
			! malformed_response`, `
			S/M
			rpc.system.name = grpc
			rpc.method = S/M
			rpc.response.status_code = UNAVAILABLE
			error malformed_response`},
		{"a proxy answered", client, `
			POST /S/M
			content-type: application/grpc
			< 502`, `
			S/M
			rpc.system.name = grpc
			rpc.method = S/M
			rpc.response.status_code = UNAVAILABLE
			error UNAVAILABLE`},
		{"malformed method, without its secrets", client, `
			POST /S/M?token=x
			content-type: application/grpc
			< 200
			< grpc-status: 0`, `
			grpc
			rpc.system.name = grpc
			rpc.method = _OTHER
			rpc.method_original = S/M
			rpc.response.status_code = OK`},
		{"listed metadata", listing(client, []string{"x-a"}, []string{"x-b"}), `
			POST /S/M
			content-type: application/grpc
			x-a: 1
			< 200
			< x-b: 2
			< grpc-status: 0`, `
			S/M
			rpc.system.name = grpc
			rpc.method = S/M
			rpc.response.status_code = OK
			rpc.request.metadata.x-a = ["1"]
			rpc.response.metadata.x-b = ["2"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := filled(c.conversation, c.script)
			if got, want := show(&x), unindented(c.want); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestCallThatWasAnsweredBeforeIsKnown(t *testing.T) {
	pool := server.pool()
	var x protocol.Exchange
	for _, c := range [...]struct{ script, want string }{
		{"! CANCEL", unknownCallName},
		{"< 200\n< grpc-status: 0", "S/M"},
		{"! CANCEL", "S/M"},
	} {
		m := server.get(pool)
		apply(m, "POST /S/M\ncontent-type: application/grpc\n"+c.script)
		m.Fill(&x)
		pool.Put(m)
		if x.Name != c.want {
			t.Errorf("%s: %s, want %s", c.script, x.Name, c.want)
		}
	}
}

func TestCallNames(t *testing.T) {
	longest := "s/" + strings.Repeat("m", maxCall-2)
	for path, want := range map[string]string{
		"/a.b.C/D": "a.b.C/D", "/S/M": "S/M", "/prefix/S/M": "prefix/S/M", "/" + longest: longest, "/_s-1/$m": "_s-1/$m",
		"/": "", "/S": "", "/S/": "", "//M": "", "S/M": "", "/S//M": "", "/S/M x": "", "/S/é": "", "/S/\xff": "", "*": "",
		"/" + longest + "m": "",
	} {
		x := filled(client, "POST "+path+"\ncontent-type: application/grpc")
		if want == "" {
			want = unknownCallName
		}
		if x.Name != want {
			t.Errorf("%q is named %q", path, x.Name)
		}
	}
}

func TestContentTypesOfGRPC(t *testing.T) {
	for value, want := range map[string]bool{
		"application/grpc": true, "Application/GRPC+proto": true, "application/grpc; a=b": true, "application/grpc ;a": true,
		"application/grpc-web": false, "application/grpcx": false, "application/grp": false, "": false, "text/html": false,
	} {
		pool := client.pool()
		m := client.get(pool)
		m.SetVersion("2")
		m.RequestHeader([]byte("Content-Type"), []byte(value))
		if m.GRPC() != want {
			t.Errorf("%q: %v", value, m.GRPC())
		}
	}
}

func TestGRPCStatuses(t *testing.T) {
	for value, want := range map[string]string{
		"0": "OK", "1": "CANCELLED", "2": "UNKNOWN", "3": "INVALID_ARGUMENT", "4": "DEADLINE_EXCEEDED", "5": "NOT_FOUND",
		"6": "ALREADY_EXISTS", "7": "PERMISSION_DENIED", "8": "RESOURCE_EXHAUSTED", "9": "FAILED_PRECONDITION", "10": "ABORTED",
		"11": "OUT_OF_RANGE", "12": "UNIMPLEMENTED", "13": "INTERNAL", "14": "UNAVAILABLE", "15": "DATA_LOSS",
		"16": "UNAUTHENTICATED", "17": "UNKNOWN", "": "UNKNOWN", "-1": "UNKNOWN", "x": "UNKNOWN", "100": "UNKNOWN",
	} {
		x := filled(client, "POST /S/M\ncontent-type: application/grpc\n< 200\n< grpc-status: "+value)
		if got := textOf(t, &x, rpcResponseStatusCode); got != want {
			t.Errorf("grpc-status %q is %s, want %s", value, got, want)
		}
	}
}

func TestErrorsOfAServer(t *testing.T) {
	errors := map[string]bool{
		"UNKNOWN": true, "DEADLINE_EXCEEDED": true, "UNIMPLEMENTED": true, "INTERNAL": true, "UNAVAILABLE": true, "DATA_LOSS": true,
	}
	for _, s := range grpcStatuses {
		if s.serverError != errors[s.name] {
			t.Errorf("%s: %v", s.name, s.serverError)
		}
	}
}

func TestCallThatIsCancelledAfterItsDeadline(t *testing.T) {
	for _, c := range []struct {
		timeout string
		after   time.Duration
		want    string
	}{
		{"100m", 101 * time.Millisecond, "DEADLINE_EXCEEDED"},
		{"100m", 95 * time.Millisecond, "DEADLINE_EXCEEDED"},
		{"100m", 50 * time.Millisecond, "CANCELLED"},
		{"", time.Hour, "CANCELLED"},
		{"1S", time.Second, "DEADLINE_EXCEEDED"},
		{"1S", 900 * time.Millisecond, "CANCELLED"},
		{"2000u", 2 * time.Millisecond, "DEADLINE_EXCEEDED"},
		{"99999999H", 1000 * time.Hour, "CANCELLED"},
		{"1M", time.Minute, "DEADLINE_EXCEEDED"},
		{"5n", 0, "DEADLINE_EXCEEDED"},
		{"100", time.Hour, "CANCELLED"},
		{"m", time.Hour, "CANCELLED"},
		{"123456789m", time.Hour, "CANCELLED"},
		{"-1S", time.Hour, "CANCELLED"},
	} {
		for side, conversation := range map[string]conversation{"client": client, "server": server} {
			pool := conversation.pool()
			m := conversation.get(pool)
			apply(m, "POST /S/M\ncontent-type: application/grpc\ngrpc-timeout: "+c.timeout+"\n! CANCEL")
			m.Start = protocol.Stamp{Time: 1e9, Began: 1e9}
			m.End = protocol.Stamp{Time: 1e9 + uint64(c.after)}
			var x protocol.Exchange
			m.Fill(&x)
			wantError := ""
			if c.want == "DEADLINE_EXCEEDED" || side == "client" {
				wantError = c.want
			}
			if got := textOf(t, &x, rpcResponseStatusCode); got != c.want || x.Error != wantError {
				t.Errorf("%s: timeout %s after %s is %s with error %q, want %s with %q", side, c.timeout, c.after, got, x.Error, c.want, wantError)
			}
		}
	}
}
