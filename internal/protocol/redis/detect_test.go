package redis

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

func TestDetectKnowsRedisAndNothingElse(t *testing.T) {
	const (
		client = protocol.FromClient
		server = protocol.FromServer
	)
	get := cmd("GET", "k")
	for name, x := range map[string]struct {
		client, server string
		first          protocol.Direction
		joined         bool
		want           protocol.Confidence
	}{
		"command":                       {get, "", client, false, protocol.Certain},
		"lower case":                    {cmd("hello", "3"), "", client, false, protocol.Certain},
		"command and its reply":         {get, null, client, false, protocol.Certain},
		"large command":                 {"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$99999\r\nxxx", "", client, false, protocol.Certain},
		"beginning of a command":        {"*2\r\n$3\r\nGE", "", client, false, protocol.NeedMore},
		"its first byte":                {"*", "", client, false, protocol.NeedMore},
		"unknown command":               {cmd("MYMODULE.DO"), "", client, false, protocol.Strong},
		"unknown command, joined":       {cmd("message", "a", "b"), "", client, true, protocol.Weak},
		"command, joined":               {get, "middle of a value", server, true, protocol.Certain},
		"reply of HTTP":                 {get, "HTTP/1.1 400 Bad Request\r\n", client, false, protocol.No},
		"inline":                        {"PING\r\n", "", client, false, protocol.Weak},
		"inline and reply":              {"set foo 1\r\n", "+OK\r\n", client, false, protocol.Strong},
		"beginning of an inline":        {"PIN", "", client, false, protocol.NeedMore},
		"inline, joined":                {"PING\r\n", "+PONG\r\n", client, true, protocol.No},
		"subscriber, joined":            {"", cmd("message", "a", "x"), server, true, protocol.Strong},
		"subscriber of RESP3, joined":   {"", ">2\r\n$10\r\ninvalidate\r\n*1\r\n", server, true, protocol.Strong},
		"array of a reply, joined":      {"", cmd("a", "b", "c"), server, true, protocol.NeedMore},
		"only a reply":                  {"", "-ERR max number of clients reached\r\n", server, false, protocol.NeedMore},
		"negative count":                {"*-1\r\n", "", client, false, protocol.No},
		"count too large":               {"*99999999\r\n", "", client, false, protocol.No},
		"array of numbers":              {"*1\r\n:1\r\n", "", client, false, protocol.No},
		"HTTP":                          {"GET / HTTP/1.1\r\nHost: x\r\n", "", client, false, protocol.No},
		"HTTP, its beginning":           {"GET / HT", "", client, false, protocol.NeedMore},
		"HTTP 0.9":                      {"GET /\r\n", "<html>\r\n", client, false, protocol.No},
		"RTSP":                          {"SET_PARAMETER rtsp://x RTSP/1.0\r\n", "", client, false, protocol.No},
		"memcached get":                 {"get foo\r\n", "VALUE foo 0 1\r\nx\r\nEND\r\n", client, false, protocol.No},
		"memcached miss":                {"get foo\r\n", "END\r\n", client, false, protocol.No},
		"memcached set":                 {"set foo 0 0 1\r\nx\r\n", "STORED\r\n", client, false, protocol.No},
		"beanstalkd":                    {"watch foo\r\n", "WATCHING 2\r\n", client, false, protocol.No},
		"SMTP":                          {"QUIT\r\n", "220 mail\r\n", server, false, protocol.No},
		"FTP":                           {"AUTH TLS\r\n", "220 ftp\r\n", server, false, protocol.No},
		"POP3":                          {"QUIT\r\n", "+OK ready\r\n", server, false, protocol.No},
		"POP3, an error":                {"AUTH PLAIN\r\n", "+OK ready\r\n-ERR no\r\n", server, false, protocol.No},
		"POP3, joined":                  {"QUIT\r\n", "+OK\r\n", client, true, protocol.No},
		"IMAP":                          {"", "* OK IMAP4rev1\r\n", server, false, protocol.No},
		"NATS":                          {"PING\r\n", "INFO {\"server_id\":\"x\"}\r\n", server, false, protocol.No},
		"NATS, joined":                  {"PING\r\n", "PONG\r\n", client, true, protocol.No},
		"STOMP":                         {"CONNECT\naccept-version:1.2\n\n\x00", "", client, false, protocol.No},
		"TLS":                           {"\x16\x03\x01\x02\x00", "", client, false, protocol.No},
		"a line that never ends":        {"GET " + strings.Repeat("x", 600), "", client, false, protocol.No},
		"a word that is no command":     {"HELO x\r\n", "", client, false, protocol.No},
		"binary, begins with a command": {"GET \x01\x02\r\n", "", client, false, protocol.No},
	} {
		got := detect(&protocol.Sample{Bytes: [...][]byte{[]byte(x.client), []byte(x.server)}, First: x.first, Joined: x.joined})
		if got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
	if got := detect(&protocol.Sample{Bytes: [...][]byte{[]byte(get), nil}, Reversed: true}); got != protocol.No {
		t.Errorf("a server that connects: %s", got)
	}
	if got := detect(&protocol.Sample{Bytes: [...][]byte{[]byte("PIN"), nil}, Ended: [...]bool{true, true}}); got != protocol.No {
		t.Errorf("a beginning that is all: %s", got)
	}
}

func TestTableIsWellFormed(t *testing.T) {
	for name, x := range commands {
		if len(x.name) > 2*maxName || strings.ToUpper(name) != name {
			t.Errorf("%s", name)
		}
		for count := range 8 {
			for i := 1; i <= count; i++ {
				if class := x.class(i, count); !strings.ContainsRune("kpnsv", rune(class)) {
					t.Errorf("%s: argument %d of %d has class %q", name, i, count, class)
				}
			}
		}
	}
	rows := 0
	for _, row := range table {
		rows += len(strings.Fields(row.names))
	}
	containers := 0
	for _, x := range commands {
		if x.container {
			containers++
		}
	}
	if rows+containers != len(commands) {
		t.Errorf("%d names, %d containers, %d commands: a name is there twice", rows, containers, len(commands))
	}
}
