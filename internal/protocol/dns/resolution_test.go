package dns

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/socketflow/socketflow/internal/protocol"
)

// with appends a record to the answers.
func with(owner string, ttl uint32, body dnsmessage.ResourceBody) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) {
		m.Response = true
		h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(owner), Class: dnsmessage.ClassINET, TTL: ttl}
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: body})
	}
}

func alias(to string) dnsmessage.ResourceBody {
	return &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(to)}
}

// resolutions are in the form "name: address/TTL, address/TTL".
func resolutions(w *world) (all []string) {
	for _, r := range w.Named {
		var addresses []string
		for _, a := range r.Addresses {
			addresses = append(addresses, fmt.Sprintf("%s/%d", a.Address, a.TTL))
		}
		all = append(all, fmt.Sprintf("%s: %s", r.Name, strings.Join(addresses, ", ")))
	}
	return all
}

func TestResolutionsOfResponses(t *testing.T) {
	const A, AAAA = dnsmessage.TypeA, dnsmessage.TypeAAAA
	mapped := &dnsmessage.AAAAResource{AAAA: [16]byte{10: 0xff, 11: 0xff, 12: 192, 13: 0, 14: 2, 15: 9}}
	class := func(c dnsmessage.Class) func(*dnsmessage.Message) {
		return func(m *dnsmessage.Message) { m.Answers[len(m.Answers)-1].Header.Class = c }
	}
	var many []func(*dnsmessage.Message)
	for range 2 * maxAnswers {
		many = append(many, with("a.test.", 60, a(1)))
	}
	most := "a.test: " + strings.TrimSuffix(strings.Repeat("192.0.2.1/60, ", maxAnswers), ", ")
	for name, test := range map[string]struct{ query, response, want string }{
		"an address":              {wire(1, "a.test.", A), wire(1, "a.test.", A, with("a.test.", 60, a(1))), "a.test: 192.0.2.1/60"},
		"addresses of v6":         {wire(1, "a.test.", AAAA), wire(1, "a.test.", AAAA, with("a.test.", 60, aaaa(1)), with("a.test.", 30, aaaa(2))), "a.test: 2001:db8::1/60, 2001:db8::2/30"},
		"v4-mapped":               {wire(1, "a.test.", AAAA), wire(1, "a.test.", AAAA, with("a.test.", 60, mapped)), "a.test: 192.0.2.9/60"},
		"behind aliases":          {wire(1, "a.test.", A), wire(1, "a.test.", A, with("a.test.", 5, alias("b.test.")), with("b.test.", 50, alias("c.test.")), with("c.test.", 60, a(1))), "a.test: 192.0.2.1/5"},
		"an alias alone":          {wire(1, "a.test.", A), wire(1, "a.test.", A, with("a.test.", 5, alias("b.test."))), ""},
		"any case":                {wire(1, "wWw.A.test.", A), wire(1, "WwW.a.TEST.", A, with("www.a.tesT.", 60, a(1))), "www.a.test: 192.0.2.1/60"},
		"a search domain":         {wire(1, "db.ns.svc.cluster.local.", A), wire(1, "db.ns.svc.cluster.local.", A, with("db.ns.svc.cluster.local.", 5, a(1))), "db.ns.svc.cluster.local: 192.0.2.1/5"},
		"another owner":           {wire(1, "a.test.", A), wire(1, "a.test.", A, with("b.test.", 60, a(1)), with("a.test.", 60, a(2))), "a.test: 192.0.2.2/60"},
		"of an alias of another":  {wire(1, "a.test.", A), wire(1, "a.test.", A, with("x.test.", 60, alias("b.test.")), with("b.test.", 60, a(1))), ""},
		"another class":           {wire(1, "a.test.", A), wire(1, "a.test.", A, with("a.test.", 60, a(1)), class(dnsmessage.ClassCHAOS)), ""},
		"another type beside it":  {wire(1, "a.test.", A), wire(1, "a.test.", A, with("a.test.", 60, &dnsmessage.TXTResource{TXT: []string{"x"}}), with("a.test.", 60, a(1))), "a.test: 192.0.2.1/60"},
		"too many":                {wire(1, "a.test.", A), wire(1, "a.test.", A, many...), most},
		"another question":        {wire(1, "a.test.", dnsmessage.TypeALL), wire(1, "a.test.", dnsmessage.TypeALL, with("a.test.", 60, a(1))), ""},
		"no such name":            {wire(1, "a.test.", A), wire(1, "a.test.", A, code(3), with("a.test.", 60, a(1))), ""},
		"a code of EDNS":          {wire(1, "a.test.", A, edns(0)), wire(1, "a.test.", A, with("a.test.", 60, a(1)), edns(16)), ""},
		"no address":              {wire(1, "a.test.", A), wire(1, "a.test.", A, answered()), ""},
		"truncated":               {wire(1, "a.test.", A), wire(1, "a.test.", A, with("a.test.", 60, a(1)), func(m *dnsmessage.Message) { m.Truncated = true }), ""},
		"forged: another id":      {wire(1, "a.test.", A), wire(2, "a.test.", A, with("a.test.", 60, a(1))), ""},
		"forged: another name":    {wire(1, "a.test.", A), wire(1, "b.test.", A, with("b.test.", 60, a(1))), ""},
		"a record without end":    {wire(1, "a.test.", A), wire(1, "a.test.", A, with("a.test.", 60, a(1)), with("a.test.", 60, a(2)))[:50], ""},
		"bytes that are no UTF-8": {wire(1, "\xff.test.", A), wire(1, "\xff.test.", A, with("\xff.test.", 60, a(1))), `\255.test: 192.0.2.1/60`},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			if test.want != "" {
				want = []string{test.want}
			}
			w := play(unicast, 10)
			w.Data(client, test.query)
			w.Data(server, test.response)
			assert.Equal(t, want, resolutions(w))
			for _, r := range w.Named {
				assert.Equal(t, []uint64{1e9 + 1000, 1e9 + 2000}, []uint64{r.Asked.Time, r.Answered.Time})
				assert.Equal(t, []uint64{1, 7}, []uint64{uint64(r.Asked.PID), r.Asked.Start})
			}

			w = play(unicast, 10)
			w.parser.session.Side = protocol.Server
			w.Data(client, test.query)
			w.Data(server, test.response)
			assert.Empty(t, w.Named, "it was this side that answered")

			tcp := unicast
			tcp.Datagrams = false
			w = play(tcp, 10)
			w.Data(client, framed(test.query))
			w.Data(server, framed(test.response))
			assert.Equal(t, want, resolutions(w), "over TCP")
		})
	}
}

