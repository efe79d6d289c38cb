package dns

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/socketflow/socketflow/internal/protocol"
)

var tcp = protocol.Session{Local: unicast.Local, Remote: unicast.Remote}

func TestPipelinedQueriesOverTCP(t *testing.T) {
	const A = dnsmessage.TypeA
	w := play(tcp, 10)
	w.Data(client, framed(wire(1, "a.test.", A), wire(2, "b.test.", A), wire(3, "c.test.", A)))
	w.Pieces(server, framed(wire(3, "c.test.", A, answered(a(3))), wire(1, "a.test.", A, code(3)), wire(2, "b.test.", A, answered(a(2)))), 11)
	assert.Equal(t, []string{"query A c.test NOERROR [192.0.2.3]", "query A a.test NXDOMAIN error=NXDOMAIN", "query A b.test NOERROR [192.0.2.2]"}, brief(w))
	assert.Zero(t, w.Errors)
}

func TestZoneTransfersEndWithTheClosingRecord(t *testing.T) {
	const axfr, ixfr = dnsmessage.TypeAXFR, typeIXFR
	named := func(kind dnsmessage.Type, bodies ...dnsmessage.ResourceBody) string {
		return wire(1, "zone.test.", kind, answered(bodies...))
	}
	continued := func(bodies ...dnsmessage.ResourceBody) string { return wire(1, "", 0, answered(bodies...)) }
	for name, test := range map[string]struct {
		kind      dnsmessage.Type
		responses []string
		open      int
	}{
		"one message":                 {axfr, []string{named(axfr, soa(2), a(1), soa(2))}, 0},
		"three messages":              {axfr, []string{named(axfr, soa(2), a(1)), continued(a(2), a(3)), named(axfr, a(4), soa(2))}, 0},
		"a record a message":          {axfr, []string{named(axfr, soa(2)), continued(a(2)), continued(soa(2))}, 0},
		"no end yet":                  {axfr, []string{named(axfr, soa(2), a(1)), continued(a(2))}, 1},
		"refused":                     {axfr, []string{wire(1, "zone.test.", axfr, code(5))}, 0},
		"fails on the way":            {axfr, []string{named(axfr, soa(2), a(1)), wire(1, "", 0, code(2))}, 0},
		"nothing":                     {axfr, []string{named(axfr)}, 0},
		"no transfer":                 {axfr, []string{named(axfr, a(1))}, 0},
		"no change":                   {ixfr, []string{named(ixfr, soa(2))}, 0},
		"the whole zone for changes":  {ixfr, []string{named(ixfr, soa(2), a(1)), continued(soa(2))}, 0},
		"changes":                     {ixfr, []string{named(ixfr, soa(3), soa(1), a(1)), continued(soa(2), a(2), soa(2), a(2)), continued(soa(3), a(3), soa(3))}, 0},
		"changes that have not ended": {ixfr, []string{named(ixfr, soa(3), soa(1), a(1), soa(3))}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := play(tcp, 10)
			w.Data(client, framed(wire(1, "zone.test.", test.kind)))
			for i, r := range test.responses {
				assert.Len(t, w.Open, 1, "before response %d", i)
				w.Data(server, framed(r))
			}
			assert.Len(t, w.Open, test.open)
			ended := w.Time
			w.wait(time.Second)
			w.Close(0)
			x := w.only(t)
			assert.Equal(t, ended, x.End.Time)
			assert.EqualValues(t, 0, x.ResponseStart.Position)
			assert.NotEqual(t, "timeout", x.Error)
			assert.NotContains(t, x.Attributes, "dns.answers", "a zone is no answer")
			assert.Zero(t, w.Errors)
		})
	}
}

