package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/socketflow/socketflow/internal/protocol"
)

// brief is what a table compares: name, question, code, answers, error, capture.
func brief(w *world) (all []string) {
	for _, x := range w.Exchanges {
		parts := []string{x.Name}
		for _, k := range []string{"dns.question.name", "socketflow.dns.response.code", "dns.answers"} {
			if v, ok := x.Attributes[k]; ok {
				parts = append(parts, fmt.Sprint(v))
			}
		}
		if x.Error != "" {
			parts = append(parts, "error="+x.Error)
		}
		if x.Errno != 0 {
			parts = append(parts, fmt.Sprint("errno=", x.Errno))
		}
		if x.Capture != protocol.CaptureComplete {
			parts = append(parts, fmt.Sprint("capture=", x.Capture))
		}
		all = append(all, strings.Join(parts, " "))
	}
	return all
}

func TestExchangesOfQueriesAndResponses(t *testing.T) {
	many := make([]dnsmessage.ResourceBody, 40)
	for i := range many {
		many[i] = a(1)
	}
	thirtyTwo := "[" + strings.TrimSpace(strings.Repeat("192.0.2.1 ", maxAnswers)) + "]"
	txt := &dnsmessage.TXTResource{TXT: []string{"v=1"}}
	cname := &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("b.test.")}
	const A, AAAA = dnsmessage.TypeA, dnsmessage.TypeAAAA
	for name, test := range map[string]struct{ query, response, want string }{
		"an address":       {wire(1, "a.test.", A), wire(1, "a.test.", A, answered(a(1))), "query A a.test NOERROR [192.0.2.1]"},
		"addresses of v6":  {wire(1, "a.test.", AAAA), wire(1, "a.test.", AAAA, answered(aaaa(1), aaaa(2))), "query AAAA a.test NOERROR [2001:db8::1 2001:db8::2]"},
		"behind an alias":  {wire(1, "a.test.", A), wire(1, "a.test.", A, answered(cname, a(1))), "query A a.test NOERROR [192.0.2.1]"},
		"another class":    {wire(1, "a.test.", A), wire(1, "a.test.", A, answered(a(1), a(2)), func(m *dnsmessage.Message) { m.Answers[0].Header.Class = dnsmessage.ClassCHAOS }), "query A a.test NOERROR [192.0.2.2]"},
		"a wrong length":   {wire(1, "a.test.", A), wire(1, "a.test.", A, answered(&dnsmessage.UnknownResource{Type: A, Data: []byte("12345")}, a(2))), "query A a.test NOERROR [192.0.2.2]"},
		"v6, wrong length": {wire(1, "a.test.", A), wire(1, "a.test.", A, answered(&dnsmessage.UnknownResource{Type: AAAA, Data: []byte("123456789012345")}, a(2))), "query A a.test NOERROR [192.0.2.2]"},
		"no address":       {wire(1, "a.test.", dnsmessage.TypeTXT), wire(1, "a.test.", dnsmessage.TypeTXT, answered(txt)), "query TXT a.test NOERROR"},
		"nothing":          {wire(1, "a.test.", AAAA), wire(1, "a.test.", AAAA, answered()), "query AAAA a.test NOERROR"},
		"too many answers": {wire(1, "a.test.", A), wire(1, "a.test.", A, answered(many...)), "query A a.test NOERROR " + thirtyTwo},
		"server failure":   {wire(1, "a.test.", A), wire(1, "a.test.", A, code(2)), "query A a.test SERVFAIL error=SERVFAIL"},
		"a code of EDNS":   {wire(1, "a.test.", A, edns(0)), wire(1, "a.test.", A, code(0), edns(16)), "query A a.test BADVERS error=BADVERS"},
		"a code unknown":   {wire(1, "a.test.", A), wire(1, "a.test.", A, code(14)), "query A a.test _OTHER error=_OTHER"},
		"case is kept":     {wire(1, "wWw.A.tEst.", A), wire(1, "WwW.a.TEST.", A, answered(a(1))), "query A wWw.A.tEst NOERROR [192.0.2.1]"},
		"without question": {wire(1, "a.test.", A), wire(1, "", A, code(1)), "query A a.test FORMERR error=FORMERR"},
		"the root":         {wire(1, ".", dnsmessage.TypeNS), wire(1, ".", dnsmessage.TypeNS, answered()), "query NS . NOERROR"},
		"a type unknown":   {wire(1, "a.test.", 65280), wire(1, "a.test.", 65280, answered()), "query a.test NOERROR"},
		"a notification":   {wire(1, "zone.test.", dnsmessage.TypeSOA, op(4)), wire(1, "zone.test.", dnsmessage.TypeSOA, op(4), answered()), "notify SOA zone.test NOERROR"},
		"an update":        {wire(1, "zone.test.", dnsmessage.TypeSOA, op(5)), wire(1, "", 0, op(5), code(0)), "update SOA zone.test NOERROR"},
		"an opcode":        {wire(1, "zone.test.", A, op(9)), wire(1, "zone.test.", A, op(9), code(4)), "opcode A zone.test NOTIMP error=NOTIMP"},
		"truncated":        {wire(1, "a.test.", A), wire(1, "a.test.", A, func(m *dnsmessage.Message) { m.Response, m.Truncated = true, true }), "query A a.test NOERROR"},
		"captured alias":   {bytesOf("alias asked"), bytesOf("alias answered"), "query A alias.example.test NOERROR"},
		"captured SRV":     {bytesOf("srv asked"), bytesOf("srv answered"), "query SRV _sip._tcp.example.test NOERROR"},
		"captured HTTPS":   {bytesOf("https asked"), bytesOf("https answered"), "query HTTPS web.example.test NOERROR"},
		"captured none":    {bytesOf("none asked"), bytesOf("none answered"), "query A nope.example.test NXDOMAIN error=NXDOMAIN"},
		"captured refusal": {bytesOf("refused asked"), bytesOf("refused"), "query A x.refused.test REFUSED error=REFUSED"},
	} {
		t.Run(name, func(t *testing.T) {
			w := play(unicast, 10)
			w.Data(client, test.query)
			require.Len(t, w.Open, 1)
			w.Data(server, test.response)
			assert.Equal(t, []string{test.want}, brief(w))
			x := w.only(t)
			assert.Equal(t, "dns", x.Protocol)
			assert.Equal(t, []uint64{1e9 + 1000, 1e9 + 1000, 1e9 + 2000, 1e9 + 2000},
				[]uint64{x.Start.Time, x.RequestEnd.Time, x.ResponseStart.Time, x.End.Time})
			assert.EqualValues(t, len(test.query)-1, x.RequestEnd.Position)
			assert.EqualValues(t, len(test.response)-1, x.End.Position)

			tcp := unicast
			tcp.Datagrams = false
			for _, piece := range []int{1, 2, 7, 10000} {
				w := play(tcp, 10)
				w.Pieces(client, framed(test.query), piece)
				w.Pieces(server, framed(test.response), piece)
				assert.Equal(t, []string{test.want}, brief(w))
				assert.EqualValues(t, len(test.response)+1, w.Exchanges[0].End.Position)
				assert.Zero(t, w.Errors)
			}
		})
	}
}

