package mongodb

import (
	"bytes"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

var fragments = []string{
	find(1), find(2), ask(3, i64("getMore", 7), str("collection", "orders")), ask(4, str("insert", "orders"), array("documents", doc(), doc(str("a", secret)))),
	message(opMsg, 5, 0, n32(flagMoreToCome), body(doc(str("insert", "orders"))), sequence("documents", doc(), doc(i32("a", 1)))), message(opMsg, 6, 0, n32(flagExhaust), body(hello)),
	message(opMsg, 7, 0, n32(flagChecksum), sequence("ops", doc(sub("document", str("a", secret)))), sequence("nsInfo", doc(str("ns", "a.b"))), body(doc(i32("bulkWrite", 1))), "sum!"),
	query(8, "admin.$cmd", hello), query(9, "db.c", doc(str("a", secret)), doc()), message(opInsert, 10, 0, n32(0), "db.c\x00", doc()), message(opKillCursors, 11, 0, n32(0), n32(1), n64(7)),
	packed(compressedSnappy, find(1)), packed(compressedZlib, find(2)), packed(compressedZstd, find(3)), packed(9, find(4)),
	cursor(1, "firstBatch", 3), cursor(2, "nextBatch", 1), answer(3, num("ok", 0), i32("code", 5)), answer(4, array("writeErrors", doc(i32("code", 1))), good),
	message(opMsg, 20, 6, n32(flagMoreToCome), body(doc(good))), message(opMsg, 21, 20, n32(0), body(doc(good))), early(8, 8, doc(good)), early(9, 2, doc(str("$err", "x"))),
	packed(compressedSnappy, cursor(1, "firstBatch", 3)), packed(compressedZstd, cursor(2, "firstBatch", 3)), "\x00", strings.Repeat("x", 600), n32(1 << 30),
}

// FuzzParser gives the parser arbitrary operations: the first byte selects the operation, the second its size.
func FuzzParser(f *testing.F) {
	for i := range fragments {
		f.Add([]byte{0, byte(i), 1, 16, 0, byte(i), 0, 0, 1, byte(i)}, i%2 == 0)
	}
	f.Add(bytes.Repeat([]byte{0, 5, 0, 19, 1, 20}, 40), false)
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
			}
			if b != "" {
				p.Pieces(d, b, 1+int(do>>3)*9)
			}
			total += len(b)
			if skip := parser.Demand(d).Skip; skip != 0 && skip != protocol.Forever && do&0x80 != 0 {
				p.Gap(d, skip, protocol.Skipped)
			}
			if held := parser.Held(); held > (outstanding+8)*(entrySize+maxIdleText)+(maxEarly+8)*earlySize+2*2*maxPacked {
				t.Fatalf("%d bytes are held", held)
			}
			if len(r.Open) > outstanding {
				t.Fatalf("%d exchanges are open", len(r.Open))
			}
		}
		p.Close(0)
		if len(r.Open) > 0 || !r.Rejected && parser.Held() != 0 {
			t.Errorf("open: %v; %d bytes are held", r.Open, parser.Held())
		}
		if len(r.Exchanges) > total/headerBytes {
			t.Errorf("%d exchanges in %d bytes", len(r.Exchanges), total)
		}
		for i := range r.Exchanges {
			if strings.Contains(brief(&r.Exchanges[i]), secret) {
				t.Errorf("a secret: %s", brief(&r.Exchanges[i]))
			}
		}
	})
}

// FuzzInflate gives the decompressors arbitrary bytes.
func FuzzInflate(f *testing.F) {
	for compressor := byte(compressedNot); compressor <= compressedZstd; compressor++ {
		f.Add(compressor, []byte(packed(compressor, find(1))[headerBytes+compressedBytes:]), 1<<20)
	}
	var z inflater
	f.Fuzz(func(t *testing.T, compressor byte, b []byte, size int) {
		if out, _ := z.inflate(compressor, b, min(max(size, 0), maxMessage)); len(out) > max(maxInflated, len(b)) {
			t.Errorf("%d bytes", len(out))
		}
	})
}

// FuzzDetect gives detection arbitrary bytes. What is certain stays so when more comes, and no bytes are those of both sides.
func FuzzDetect(f *testing.F) {
	for _, x := range fragments {
		f.Add([]byte(x), []byte(cursor(1, "firstBatch", 1)), false)
		f.Add([]byte(x[:len(x)/2]), []byte(nil), true)
	}
	f.Fuzz(func(t *testing.T, client, server []byte, joined bool) {
		s := protocol.Sample{Bytes: [...][]byte{client, server}, Joined: joined}
		before := detect(&s)
		s.Bytes[protocol.FromClient] = append(bytes.Clone(client), "\r\nmore"...)
		if before == protocol.Certain && detect(&s) != before {
			t.Errorf("%q, %q: %s, with more %s", client, server, before, detect(&s))
		}
		if len(client) > headerBytes && judge(client, protocol.FromClient) >= protocol.Strong && judge(client, protocol.FromServer) >= protocol.Strong {
			t.Errorf("%q is from both sides", client)
		}
	})
}
