package proxyproto

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// binaryHeader is a header of version 2 whose length is that of the rest.
func binaryHeader(command, family byte, rest string) string {
	b := append([]byte(signature), command, family)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(rest)))) + rest
}

const (
	addresses4 = "\x0a\x00\x00\x07\x0a\x00\x00\x01\x30\x39\x00\x50"
	tlvs       = "\x03\x00\x04abcd\x02\x00\x0bexample.org"
)

var (
	client4    = netip.MustParseAddrPort("10.0.0.7:12345")
	client6    = netip.MustParseAddrPort("[2001:db8::7]:12345")
	address6   = string(client6.Addr().AsSlice())
	addresses6 = address6 + address6 + "\x30\x39\x00\x50"
)

var valid = map[string]struct {
	header string
	client netip.AddrPort
}{
	"version 1, IPv4":              {"PROXY TCP4 10.0.0.7 10.0.0.1 12345 80\r\n", client4},
	"version 1, IPv6":              {"PROXY TCP6 2001:db8::7 2001:db8::1 12345 80\r\n", client6},
	"version 1, unknown":           {"PROXY UNKNOWN\r\n", netip.AddrPort{}},
	"version 1, unknown, more":     {"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", netip.AddrPort{}},
	"version 1, as long as it may": {"PROXY UNKNOWN " + strings.Repeat("f", maxLine-len("PROXY UNKNOWN \r\n")) + "\r\n", netip.AddrPort{}},
	"version 2, IPv4":              {binaryHeader(proxied, 0x11, addresses4), client4},
	"version 2, IPv4 of UDP":       {binaryHeader(proxied, 0x12, addresses4), client4},
	"version 2, IPv4, TLVs":        {binaryHeader(proxied, 0x11, addresses4+tlvs), client4},
	"version 2, IPv6":              {binaryHeader(proxied, 0x21, addresses6), client6},
	"version 2, IPv6, long TLVs":   {binaryHeader(proxied, 0x21, addresses6+strings.Repeat("x", 60_000)), client6},
	"version 2, Unix":              {binaryHeader(proxied, 0x31, strings.Repeat("s", 216)+tlvs), netip.AddrPort{}},
	"version 2, of no family":      {binaryHeader(proxied, 0, ""), netip.AddrPort{}},
	"version 2, ignored family":    {binaryHeader(proxied, 0x10, "abc"), netip.AddrPort{}},
	"version 2, local":             {binaryHeader(local, 0, ""), netip.AddrPort{}},
	"version 2, local, addresses":  {binaryHeader(local, 0x11, addresses4+tlvs), netip.AddrPort{}},
}

var malformedHeaders = map[string]string{
	"version 1, without a line end": "PROXY TCP4 " + strings.Repeat("1", maxLine),
	"version 1, another line end":   "PROXY TCP4 10.0.0.7 10.0.0.1 12345 80\n",
	"version 1, IPv6 as IPv4":       "PROXY TCP4 2001:db8::7 2001:db8::1 12345 80\r\n",
	"version 1, a word too few":     "PROXY TCP4 10.0.0.7 10.0.0.1 12345\r\n",
	"version 1, a port too large":   "PROXY TCP4 10.0.0.7 10.0.0.1 65536 80\r\n",
	"version 1, a port with a zero": "PROXY TCP4 10.0.0.7 10.0.0.1 012 80\r\n",
	"version 1, no address":         "PROXY TCP4 10.0.0.7 there 12345 80\r\n",
	"version 1, a zone":             "PROXY TCP6 fe80::1%eth0 fe80::2 12345 80\r\n",
	"version 2, another version":    binaryHeader(0x31, 0x11, addresses4),
	"version 2, another command":    binaryHeader(0x22, 0x11, addresses4),
	"version 2, another family":     binaryHeader(proxied, 0x41, addresses4),
	"version 2, another transport":  binaryHeader(proxied, 0x13, addresses4),
	"version 2, too short":          binaryHeader(proxied, 0x21, addresses4),
}

func start() (*protocoltest.Player, *protocoltest.Recorder) {
	parser, r := protocoltest.New(Protocol(), protocol.Session{}, protocol.Limits{HeadBytes: 4096, Outstanding: 16}, nil)
	return &protocoltest.Player{Parser: parser}, r
}

// play gives the client's bytes to a parser in calls of n bytes, as a conversation does: what follows a switch it does not see.
func play(p *protocoltest.Player, r *protocoltest.Recorder, bytes string, n int) (rest string) {
	for len(bytes) > 0 && r.Switched == nil && !r.Rejected {
		call := bytes[:min(n, len(bytes))]
		bytes = bytes[len(call):]
		p.Data(protocol.FromClient, call)
	}
	return string(r.Returned[protocol.FromClient]) + bytes
}

func TestHeadersNameTheClient(t *testing.T) {
	const rest = "GET / HTTP/1.1\r\n\r\n"
	for name, test := range valid {
		for _, n := range []int{1, 7, 16, 100_000} {
			p, r := start()
			got := play(p, r, test.header+rest, n)
			switch {
			case r.Switched == nil || r.Errors[protocol.Malformed] != 0:
				t.Errorf("%s, in calls of %d: no switch, errors %v", name, n, r.Errors)
			case r.Switched.Client != test.client:
				t.Errorf("%s, in calls of %d: client %v, want %v", name, n, r.Switched.Client, test.client)
			case got != rest:
				t.Errorf("%s, in calls of %d: %q follows, want %q", name, n, got, rest)
			case p.Parser.Held() != 0:
				t.Errorf("%s, in calls of %d: %d bytes are held", name, n, p.Parser.Held())
			}
		}
	}
}