func TestServerFailsOnlyByItsOwnFault(t *testing.T) {
	for rcode, want := range map[dnsmessage.RCode]string{0: "", 1: "", 2: "SERVFAIL", 3: "", 4: "NOTIMP", 5: ""} {
		session := unicast
		session.Side = protocol.Server
		w := play(session, 10)
		w.Data(client, wire(1, "a.test.", dnsmessage.TypeA))
		w.Data(server, wire(1, "a.test.", dnsmessage.TypeA, code(rcode)))
		assert.Equal(t, want, w.only(t).Error, "code %d", rcode)
	}
}

func TestPairingOfResponses(t *testing.T) {
	const A, AAAA = dnsmessage.TypeA, dnsmessage.TypeAAAA
	ask := func(id uint16, name string, kind dnsmessage.Type) string { return wire(id, name, kind) }
	reply := func(id uint16, name string, kind dnsmessage.Type, last byte) string {
		return wire(id, name, kind, answered(a(last)))
	}
	for name, test := range map[string]struct {
		play     func(*world)
		want     []string
		unpaired int
	}{
		"two in flight, out of order": {func(w *world) {
			w.Data(client, ask(1, "a.test.", A))
			w.Data(client, ask(2, "a.test.", AAAA))
			w.Data(server, wire(2, "a.test.", AAAA, answered(aaaa(9))))
			w.Data(server, reply(1, "a.test.", A, 1))
		}, []string{"query AAAA a.test NOERROR [2001:db8::9]", "query A a.test NOERROR [192.0.2.1]"}, 0},
		"an id used again": {func(w *world) {
			for range 2 {
				w.Data(client, ask(1, "a.test.", A))
				w.Data(server, reply(1, "a.test.", A, 1))
			}
		}, []string{"query A a.test NOERROR [192.0.2.1]", "query A a.test NOERROR [192.0.2.1]"}, 0},
		"another name": {func(w *world) {
			w.Data(client, ask(1, "a.test.", A))
			w.Data(server, reply(1, "b.test.", A, 1))
			w.Data(server, reply(1, "a.test.", A, 2))
		}, []string{"query A a.test NOERROR [192.0.2.2]"}, 1},
		"another type": {func(w *world) {
			w.Data(client, ask(1, "a.test.", A))
			w.Data(server, reply(1, "a.test.", AAAA, 1))
		}, nil, 1},
		"another opcode": {func(w *world) {
			w.Data(client, ask(1, "a.test.", A))
			w.Data(server, wire(1, "a.test.", A, op(4), code(0)))
		}, nil, 1},
		"no question though all is well": {func(w *world) {
			w.Data(client, ask(1, "a.test.", A))
			w.Data(server, wire(1, "", A, answered(a(1))))
		}, nil, 1},
		"another id": {func(w *world) {
			w.Data(client, ask(1, "a.test.", A))
			w.Data(server, reply(2, "a.test.", A, 1))
		}, nil, 1},
		"twice": {func(w *world) {
			w.Data(client, ask(1, "a.test.", A))
			w.Data(server, reply(1, "a.test.", A, 1))
			w.Data(server, reply(1, "a.test.", A, 1))
		}, []string{"query A a.test NOERROR [192.0.2.1]"}, 1},
		"asked again": {func(w *world) {
			w.Data(client, ask(1, "a.test.", A))
			w.Data(client, ask(1, "a.test.", A))
			w.Data(server, reply(1, "a.test.", A, 1))
		}, []string{"query A a.test error=timeout", "query A a.test NOERROR [192.0.2.1]"}, 0},
		"both sides ask": {func(w *world) {
			w.Data(client, ask(1, "a.test.", A))
			w.Data(server, wire(1, "zone.test.", dnsmessage.TypeSOA, op(4)))
			w.Data(client, wire(1, "zone.test.", dnsmessage.TypeSOA, op(4), code(0)))
			w.Data(server, reply(1, "a.test.", A, 1))
		}, []string{"notify SOA zone.test NOERROR", "query A a.test NOERROR [192.0.2.1]"}, 0},
		"too late": {func(w *world) {
			w.Data(client, ask(1, "a.test.", A))
			w.wait(11 * time.Second)
			w.Data(server, reply(1, "a.test.", A, 1))
		}, []string{"query A a.test error=timeout"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := play(unicast, 10)
			test.play(w)
			assert.Equal(t, test.want, brief(w))
			w.Close(0)
			assert.Equal(t, test.unpaired, w.Errors[protocol.Unpaired])
		})
	}
}

