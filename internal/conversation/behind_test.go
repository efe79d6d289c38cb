package conversation_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/registry"
)

const (
	get        = "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
	ok         = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	proxyLine  = "PROXY TCP4 10.0.0.7 10.0.0.1 12345 80\r\n"
	proxyLocal = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	greeting5  = "\x05\x01\x00"
	request5   = "\x05\x01\x00\x03\x0bexample.org\x00\x50"
	reply5     = "\x05\x00\x00\x01\x0a\x00\x00\x01\x30\x39"
	request4   = "\x04\x01\x00\x50\x0a\x00\x00\x01me\x00"
	granted4   = "\x00\x5a\x00\x00\x00\x00\x00\x00"

	settings = "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"
	// A preface, and GET / (RFC 7541: indexed fields only); the status 200.
	get2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + "\x00\x00\x03\x01\x05\x00\x00\x00\x01\x82\x86\x84"
	ok2  = "\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88"

	connect    = "CONNECT example.org:80 HTTP/1.1\r\nHost: example.org:80\r\n\r\n"
	session    = "POST /session HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
	session101 = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
	tls        = "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03abcdefghijklmnopqrstuvwxyz012345\x00\x00\x02\x13\x01\x01\x00"
)

// call is what one system call of the server transfers.
type call struct {
	direction event.Direction
	bytes     string
}

func gets(bytes string) call  { return call{event.Received, bytes} }
func sends(bytes string) call { return call{event.Sent, bytes} }

// emissions are the exchanges of a conversation.
type emissions []string

func (e *emissions) Begin(protocol.ID, *protocol.Request)    {}
func (e *emissions) Continue(protocol.ID, *protocol.Carried) {}
func (e *emissions) Requested(protocol.ID, *protocol.Stamp)  {}
func (e *emissions) Forget(protocol.ID)                      {}
func (e *emissions) Emit(_ protocol.ID, x *protocol.Exchange) {
	*e = append(*e, fmt.Sprintf("%s %s initiator %d client %v", x.Version, x.Name, x.Initiator, x.Client))
}

func TestRequestsBehindPreamblesAndUpgrades(t *testing.T) {
	named := netip.MustParseAddrPort("10.0.0.7:12345").String()
	nobody := netip.AddrPort{}.String()
	one := func(version, client string) []string { return []string{version + " GET initiator 0 client " + client} }
	for name, test := range map[string]struct {
		calls         []call
		want          []string
		role          event.Role // RoleUnknown: a server
		given         bool       // up
		notRecognised bool
	}{
		"PROXY, HTTP/1.1":       {calls: []call{gets(proxyLine + get), sends(ok)}, want: one("1.1", named)},
		"PROXY, two requests":   {calls: []call{gets(proxyLine + get), sends(ok), gets(get), sends(ok)}, want: append(one("1.1", named), one("1.1", named)...)},
		"PROXY, HTTP/2":         {calls: []call{gets(proxyLine + get2), sends(settings + ok2)}, want: one("2", named)},
		"PROXY, a server first": {calls: []call{gets(proxyLine), sends(settings), gets(get2), sends(ok2)}, want: one("2", named)},
		"a server before PROXY": {calls: []call{gets(proxyLine[:8]), sends(settings), gets(proxyLine[8:] + get2), sends(ok2)}, want: one("2", named)},
		"PROXY, local":          {calls: []call{gets(proxyLocal + get), sends(ok)}, want: one("1.1", nobody)},
		"PROXY, TLS":            {calls: []call{gets(proxyLine + tls), sends("\x15\x03\x01\x00\x02\x02\x28")}, given: true, notRecognised: true},
		"SOCKS5, HTTP/1.1":      {calls: []call{gets(greeting5), sends("\x05\x00"), gets(request5), sends(reply5), gets(get), sends(ok)}, want: one("1.1", nobody)},
		"SOCKS5, at once":       {calls: []call{gets(greeting5 + request5 + get), sends("\x05\x00" + reply5 + ok)}, want: one("1.1", nobody)},
		"SOCKS5, a server first": {calls: []call{
			gets(greeting5), sends("\x05\x00"), gets(request5), sends(reply5 + settings), gets(get2), sends(ok2),
		}, want: one("2", nobody)},
		"SOCKS4, HTTP/1.1": {calls: []call{gets(request4), sends(granted4), gets(get), sends(ok)}, want: one("1.1", nobody)},
		"SOCKS4, refused":  {calls: []call{gets(request4), sends("\x00\x5b\x00\x00\x00\x00\x00\x00")}, notRecognised: true},
		"SOCKS5, TLS": {calls: []call{
			gets(greeting5), sends("\x05\x00"), gets(request5), sends(reply5), gets(tls), sends("not TLS"),
		}, given: true, notRecognised: true},
		"PROXY, SOCKS5, CONNECT, HTTP/1.1": {calls: []call{
			gets(proxyLine + greeting5), sends("\x05\x00"), gets(request5), sends(reply5), gets(connect), sends(ok[:len("HTTP/1.1 200 OK\r\n")] + "\r\n"),
			gets(get), sends(ok),
		}, want: append([]string{"1.1 CONNECT initiator 0 client " + named}, one("1.1", named)...)},
		"an upgrade after which the server asks": {calls: []call{
			gets(session), sends(session101 + get2), gets(settings + ok2),
		}, role: event.RoleClient, want: append([]string{"1.1 POST initiator 0 client " + nobody}, one("2", nobody)...)},
	} {
		for _, n := range []int{1, 3, 1 << 20} {
			var got emissions
			shard, c := begin(t, &got, 1<<20)
			play(c, test.calls, n)
			stats := shard.Stats()
			role, recognised := event.RoleServer, uint64(1)
			if test.role != event.RoleUnknown {
				role = test.role
			}
			if test.notRecognised {
				recognised = 0
			}
			switch {
			case !reflect.DeepEqual([]string(got), test.want):
				t.Errorf("%s, in calls of %d: emitted\n%q\nwant\n%q", name, n, got, test.want)
			case c.Mute() != test.given || stats.Recognised.Load() != recognised:
				t.Errorf("%s, in calls of %d: mute %v, recognised %d", name, n, c.Mute(), stats.Recognised.Load())
			case (stats.Unrecognised.Load() == 1) != test.given:
				t.Errorf("%s, in calls of %d: unrecognised %d", name, n, stats.Unrecognised.Load())
			case c.Role() != role:
				t.Errorf("%s, in calls of %d: role %v", name, n, c.Role())
			}
		}
	}
}

