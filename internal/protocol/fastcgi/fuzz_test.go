package fastcgi

import (
	"bytes"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/http"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

var fragments = []string{
	get(1, "/a"), get(2, "/b"), asks(3, nginxParams...), beginOf(1, responder, 0), beginOf(2, filter, 1), beginOf(4, authorizer, 1), beginOf(5, 9, 1),
	rec(typeParams, 1, pairs("REQUEST_METHOD=GET")), rec(typeParams, 2, "\xff\xff\xff\xff\x7f"), rec(typeParams, 1, ""), rec(typeStdin, 1, "x"), rec(typeStdin, 1, ""),
	rec(typeStdin, 2, ""), rec(typeData, 2, ""), rec(typeAbort, 1, ""), rec(typeGetValues, 0, pairs("FCGI_MAX_CONNS=")),
	answers(1, okText), answers(2, "Status: 500 x\n\n"), rec(typeStdout, 1, "Status"), rec(typeStdout, 1, ": 404\r\n\r\n"), rec(typeStderr, 1, "oh"), endOf(1, 1, 0), endOf(2, 0, 2),
	rec(typeValues, 0, ""), rec(typeUnknown, 0, "12345678"), "\x01\x06\x00\x01\xff\xff\xff\x00", "\x01\x05\x00\x01\xff\xff\xff\x00", strings.Repeat("x", 600), "\x01\x01", "\x02",
}

// FuzzParser gives the parser arbitrary operations: the first byte selects the operation, the second its size.
func FuzzParser(f *testing.F) {
	for i := range fragments {
		f.Add([]byte{0, byte(i), 1, 16, 0, byte(i), 0, 0, 1, byte(i)}, i%2 == 0)
	}
	f.Add(bytes.Repeat([]byte{0, 0, 1, 16}, 40), false)
	f.Add([]byte{0, 25, 1, 25, 128, 0, 129, 0}, false)
	f.Fuzz(func(t *testing.T, script []byte, joined bool) {
		const outstanding, head = 4, 512
		p := Protocol()
		config := http.NewConfig().(*http.Config)
		config.Headers.Request = []string{"cookie", "authorization"}
		r := &protocoltest.Recorder{}
		session := protocol.Session{Side: protocol.Server, Joined: joined, Sink: r}
		parser := p.Start(protocoltest.Settings(p, config, protocol.Limits{HeadBytes: head, Outstanding: outstanding}))(&session)
		player := &protocoltest.Player{Parser: parser}
		total := 0
		for len(script) >= 2 && !r.Ignored {
			do, n := script[0], script[1]
			script = script[2:]
			d := protocol.Direction(do & 1)
			var b string
			switch do >> 1 % 4 {
			case 0, 3:
				b = fragments[int(n)%len(fragments)]
			case 1:
				b = string(script[:min(int(n), len(script))])
				script = script[len(b):]
			case 2:
				player.Gap(d, uint64(n)+1, protocol.Loss(do>>3%3))
			}
			if do>>1%4 == 3 {
				b = b[:len(b)/2]
			}
			if b != "" {
				player.Pieces(d, b, 1+int(do>>3)*9)
			}
			total += len(b)
			if skip := parser.Demand(d).Skip; skip != 0 && skip != protocol.Forever && do&0x80 != 0 {
				player.Gap(d, skip, protocol.Skipped)
			}
			if held := parser.Held(); held > outstanding*(entryBytes+64<<10) {
				t.Fatalf("%d bytes are held", held)
			}
			if len(r.Open) > outstanding {
				t.Fatalf("%d exchanges are open", len(r.Open))
			}
		}
		if !r.Ignored {
			player.Close(0)
		}
		if len(r.Open) > 0 || parser.Held() != 0 {
			t.Errorf("open: %v; %d bytes are held", r.Open, parser.Held())
		}
		if len(r.Exchanges) > total/headerBytes {
			t.Errorf("%d exchanges in %d bytes", len(r.Exchanges), total)
		}
		for i := range r.Exchanges {
			line := brief(&r.Exchanges[i])
			if path, _ := r.Exchanges[i].Attributes["url.path"].(string); path != "" && path[0] != '/' && path != "*" {
				t.Errorf("no path: %s", line)
			}
			if strings.Contains(line, secret) {
				t.Errorf("a secret: %s", line)
			}
		}
	})
}

// FuzzDetect gives detection arbitrary bytes. What is certain of both sides stays so when more comes.
func FuzzDetect(f *testing.F) {
	for _, x := range fragments {
		f.Add([]byte(x), []byte(answers(1, okText)), false)
		f.Add([]byte(x[:len(x)/2]), []byte(nil), true)
	}
	f.Fuzz(func(t *testing.T, client, server []byte, joined bool) {
		s := protocol.Sample{Bytes: [...][]byte{client, server}, Joined: joined}
		before := detect(&s)
		s.Bytes[protocol.FromClient] = append(bytes.Clone(client), "more"...)
		if len(server) > 0 {
			s.Bytes[protocol.FromServer] = append(bytes.Clone(server), "more"...)
		}
		if before == protocol.Certain && detect(&s) != before {
			t.Errorf("%q, %q: %s, with more %s", client, server, before, detect(&s))
		}
	})
}