func TestMalformedHeadersAreGivenBack(t *testing.T) {
	for name, header := range malformedHeaders {
		for _, n := range []int{1, 7, 100_000} {
			p, r := start()
			p.Data(protocol.FromServer, "hello")
			got := play(p, r, header, n)
			if !r.Rejected || r.Errors[protocol.Malformed] != 1 || got != header || string(r.Returned[protocol.FromServer]) != "hello" {
				t.Errorf("%s, in calls of %d: rejected %v, errors %v, returned %q", name, n, r.Rejected, r.Errors, r.Returned)
			}
		}
	}
}

func TestWhatTheServerSendsFirstIsKept(t *testing.T) {
	p, r := start()
	p.Data(protocol.FromServer, "220 ")
	p.Data(protocol.FromClient, "PROXY TCP4 10.0.0.7")
	p.Gap(protocol.FromServer, 10, protocol.Truncated)
	p.Data(protocol.FromServer, "ready")
	p.Data(protocol.FromClient, " 10.0.0.1 12345 80\r\nEHLO")
	if got := r.Returned; string(got[0]) != "EHLO" || string(got[1]) != "220 <10>ready" {
		t.Errorf("returned %q", got)
	}
}

func TestGapsInHeaders(t *testing.T) {
	long := binaryHeader(proxied, 0x11, addresses4+strings.Repeat("x", 1000))
	for name, test := range map[string]struct {
		before   string
		gap      uint64
		switched bool
		returned string
	}{
		"within the extensions":     {long[:100], uint64(len(long)) - 100, true, ""},
		"that ends behind them":     {long[:100], uint64(len(long)) - 95, true, "<5>"},
		"within addresses":          {long[:20], 100, false, long[:20] + "<100>"},
		"in place of the beginning": {"", 100, false, "<100>"},
	} {
		p, r := start()
		if test.before != "" {
			p.Data(protocol.FromClient, test.before)
		}
		p.Gap(protocol.FromClient, test.gap, protocol.Lost)
		if got := string(r.Returned[protocol.FromClient]); (r.Switched != nil) != test.switched || r.Rejected == test.switched || got != test.returned {
			t.Errorf("%s: switched %v, rejected %v, returned %q", name, r.Switched, r.Rejected, got)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	p, _ := start()
	p.Data(protocol.FromClient, "PROXY")
	for range 10_000 {
		p.Data(protocol.FromServer, strings.Repeat("x", 100))
		p.Gap(protocol.FromServer, 1, protocol.Lost)
	}
	if held := p.Parser.Held(); held > 64<<10 {
		t.Errorf("%d bytes are held", held)
	}
}

func TestDetection(t *testing.T) {
	judge := func(b string) protocol.Confidence {
		return detect(&protocol.Sample{Bytes: [protocol.Directions][]byte{protocol.FromClient: []byte(b)}})
	}
	for name, test := range valid {
		for n := 1; n < min(len(test.header), 200); n++ {
			want := protocol.NeedMore
			if n >= len(signature) && test.header[0] == '\r' || n >= len("PROXY TCP4 ") && test.header[6] == 'T' || n >= len("PROXY UNKNOWN") {
				want = protocol.Certain
			}
			if got := judge(test.header[:n]); got != want {
				t.Fatalf("%s: %v after %d bytes, want %v", name, got, n, want)
			}
		}
	}
	for _, other := range []string{"PROXY / HTTP/1.1\r\n", "PROXY TCP5 ", "\r\n\r\n\r\n", "GET / HTTP/1.1\r\n", "\x16\x03\x01", "PRI * HTTP/2.0\r\n\r\nSM"} {
		if got := judge(other); got != protocol.No {
			t.Errorf("%q: %v", other, got)
		}
	}
}

func FuzzParser(f *testing.F) {
	for _, test := range valid {
		f.Add([]byte(test.header), uint64(1))
	}
	for _, header := range malformedHeaders {
		f.Add([]byte(header), uint64(2))
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		if detect(&protocol.Sample{Bytes: [protocol.Directions][]byte{b, nil}}) != protocol.Certain {
			return
		}
		random := rand.New(rand.NewPCG(seed, 1))
		whole, several := outcome(b, func() int { return len(b) }), outcome(b, func() int { return 1 + random.IntN(40) })
		if several != whole {
			t.Errorf("in one call %q, in several %q", whole, several)
		}
	})
}

func outcome(b []byte, next func() int) string {
	p, r := start()
	for len(b) > 0 && r.Switched == nil && !r.Rejected {
		n := min(next(), len(b))
		p.Data(protocol.FromClient, string(b[:n]))
		b = b[n:]
	}
	switch {
	case r.Rejected:
		return "rejected: " + string(r.Returned[protocol.FromClient]) + string(b)
	case r.Switched != nil:
		return r.Switched.Client.String() + ": " + string(r.Returned[protocol.FromClient]) + string(b)
	}
	return "undecided"
}
