package dns

import (
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/socketflow/socketflow/internal/protocol"
)

const (
	no, more, weak, strong, certain = protocol.No, protocol.NeedMore, protocol.Weak, protocol.Strong, protocol.Certain
	anyPort                         = 8600
)

func sample(port uint16, fromClient, fromServer string) *protocol.Sample {
	return &protocol.Sample{Datagrams: true, Port: port, Bytes: [protocol.Directions][]byte{[]byte(fromClient), []byte(fromServer)}}
}

func noRecursion(m *dnsmessage.Message) { m.RecursionDesired = false }

func announcement(m *dnsmessage.Message) { m.RecursionDesired, m.Authoritative = false, true }

func TestDatagramsAreRecognised(t *testing.T) {
	const A, AAAA = dnsmessage.TypeA, dnsmessage.TypeAAAA
	query, reply := wire(1, "www.test.", A), wire(1, "WWW.test.", A, answered(a(1)))
	flags := func(s string, high, low byte) string {
		return s[:2] + string([]byte{s[2] | high, s[3] | low}) + s[4:]
	}
	for name, test := range map[string]struct {
		port                   uint16
		fromClient, fromServer string
		want                   protocol.Confidence
	}{
		"nothing yet":                    {53, "", "", more},
		"a query":                        {53, query, "", strong},
		"elsewhere":                      {anyPort, query, "", weak},
		"of the name service of NetBIOS": {137, query, reply, no},
		"dig":                            {53, bytesOf("https asked"), "", strong},
		"dig elsewhere":                  {anyPort, bytesOf("https asked"), "", weak},
		"dig and unbound":                {anyPort, bytesOf("https asked"), bytesOf("https answered"), certain},
		"answered":                       {anyPort, query, reply, certain},
		"answered at length":             {anyPort, query, reply[:len(reply)-3], certain}, // only so much was captured
		"two asked at once":              {anyPort, query, wire(2, "www.test.", AAAA, answered(aaaa(1))), strong},
		"another name answered":          {anyPort, query, wire(2, "else.test.", A, answered(a(1))), weak},
		"another name, cut":              {anyPort, query, wire(2, "else.test.", A, answered(a(1)))[:40], no},
		"the usual port, cut":            {53, query, wire(2, "else.test.", A, answered(a(1)))[:40], strong},
		"answered by something else":     {53, query, "HTTP/1.1 400 Bad Request\r\n\r\n", no},
		"a query as the answer":          {53, query, query, no},
		"an answer first":                {53, "", reply, strong},
		"an answer first elsewhere":      {anyPort, "", reply, weak},
		"an answer from the client":      {53, reply, "", no},
		"a byte behind it":               {53, query + "\x00", "", no},
		"a byte too few":                 {53, query[:len(query)-1], "", no},
		"a record too few":               {53, bytesOf("srv asked")[:40], "", no},
		"answers in a query":             {53, wire(1, "www.test.", A, answered(a(1)), func(m *dnsmessage.Message) { m.Response = false }), "", no},
		"changes of a zone": {53, wire(1, "zone.test.", typeIXFR, func(m *dnsmessage.Message) {
			answered(soa(1))(m)
			m.Response, m.Authorities, m.Answers = false, m.Answers, nil
		}), "", strong},
		"more than the version of a zone": {53, wire(1, "zone.test.", typeIXFR, func(m *dnsmessage.Message) {
			answered(soa(1), soa(1))(m)
			m.Response, m.Authorities, m.Answers = false, m.Answers, nil
		}), "", no},
		"two questions":                  {53, wire(1, "www.test.", A, func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }), "", no},
		"no question":                    {53, wire(1, "", A), "", no},
		"a notification":                 {53, wire(1, "zone.test.", dnsmessage.TypeSOA, op(4)), "", strong},
		"an update":                      {53, wire(1, "zone.test.", dnsmessage.TypeSOA, op(5)), "", strong},
		"another opcode":                 {53, wire(1, "zone.test.", dnsmessage.TypeSOA, op(2)), "", no},
		"the reserved bit":               {53, flags(query, 0, 0x40), "", no},
		"a query that is truncated":      {53, flags(query, 2, 0), "", no},
		"a query with a code":            {53, flags(query, 0, 3), "", no},
		"a query with recursion offered": {53, flags(query, 0, 0x80), "", no},
		"an authoritative query":         {53, flags(query, 4, 0), "", no},
		"a class unknown":                {53, query[:len(query)-1] + "\x09", "", no},
		"QU where it does not belong":    {53, query[:len(query)-2] + "\x80\x01", "", no},
		"a type unknown":                 {53, wire(1, "www.test.", 65280), "", strong},
		"a type unknown elsewhere":       {anyPort, wire(1, "www.test.", 65280), "", no},
		"type 0":                         {53, wire(1, "www.test.", 0), "", no},
		"control characters":             {53, wire(1, "w\x01w.test.", A), "", no},
		"a space":                        {53, wire(1, "w w.test.", A), "", strong},
		"a space elsewhere":              {anyPort, wire(1, "w w.test.", A), "", no},
		"a name of NetBIOS":              {anyPort, wire(1, strings.Repeat("CK", 16)+".", dnsmessage.TypeSRV), "", no},
		"mDNS":                           {5353, wire(0, "_ipp._tcp.local.", dnsmessage.TypePTR, noRecursion, func(m *dnsmessage.Message) { m.Questions[0].Class |= topBit }), "", strong},
		"mDNS, announced":                {5353, wire(0, "", 0, announcement, answered(a(1))), "", strong},
		"mDNS, announced by the other":   {5353, "", wire(0, "", 0, announcement, answered(a(1))), strong},
		"mDNS, nothing announced":        {5353, wire(0, "", 0, announcement, answered()), "", no},
		"LLMNR":                          {5355, wire(7, "host.", A, noRecursion), "", strong},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want.String(), detect(sample(test.port, test.fromClient, test.fromServer)).String())
		})
	}
}

