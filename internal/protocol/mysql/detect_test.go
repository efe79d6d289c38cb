package mysql

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

func TestDetectKnowsMySQLAndNothingElse(t *testing.T) {
	const client, server = protocol.FromClient, protocol.FromServer
	hello := greets("8.0.36")
	for name, x := range map[string]struct {
		client, server string
		first          protocol.Direction
		joined         bool
		want           protocol.Confidence
	}{
		"greeting":                         {"", hello, server, false, protocol.Certain},
		"greeting of MariaDB":              {"", greets("11.8.2-MariaDB"), server, false, protocol.Certain},
		"greeting and login":               {pkt(1, loginBody(caps, "x")), hello, server, false, protocol.Certain},
		"beginning of a greeting":          {"", hello[:20], server, false, protocol.NeedMore},
		"its first byte":                   {"", hello[:1], server, false, protocol.NeedMore},
		"host refused":                     {"", pkt(0, fail(1130, "Host '192.0.2.1' is not allowed")), server, false, protocol.Strong},
		"greeting without a version":       {"", strings.Replace(hello, "8.0.36", "x.0.36", 1), server, false, protocol.No},
		"greeting of HTTP/2":               {"", "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64", server, false, protocol.No},
		"SMTP":                             {"", "220 mail\r\n", server, false, protocol.No},
		"SSH":                              {"", "SSH-2.0-OpenSSH_9.6\r\n", server, false, protocol.No},
		"login within TLS":                 {pkt(2, loginBody(caps|canTLS, "x")), "", client, false, protocol.Certain},
		"beginning of a login within TLS":  {pkt(2, loginBody(caps|canTLS, "x"))[:30], "", client, false, protocol.NeedMore},
		"login that says nothing of TLS":   {pkt(2, loginBody(caps, "x")), "", client, false, protocol.No},
		"login without a greeting":         {pkt(1, loginBody(caps|canTLS, "x")), "", client, false, protocol.No},
		"HTTP":                             {"GET / HTTP/1.1\r\n\r\n", "", client, false, protocol.No},
		"command without a greeting":       {query("SELECT 1"), "", client, false, protocol.No},
		"command, joined":                  {query("SELECT 1"), "", client, true, protocol.Strong},
		"command and its reply, joined":    {query("SELECT 1"), oneRow, client, true, protocol.Certain},
		"command and another's, joined":    {query("SELECT 1"), "HTTP/1.1 400\r\n", client, true, protocol.No},
		"command within a reply, joined":   {query("SELECT 1"), "abcdefgh", server, true, protocol.Strong},
		"ping, joined":                     {cmd(0x0e, ""), "", client, true, protocol.NeedMore},
		"ping and its reply, joined":       {cmd(0x0e, ""), pkt(1, ok(2)), client, true, protocol.Certain},
		"unknown command, joined":          {cmd(0x55, "x"), "", client, true, protocol.No},
		"command of a wrong size, joined":  {cmd(0x0e, "xx"), "", client, true, protocol.No},
		"binary statement, joined":         {query("\x16\x17SELECT"), "", client, true, protocol.No},
		"MongoDB, joined":                  {"\x3a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00", "", client, true, protocol.No},
		"rows only, joined":                {"", oneRow, server, true, protocol.NeedMore},
		"execution, joined":                {execute(1, ""), "", client, true, protocol.NeedMore},
		"execution with odd flags, joined": {cmd(0x17, "\x01\x00\x00\x00\x50\x01\x00\x00\x00"), "", client, true, protocol.No},
	} {
		got := detect(&protocol.Sample{Bytes: [...][]byte{[]byte(x.client), []byte(x.server)}, First: x.first, Joined: x.joined})
		if got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
	if got := detect(&protocol.Sample{Bytes: [...][]byte{nil, []byte(hello)}, First: server, Reversed: true}); got != protocol.No {
		t.Errorf("a server that connects: %s", got)
	}
	if got := detect(&protocol.Sample{Bytes: [...][]byte{nil, []byte(hello[:20])}, First: server, Ended: [...]bool{true, true}}); got != protocol.No {
		t.Errorf("a beginning that is all: %s", got)
	}
}

func TestTableIsWellFormed(t *testing.T) {
	for number, x := range table {
		if !strings.HasPrefix(x.name, "COM_") || x.least < 1 || x.least > x.most {
			t.Errorf("%x: %+v", number, x)
		}
		if x.body == bodyStatement && x.least < 5 {
			t.Errorf("%s has no room for a statement's number", x.name)
		}
		if commands[number].name != x.name {
			t.Errorf("%x is %s", number, commands[number].name)
		}
	}
}
