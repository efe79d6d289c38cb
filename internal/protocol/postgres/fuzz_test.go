package postgres

import (
	"bytes"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

var fragments = []string{
	startup("user", "u", "database", "d"), number(16) + number(cancelRequest) + "12345678", welcome, msg('R', number(5), "salt"), msg('p', secret, "\x00"),
	query("SELECT 1 FROM t"), query("BEGIN; SELECT 2; COMMIT"), query(""), query("DEALLOCATE ALL"), query("SELECT '" + secret), query(strings.Repeat("a;", 2000)),
	parse("s", "SELECT 1 FROM a"), parse("", "UPDATE t SET a = 'x'"), parse("s", "DISCARD ALL"), bind("", "s"), bind("p", ""), describe("S", "s"), describe("P", "p"),
	execute("", 0), execute("p", 5), closing("S", "s"), closing("P", "p"), sync, flush, msg('F', number(1), short(0), short(0), short(0)), msg('X'),
	data, copied, msg('f', "x\x00"), parseDone, bindDone, closeDone, none, columns, row, types, portalFull, empty, copiesTo, copiesFrom, copiesBy,
	idle, inTransaction, aborted, standard, tag("SELECT 1"), tag("INSERT 0 2"), tag("COPY 5"), tag(""), failure("42601"), fatal("57P01"), failure("x"),
	msg('A', number(1), "ch\x00", secret, "\x00"), msg('N', "SNOTICE\x00\x00"), msg('V', number(0)), "Q\x00\x10\x00\x00SEL", "D\x00\x10\x00\x00", "d\x00\x00\x10\x00", "\x00\x00\x00",
	parse("", "SELECT 1") + bind("", "") + execute("", 0) + sync, parseDone + bindDone + tag("SELECT 0") + idle,
}

// FuzzParser gives the parser arbitrary operations: the first byte selects the operation, the second its size.
func FuzzParser(f *testing.F) {
	for i := range fragments {
		f.Add([]byte{0, 0, 1, 2, 0, byte(i), 1, 45, 0, byte(i), 1, byte(i), 0, 0}, i%2 == 0)
	}
	f.Add(bytes.Repeat([]byte{0, 59, 1, 60, 2, 3, 3, 4}, 20), false)
	f.Add(bytes.Repeat([]byte{0, 59}, 200), false)
	f.Add(bytes.Repeat([]byte{1, 60}, 200), false)
	f.Fuzz(func(t *testing.T, script []byte, joined bool) {
		parser, r := protocoltest.New(Protocol(), protocol.Session{Joined: joined}, protocol.Limits{HeadBytes: 512, Outstanding: 8}, nil)
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
			for piece := 1 + int(do>>3)*9; b != "" && !r.Rejected && !r.Ignored; {
				part := b[:min(piece, len(b))]
				b = b[len(part):]
				p.Data(d, part)
				total += len(part)
			}
			if r.Rejected || r.Ignored {
				break
			}
			if skip := parser.Demand(d).Skip; skip != 0 && skip != protocol.Forever && do&0x80 != 0 {
				p.Gap(d, skip, protocol.Skipped)
			}
			if held, most := parser.Held(), 80*cycleSize+(8*perExchange+1)*operationSize+2*maxPrepared*(entrySize+2048)+32<<10; held > most {
				t.Fatalf("%d bytes are held, at most %d", held, most)
			}
		}
		if !r.Rejected && !r.Ignored {
			p.Close(0)
		}
		if len(r.Open) > 0 || parser.Held() > maxDatabase {
			t.Errorf("open: %v; %d bytes are held", r.Open, parser.Held())
		}
		// The shortest statement is a semicolon in a query, or an Execute.
		if len(r.Exchanges) > total/2+1 {
			t.Errorf("%d exchanges in %d bytes", len(r.Exchanges), total)
		}
	})
}

// FuzzDetect gives detection arbitrary bytes. What is certain stays so when more comes.
func FuzzDetect(f *testing.F) {
	for _, x := range fragments {
		f.Add([]byte(x), []byte(idle), false)
		f.Add([]byte(x[:len(x)/2]), []byte(nil), true)
	}
	f.Fuzz(func(t *testing.T, client, server []byte, joined bool) {
		s := protocol.Sample{Bytes: [...][]byte{client, nil}, Joined: joined}
		before := detect(&s)
		detectEncryption(&s)
		s.Bytes[protocol.FromClient] = append(bytes.Clone(client), "more"...)
		if before == protocol.Certain && detect(&s) != before {
			t.Errorf("%q: %s, with more %s", client, before, detect(&s))
		}
		s.Bytes[protocol.FromServer] = server
		detect(&s)
	})
}