func begin(t *testing.T, out conversation.Emitter, memory int) (*conversation.Shard, *conversation.Conversation) {
	t.Helper()
	protocols, err := registry.Configured(registry.Configs(), protocol.Limits{HeadBytes: 1 << 14, Outstanding: 64})
	if err != nil {
		t.Fatal(err)
	}
	shard := conversation.NewShard(conversation.Options{
		Protocols: protocols, Memory: memory, PayloadLimit: 1 << 16, PayloadBurst: 1 << 18, Want: func(uint64, event.Want) {},
	})
	return shard, shard.Begin(nil, conversation.Connection{Cookie: 1, Role: event.RoleServer}, out)
}

// play transfers the bytes of each call in calls of n bytes.
func play(c *conversation.Conversation, calls []call, n int) { playBehind(c, nil, calls, n) }

// playBehind does so after other calls.
func playBehind(c *conversation.Conversation, before, calls []call, n int) {
	var position [event.Directions]uint64
	now := uint64(1000)
	for _, x := range before {
		position[x.direction] += uint64(len(x.bytes))
		now += 1_000_000
	}
	for _, x := range calls {
		for b := x.bytes; len(b) > 0; {
			part := b[:min(n, len(b))]
			b = b[len(part):]
			now += 1000
			c.Data(&event.Event{Kind: event.KindData, Time: now, Owner: process.ID{PID: 1, Start: 7}, Data: event.Data{
				Direction: x.direction, Position: position[x.direction], Length: uint32(len(part)), Payload: []byte(part),
			}})
			position[x.direction] += uint64(len(part))
		}
	}
}

func TestWhatIsPendingIsEmittedWhenMemoryIsUsedUp(t *testing.T) {
	var captures captured
	shard, c := begin(t, &captures, 8)
	play(c, []call{gets(get)}, 1<<20)
	if want := (captured{protocol.CaptureCut}); !reflect.DeepEqual(captures, want) || !c.Mute() {
		t.Errorf("emitted with %v, want %v; mute %v", captures, want, c.Mute())
	}
	if n := shard.Stats().OverMemory.Load(); n != 1 {
		t.Errorf("%d conversations are counted, want 1", n)
	}
}

type captured []protocol.Capture

func (*captured) Begin(protocol.ID, *protocol.Request)       {}
func (*captured) Continue(protocol.ID, *protocol.Carried)    {}
func (*captured) Requested(protocol.ID, *protocol.Stamp)     {}
func (*captured) Forget(protocol.ID)                         {}
func (c *captured) Emit(_ protocol.ID, x *protocol.Exchange) { *c = append(*c, x.Capture) }

func TestPreamblesAreThereWithEveryProtocolOfStreamsOnly(t *testing.T) {
	for _, name := range append(registry.Names(), "") {
		configs := map[string]any{}
		streams := false
		if name != "" {
			configs[name] = registry.Configs()[name]
		}
		all, err := registry.Configured(configs, protocol.Limits{HeadBytes: 1 << 14, Outstanding: 64})
		if err != nil {
			t.Fatal(err)
		}
		preambles := 0
		for _, p := range all {
			switch {
			case p.Preamble && p.Name != name:
				preambles++
			case p.Transports&protocol.Streams != 0:
				streams = true
			}
		}
		if (preambles > 0) != streams {
			t.Errorf("with %q there are %d preambles", name, preambles)
		}
	}
}

func (e *emissions) Omit(*protocol.Exchange) {}

func (c *captured) Omit(*protocol.Exchange) {}