func TestRetryEndsTheEarlierQueryAtItsTime(t *testing.T) {
	w := play(unicast, 10)
	w.Data(client, wire(1, "a.test.", dnsmessage.TypeA))
	w.wait(5 * time.Second)
	w.Data(client, wire(1, "a.test.", dnsmessage.TypeA))
	x := w.only(t)
	assert.Equal(t, uint64(5*time.Second+1000), x.End.Time-x.Start.Time)
	assert.Zero(t, x.ResponseStart.Time)
	assert.Len(t, w.Open, 1)
}

func TestQueriesTimeOutInOrder(t *testing.T) {
	w := play(unicast, 10)
	assert.Zero(t, w.parser.Deadline())
	for id := range uint16(3) {
		w.Data(client, wire(id, fmt.Sprintf("n%d.test.", id), dnsmessage.TypeA))
		w.wait(4 * time.Second)
	}
	assert.Equal(t, []string{"query A n0.test error=timeout"}, brief(w))
	x := w.Exchanges[0]
	assert.Equal(t, uint64(10*time.Second), x.End.Time-x.Start.Time)
	w.wait(20 * time.Second)
	assert.Len(t, w.Exchanges, 3)
	assert.Zero(t, w.parser.Deadline())
}

func TestEndOfConversationWithQueriesOutstanding(t *testing.T) {
	query := wire(1, "a.test.", dnsmessage.TypeA)
	for name, test := range map[string]struct {
		end  func(*world)
		want string
	}{
		"closed":           {func(w *world) { w.Close(0) }, "query A a.test error=timeout"},
		"broken":           {func(w *world) { w.Close(111) }, "query A a.test errno=111"},
		"closed before":    {func(w *world) { w.Time -= 5000; w.Close(0) }, "query A a.test error=timeout"},
		"broken before":    {func(w *world) { w.Time -= 5000; w.Close(104) }, "query A a.test errno=104"},
		"not followed":     {(*world).unknown, "query A a.test capture=2"},
		"cut":              {(*world).cut, "query A a.test capture=4"},
		"closed after gap": {func(w *world) { w.Gap(server, 50, protocol.Lost); w.Close(0) }, "query A a.test capture=2"},
		"gap then late":    {func(w *world) { w.Gap(server, 50, protocol.Lost); w.wait(time.Minute) }, "query A a.test capture=2"},
		"gap in queries":   {func(w *world) { w.Gap(client, 50, protocol.Lost); w.Close(0) }, "query A a.test error=timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			w := play(unicast, 10)
			w.Data(client, query)
			test.end(w)
			assert.Equal(t, []string{test.want}, brief(w))
			assert.Empty(t, w.Open)
		})
	}
}

