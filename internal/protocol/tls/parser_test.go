package tls

import (
	"reflect"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

func client(b string) call { return call{protocol.FromClient, b} }
func server(b string) call { return call{protocol.FromServer, b} }

func TestOutcomes(t *testing.T) {
	for name, test := range map[string]struct {
		calls       []call
		established bool
		failed      bool
		open        bool // it goes on, and does not end
	}{
		"1.3":                                  {calls: []call{client(hello), server(answered13), client(finished)}, established: true},
		"1.3, the server's last events first":  {calls: []call{client(hello + finished), server(answered13)}, established: true},
		"1.3, an encrypted alert":              {calls: []call{client(hello), server(answered13), client(changed + recordOf(applicationData, random[:19]))}, failed: true},
		"1.3, the server only":                 {calls: []call{client(hello), server(answered13 + finished)}, failed: true},
		"1.3, still under way":                 {calls: []call{client(hello), server(answered13 + finished)}, open: true},
		"1.3, early data is not the handshake": {calls: []call{client(recordOf(handshake, message(clientHello, asks("", extension(extEarlyData, "")))) + finished), server(answered13)}, failed: true},
		"1.3, early data and the handshake": {
			calls: []call{
				client(recordOf(handshake, message(clientHello, asks("", extension(extEarlyData, "")))) + finished), server(answered13), client(finished),
			}, established: true,
		},
		"1.3, early data as short as an alert": {
			calls: []call{
				client(recordOf(handshake, message(clientHello, asks("", extension(extEarlyData, ""))))), server(answered13),
				client(recordOf(applicationData, random[:19]) + finished),
			}, established: true,
		},
		"1.2":                             {calls: []call{client(hello), server(answered12), client(encrypted + changed + encrypted), server(changed + encrypted)}, established: true},
		"1.2, of keys that were known":    {calls: []call{client(hello), server(answered12 + changed + encrypted), client(changed + encrypted)}, established: true},
		"1.2, the change only":            {calls: []call{client(hello), server(answered12), client(encrypted + changed + encrypted), server(changed)}, failed: true},
		"1.2, an alert behind the change": {calls: []call{client(hello), server(answered12), client(encrypted + changed + encrypted), server(changed + recordOf(alert, random))}, failed: true},
		"a warning is no end":             {calls: []call{client(hello), server(recordOf(alert, "\x01\x70") + answered13), client(finished)}, established: true},
		"a fatal alert":                   {calls: []call{client(hello), server(recordOf(alert, "\x02\x28"))}, failed: true},
		"no answer":                       {calls: []call{client(hello)}, failed: true},
		"an answer that is no TLS":        {calls: []call{client(hello), server("HTTP/1.1 400 Bad Request\r\n\r\n")}, failed: true},
		"the server's hello only, of 1.3": {calls: []call{server(answered13), client(finished)}, established: true},
		"no hello":                        {calls: []call{client(finished)}},
		"empty records":                   {calls: []call{client(hello), server(answered13), client(recordOf(applicationData, "") + finished)}, established: true},
		"1.2, application data first":     {calls: []call{client(hello), server(answered12 + finished), client(finished)}, established: true},
	} {
		for _, n := range []int{1, 3, 1 << 20} {
			p, r := start()
			if test.open {
				for _, c := range test.calls {
					p.Pieces(c.direction, c.bytes, n)
				}
				p.Parser.Close(protocol.Ending{Unknown: true})
			} else {
				play(p, r, test.calls, n)
			}
			got := protocol.TLS{}
			if r.TLS != nil {
				got = *r.TLS
			}
			if got.Established != test.established || got.Failed != test.failed || r.Errors != [protocol.ParseErrors]int{} {
				t.Errorf("%s, in calls of %d: established %v, failed %v, errors %v", name, n, got.Established, got.Failed, r.Errors)
			}
		}
	}
}

func TestWhatHellosSay(t *testing.T) {
	label := strings.Repeat("a", maxLabel)
	longest := strings.Repeat(label+".", 3) + label[:maxHost-3*(maxLabel+1)]
	for name, test := range map[string]struct {
		client, server string // bodies of hellos; server "": none
		want           protocol.TLS
		malformed      bool
	}{
		"a name":                     {client: asks("", named("a.example")), want: protocol.TLS{ServerName: "a.example"}},
		"an underscore and digits":   {client: asks("", named("_Dmarc-1.example")), want: protocol.TLS{ServerName: "_Dmarc-1.example"}},
		"the longest name":           {client: asks("", named(longest)), want: protocol.TLS{ServerName: longest}},
		"a longer name":              {client: asks("", named(longest+"a"))},
		"a longer label":             {client: asks("", named(label+"a.example"))},
		"an empty label":             {client: asks("", named("a..example"))},
		"a dot at the end":           {client: asks("", named("a.example."))},
		"a dot":                      {client: asks("", named("."))},
		"no name":                    {client: asks("", named(""))},
		"a name that is no host's":   {client: asks("", named("a\x00b"))},
		"a name of another kind":     {client: asks("", extension(extServerName, vector(2, "\x01"+vector(2, "a.example"))))},
		"names are cut":              {client: asks("", extension(extServerName, number(20, 2)+"\x00"+vector(2, "a.example"))), malformed: true},
		"no extensions":              {client: "\x03\x01" + random + "\x00" + vector(2, "\x00\x2f") + vector(1, "\x00")},
		"application protocols":      {client: asks("", offers("\x0a\x0a", "h2", "a b", strings.Repeat("x", maxNextBytes+1), "spdy/3")), want: protocol.TLS{Offered: []string{"h2", "spdy/3"}}},
		"a protocol is cut":          {client: asks("", extension(extALPN, vector(2, "\x05h2"))), malformed: true},
		"a session that is too long": {client: asks(random+"x", ""), malformed: true},
		"an extension too long":      {client: asks("", "\x00\x00\x00\x09a"), malformed: true},
		"bytes behind":               {client: asks("", "") + "x", malformed: true},
		"SSL 3.0": {
			client: asks("", ""), server: "\x03\x00" + random + "\x00\x00\x2f\x00",
			want: protocol.TLS{Answered: true, Protocol: "ssl", Version: "3", Cipher: "TLS_RSA_WITH_AES_128_CBC_SHA", Anew: true},
		},
		"a draft, a suite without a name": {
			client: asks("", ""), server: answers("", 0xeaea, extension(extSupportedVersions, "\x7f\x1c")),
			want: protocol.TLS{Answered: true, Cipher: "0xEAEA", Anew: true},
		},
		"a session that goes on": {
			client: asks(random, ""), server: answers(random, 0x009e, ""),
			want: protocol.TLS{Answered: true, Protocol: "tls", Version: "1.2", Cipher: "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", Resumed: true},
		},
		"a session that does not": {
			client: asks(random, ""), server: answers(random[1:], 0xcca8, ""),
			want: protocol.TLS{Answered: true, Protocol: "tls", Version: "1.2", Cipher: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", Anew: true},
		},
		"a session in 1.3 says nothing": {
			client: asks(random, ""), server: answers(random, 0x1303, extension(extSupportedVersions, "\x03\x04")),
			want: protocol.TLS{Answered: true, Protocol: "tls", Version: "1.3", Cipher: "TLS_CHACHA20_POLY1305_SHA256", Anew: true},
		},
		"a server's session that is too long": {client: asks("", ""), server: answers(random+"x", 0x1301, ""), malformed: true},
		"two choices": {
			client: asks("", ""), server: answers("", 0xc02f, offers("h2", "x")),
			want: protocol.TLS{Answered: true, Protocol: "tls", Version: "1.2", Cipher: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Anew: true},
		},
	} {
		p, r := start()
		p.Data(protocol.FromClient, recordOf(handshake, message(clientHello, test.client)))
		if test.server != "" {
			p.Data(protocol.FromServer, recordOf(handshake, message(serverHello, test.server)))
		}
		switch {
		case (r.Errors[protocol.Malformed] == 1) != test.malformed, r.Ignored != test.malformed:
			t.Errorf("%s: errors %v, ignored %v", name, r.Errors, r.Ignored)
		case !test.malformed && !reflect.DeepEqual(*r.TLS, test.want):
			t.Errorf("%s: %+v, want %+v", name, *r.TLS, test.want)
		}
	}
}

func TestAnswerToAHelloThatWasNotSeen(t *testing.T) {
	p, r := start()
	p.Data(protocol.FromServer, answered12)
	if r.TLS.Resumed || r.TLS.Anew || r.TLS.Cipher == "" {
		t.Errorf("%+v", *r.TLS)
	}
}

func TestGaps(t *testing.T) {
	cut := len(hello) - 5 // behind the name, within the application protocols
	for name, test := range map[string]struct {
		before []call
		gap    call // as many bytes as its text has
		after  []call
		want   *protocol.TLS // nil: nothing is known
	}{
		"within the client's hello": {
			before: []call{client(hello[:cut])}, gap: client(hello[cut:]), after: []call{server(answered13), client(finished)},
			want: &protocol.TLS{ServerName: "a.example", Answered: true, Protocol: "tls", Version: "1.3", Cipher: "TLS_AES_128_GCM_SHA256", Anew: true, Established: true},
		},
		"in place of the client's hello": {
			gap: client(hello), after: []call{server(answered12), client(changed + encrypted)},
			want: &protocol.TLS{Answered: true, Protocol: "tls", Version: "1.2", Cipher: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", NextProtocol: "h2"},
		},
		"beyond the client's hello": {
			before: []call{client(hello[:cut])}, gap: client(hello[cut:] + "12345"), after: []call{server(answered13), client(finished)},
			want: &protocol.TLS{ServerName: "a.example", Answered: true, Protocol: "tls", Version: "1.3", Cipher: "TLS_AES_128_GCM_SHA256", Anew: true},
		},
		"at the beginning of the client's hello's body": {
			before: []call{client(hello[:headerBytes])}, gap: client("12"), after: []call{client(hello[headerBytes+2:]), server(answered13), client(finished)},
			want: &protocol.TLS{Answered: true, Protocol: "tls", Version: "1.3", Cipher: "TLS_AES_128_GCM_SHA256", Anew: true, Established: true},
		},
		"within the server's hello": {
			before: []call{client(hello), server(answered13[:50])}, gap: server(answered13[50:]), after: []call{client(finished)},
			want: &protocol.TLS{ServerName: "a.example", Offered: []string{"h2"}},
		},
		"behind the server's hello": {
			before: []call{client(hello), server(answered13 + finished[:7])}, gap: server(finished[7:]), after: []call{client(finished)},
			want: &protocol.TLS{ServerName: "a.example", Offered: []string{"h2"}, Answered: true, Protocol: "tls", Version: "1.3", Cipher: "TLS_AES_128_GCM_SHA256", Anew: true, Established: true},
		},
		"within a header": {
			before: []call{client(hello), server(answered13 + finished[:2])}, gap: server("123"), after: []call{client(finished)},
			want: &protocol.TLS{ServerName: "a.example", Offered: []string{"h2"}, Answered: true, Protocol: "tls", Version: "1.3", Cipher: "TLS_AES_128_GCM_SHA256", Anew: true},
		},
		"in place of both hellos": {gap: server(answered13), after: []call{client(hello)}},
	} {
		p, r := start()
		for _, c := range test.before {
			p.Data(c.direction, c.bytes)
		}
		if !r.Ignored {
			p.Gap(test.gap.direction, uint64(len(test.gap.bytes)), protocol.Lost)
		}
		play(p, r, test.after, 1<<20)
		if r.TLS != nil {
			r.TLS.Handshake = 0 // see TestHandshakesTakeUntilTheyAreEstablished
		}
		if !reflect.DeepEqual(r.TLS, test.want) || r.Errors != [protocol.ParseErrors]int{} || p.Parser.Held() != 0 {
			t.Errorf("%s: %+v, want %+v; errors %v", name, r.TLS, test.want, r.Errors)
		}
	}
}

func TestBounds(t *testing.T) {
	long := message(clientHello, asks("", named("a.example")+extension(21, strings.Repeat("\x00", 2*maxHello))))
	p, r := start()
	for ; len(long) > 1000; long = long[1000:] {
		p.Data(protocol.FromClient, recordOf(handshake, long[:1000]))
		if held := p.Parser.Held(); held > 2*maxHello {
			t.Fatalf("%d bytes are held", held)
		}
	}
	if r.TLS == nil || r.TLS.ServerName != "a.example" || r.Errors[protocol.HeadTooLong] != 1 || r.Ignored {
		t.Errorf("of a long hello: %+v, errors %v, ignored %v", r.TLS, r.Errors, r.Ignored)
	}

	p, r = start()
	p.Data(protocol.FromClient, hello)
	for range maxRecords {
		if !r.Ignored {
			p.Data(protocol.FromClient, recordOf(heartbeat, "x"))
		}
	}
	if !r.Ignored || r.Errors[protocol.HeadTooLong] != 1 || r.TLS.Established || r.TLS.Failed {
		t.Errorf("of a handshake without end: %+v, errors %v, ignored %v", r.TLS, r.Errors, r.Ignored)
	}
}

func TestOfWhatIsEncryptedOnlyHeadersAreWanted(t *testing.T) {
	p, _ := start()
	p.Data(protocol.FromClient, hello)
	if d := p.Parser.Demand(protocol.FromServer); !reflect.DeepEqual(d, protocol.Demand{}) {
		t.Errorf("of the server's hello %+v is wanted", d)
	}
	p.Data(protocol.FromServer, answered13+finished[:headerBytes+4])
	p.Data(protocol.FromClient, changed[:2])
	want := protocol.Demand{Frames: &form, NextFrame: uint64(len(finished) - headerBytes - 4)}
	if d := p.Parser.Demand(protocol.FromServer); !reflect.DeepEqual(d, want) {
		t.Errorf("of what follows in a record %+v is wanted, not %+v", d, want)
	}
	if d := p.Parser.Demand(protocol.FromClient); d.NextFrame != protocol.UnknownFrame {
		t.Errorf("within a header %+v is wanted", d)
	}
}
