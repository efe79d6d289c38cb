package mysql

import (
	"bytes"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

var fragments = []string{
	greets("8.0.36"), greets("11.4.2-MariaDB"), pkt(1, loginBody(caps, "shop")), pkt(1, loginBody(caps|canCompress|canReplaceEOF, "shop")), pkt(2, loginBody(caps|canTLS|canTrack, "shop")),
	pkt(2, ok(2)), pkt(1, ok(2)), pkt(1, ok(2|statusMore)), pkt(1, usesNow("x")), pkt(1, fail(1146, "#42S02x")), pkt(1, fail(0xffff, "x")), pkt(0, fail(4031, "x")),
	query("SELECT a FROM t WHERE b = 'c'"), query("USE x; DO 1"), query("\x01\x01\x00\x01\xfe\x00\x01n\x01vDO 1"), query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t"),
	cmd(0x16, "DO ?"), execute(1, ""), execute(lastPrepared, ""), cmd(0x18, little(1, 4)+"\x00\x00x"), cmd(0x19, little(1, 4)), cmd(0x1c, little(1, 4)+little(1, 4)), cmd(0x11, "u\x00\x01xdb\x00"), cmd(0x12, strings.Repeat("x", 11)), cmd(0x02, "db"), cmd(0x04, "t\x00"), cmd(0x0e, ""), cmd(0x01, ""), cmd(0x1f, ""),
	oneRow, oneRowNew, pkts(1, preparedOK(1, 1, 1), column("?"), eof(2), column("a"), eof(2)), pkts(1, preparedOK(1, 0, 1), column("?")), pkt(1, "\xfbx"), pkt(2, ""), pkt(1, "\x00event"), pkt(1, "\xfemysql_native_password\x00"), pkt(3, eof(2)),
	packedOf(0, query("DO 1"), true), packedOf(1, pkt(1, ok(2)), false), "\xff\xff\xff\x00\x03", "\x00\x00\x00\x00", "x", strings.Repeat("\x01\x00\x00\x00\x0e", 100),
}

// FuzzParser gives the parser arbitrary operations: the first byte selects the operation, the second its size.
func FuzzParser(f *testing.F) {
	for i := range fragments {
		f.Add([]byte{1, 0, 0, 2, 1, 5, 0, byte(i), 1, byte(i), 0, 26, 1, 6}, i%2 == 0)
	}
	f.Add(bytes.Repeat([]byte{0, 12, 1, 29, 2, 3, 3, 4}, 20), false)
	f.Add(bytes.Repeat([]byte{0, 26}, 200), true)
	f.Fuzz(func(t *testing.T, script []byte, joined bool) {
		const outstanding = 8
		parser, r := protocoltest.New(Protocol(), protocol.Session{Joined: joined}, protocol.Limits{HeadBytes: 512, Outstanding: outstanding}, nil)
		p := &protocoltest.Player{Parser: parser}
		total := 0
		for len(script) >= 2 && !r.Rejected && !r.Ignored && r.Switched == nil {
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
			if held := parser.Held(); held > outstanding*itemSize+maxStatements*statementBytes+2*(maxPacked+2<<10)+4*maxEarly {
				t.Fatalf("%d bytes are held", held)
			}
			if len(r.Open) > outstanding+2 {
				t.Fatalf("%d exchanges are open", len(r.Open))
			}
		}
		if r.Ignored || r.Switched != nil {
			return
		}
		p.Close(0)
		if len(r.Open) > 0 || parser.Held() != 0 {
			t.Errorf("open: %v; %d bytes are held", r.Open, parser.Held())
		}
		if len(r.Exchanges) > total/headerBytes+1 {
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
		f.Add([]byte(x), []byte(oneRow), false, false)
		f.Add([]byte(x[:len(x)/2]), []byte(x), true, true)
	}
	f.Fuzz(func(t *testing.T, client, server []byte, joined, serverFirst bool) {
		s := protocol.Sample{Bytes: [...][]byte{nil, server}, Joined: joined}
		if serverFirst {
			s.First = protocol.FromServer
		}
		before := detect(&s)
		s.Bytes[protocol.FromServer] = append(bytes.Clone(server), "more"...)
		if before == protocol.Certain && detect(&s) != before {
			t.Errorf("%q: %s, with more %s", server, before, detect(&s))
		}
		s.Bytes[protocol.FromClient] = client
		detect(&s)
	})
}