func TestTooManyQueriesDropTheOldest(t *testing.T) {
	w := play(unicast, 3)
	for id := range uint16(5) {
		w.Data(client, wire(id, "a.test.", dnsmessage.TypeA))
	}
	assert.Equal(t, 2, w.Errors[protocol.TooMany])
	assert.Len(t, w.Open, 3)
	assert.LessOrEqual(t, w.parser.Held(), 3*entryBytes)
	w.Data(server, wire(0, "a.test.", dnsmessage.TypeA, answered(a(1))))
	w.Data(server, wire(4, "a.test.", dnsmessage.TypeA, answered(a(1))))
	assert.Len(t, w.Exchanges, 1)
	w.Close(0)
	assert.Equal(t, 1, w.Errors[protocol.Unpaired])
}

func TestJoinedConversationMayBeginWithResponses(t *testing.T) {
	session := unicast
	session.Joined = true
	w := play(session, 3)
	reply := wire(9, "a.test.", dnsmessage.TypeA, answered(a(1)))
	w.Data(server, reply)
	assert.Zero(t, w.Errors)
	w.Data(client, wire(1, "a.test.", dnsmessage.TypeA))
	w.Data(server, wire(1, "a.test.", dnsmessage.TypeA, answered(a(1))))
	w.Data(server, reply)
	w.Close(0)
	assert.Equal(t, 1, w.Errors[protocol.Unpaired])
	assert.Len(t, w.Exchanges, 1)
}

func TestResponseDoesNotAnswerItsSendersQuery(t *testing.T) {
	w := play(unicast, 3)
	w.Data(client, wire(1, "a.test.", dnsmessage.TypeA, answered(a(1))))
	w.parser.Data(&protocol.Chunk{Direction: client, Bytes: []byte(wire(1, "a.test.", dnsmessage.TypeA)), Stamp: protocol.Stamp{Time: w.Time, Began: w.Time}})
	w.Close(0)
	assert.Equal(t, []string{"query A a.test error=timeout"}, brief(w))
	assert.Equal(t, 1, w.Errors[protocol.Unpaired])
}

