package dns

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/socketflow/socketflow/internal/protocol"
)

// FuzzParser plays what the input says: a byte with what to do, a byte with a length, and bytes. No input breaks the rules of
// Sink, holds more than the bounds, or makes exchanges of nothing.
func FuzzParser(f *testing.F) {
	step := func(what byte, s string) string { return string([]byte{what, byte(len(s))}) + s }
	query, reply := wire(1, "a.test.", dnsmessage.TypeA), wire(1, "a.test.", dnsmessage.TypeA, answered(a(1)))
	zone := wire(1, "zone.test.", dnsmessage.TypeAXFR)
	f.Add([]byte(step(0, query)+step(1, reply)), true)
	f.Add([]byte(step(0, framed(query, query))+step(3, "1")+step(1, framed(reply))), false)
	f.Add([]byte(step(0, framed(zone))+step(1, framed(wire(1, "zone.test.", dnsmessage.TypeAXFR, answered(soa(1)))))), false)
	f.Add([]byte(step(0, query)+step(4, "")+step(2, "12345678")), true)
	for name := range captured {
		f.Add([]byte(step(0, bytesOf(name))+step(1, bytesOf(name))), true)
	}
	f.Fuzz(func(t *testing.T, script []byte, datagrams bool) {
		session := unicast
		session.Datagrams = datagrams
		const outstanding = 4
		w := play(session, outstanding)
		bytes := 0
		for len(script) >= 2 {
			what, n := script[0], min(int(script[1]), len(script)-2)
			payload := string(script[2 : 2+n])
			script = script[2+n:]
			d := protocol.Direction(what & 1)
			bytes += n
			switch {
			case what&6 == 2 && n > 0:
				w.Gap(d, uint64(n), protocol.Loss(what>>3%3))
			case what&6 == 4:
				w.wait(time.Duration(what) * time.Second / 10)
			case n > 0:
				w.Data(d, payload)
			}
			w.parser.Demand(d)
			require.LessOrEqual(t, len(w.Open), outstanding)
			require.Len(t, w.Open, w.parser.waiting.Len())
			require.LessOrEqual(t, w.parser.Held(), (outstanding+8)*entryBytes+3*2*2000)
			require.Equal(t, len(w.Open) > 0, w.parser.Deadline() != 0)
		}
		w.Close(0)
		require.Empty(t, w.Open)
		require.LessOrEqual(t, len(w.Exchanges)*headerBytes, bytes)
	})
}

// FuzzDetect: no input makes it fail, and a whole message is only recognised if it can be read.
func FuzzDetect(f *testing.F) {
	f.Add([]byte(bytesOf("srv asked")), []byte(bytesOf("srv answered")), true, uint16(53))
	f.Add([]byte(framed(bytesOf("srv asked"))), []byte(framed(bytesOf("srv answered"))), false, uint16(8600))
	f.Add([]byte(wire(0, "x.local.", dnsmessage.TypePTR, noRecursion)), []byte{}, true, uint16(5353))
	f.Fuzz(func(t *testing.T, fromClient, fromServer []byte, datagrams bool, port uint16) {
		s := sample(port, string(fromClient), string(fromServer))
		s.Datagrams = datagrams
		if detect(s) >= protocol.Weak && datagrams && len(fromClient) > 0 {
			var p dnsmessage.Parser
			_, err := p.Start(fromClient)
			require.NoError(t, err)
			require.NoError(t, p.SkipAllQuestions())
		}
	})
}
