package tls

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

// FuzzParser: what is known of two streams does not depend on the calls in which they come, little is held, and names are sound.
func FuzzParser(f *testing.F) {
	for name := range recorded {
		var first [protocol.Directions]string
		for _, c := range readRecording(f, name) {
			first[c.direction] += c.bytes
		}
		f.Add([]byte(first[protocol.FromClient]), []byte(first[protocol.FromServer]), uint64(1))
	}
	f.Add([]byte(hello+finished), []byte(answered12), uint64(2))
	f.Fuzz(func(t *testing.T, client, server []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 1))
		whole := outcome(t, client, server, func() int { return 1 << 20 })
		if several := outcome(t, client, server, func() int { return 1 + random.IntN(40) }); several != whole {
			t.Errorf("in one call %s, in several %s", whole, several)
		}
		p, r := start() // with gaps
		rest := [protocol.Directions][]byte{client, server}
		for !r.Ignored && len(rest[0])+len(rest[1]) > 0 {
			d := protocol.Direction(random.IntN(2))
			n := min(1+random.IntN(60), len(rest[d]))
			switch {
			case n == 0:
			case random.IntN(8) == 0:
				p.Gap(d, uint64(n), protocol.Truncated)
			default:
				p.Data(d, string(rest[d][:n]))
			}
			rest[d] = rest[d][n:]
			if held := p.Parser.Held(); held > 4*maxHello {
				t.Errorf("%d bytes are held", held)
			}
			p.Parser.Demand(d)
		}
		if r.TLS != nil && (r.TLS.ServerName != "" && !isHost([]byte(r.TLS.ServerName)) || len(r.TLS.Offered) > maxOffered) {
			t.Errorf("%+v", r.TLS)
		}
	})
}

// outcome is what is known of what the client has sent, and then the server.
func outcome(t *testing.T, client, server []byte, next func() int) string {
	p, r := start()
	for d, b := range [...][]byte{protocol.FromClient: client, protocol.FromServer: server} {
		for len(b) > 0 && !r.Ignored {
			n := min(next(), len(b))
			p.Data(protocol.Direction(d), string(b[:n]))
			b = b[n:]
		}
	}
	if !r.Ignored {
		p.Close(0)
	}
	if p.Parser.Held() != 0 {
		t.Errorf("%d bytes are held at the end", p.Parser.Held())
	}
	if r.TLS != nil {
		r.TLS.Handshake = 0 // which is a matter of calls
	}
	return fmt.Sprintf("%+v, ignored %v, errors %v", r.TLS, r.Ignored, r.Errors)
}