func TestResponseMayBeSeenBeforeItsQuery(t *testing.T) {
	query, reply := wire(1, "a.test.", dnsmessage.TypeA), wire(1, "a.test.", dnsmessage.TypeA, answered(a(1)))
	const seen = mostLate + 500 // when the query is seen, after the response
	for name, test := range map[string]struct {
		query string
		began uint64 // when the call that sent it began, in relation to the response
		late  uint64 // when it is seen
		want  []string
	}{
		"by another thread":                 {query, 0, seen, []string{"query A a.test NOERROR [192.0.2.1]"}},
		"when its call began is not known":  {query, mostLate, mostLate, []string{"query A a.test NOERROR [192.0.2.1]"}},
		"not known, and the response older": {query, mostLate + 1, mostLate + 1, nil},
		"but asked afterwards":              {query, 1, seen, nil},
		"to another question":               {wire(1, "b.test.", dnsmessage.TypeA), 0, seen, nil},
		"to a query by another":             {wire(2, "a.test.", dnsmessage.TypeA), 0, seen, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := play(unicast, 3)
			w.Data(server, reply)
			at := w.Time
			w.parser.Data(&protocol.Chunk{Direction: client, Bytes: []byte(test.query), Stamp: protocol.Stamp{Time: at + test.late, Began: at + test.began}})
			assert.Equal(t, test.want, brief(w))
			w.Close(0)
			require.Len(t, w.Exchanges, 1)
			assert.Equal(t, test.want == nil, w.Errors[protocol.Unpaired] == 1)
			if x := w.only(t); test.want != nil {
				assert.Equal(t, at, x.Start.Began, "no later than the response")
				assert.Equal(t, at+test.late, x.Start.Time)
			}
		})
	}
}

// Several threads may send over one socket, while another one receives.
func TestResponsesMayBeSeenBeforeTheirQueries(t *testing.T) {
	const threads = mostEarly
	name := func(i int) string { return fmt.Sprintf("l%d.test.", i) }
	w := play(unicast, 3)
	began := w.Time
	for i := range threads + 1 { // of the first one there is no room for the last one
		w.Data(server, wire(uint16(i), name(i), dnsmessage.TypeA, answered(a(byte(i)))))
	}
	assert.Equal(t, 1, w.Errors[protocol.Unpaired])
	want := []string{"query A l0.test error=timeout"}
	for _, i := range []int{0, 3, 1, 8, 2, 7, 6, 5, 4} { // in any order
		w.parser.Data(&protocol.Chunk{Direction: client, Bytes: []byte(wire(uint16(i), name(i), dnsmessage.TypeA)), Stamp: protocol.Stamp{Time: w.Time + 500, Began: began}})
		if i > 0 {
			want = append(want, fmt.Sprintf("query A l%d.test NOERROR [192.0.2.%d]", i, i))
		}
	}
	w.Close(0)
	assert.ElementsMatch(t, want, brief(w))
	assert.Equal(t, 1, w.Errors[protocol.Unpaired])
}

func TestDatagramsThatAreNotWhole(t *testing.T) {
	query, reply := wire(1, "a.test.", dnsmessage.TypeA), wire(1, "a.test.", dnsmessage.TypeA, answered(a(1), a(2)))
	cut := func(w *world, d protocol.Direction, s string, n int) {
		w.parser.Data(&protocol.Chunk{Direction: d, Bytes: []byte(s[:n]), Missing: uint64(len(s) - n), Stamp: protocol.Stamp{Time: w.Time, Began: w.Time}})
	}
	w := play(unicast, 3)
	w.Data(client, query)
	cut(w, server, reply, len(reply)-5)
	assert.Equal(t, []string{"query A a.test NOERROR [192.0.2.1] capture=1"}, brief(w))
	assert.EqualValues(t, len(reply)-1, w.only(t).End.Position)
	cut(w, client, query, 15)
	assert.Equal(t, 1, w.Errors[protocol.HeadTooLong])
	for _, malformed := range []string{"x", query[:11], query[:15], query[:12] + "\xc0\x0c\x00\x01\x00\x01", query[:12] + strings.Repeat("\x3f"+strings.Repeat("x", 63), 4) + "\x00\x00\x01\x00\x01"} {
		w := play(unicast, 3)
		w.Data(client, malformed)
		assert.Equal(t, 1, w.Errors[protocol.Malformed], "%q", malformed)
	}
	// A pointer to itself in an answer is nothing to follow.
	w = play(unicast, 3)
	w.Data(client, query)
	w.Data(server, reply[:6]+"\xff\xff\x00\x00\x00\x00"+query[12:]+strings.Repeat("\xc0\x1e", 100))
	assert.Equal(t, []string{"query A a.test NOERROR error=malformed_response"}, brief(w))
}