func TestResolutionNeedsTheWholeResponse(t *testing.T) {
	response := wire(1, "a.test.", dnsmessage.TypeA, with("a.test.", 60, a(1)))
	for name, missing := range map[string]uint64{"whole": 0, "not captured whole": 1} {
		t.Run(name, func(t *testing.T) {
			w := play(unicast, 10)
			w.Data(client, wire(1, "a.test.", dnsmessage.TypeA))
			w.parser.Data(&protocol.Chunk{Direction: server, Bytes: []byte(response), Missing: missing, Stamp: protocol.Stamp{Time: w.Time, Began: w.Time}})
			require.Len(t, w.Exchanges, 1)
			assert.Len(t, w.Named, 1-int(missing))
		})
	}
}

func TestResolutionOfAResponseSeenBeforeItsQuery(t *testing.T) {
	w := play(unicast, 10)
	w.Data(client, wire(1, "a.test.", dnsmessage.TypeA))
	w.Data(server, wire(1, "a.test.", dnsmessage.TypeA, with("a.test.", 60, a(1))))
	w.Data(server, wire(2, "b.test.", dnsmessage.TypeA, with("b.test.", 60, a(2))))
	w.Time -= 1000
	w.parser.Data(&protocol.Chunk{Direction: client, Bytes: []byte(wire(2, "b.test.", dnsmessage.TypeA)), Stamp: protocol.Stamp{Time: w.Time, Began: w.Time, PID: 1}})
	assert.Equal(t, []string{"a.test: 192.0.2.1/60", "b.test: 192.0.2.2/60"}, resolutions(w))
}

func TestGroupsResolveNothing(t *testing.T) {
	w := play(multicast, 10)
	w.Data(client, wire(0, "a.local.", dnsmessage.TypeA))
	w.Data(server, wire(0, "a.local.", dnsmessage.TypeA, with("a.local.", 60, a(1)), func(m *dnsmessage.Message) { m.RecursionDesired = false }))
	assert.NotEmpty(t, w.Exchanges)
	assert.Empty(t, w.Named)
}
