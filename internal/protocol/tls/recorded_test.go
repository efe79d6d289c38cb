package tls

import (
	"flag"
	"reflect"
	"slices"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

var rerecord = flag.Bool("record", false, "write testdata/recorded anew, and fail")

// recorded are what programs have said in testdata/recorded.
var recorded = func() map[string]protocol.TLS {
	const shop, aes128, aes256 = "shop.example.com", "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"
	const ecdhe128, ecdhe256 = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
	usual, long := []string{"h2", "http/1.1"}, slices.Repeat([]string{"protocol-with-a-long-name"}, maxOffered)
	of := func(version, cipher string, offered ...string) protocol.TLS {
		return protocol.TLS{ServerName: shop, Offered: offered, Answered: true, Protocol: "tls", Version: version, Cipher: cipher, Anew: true, Established: true}
	}
	with := func(t protocol.TLS, change func(*protocol.TLS)) protocol.TLS {
		change(&t)
		return t
	}
	chosen := func(t *protocol.TLS) { t.NextProtocol = "h2" }
	resumed := func(t *protocol.TLS) { t.Resumed, t.Anew = true, false }
	failed := func(t *protocol.TLS) { t.Established, t.Failed = false, true }
	nameless := func(t *protocol.TLS) { t.ServerName = "" }
	return map[string]protocol.TLS{
		"openssl_13":                       of("1.3", aes256),
		"openssl_13_resumed":               with(of("1.3", aes256), resumed),
		"openssl_13_retry":                 of("1.3", aes256, "h2"), // of which the server wants to know nothing
		"openssl_13_client_certificate":    of("1.3", aes256),
		"openssl_13_no_client_certificate": of("1.3", aes256),
		"openssl_12":                       with(of("1.2", ecdhe256, "h2"), chosen),
		"openssl_12_resumed":               with(of("1.2", ecdhe256), resumed),
		"openssl_10":                       of("1.0", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
		"openssl_ccm8":                     of("1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8"),
		"openssl_fragments":                of("1.3", aes256, long...),
		"openssl_refused":                  {ServerName: shop, Failed: true},
		"curl_13":                          of("1.3", aes256, usual...),
		"curl_12":                          with(of("1.2", ecdhe256, usual...), chosen),
		"curl_address":                     with(of("1.3", aes256), nameless),
		"curl_plain":                       {Offered: usual, Failed: true},
		"go_13":                            of("1.3", aes128, "h2"),
		"go_13_resumed":                    with(of("1.3", aes128, "h2"), resumed),
		"go_12":                            with(of("1.2", ecdhe128, "x", "h2"), chosen),
		"go_13_distrusts":                  with(of("1.3", aes128), failed),
		"node_13":                          of("1.3", aes256, "http/1.1"),
		"python_13":                        of("1.3", aes256),
		"python_13_distrusts":              with(of("1.3", aes256), failed),
		"python_12_distrusts":              with(of("1.2", ecdhe256), failed),
		"java_13":                          of("1.3", aes256, usual...),
		"java_12":                          with(of("1.2", ecdhe256, usual...), chosen),
	}
}()

func start() (*protocoltest.Player, *protocoltest.Recorder) {
	parser, r := protocoltest.New(Protocol(), protocol.Session{}, protocol.Limits{}, nil)
	return &protocoltest.Player{Parser: parser}, r
}

// play gives the calls to a parser in calls of n bytes, as a conversation does: of what follows it sees nothing.
func play(p *protocoltest.Player, r *protocoltest.Recorder, calls []call, n int) {
	for _, c := range calls {
		for b := c.bytes; len(b) > 0 && !r.Ignored; {
			part := b[:min(n, len(b))]
			b = b[len(part):]
			p.Data(c.direction, part)
		}
	}
	if !r.Ignored {
		p.Close(0)
	}
}

func TestRecorded(t *testing.T) {
	if *rerecord {
		recordAll(t)
		t.Fatal("testdata/recorded is written anew")
	}
	for name, want := range recorded {
		for _, n := range []int{1, 7, 1 << 20} {
			p, r := start()
			play(p, r, readRecording(t, name), n)
			if r.TLS != nil && r.TLS.Established {
				want.Handshake = r.TLS.Handshake // recordings have no times
			}
			if r.TLS == nil || !reflect.DeepEqual(*r.TLS, want) || r.Errors != [protocol.ParseErrors]int{} {
				t.Errorf("%s, in calls of %d: %+v, want %+v; errors %v", name, n, r.TLS, want, r.Errors)
			}
			if p.Parser.Held() != 0 {
				t.Errorf("%s, in calls of %d: %d bytes are held", name, n, p.Parser.Held())
			}
		}
	}
}
