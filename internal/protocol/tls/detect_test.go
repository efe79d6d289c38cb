package tls

import (
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

func judgeOf(d protocol.Direction, b string, ended bool) protocol.Confidence {
	s := protocol.Sample{}
	s.Bytes[d], s.Ended[d] = []byte(b), ended
	return detect(&s)
}

func TestHellosAreRecognised(t *testing.T) {
	const enough = headerBytes + messageHeader + sessionAt + 1
	for name := range recorded {
		var first [protocol.Directions]string
		for _, c := range readRecording(t, name) {
			first[c.direction] += c.bytes
		}
		for d, b := range first {
			if d == int(protocol.FromServer) && b[0] != handshake {
				continue
			}
			for n := 1; n < len(b); n++ {
				want := protocol.NeedMore
				if n >= enough {
					want = protocol.Certain
				}
				if got := judgeOf(protocol.Direction(d), b[:n], false); got != want {
					t.Fatalf("%s, %d bytes of direction %d: %v, want %v", name, n, d, got, want)
				}
			}
		}
	}
}

func TestOtherBeginningsAreNoHellos(t *testing.T) {
	valid := []byte(hello)
	for at, values := range map[int][]byte{
		0: {0, 20, 21, 23, 0x80, 'G'}, 1: {0, 2, 4}, 2: {4, 0xff}, 3: {0x41, 0xff}, 5: {0, 2, 3, 16}, 6: {1}, 9: {2, 4}, 10: {4},
		4: {0, 5, valid[4] + 1}, 8: {0, valid[8] - 1}, headerBytes + messageHeader + sessionAt: {33, 0xff},
	} {
		for _, value := range values {
			b := append([]byte(nil), valid...)
			b[at] = value
			if got := judgeOf(protocol.FromClient, string(b), false); got != protocol.No {
				t.Errorf("with %#x at %d: %v", value, at, got)
			}
		}
	}
	for name, b := range map[string]string{
		"a server's hello": answered13, "data": finished, "an alert": recordOf(alert, "\x02\x28"), "a length of 22": "\x16\x03\x01\x00\x02hi", "text": "\x16hello",
	} {
		if got := judgeOf(protocol.FromClient, b, false); got != protocol.No {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := judgeOf(protocol.FromClient, hello[:20], true); got != protocol.No {
		t.Errorf("a hello of which no more is shown: %v", got)
	}
}

func TestAHelloInShortRecordsIsRecognised(t *testing.T) {
	m := message(clientHello, asks("", named("a.example")))
	b := recordOf(handshake, m[:20]) + recordOf(handshake, m[20:])
	if got := judgeOf(protocol.FromClient, b, false); got != protocol.Certain {
		t.Errorf("%v", got)
	}
	p, r := start()
	p.Pieces(protocol.FromClient, b, 3)
	if r.TLS == nil || r.TLS.ServerName != "a.example" {
		t.Errorf("%+v", r.TLS)
	}
}
