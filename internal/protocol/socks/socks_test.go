package socks

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// said is what one side sends.
type said struct {
	by    protocol.Direction
	bytes string
}

func ask(bytes string) said    { return said{protocol.FromClient, bytes} }
func answer(bytes string) said { return said{protocol.FromServer, bytes} }

const (
	request    = "\x05\x01\x00\x03\x0bexample.org\x00\x50"
	reply      = "\x05\x00\x00\x01\x0a\x00\x00\x01\x30\x39"
	secrets    = "\x01\x05admin\x06secret"
	granted    = "\x00\x5a\x00\x00\x00\x00\x00\x00"
	refused    = "\x00\x5b\x00\x00\x00\x00\x00\x00"
	ask4       = "\x04\x01\x00\x50\x0a\x00\x00\x01me\x00"
	ask4a      = "\x04\x01\x00\x50\x00\x00\x00\x01me\x00example.org\x00"
	ask4Bind   = "\x04\x02\x00\x50\x0a\x00\x00\x01\x00"
	earlyBytes = "GET / HTTP/1.1\r\n\r\n"
)

var handshakes = map[string]struct {
	said []said
	over bool // nothing follows
}{
	"SOCKS5": {said: []said{ask("\x05\x01\x00"), answer("\x05\x00"), ask(request), answer(reply)}},
	"SOCKS5, IPv6": {said: []said{
		ask("\x05\x01\x00"), answer("\x05\x00"), ask("\x05\x01\x00\x04" + strings.Repeat("\x20", 18)),
		answer("\x05\x00\x00\x04" + strings.Repeat("\x20", 18)),
	}},
	"SOCKS5, a login": {said: []said{
		ask("\x05\x02\x00\x02"), answer("\x05\x02"), ask(secrets), answer("\x01\x00"), ask(request), answer(reply),
	}},
	"SOCKS5, a login answered in another version": {said: []said{
		ask("\x05\x01\x02"), answer("\x05\x02"), ask(secrets), answer("\x05\x00"), ask(request), answer(reply),
	}},
	"SOCKS5, bind": {said: []said{
		ask("\x05\x01\x00"), answer("\x05\x00"), ask("\x05\x02\x00\x01\x0a\x00\x00\x01\x00\x50"), answer(reply), answer(reply),
	}},
	"SOCKS5, the request before the answer to the greeting": {said: []said{
		ask("\x05\x01\x00" + request), answer("\x05\x00" + reply),
	}},
	"SOCKS5, a reply that is seen before its request": {said: []said{
		ask("\x05\x01\x00"), answer("\x05\x00"), answer(reply), ask(request),
	}},
	"SOCKS5, no acceptable method": {over: true, said: []said{ask("\x05\x01\x00"), answer("\x05\xff")}},
	"SOCKS5, GSSAPI":               {over: true, said: []said{ask("\x05\x02\x00\x01"), answer("\x05\x01")}},
	"SOCKS5, a login refused": {over: true, said: []said{
		ask("\x05\x02\x00\x02"), answer("\x05\x02"), ask(secrets), answer("\x01\x01"),
	}},
	"SOCKS5, refused": {over: true, said: []said{
		ask("\x05\x01\x00"), answer("\x05\x00"), ask(request), answer("\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"),
	}},
	"SOCKS5, bind, nobody connects": {over: true, said: []said{
		ask("\x05\x01\x00"), answer("\x05\x00"), ask("\x05\x02\x00\x01\x0a\x00\x00\x01\x00\x50"), answer(reply),
		answer("\x05\x06\x00\x01\x00\x00\x00\x00\x00\x00"),
	}},
	"SOCKS5, datagrams": {over: true, said: []said{
		ask("\x05\x01\x00"), answer("\x05\x00"), ask("\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"), answer(reply),
	}},
	"SOCKS4":          {said: []said{ask(ask4), answer(granted)}},
	"SOCKS4a":         {said: []said{ask(ask4a), answer(granted)}},
	"SOCKS4, bind":    {said: []said{ask(ask4Bind), answer(granted), answer(granted)}},
	"SOCKS4, refused": {over: true, said: []said{ask(ask4), answer(refused)}},
}

