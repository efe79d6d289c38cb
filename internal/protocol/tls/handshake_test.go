package tls

import (
	"testing"
	"time"

	"github.com/socketflow/socketflow/internal/protocol"
)

// TestHandshakesTakeUntilTheyAreEstablished: from the first byte of the client's hello to the last record that the handshake needs.
func TestHandshakesTakeUntilTheyAreEstablished(t *testing.T) {
	retried := recordOf(handshake, message(serverHello, "\x03\x03"+string(retryRandom)+"\x00\x13\x01\x00"+vector(2, extension(extSupportedVersions, "\x03\x04"))))
	for name, test := range map[string]struct {
		calls []call // each 10 ms after the one before
		want  time.Duration
	}{
		"1.3":                        {[]call{client(hello), server(answered13), client(finished), client(finished)}, 20 * time.Millisecond},
		"1.3, asked twice":           {[]call{client(hello), server(retried), client(hello), server(answered13), client(finished)}, 40 * time.Millisecond},
		"1.2":                        {[]call{client(hello), server(answered12), client(encrypted + changed + encrypted), server(changed + encrypted)}, 30 * time.Millisecond},
		"a hello in two parts":       {[]call{client(hello[:3]), client(hello[3:]), server(answered13), client(finished)}, 30 * time.Millisecond},
		"the hello was not seen":     {[]call{server(answered13), client(finished)}, 0},
		"a handshake that fails":     {[]call{client(hello), server(recordOf(alert, "\x02\x28"))}, 0},
		"a handshake without an end": {[]call{client(hello), server(answered13)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := start()
			p.Time = uint64(time.Second)
			for _, c := range test.calls {
				if !r.Ignored {
					p.Data(c.direction, c.bytes)
				}
				p.Time += uint64(10 * time.Millisecond)
			}
			got := time.Duration(0)
			if r.TLS != nil {
				got = r.TLS.Handshake.Truncate(time.Millisecond) // a call takes a microsecond of its own
			}
			if got != test.want || r.Errors != [protocol.ParseErrors]int{} {
				t.Errorf("%v, want %v; errors %v", got, test.want, r.Errors)
			}
		})
	}
}