func TestRolesOfMDNSAreThoseOfTheSocket(t *testing.T) {
	s := sample(portMDNS, "", wire(0, "", 0, announcement, answered(a(1))))
	s.Reversed = true
	assert.Equal(t, weak, detect(s))
}

// Datagrams of other protocols, in the forms that their specifications give.
var others = map[string]string{
	"NTP":             "23020600000000000000000000000000" + "00000000000000000000000000000000" + "0000000000000000e9a1b2c3d4e5f607",
	"STUN":            "000100002112a4420102030405060708090a0b0c",
	"STUN, longer":    "000100082112a4420102030405060708090a0b0c802200040102030" + "4",
	"RTP":             "80000001000000a012345678ffffffffffffffffffffffffffffffff",
	"RTCP":            "80c90001123456788000",
	"QUIC initial":    "c3000000010808f067a5502a4262b5004041e0f1a2b3c4d5e6f708192a3b4c5d6e7f",
	"QUIC short":      "40f067a5502a4262b5e0f1a2b3c4d5e6f708192a3b4c5d6e7f",
	"WireGuard":       "0100000078563412" + strings.Repeat("a5", 140),
	"WireGuard data":  "0400000078563412" + "0100000000000000" + strings.Repeat("5a", 32),
	"DHCP":            "0101060012345678000080000000000000000000000000000000000002420a000001" + strings.Repeat("00", 202) + "63825363350101ff",
	"SNMP":            "302602010104067075626c6963a01902047f3c8f1a020100020100300b300906052b060102010500",
	"DTLS":            "16feff0000000000000000002e01000022000000000000002200",
	"CoAP":            "400112340b2e77656c6c2d6b6e6f776e",
	"TFTP":            "000166696c65006f6374657400",
	"NetBIOS":         "800001100001000000000000" + "20" + "434b414141414141414141414141414141414141414141414141414141414141" + "41" + "0000210001",
	"RADIUS":          "0100003800000000000000000000000000000000010673746576650212" + strings.Repeat("11", 16) + "04060a000001",
	"memcached":       "0001000000010000" + hex.EncodeToString([]byte("get a\r\n")),
	"SIP":             hex.EncodeToString([]byte("OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\r\n")),
	"syslog":          hex.EncodeToString([]byte("<34>1 2003-10-11T22:14:15.003Z host su - ID47 - failed")),
	"statsd":          hex.EncodeToString([]byte("page.views:1|c")),
	"SSDP":            hex.EncodeToString([]byte("M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n")),
	"VXLAN":           "0800000000002a00" + "ffffffffffff0242ac1100020806000108000604000102",
	"NetFlow 9":       "00090001000003e85f5e1000000000010000000000000014",
	"one byte":        "00",
	"zeros":           strings.Repeat("00", 64),
	"ones":            strings.Repeat("01", 64),
	"QUIC, like DNS":  "0001010000010000000000" + "00c1",
	"a header alone":  "000101000001000000000000",
	"echo of numbers": "00000001000000020000000300000004",
}

