package memcached

import (
	"bytes"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

var fragments = []string{
	"get k\r\n", "gets a b\r\n", set, "set k 0 0 1 noreply\r\nx\r\n", "cas k 0 0 1 9\r\nx\r\n", "delete k\r\n", "incr k 1\r\n", "stats\r\n", "watch\r\n", "quit\r\n", "mg k v q O1\r\n", "ms k 1 q\r\nx\r\n", "mn\r\n", "get\r\n", "\r\n", "what\r\n",
	"END\r\n", value, stored, "ERROR\r\n", "CLIENT_ERROR bad data chunk\r\n", "VA 1 O1\r\nx\r\n", "HD\r\n", "MN\r\n", "STAT a b\r\n", "5\r\n", "OK\r\n", "VALUE k 0 999\r\n",
	req(0, "", "k", "", 1), req(9, "", "k", "", 2), req(1, extras, "k", "v", 3), req(0x11, extras, "k", "v", 0), req(noop, "", "", "", 4), req(0x10, "", "", "", 5), req(0x17, "", "", "", 0),
	res(0, 0, "v", 1), res(9, 0, "v", 2), res(1, 2, "", 3), res(noop, 0, "", 4), message(magicReply, 0x10, 0, "", "k", "v", 5), res(0x10, 0, "", 5), "\x80", "\x81\x00", strings.Repeat("x", 600), "\x80\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00",
}

// FuzzParser gives the parser arbitrary operations: the first byte selects the operation, the second its size.
func FuzzParser(f *testing.F) {
	for i := range fragments {
		f.Add([]byte{0, byte(i), 1, 16, 0, byte(i), 0, 0, 1, byte(i)}, i%2 == 0)
	}
	f.Add(bytes.Repeat([]byte{0, 29, 0, 32, 1, 38}, 40), false)
	f.Add(bytes.Repeat([]byte{0, 10}, 200), false)
	f.Fuzz(func(t *testing.T, script []byte, joined bool) {
		const outstanding = 8
		parser, r := protocoltest.New(Protocol(), protocol.Session{Joined: joined}, protocol.Limits{HeadBytes: 512, Outstanding: outstanding}, nil)
		p := &protocoltest.Player{Parser: parser}
		total := 0
		for len(script) >= 2 && !r.Rejected && !r.Ignored {
			do, n := script[0], script[1]
			script = script[2:]
			d := protocol.Direction(do & 1)
			var b string
			switch do >> 1 % 4 {
			case 0:
				b = fragments[int(n)%len(fragments)]
			case 1:
				b = string(script[:min(int(n), len(script))])
				script = script[len(b):]
			case 2:
				p.Gap(d, uint64(n)+1, protocol.Loss(do>>3%3))
			case 3:
				b = fragments[int(n)%len(fragments)]
				b = b[:len(b)/2]
				p.Time += uint64(n) << 22
			}
			if b != "" {
				p.Pieces(d, b, 1+int(do>>3)*9)
			}
			total += len(b)
			if skip := parser.Demand(d).Skip; skip != 0 && skip != protocol.Forever && do&0x80 != 0 && skip < 1<<20 {
				p.Gap(d, skip, protocol.Skipped)
			}
			if held := parser.Held(); held > (outstanding+64)*itemSize+4*4096 {
				t.Fatalf("%d bytes are held", held)
			}
			if len(r.Open) > outstanding+4 {
				t.Fatalf("%d exchanges are open", len(r.Open))
			}
		}
		p.Close(0)
		if len(r.Open) > 0 || !r.Rejected && parser.Held() != 0 {
			t.Errorf("open: %v; %d bytes are held", r.Open, parser.Held())
		}
		if len(r.Exchanges) > total {
			t.Errorf("%d exchanges in %d bytes", len(r.Exchanges), total)
		}
		for i := range r.Exchanges {
			if strings.Contains(brief(&r.Exchanges[i]), secret) {
				t.Errorf("a secret: %s", brief(&r.Exchanges[i]))
			}
		}
	})
}

// FuzzDetect gives detection arbitrary bytes. What is certain stays so when more comes.
func FuzzDetect(f *testing.F) {
	for _, x := range fragments {
		f.Add([]byte(x), []byte("END\r\n"), false)
		f.Add([]byte(x[:len(x)/2]), []byte(nil), true)
	}
	f.Fuzz(func(t *testing.T, client, server []byte, joined bool) {
		s := protocol.Sample{Bytes: [...][]byte{client, server}, Joined: joined}
		before := detect(&s)
		s.Bytes[protocol.FromServer] = append(bytes.Clone(server), "\r\nmore"...)
		if before == protocol.Certain && detect(&s) != before {
			t.Errorf("%q, %q: %s, with more %s", client, server, before, detect(&s))
		}
	})
}
