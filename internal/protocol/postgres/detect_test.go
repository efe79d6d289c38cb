package postgres

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

func TestDetectKnowsPostgreSQLAndNothingElse(t *testing.T) {
	login := startup("user", "u", "database", "")
	for name, x := range map[string]struct {
		client, server string
		joined         bool
		want           protocol.Confidence
	}{
		"startup":                        {login, "", false, protocol.Certain},
		"startup and its answer":         {login, msg('R', number(0)), false, protocol.Certain},
		"startup, refused":               {login, fatal("28000"), false, protocol.Certain},
		"startup without parameters":     {number(9) + number(3<<16) + "\x00", "", false, protocol.Certain},
		"its beginning":                  {login[:10], "", false, protocol.NeedMore},
		"its first byte":                 {"\x00", "", false, protocol.NeedMore},
		"nothing":                        {"", "", false, protocol.NeedMore},
		"cancel":                         {number(16) + number(cancelRequest) + "12345678", "", false, protocol.Certain},
		"version 2":                      {number(296) + number(2<<16) + strings.Repeat("u", 288), "", false, protocol.No},
		"Kafka's Metadata, version 0":    {number(30) + "\x00\x03\x00\x00" + "\x00\x00\x00\x01\x00\x05admin", "", false, protocol.No},
		"a parameter without a name":     {number(13) + number(3<<16) + "\x00a\x00\x00\x00", "", false, protocol.No},
		"a parameter that is not closed": {number(12) + number(3<<16) + "user", "", false, protocol.No},
		"bytes behind it":                {number(10) + number(3<<16) + "\x00\x00", "", false, protocol.No},
		"an answer of HTTP":              {login, "HTTP/1.1 400 Bad Request\r\n", false, protocol.No},
		"the server speaks first":        {"", "R\x00\x00\x00\x08\x00\x00\x00\x00", false, protocol.No},
		"TLS":                            {"\x16\x03\x01\x02\x00\x01", "", false, protocol.No},
		"asks for TLS":                   {number(8) + number(sslRequest), "", false, protocol.No},
		"zeros":                          {strings.Repeat("\x00", 40), "", false, protocol.No},

		"joined, a query":               {query("SELECT 1"), "", true, protocol.Strong},
		"joined, a query in part":       {query("SELECT " + strings.Repeat("x", 100))[:50], "", true, protocol.NeedMore},
		"joined, prepared":              {bind("", "s") + describe("P", "") + execute("", 0) + sync, "", true, protocol.Strong},
		"joined, prepares":              {parse("s", "SELECT $1") + describe("S", "s") + sync, "", true, protocol.Strong},
		"joined, an answer":             {"", columns + row + tag("SELECT 1") + idle, true, protocol.Strong},
		"joined, rows":                  {"", row + row, true, protocol.NeedMore},
		"joined, a notification":        {"", msg('A', number(7), "ch\x00x\x00"), true, protocol.Strong},
		"joined, sync alone":            {sync, "", true, protocol.NeedMore},
		"joined, text":                  {"Some text that begins with a letter", "", true, protocol.No},
		"joined, a query of no command": {query("\x01\x02"), "", true, protocol.No},
		"joined, an unknown command":    {query("FROBNICATE x"), "", true, protocol.No},
		"joined, HTTP":                  {"PUT / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", true, protocol.No},
		"joined, in the midst":          {"middle of something", "something else", true, protocol.No},
	} {
		got := detect(&protocol.Sample{Bytes: [...][]byte{[]byte(x.client), []byte(x.server)}, Joined: x.joined})
		if got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
	if got := detect(&protocol.Sample{Bytes: [...][]byte{[]byte(login), nil}, Reversed: true}); got != protocol.No {
		t.Errorf("a server that connects: %s", got)
	}
	if got := detect(&protocol.Sample{Bytes: [...][]byte{[]byte(login[:9]), nil}, Ended: [...]bool{true, true}}); got != protocol.No {
		t.Errorf("a beginning that is all: %s", got)
	}
}

func TestEncryptionIsAskedForBeforeAnotherProtocol(t *testing.T) {
	tls, gss := number(8)+number(sslRequest), number(8)+number(gssRequest)
	for name, x := range map[string]struct {
		steps    []step
		switched bool
		rejected bool
		ignored  bool
		rest     [protocol.Directions]string
	}{
		"granted":              {[]step{c(tls), s("S"), c("\x16\x03\x01"), s("\x16\x03\x03")}, true, false, false, [2]string{"", ""}},
		"refused":              {[]step{c(tls), s("N")}, true, false, false, [2]string{"", ""}},
		"GSSAPI, refused":      {[]step{c(gss), s("N")}, true, false, false, [2]string{"", ""}},
		"GSSAPI, granted":      {[]step{c(gss), s("G")}, false, false, true, [2]string{"", ""}},
		"an old server":        {[]step{c(tls), s(failure("0A000"))}, false, false, true, [2]string{"", ""}},
		"client is seen first": {[]step{c(tls), c("\x16\x03\x01"), s("S\x16")}, true, false, false, [2]string{"\x16\x03\x01", "\x16"}},
		"no answer to this":    {[]step{c(tls), s("HTTP/1.1 400")}, false, true, false, [2]string{tls, "HTTP/1.1 400"}},
		"TLS by GSSAPI":        {[]step{c(tls), s("G")}, false, true, false, [2]string{tls, "G"}},
		"the answer is lost":   {[]step{c(tls), protocoltest.Missing(protocol.FromServer, 1, protocol.Lost)}, false, true, false, [2]string{tls, "<1>"}},
		"the question is cut":  {[]step{c(tls[:6]), protocoltest.Missing(protocol.FromClient, 2, protocol.Lost)}, false, true, false, [2]string{tls[:6] + "<2>", ""}},
	} {
		for _, piece := range []int{0, 1, 3} {
			parser, r := protocoltest.New(Encryption(), protocol.Session{}, limits, nil)
			p := &protocoltest.Player{Parser: parser}
			for _, x := range x.steps {
				switch over := r.Switched != nil || r.Rejected || r.Ignored; {
				case over:
				case x.Missing > 0:
					p.Gap(x.Direction, x.Missing, x.Why)
				case piece > 0 && x.Direction == protocol.FromClient:
					p.Pieces(x.Direction, x.Bytes, piece)
				default:
					p.Data(x.Direction, x.Bytes)
				}
			}
			rest := [protocol.Directions]string{string(r.Returned[0]), string(r.Returned[1])}
			if (r.Switched != nil) != x.switched || r.Rejected != x.rejected || r.Ignored != x.ignored || rest != x.rest {
				t.Errorf("%s in pieces of %d: switched %t, rejected %t, ignored %t, rest %q", name, piece, r.Switched != nil, r.Rejected, r.Ignored, rest)
			}
			if r.Ignored && parser.Held() > 2048 {
				t.Errorf("%s: %d bytes are held", name, parser.Held())
			}
		}
	}
}

func TestDetectEncryption(t *testing.T) {
	tls := number(8) + number(sslRequest)
	for name, x := range map[string]struct {
		client string
		joined bool
		want   protocol.Confidence
	}{
		"TLS":           {tls, false, protocol.Certain},
		"GSSAPI":        {number(8) + number(gssRequest), false, protocol.Certain},
		"its beginning": {tls[:7], false, protocol.NeedMore},
		"cancel":        {number(16) + number(cancelRequest) + "12345678", false, protocol.No},
		"something":     {number(8) + number(cancelRequest), false, protocol.No},
		"joined":        {tls, true, protocol.No},
		"HTTP":          {"GET / HTTP/1.1", false, protocol.No},
	} {
		if got := detectEncryption(&protocol.Sample{Bytes: [...][]byte{[]byte(x.client), nil}, Joined: x.joined}); got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
}