func TestResponsesThatCannotBeRead(t *testing.T) {
	query, reply := wire(1, "a.test.", dnsmessage.TypeA), wire(1, "a.test.", dnsmessage.TypeA, answered(a(1), a(2)))
	const refused = "query A a.test error=malformed_response"
	for name, test := range map[string]struct{ sent, want string }{
		"a name that refers to nothing":   {reply[:12] + "\xc0\x0c\x00\x01\x00\x01", refused},
		"no room for the header":          {reply[:11], refused},
		"no room for the question":        {reply[:20], refused},
		"another's":                       {"\x00\x09" + reply[2:15], "query A a.test error=timeout"},
		"a query":                         {query[:15], "query A a.test error=timeout"},
		"no room for the id":              {"x", "query A a.test error=timeout"},
		"no room for the answers":         {reply[:len(reply)-9], "query A a.test NOERROR [192.0.2.1] error=malformed_response"},
		"answers that are not there":      {reply[:len(query)], "query A a.test NOERROR error=malformed_response"},
		"answers that are said to be cut": {reply[:2] + "\x82" + reply[3:len(query)], "query A a.test NOERROR"},
		"and then one that can":           {"", "query A a.test NOERROR [192.0.2.1 192.0.2.2]"},
	} {
		w := play(unicast, 3)
		w.Data(client, query)
		if test.sent == "" {
			w.Data(server, reply[:20])
			w.Data(server, reply)
		} else {
			w.Data(server, test.sent)
		}
		w.wait(20 * time.Second)
		assert.Equal(t, []string{test.want}, brief(w), name)
		assert.LessOrEqual(t, w.Errors[protocol.Malformed], 1)
	}
}

func TestAddressesAsTextAreBounded(t *testing.T) {
	var all texts
	for i := range 3 * maxTexts {
		assert.Equal(t, fmt.Sprintf("10.0.%d.%d", i>>8, i&0xff), all.of(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})))
		assert.LessOrEqual(t, len(all), maxTexts)
	}
}

func TestNamesAsText(t *testing.T) {
	for wireForm, want := range map[string]string{
		"":                         ".",
		"\x03www\x04test":          "www.test",
		"\x03w.w\x04te\\t":         `w\.w.te\\t`,
		"\x04\x00\x09\x7f\xff":     `\000\009\127\255`,
		"\x06caf\xc3\xa9s\x01\xc3": `cafés.\195`,
		"\x03a\"b":                 `a"b`,
	} {
		assert.Equal(t, want, string(appendText(nil, []byte(wireForm))))
	}
}

var (
	multicast = protocol.Session{Datagrams: true, Local: netip.MustParseAddrPort("10.0.0.1:5353"), Remote: netip.MustParseAddrPort("224.0.0.251:5353")}
	neighbour = protocol.Session{Datagrams: true, Local: netip.MustParseAddrPort("10.0.0.1:5353"), Remote: netip.MustParseAddrPort("10.0.0.2:5353")}
	onMDNS    = protocol.Session{Datagrams: true, Local: netip.MustParseAddrPort("127.0.0.1:4000"), Remote: netip.MustParseAddrPort("127.0.0.1:5353")}
	linkLocal = protocol.Session{Datagrams: true, Local: netip.MustParseAddrPort("10.0.0.1:4000"), Remote: netip.MustParseAddrPort("224.0.0.252:5355")}
	responder = protocol.Session{Side: protocol.Server, Datagrams: true, Local: netip.MustParseAddrPort("10.0.0.1:5355"), Remote: netip.MustParseAddrPort("10.0.0.2:4000")}
)