// TLS may begin anywhere: at the beginning, behind what a proxy sends, in a tunnel.
func TestTLSBehindPreamblesAndInTunnels(t *testing.T) {
	const refusal = "\x15\x03\x01\x00\x02\x02\x28"
	for name, before := range map[string][]call{
		"at the beginning": nil,
		"PROXY":            {gets(proxyLine)},
		"SOCKS5":           {gets(greeting5), sends("\x05\x00"), gets(request5), sends(reply5)},
		"CONNECT":          {gets(connect), sends("HTTP/1.1 200 OK\r\n\r\n")},
	} {
		for _, n := range []int{1, 7, 1 << 20} {
			var got emissions
			_, c := begin(t, &got, 1<<20)
			play(c, append(before[:len(before):len(before)], gets(tls), sends(refusal)), n)
			if said := c.TLS(); said == nil || !said.Failed || said.Answered || !c.Mute() {
				t.Errorf("%s, in calls of %d: %+v, mute %v", name, n, said, c.Mute())
			}
		}
	}
}

// unknown is how a protocol begins that is not parsed: a bind of LDAP.
const unknown = "\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"

// Protocols ask for TLS and go on in it. What they say before is as their programs say it. Of these only MySQL is recognised before.
func TestTLSInTheMiddleOfOtherProtocols(t *testing.T) {
	const refusal = "\x15\x03\x01\x00\x02\x02\x28"
	for name, before := range map[string][]call{
		"PostgreSQL": {gets("\x00\x00\x00\x08\x04\xd2\x16\x2f"), sends("S")},
		"PostgreSQL, GSSENCRequest first": {
			gets("\x00\x00\x00\x08\x04\xd2\x16\x30"), sends("N"), gets("\x00\x00\x00\x08\x04\xd2\x16\x2f"), sends("S"),
		},
		"MySQL": {
			sends("\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00abcdefgh\x00\xff\xff\xff\x02\x00\xff\xdf\x15" +
				"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00abcdefghijkl\x00caching_sha2_password\x00"),
			gets("\x20\x00\x00\x01\x85\xae\xff\x19\x00\x00\x00\x01\xff" + string(make([]byte, 23))),
		},
		"SMTP": {
			sends("220 mail.example.org ESMTP\r\n"), gets("EHLO a\r\n"), sends("250-mail.example.org\r\n250 STARTTLS\r\n"),
			gets("STARTTLS\r\n"), sends("220 2.0.0 Ready to start TLS\r\n"),
		},
		"IMAP": {
			sends("* OK IMAP4rev1 ready\r\n"), gets("a CAPABILITY\r\n"), sends("* CAPABILITY IMAP4rev1 STARTTLS\r\na OK\r\n"),
			gets("b STARTTLS\r\n"), sends("b OK Begin TLS\r\n"),
		},
		"POP3": {sends("+OK POP3 ready\r\n"), gets("CAPA\r\n"), sends("+OK\r\nSTLS\r\n.\r\n"), gets("STLS\r\n"), sends("+OK Begin TLS\r\n")},
		"FTP":  {sends("220 ready\r\n"), gets("AUTH TLS\r\n"), sends("234 Proceed\r\n")},
		"LDAP": {
			gets("\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"), sends("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"),
		},
		"XMPP": {
			gets("<?xml version='1.0'?><stream:stream to='a'>"), sends("<?xml version='1.0'?><stream:stream from='a'>"),
			sends("<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"),
			gets("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), sends("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
		},
		"the last transfer that is looked at": slices.Repeat([]call{gets(unknown)}, 15),
	} {
		for _, n := range []int{1, 7, 1 << 20} { // of the hello
			var got emissions
			s, c := begin(t, &got, 1<<20)
			play(c, before, 1<<20)
			if c.Mute() || c.TLS() != nil {
				t.Errorf("%s: before TLS: mute %v, %+v", name, c.Mute(), c.TLS())
			}
			playBehind(c, before, []call{gets(tls), sends(refusal)}, n)
			if said := c.TLS(); said == nil || !said.Failed || !c.Mute() {
				t.Errorf("%s, a hello in calls of %d: %+v, mute %v", name, n, said, c.Mute())
			}
			stats := s.Stats()
			if known := stats.Recognised.Load() == 1; known != (name == "MySQL") || known == (stats.Unrecognised.Load() == 1) {
				t.Errorf("%s: %d recognised, %d not", name, stats.Recognised.Load(), stats.Unrecognised.Load())
			}
		}
	}
}

func TestSearchForTLSEnds(t *testing.T) {
	var got emissions
	_, c := begin(t, &got, 1<<20)
	play(c, append(slices.Repeat([]call{gets(unknown)}, 16), gets(tls)), 1<<20)
	if !c.Mute() || c.TLS() != nil {
		t.Errorf("mute %v, %+v", c.Mute(), c.TLS())
	}
}

// Once TLS is looked for, requests are not: they are what somebody sends in another protocol.
func TestRequestsWithinAnUnknownProtocolAreNone(t *testing.T) {
	var got emissions
	_, c := begin(t, &got, 1<<20)
	play(c, []call{gets(unknown), gets(get), sends(ok), gets(get), sends(ok)}, 1<<20)
	c.Abandon(1 << 40)
	if len(got) != 0 {
		t.Errorf("emitted %q", got)
	}
}