func start() (*protocoltest.Player, *protocoltest.Recorder) {
	parser, r := protocoltest.New(Protocol(), protocol.Session{}, protocol.Limits{HeadBytes: 4096, Outstanding: 16}, nil)
	return &protocoltest.Player{Parser: parser}, r
}

// play gives a parser what the sides say in calls of n bytes, as a conversation does: what follows a switch it does not see.
func play(p *protocoltest.Player, r *protocoltest.Recorder, all []said, n int) {
	for _, s := range all {
		for len(s.bytes) > 0 {
			call := s.bytes[:min(n, len(s.bytes))]
			s.bytes = s.bytes[len(call):]
			if r.Switched != nil || r.Rejected {
				r.Returned[s.by] = append(r.Returned[s.by], call...)
				continue
			}
			p.Data(s.by, call)
		}
	}
}

func TestWhatFollowsAHandshakeIsReturned(t *testing.T) {
	for name, test := range handshakes {
		for _, n := range []int{1, 3, 1000} {
			p, r := start()
			last := len(test.said) - 1
			final := test.said[last]
			all := append([]said(nil), test.said[:last]...)
			all = append(all, said{final.by.Opposite(), "early"}, said{final.by, final.bytes + "rest"})
			play(p, r, all, n)
			early, rest := string(r.Returned[final.by.Opposite()]), string(r.Returned[final.by])
			switch {
			case r.Rejected || r.Errors != [protocol.ParseErrors]int{}:
				t.Errorf("%s, in calls of %d: rejected %v, errors %v", name, n, r.Rejected, r.Errors)
			case test.over && (r.Switched != nil || p.Parser.Demand(protocol.FromClient).Skip != protocol.Forever):
				t.Errorf("%s, in calls of %d: it is not over", name, n)
			case !test.over && (r.Switched == nil || early != "early" || rest != "rest"):
				t.Errorf("%s, in calls of %d: switched %v, returned %q", name, n, r.Switched, r.Returned)
			case p.Parser.Held() != 0:
				t.Errorf("%s, in calls of %d: %d bytes are held", name, n, p.Parser.Held())
			}
		}
	}
}

func TestCredentialsAreNotHandedOn(t *testing.T) {
	for name, all := range map[string][]said{
		"a login of another form": {ask("\x05\x01\x02"), answer("\x05\x02"), ask("secret")},
		"a request of another form": {
			ask("\x05\x01\x02"), answer("\x05\x02"), ask(secrets), answer("\x01\x00"), ask("\x05\x09secret"),
		},
	} {
		p, r := start()
		play(p, r, all, 1000)
		if r.Rejected || r.Switched != nil || r.Errors[protocol.Malformed] != 1 || p.Parser.Held() != 0 {
			t.Errorf("%s: rejected %v, switched %v, errors %v, %d bytes held", name, r.Rejected, r.Switched, r.Errors, p.Parser.Held())
		}
	}
}

func TestWhatIsNotSOCKSAfterAllIsReturned(t *testing.T) {
	p, r := start()
	play(p, r, []said{ask("\x05\x01\x00"), answer("\x05\x00"), ask("\x05\x09\x00")}, 1)
	if !r.Rejected || r.Errors[protocol.Malformed] != 1 || string(r.Returned[0]) != "\x05\x01\x00\x05\x09\x00" || string(r.Returned[1]) != "\x05\x00" {
		t.Errorf("rejected %v, errors %v, returned %q", r.Rejected, r.Errors, r.Returned)
	}
}