func TestOtherProtocolsAreNotRecognised(t *testing.T) {
	for name, text := range others {
		b, err := hex.DecodeString(text)
		assert.NoError(t, err, name)
		for _, port := range []uint16{anyPort, 53, 5353, 5355} {
			assert.Equal(t, no, detect(sample(port, string(b), "")), "%s on port %d", name, port)
			assert.Equal(t, no, detect(sample(port, "", string(b))), "%s on port %d", name, port)
			stream := sample(port, string(b), "")
			stream.Datagrams, stream.Ended[client] = false, true
			assert.Equal(t, no, detect(stream), "%s on port %d, as a stream", name, port)
		}
	}
}

func TestRandomBytesAreNotRecognised(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 3))
	b := make([]byte, 200)
	for range 100_000 {
		for i := range b {
			b[i] = byte(random.Uint32())
			if random.IntN(3) == 0 { // zeros are frequent in headers
				b[i] = 0
			}
		}
		some := string(b[:1+random.IntN(len(b)-1)])
		for _, port := range []uint16{anyPort, 53, 5353} {
			if c := detect(sample(port, some, "")); c != no {
				t.Fatalf("%v on port %d: %x", c, port, some)
			}
			if c := detect(sample(port, "", some)); c != no {
				t.Fatalf("%v on port %d: %x", c, port, some)
			}
		}
	}
}

func TestStreamsAreRecognised(t *testing.T) {
	const A = dnsmessage.TypeA
	query, reply := framed(wire(1, "www.test.", A)), framed(wire(1, "www.test.", A, answered(a(1), a(2))))
	for name, test := range map[string]struct {
		port                   uint16
		fromClient, fromServer string
		ended                  [protocol.Directions]bool
		joined                 bool
		want                   protocol.Confidence
	}{
		"nothing yet":                {53, "", "", [2]bool{}, false, more},
		"half a length":              {53, query[:1], "", [2]bool{}, false, more},
		"a length":                   {53, query[:2], "", [2]bool{}, false, more},
		"half a query":               {53, query[:20], "", [2]bool{}, false, more},
		"no more than half a query":  {53, query[:20], "", [2]bool{true, false}, false, no},
		"no more than half a length": {53, query[:1], "", [2]bool{true, false}, false, no},
		"a query":                    {53, query, "", [2]bool{}, false, strong},
		"elsewhere":                  {anyPort, query, "", [2]bool{}, false, weak},
		"two":                        {anyPort, query + query, "", [2]bool{}, false, weak},
		"answered":                   {anyPort, query, reply, [2]bool{}, false, certain},
		"half answered":              {anyPort, query, reply[:50], [2]bool{}, false, more},
		"answered at length":         {anyPort, query, reply[:50], [2]bool{false, true}, false, certain},
		"a wrong length":             {53, "\x00\x18" + query[2:], "", [2]bool{}, false, no},
		"an impossible length":       {53, "\x00\x0b" + query[2:], "", [2]bool{}, false, no},
		"a response half":            {53, reply[:30], "", [2]bool{}, false, no},
		"the server first":           {anyPort, "", reply, [2]bool{}, false, no},
		"the middle":                 {anyPort, "", reply, [2]bool{}, true, weak},
		"TLS":                        {853, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x37", 40), "", [2]bool{}, false, no},
		"HTTP":                       {53, "GET / HTTP/1.1\r\n\r\n", "", [2]bool{}, false, no},
		"PostgreSQL":                 {53, "\x00\x00\x00\x08\x04\xd2\x16\x2f", "", [2]bool{}, false, no},
	} {
		t.Run(name, func(t *testing.T) {
			s := sample(test.port, test.fromClient, test.fromServer)
			s.Datagrams, s.Ended, s.Joined = false, test.ended, test.joined
			assert.Equal(t, test.want.String(), detect(s).String())
		})
	}
}