func TestTransferIsWaitedForFromItsLastMessage(t *testing.T) {
	w := play(tcp, 10)
	w.Data(client, framed(wire(1, "zone.test.", dnsmessage.TypeAXFR)))
	w.Data(server, framed(wire(1, "zone.test.", dnsmessage.TypeAXFR, answered(soa(1), a(1)))))
	for range 5 {
		w.wait(8 * time.Second)
		w.Data(server, framed(wire(1, "", 0, answered(a(1)))))
	}
	assert.Empty(t, w.Exchanges)
	last := w.Time
	w.wait(11 * time.Second)
	assert.Equal(t, last, w.only(t).End.Time)
	assert.Empty(t, w.Exchanges[0].Error)
}

func TestTransferThatBreaks(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*world)
		want string
	}{
		"broken":       {func(w *world) { w.Close(104) }, "query AXFR zone.test errno=104"},
		"not followed": {(*world).unknown, "query AXFR zone.test capture=2"},
	} {
		t.Run(name, func(t *testing.T) {
			w := play(tcp, 10)
			w.Data(client, framed(wire(1, "zone.test.", dnsmessage.TypeAXFR)))
			w.Data(server, framed(wire(1, "zone.test.", dnsmessage.TypeAXFR, answered(soa(1), a(1)))))
			test.end(w)
			assert.Equal(t, []string{test.want}, brief(w))
		})
	}
}

func TestLossesOverTCP(t *testing.T) {
	const A = dnsmessage.TypeA
	reply := framed(wire(1, "a.test.", A, answered(a(1), a(2))))
	next := framed(wire(2, "b.test.", A, answered(a(2))))
	for name, test := range map[string]struct {
		play func(*world)
		want []string
	}{
		"in the answers": {func(w *world) {
			w.Data(server, reply[:len(reply)-5])
			w.Gap(server, 5, protocol.Lost)
			w.Data(server, next)
		}, []string{"query A a.test NOERROR [192.0.2.1] capture=2", "query A b.test NOERROR [192.0.2.2]"}},
		"cut by a limit": {func(w *world) {
			w.Data(server, reply[:len(reply)-5])
			w.Gap(server, 5, protocol.Truncated)
			w.Data(server, next)
		}, []string{"query A a.test NOERROR [192.0.2.1] capture=1", "query A b.test NOERROR [192.0.2.2]"}},
		"of a response": {func(w *world) {
			w.Gap(server, uint64(len(reply)), protocol.Lost)
			w.Data(server, next)
			w.Close(0)
		}, []string{"query A b.test NOERROR [192.0.2.2]", "query A a.test capture=2"}},
		"up to the middle of a response": {func(w *world) {
			w.Gap(server, 30, protocol.Lost)
			w.Data(server, reply[30:])
			w.Data(server, next)
			w.wait(time.Minute)
		}, []string{"query A b.test NOERROR [192.0.2.2]", "query A a.test capture=2"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := play(tcp, 10)
			w.Data(client, framed(wire(1, "a.test.", A), wire(2, "b.test.", A)))
			test.play(w)
			assert.Equal(t, test.want, brief(w))
			assert.Zero(t, w.Errors)
		})
	}
}

func TestLongMessageIsReadByItsBeginning(t *testing.T) {
	const A = dnsmessage.TypeA
	bodies := []dnsmessage.ResourceBody{a(1)}
	for range 20 {
		bodies = append(bodies, &dnsmessage.TXTResource{TXT: []string{strings.Repeat("x", 250)}})
	}
	reply := framed(wire(1, "a.test.", A, answered(bodies...)))
	w := play(tcp, 10)
	w.Data(client, framed(wire(1, "a.test.", A)))
	assert.Zero(t, w.parser.Demand(server))
	w.Pieces(server, reply[:3000], 500)
	assert.Equal(t, protocol.Demand{Skip: uint64(len(reply) - 3000)}, w.parser.Demand(server))
	assert.LessOrEqual(t, w.parser.Held(), 4*entryBytes+2*2000)
	w.Gap(server, uint64(len(reply)-3000), protocol.Skipped)
	assert.Equal(t, []string{"query A a.test NOERROR [192.0.2.1] capture=1"}, brief(w))
	assert.EqualValues(t, len(reply)-1, w.only(t).End.Position)
}