func TestMessagesToGroupsAreExchangesByThemselves(t *testing.T) {
	noRecursion := func(m *dnsmessage.Message) { m.RecursionDesired = false }
	second := func(m *dnsmessage.Message) {
		m.Questions = append(m.Questions, m.Questions[0])
		m.Questions[0].Class |= topBit // an answer by unicast is wanted
	}
	query := wire(0, "_ipp._tcp.local.", dnsmessage.TypePTR, noRecursion, second)
	announced := wire(0, "", 0, noRecursion, answered(a(1)))
	for name, test := range map[string]struct {
		session  protocol.Session
		from     protocol.Direction
		message  string
		kind     protocol.Kind
		protocol string
		want     []string
	}{
		"asked of all":        {multicast, client, query, protocol.Message, "mdns", []string{"query PTR _ipp._tcp.local"}},
		"asked by a host":     {neighbour, server, query, protocol.Message, "mdns", []string{"query PTR _ipp._tcp.local"}},
		"announced to all":    {multicast, client, announced, protocol.Message, "mdns", []string{"response [192.0.2.1]"}},
		"announced by a host": {neighbour, server, announced, protocol.Message, "mdns", []string{"response [192.0.2.1]"}},
		"a name with a dot": {multicast, client, "\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07My v1.2\x05local\x00\x00\x10\x00\x01", protocol.Message, "mdns",
			[]string{`query TXT My v1\.2.local`}},
		"LLMNR":                     {linkLocal, client, wire(7, "host.", dnsmessage.TypeA, noRecursion), protocol.Message, "llmnr", []string{"query A host"}},
		"one host asked by LLMNR":   {responder, client, wire(7, "host.", dnsmessage.TypeA, noRecursion), protocol.Call, "llmnr", nil},
		"ordinary DNS on that port": {onMDNS, client, wire(7, "a.test.", dnsmessage.TypeA), protocol.Call, "dns", nil},
		"and id 0":                  {onMDNS, client, wire(0, "a.test.", dnsmessage.TypeA), protocol.Call, "dns", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := play(test.session, 10)
			w.Data(test.from, test.message)
			assert.Equal(t, test.want, brief(w))
			for _, open := range w.Open {
				assert.Equal(t, test.kind, open.Kind)
			}
			w.Close(0)
			x := w.only(t)
			assert.Equal(t, test.protocol, x.Protocol)
			assert.Equal(t, test.kind, x.Kind)
			assert.Equal(t, test.from, x.Initiator)
			assert.Zero(t, w.Errors)
		})
	}
}

func TestConfigValidation(t *testing.T) {
	for timeout, valid := range map[time.Duration]bool{0: false, time.Second - 1: false, time.Second: true, 5 * time.Minute: true, 5*time.Minute + 1: false} {
		err := (&Config{Timeout: timeout}).Validate()
		assert.Equal(t, valid, err == nil, "%v: %v", timeout, err)
	}
	assert.NoError(t, Protocol().NewConfig().(*Config).Validate())
}

func TestExchangesNeedNoAllocation(t *testing.T) {
	w := play(unicast, 10)
	p := w.parser
	p.sink = nowhere{}
	q := protocol.Chunk{Direction: client, Bytes: []byte(bytesOf("none asked"))}
	r := protocol.Chunk{Direction: server, Bytes: []byte(bytesOf("none answered"))}
	q2 := protocol.Chunk{Direction: client, Bytes: []byte(wire(1, "a.test.", dnsmessage.TypeA))}
	r2 := protocol.Chunk{Direction: server, Bytes: []byte(wire(1, "a.test.", dnsmessage.TypeA, answered(a(1), aaaa(2))))}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for _, c := range []*protocol.Chunk{&q, &q2, &r2, &r} {
			p.Data(c)
		}
	}))
}

// nowhere drops everything.
type nowhere struct{ protocol.Sink }

func (nowhere) Begin(*protocol.Request) protocol.ID { return 1 }
func (nowhere) End(protocol.ID, *protocol.Exchange) {}
