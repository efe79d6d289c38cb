package dns

import (
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

const (
	client = protocol.FromClient
	server = protocol.FromServer
)

// captured are messages between dig 9.18 and unbound 1.17.
var captured = map[string]string{
	"alias asked":    "b4cc0120000100000000000105616c696173076578616d706c650474657374000001000100002904d000000000000c000a0008909dc8d92e76ba55",
	"alias answered": "b4cc8580000100010000000105616c696173076578616d706c6504746573740000010001c00c000500010000012c000603777777c01200002904d0000000000000",
	"srv asked":      "3ded01200001000000000001045f736970045f746370076578616d706c650474657374000021000100002904d000000000000c000a0008fe0e39c6d9266720",
	"srv answered":   "3ded85800001000100000001045f736970045f746370076578616d706c6504746573740000210001c00c002100010000012c00180001000213c403777777076578616d706c6504746573740000002904d0000000000000",
	"https asked":    "c48d0120000100000000000103776562076578616d706c650474657374000041000100002904d000000000000c000a0008addaec956f405df5",
	"https answered": "c48d8580000100010000000103776562076578616d706c6504746573740000410001c00c004100010000012c000a0001000001000302683200002904d0000000000000",
	"none asked":     "868e01200001000000000001046e6f7065076578616d706c650474657374000001000100002904d000000000000c000a0008b2c65b6c5b485379",
	"none answered":  "868e85830001000000010001046e6f7065076578616d706c6504746573740000010001c01100060001000000050021026e73c0110561646d696ec011000000010000000200000003000000040000000500002904d0000000000000",
	"refused asked":  "484e01200001000000000001017807726566757365640474657374000001000100002904d000000000000c000a000809612b36cf8f8d60",
	"refused":        "484e85850001000000000001017807726566757365640474657374000001000100002904d0000000000000",
}

func bytesOf(name string) string {
	b, err := hex.DecodeString(captured[name])
	if err != nil || len(b) == 0 {
		panic(name)
	}
	return string(b)
}

// wire is a message with a question, changed by others.
func wire(id uint16, name string, kind dnsmessage.Type, change ...func(*dnsmessage.Message)) string {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true}}
	if name != "" {
		m.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}}
	}
	for _, f := range change {
		f(&m)
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return string(b)
}

func answered(bodies ...dnsmessage.ResourceBody) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) {
		m.Response = true
		for _, b := range bodies {
			h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("owner.test."), Class: dnsmessage.ClassINET, TTL: 60}
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: b})
		}
	}
}

func code(c dnsmessage.RCode) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) { m.Response, m.RCode = true, c }
}

func op(c dnsmessage.OpCode) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) { m.OpCode = c }
}

func a(last byte) dnsmessage.ResourceBody { return &dnsmessage.AResource{A: [4]byte{192, 0, 2, last}} }

func aaaa(last byte) dnsmessage.ResourceBody {
	return &dnsmessage.AAAAResource{AAAA: [16]byte{0x20, 1, 0xd, 0xb8, 15: last}}
}

func soa(serial uint32) dnsmessage.ResourceBody {
	n := dnsmessage.MustNewName("zone.test.")
	return &dnsmessage.SOAResource{NS: n, MBox: n, Serial: serial}
}

func edns(extended dnsmessage.RCode) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) {
		var h dnsmessage.ResourceHeader
		if err := h.SetEDNS0(1232, extended, false); err != nil {
			panic(err)
		}
		m.Additionals = append(m.Additionals, dnsmessage.Resource{Header: h, Body: &dnsmessage.OPTResource{}})
	}
}

// framed is messages as TCP carries them.
func framed(messages ...string) string {
	var b []byte
	for _, m := range messages {
		b = append(append(b, byte(len(m)>>8), byte(len(m))), m...)
	}
	return string(b)
}

// world is a conversation that is being played.
type world struct {
	protocoltest.Player
	*protocoltest.Recorder
	parser *parser
}

var unicast = protocol.Session{Datagrams: true, Local: netip.MustParseAddrPort("127.0.0.1:40000"), Remote: netip.MustParseAddrPort("127.0.0.53:53")}

func play(session protocol.Session, outstanding int) *world {
	made, recorder := protocoltest.New(Protocol(), session, protocol.Limits{HeadBytes: 2000, Outstanding: outstanding}, nil)
	w := &world{Recorder: recorder, parser: made.(*parser)}
	w.Player = protocoltest.Player{Parser: made, Time: 1e9}
	return w
}

// wait lets time pass as the caller of a parser does.
func (w *world) wait(d time.Duration) {
	w.Time += uint64(d)
	if deadline := w.parser.Deadline(); deadline != 0 && deadline <= w.Time {
		w.parser.Expire(w.Time)
	}
}

func (w *world) unknown() {
	w.parser.Close(protocol.Ending{Unknown: true, At: protocol.Stamp{Time: w.Time + 1000, Began: w.Time + 1000}})
}

func (w *world) cut() {
	w.parser.Close(protocol.Ending{Unknown: true, Cut: true, At: protocol.Stamp{Time: w.Time + 1000, Began: w.Time + 1000}})
}

// only is the exchange that there is.
func (w *world) only(t *testing.T) protocoltest.Exchange {
	t.Helper()
	require.Len(t, w.Exchanges, 1)
	return w.Exchanges[0]
}