func TestGapsInAHandshake(t *testing.T) {
	p, r := start()
	p.Data(protocol.FromClient, "\x05\x01\x00")
	p.Data(protocol.FromServer, "\x05\x00")
	p.Data(protocol.FromClient, request)
	p.Gap(protocol.FromClient, 7, protocol.Truncated) // behind the request
	p.Data(protocol.FromServer, reply)
	if r.Switched == nil || string(r.Returned[protocol.FromClient]) != "<7>" {
		t.Errorf("behind the request: switched %v, returned %q", r.Switched, r.Returned)
	}
	p, r = start()
	p.Data(protocol.FromClient, "\x05\x01\x00")
	p.Gap(protocol.FromServer, 2, protocol.Lost)
	if !r.Rejected || string(r.Returned[protocol.FromServer]) != "<2>" {
		t.Errorf("in an answer: rejected %v, returned %q", r.Rejected, r.Returned)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	p, _ := start()
	p.Data(protocol.FromClient, ask4)
	for i := range 10_000 {
		p.Data(protocol.FromClient, strings.Repeat("x", 100))
		if i%2 == 0 {
			p.Gap(protocol.FromClient, 1, protocol.Lost)
		}
	}
	if held := p.Parser.Held(); held > 64<<10 {
		t.Errorf("%d bytes are held", held)
	}
}

func detected(asked, answered string) protocol.Confidence {
	return detect(&protocol.Sample{Bytes: [protocol.Directions][]byte{[]byte(asked), []byte(answered)}})
}

func TestDetectionNeedsBothSides(t *testing.T) {
	for name, test := range map[string]struct {
		asked, answered string
		want            protocol.Confidence
	}{
		"the version":                      {"\x05", "", protocol.NeedMore},
		"half a greeting":                  {"\x05\x02\x00", "", protocol.NeedMore},
		"a greeting":                       {"\x05\x01\x00", "", protocol.Weak},
		"half an answer":                   {"\x05\x01\x00", "\x05", protocol.NeedMore},
		"an answer":                        {"\x05\x01\x00", "\x05\x00", protocol.Strong},
		"an answer that is seen first":     {"", "\x05\x00", protocol.NeedMore},
		"all methods refused":              {"\x05\x01\x00", "\x05\xff", protocol.Strong},
		"a method that was not offered":    {"\x05\x01\x00", "\x05\x02", protocol.No},
		"another version":                  {"\x05\x01\x00", "\x04\x00", protocol.No},
		"no methods":                       {"\x05\x00", "", protocol.No},
		"a method twice":                   {"\x05\x02\x00\x00", "", protocol.No},
		"unknown methods only":             {"\x05\x02\x30\x31", "", protocol.No},
		"a request behind the greeting":    {"\x05\x01\x00" + request, "\x05\x00", protocol.Strong},
		"something else behind it":         {"\x05\x01\x00\x06", "\x05\x00", protocol.No},
		"a request of SOCKS4":              {ask4, "", protocol.Weak},
		"a request of SOCKS4, answered":    {ask4, granted, protocol.Strong},
		"a request of SOCKS4, refused":     {ask4, refused, protocol.Strong},
		"a request of SOCKS4, half":        {ask4[:9], "", protocol.NeedMore},
		"a request of SOCKS4, another end": {ask4, "\x00\x00", protocol.No},
		"a user with control characters":   {"\x04\x01\x00\x50\x0a\x00\x00\x01\x01", "", protocol.No},
		"port 0":                           {"\x04\x01\x00\x00\x0a\x00\x00\x01\x00", "", protocol.No},
		"a host without a name":            {"\x04\x01\x00\x50\x00\x00\x00\x01\x00\x00", "", protocol.No},
		"an endless user":                  {"\x04\x01\x00\x50\x0a\x00\x00\x01" + strings.Repeat("x", 300), "", protocol.No},
	} {
		if got := detected(test.asked, test.answered); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	if got := detect(&protocol.Sample{Joined: true, Bytes: [protocol.Directions][]byte{[]byte("\x05\x01\x00"), []byte("\x05\x00")}}); got != protocol.No {
		t.Errorf("in the middle: %v", got)
	}
}

// others are the first bytes of both sides in other protocols.
var others = map[string][protocol.Directions]string{
	"MySQL":                   {"\x54\x00\x00\x01\x8d\xa6\xff\x09", "\x4a\x00\x00\x00\x0a8.0.36\x00\x05\x00\x00\x00"},
	"MySQL, short":            {"\x05\x00\x00\x01\x85\xa6", "\x05\x00\x00\x00\x0a5.7"},
	"TLS":                     {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x16\x03\x03\x00\x7a\x02"},
	"memcached binary":        {"\x80\x0a\x00\x00\x00\x00\x00\x00", "\x81\x0a\x00\x00\x00\x00\x00\x00"},
	"Kafka":                   {"\x00\x00\x00\x24\x00\x12\x00\x03\x00\x00\x00\x01", "\x00\x00\x01\x4a\x00\x00\x00\x01"},
	"MQTT":                    {"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", "\x20\x02\x00\x00"},
	"AMQP":                    {"AMQP\x00\x00\x09\x01", "\x01\x00\x00\x00\x00\x01\xf6\x00\x0a\x00\x0a"},
	"PostgreSQL":              {"\x00\x00\x00\x08\x04\xd2\x16\x2f", "N"},
	"Redis":                   {"*1\r\n$4\r\nPING\r\n", "+PONG\r\n"},
	"HTTP":                    {earlyBytes, "HTTP/1.1 200 OK\r\n"},
	"SSH":                     {"SSH-2.0-OpenSSH_9.6\r\n", "SSH-2.0-OpenSSH_9.6\r\n"},
	"Cassandra 4":             {"\x04\x00\x00\x01\x05\x00\x00\x00\x00", "\x84\x00\x00\x01\x06\x00\x00\x00\x3a"},
	"Cassandra 4, compressed": {"\x04\x01\x00\x01\x05\x00\x00\x00\x00", "\x84\x00\x00\x01\x06\x00\x00\x00\x3a"},
	"Cassandra 5":             {"\x05\x00\x00\x01\x05\x00\x00\x00\x00", "\x85\x00\x00\x01\x06\x00\x00\x00\x3a"},
	"DCE/RPC":                 {"\x05\x00\x0b\x03\x10\x00\x00\x00", "\x05\x00\x0c\x03\x10\x00\x00\x00"},
	"DCE/RPC 5.1":             {"\x05\x01\x0b\x03\x10\x00\x00\x00", "\x05\x01\x0c\x03\x10\x00\x00\x00"},
	"MongoDB":                 {"\x05\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00", "\x05\x01\x00\x00\x02\x00\x00\x00"},
	"little-endian lengths":   {"\x04\x01\x00\x00abcd", "\x04\x01\x00\x00abcd"},
}

func TestOtherProtocolsAreNotClaimed(t *testing.T) {
	for name, b := range others {
		for asked := range len(b[0]) + 1 {
			for answered := range len(b[1]) + 1 {
				if asked+answered == 0 {
					continue
				}
				if got := detected(b[0][:asked], b[1][:answered]); got >= protocol.Strong {
					t.Errorf("%s: %v after %q and %q", name, got, b[0][:asked], b[1][:answered])
				}
			}
		}
		if got := detected(b[0], b[1]); got != protocol.No {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestRandomBytesAreNotClaimed(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var b [protocol.Directions][40]byte
	for range 100_000 {
		for d := range b {
			for i := range b[d] {
				b[d][i] = byte(random.Uint32())
			}
		}
		b[0][0] = version4 + byte(random.IntN(2)) // otherwise there is not even a chance
		if got := detected(string(b[0][:]), string(b[1][:])); got >= protocol.Strong {
			t.Fatalf("%v for %q and %q", got, b[0], b[1])
		}
	}
}

func FuzzParser(f *testing.F) {
	for _, test := range handshakes {
		var b [protocol.Directions]string
		for _, s := range test.said {
			b[s.by] += s.bytes
		}
		f.Add([]byte(b[0]), []byte(b[1]), uint64(len(b[0])))
	}
	f.Fuzz(func(t *testing.T, asked, answered []byte, seed uint64) {
		want := outcome([]said{ask(string(asked)), answer(string(answered))})
		random := rand.New(rand.NewPCG(seed, 1))
		var pieces []said
		for len(asked)+len(answered) > 0 {
			from, by := &asked, protocol.FromClient
			if len(asked) == 0 || len(answered) > 0 && random.IntN(2) == 0 {
				from, by = &answered, protocol.FromServer
			}
			n := min(1+random.IntN(10), len(*from))
			pieces = append(pieces, said{by, string((*from)[:n])})
			*from = (*from)[n:]
		}
		if got := outcome(pieces); got != want {
			t.Errorf("in one call %q, in several %q", want, got)
		}
	})
}

func outcome(all []said) string {
	p, r := start()
	play(p, r, all, 1<<20)
	switch {
	case r.Rejected, r.Switched != nil:
		return fmt.Sprintf("rejected %v: %q", r.Rejected, r.Returned)
	case p.Parser.Demand(protocol.FromClient).Skip == protocol.Forever:
		return "over"
	}
	return "undecided"
}
