package redis

import (
	"bytes"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

var fragments = []string{
	cmd("GET", "k"), cmd("SET", "k", "v"), cmd("MULTI"), cmd("EXEC"), cmd("SELECT", "3"), cmd("SUBSCRIBE", "a", "b"), cmd("UNSUBSCRIBE"),
	cmd("CLIENT", "REPLY", "OFF"), cmd("CLIENT", "REPLY", "ON"), cmd("CLIENT", "REPLY", "SKIP"), cmd("RESET"), cmd("HELLO", "3"), cmd("MONITOR"),
	cmd("PSYNC", "a", "0"), cmd("EVAL", "s", "2", "a", "b", "c"), cmd("XREAD", "STREAMS", "a", "0"), "PING\r\n", "SET a \"b\r\n", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$999\r\n",
	ok, queued, null, "$3\r\nabc\r\n", ":1\r\n", "-ERR x\r\n", "*2\r\n+a\r\n+b\r\n", "%1\r\n+a\r\n:1\r\n", "|1\r\n+a\r\n:1\r\n", "*?\r\n", ".\r\n", "$?\r\n", ";3\r\nabc\r\n", ";0\r\n",
	confirm("subscribe", "a", 1), confirm("unsubscribe", "a", 0), cmd("message", "a", "x"), ">2\r\n$10\r\ninvalidate\r\n*1\r\n+k\r\n", "!5\r\nERR x\r\n", "$9999\r\n",
	strings.Repeat("*1\r\n", 200), strings.Repeat("x", 500), "\r\n", "\n", "*", "$",
}

// FuzzParser gives the parser arbitrary operations: the first byte selects the operation, the second its size.
func FuzzParser(f *testing.F) {
	for i := range fragments {
		f.Add([]byte{0, byte(i), 1, 22, 0, byte(i), 0, 0, 1, byte(i)}, i%2 == 0)
	}
	f.Add(bytes.Repeat([]byte{0, 5, 1, 33, 2, 3, 3, 4}, 20), false)
	f.Add(bytes.Repeat([]byte{0, 0}, 200), false)
	f.Add(bytes.Repeat([]byte{1, 22}, 200), false)
	f.Fuzz(func(t *testing.T, script []byte, joined bool) {
		parser, r := protocoltest.New(Protocol(), protocol.Session{Joined: joined}, protocol.Limits{HeadBytes: 512, Outstanding: 8}, nil)
		p := &protocoltest.Player{Parser: parser}
		total := 0
		for len(script) >= 2 && !r.Rejected {
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
			if skip := parser.Demand(d).Skip; skip != 0 && skip != protocol.Forever && do&0x80 != 0 {
				p.Gap(d, skip, protocol.Skipped)
			}
			if held := parser.Held(); held > 8*itemSize+maxEarlyHeld+2*4096+2*maxDepth*8 {
				t.Fatalf("%d bytes are held", held)
			}
			if len(r.Open) > 8+4 {
				t.Fatalf("%d exchanges are open", len(r.Open))
			}
		}
		p.Close(0)
		if len(r.Open) > 0 || parser.Held() != 0 {
			t.Errorf("open: %v; %d bytes are held", r.Open, parser.Held())
		}
		// The shortest message is a line with one letter.
		if len(r.Exchanges) > total/2 {
			t.Errorf("%d exchanges in %d bytes", len(r.Exchanges), total)
		}
	})
}

const maxEarlyHeld = 64 * itemSize

// FuzzDetect gives detection arbitrary bytes. What is certain stays so when more comes.
func FuzzDetect(f *testing.F) {
	for _, x := range fragments {
		f.Add([]byte(x), []byte(ok), false)
		f.Add([]byte(x[:len(x)/2]), []byte(nil), true)
	}
	f.Fuzz(func(t *testing.T, client, server []byte, joined bool) {
		s := protocol.Sample{Bytes: [...][]byte{client, nil}, Joined: joined}
		before := detect(&s)
		s.Bytes[protocol.FromClient] = append(bytes.Clone(client), "more"...)
		if len(client) > 80 && before == protocol.Certain && detect(&s) != before {
			t.Errorf("%q: %s, with more %s", client, before, detect(&s))
		}
		s.Bytes[protocol.FromServer] = server
		detect(&s)
	})
}
