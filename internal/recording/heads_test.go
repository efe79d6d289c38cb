package recording

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/redact"
)

// masked returns what is recorded of calls that transfer these texts, one behind the other.
func masked(t *testing.T, keepNames bool, calls ...string) (all []string) {
	t.Helper()
	h, err := newHeads(newNames(), keepNames, redact.New(nil, nil))
	require.NoError(t, err)
	var position uint64
	for _, call := range calls {
		all = append(all, string(h.of(1, &event.Data{Position: position, Length: uint32(len(call)), Payload: []byte(call)})))
		position += uint64(len(call))
	}
	return all
}

func TestHeadsKeepWhatFramesMessages(t *testing.T) {
	const crlf = "\r\n"
	for name, c := range map[string]struct {
		keepNames bool
		calls     []string
		want      []string
	}{
		"a request": {
			calls: []string{"GET /a/jane?token=s3 HTTP/1.1\r\nHost: x\r\nCookie: id=7\r\nAccept: */*\r\n\r\n"},
			want:  []string{"GET /x/xxxx?xxxxx=xx HTTP/1.1\r\nHost: ~\r\nxxxxxx: xxxx\r\nxxxxxx: xxx\r\n\r\n"},
		},
		"a request, with names kept": {
			keepNames: true,
			calls:     []string{"GET /a/jane?token=s3 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a?b=1 HTTP/1.1\r\n\r\n"},
			want:      []string{"GET /a/jane?xxxxx=xx HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a?b=1 HTTP/1.1\r\n\r\n"},
		},
		"a body, and a request behind it": {
			calls: []string{"POST / HTTP/1.1\r\nContent-Length: 8\r\nContent-Type: text/html; a=b\r\n\r\npass", "wordGET / HTTP/1.1\r\n\r\n"},
			want:  []string{"POST / HTTP/1.1\r\nContent-Length: 8\r\nContent-Type: text/html;xxxx\r\n\r\nxxxx", "xxxxGET / HTTP/1.1\r\n\r\n"},
		},
		"chunks": {
			calls: []string{"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n1", "0;ext\r\n0123456789abcdef\r\n3\r\nGET\r\n0\r\nX-Sum: s\r\n\r\nHTTP/1.1 204 No\r\n\r\n"},
			want: []string{"HTTP/1.1 200 xxxx\r\nTransfer-Encoding: chunked\r\n\r\n1", "0xxxx\r\nxxxxxxxxxxxxxxxx\r\n3\r\nxxx\r\n0\r\nx-xxx: x\r\n\r\n" +
				"HTTP/1.1 204 xx\r\n\r\n"},
		},
		"a line that a call ends in": {
			calls: []string{"GET / HTTP/1.1\r\nAuthoriz", "ation: secret\r\nTE: trailers\r\n\r\n"},
			want:  []string{"GET / HTTP/1.1\r\nxxxxxxxx", "xxxxxxxxxxxxx\r\nTE: trailers\r\n\r\n"},
		},
		"a body that ends with the connection": {
			calls: []string{"HTTP/1.0 200 OK\r\n\r\nsecret: words" + crlf, "password: more\r\n"},
			want:  []string{"HTTP/1.0 200 xx\r\n\r\n" + strings.Repeat("x", len("secret: words")) + crlf, strings.Repeat("x", len("password: more\r\n"))},
		},
		"answers to HEAD, which have no body": {
			calls: []string{
				"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n",
			},
			want: []string{
				"HTTP/1.1 200 xx\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 xx\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 204 xx\r\n\r\n",
			},
		},
		"a host that is an address of IPv6": {
			calls: []string{"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n"},
			want:  []string{"GET / HTTP/1.1\r\nHost: [~~~~:~~~::~]:80\r\n\r\n"},
		},
		"a host with what is no port": {
			calls: []string{"GET / HTTP/1.1\r\nHost: a:s3\r\n\r\n"}, want: []string{"GET / HTTP/1.1\r\nHost: ~:~~\r\n\r\n"},
		},
		"a host that is not ASCII": {
			calls: []string{"GET http://\u00e9 HTTP/1.1\r\nHost: \u00e9\r\n\r\n"},
			want:  []string{"GET ~~~~://~~ HTTP/1.1\r\nHost: ~~\r\n\r\n"},
		},
		"another protocol":           {calls: []string{"AUTH secret\r\n", "GET key\r\n"}, want: []string{"", ""}},
		"a value that is no length":  {calls: []string{"GET / HTTP/1.1\r\nContent-Length: secret\r\n\r\n"}, want: []string{"GET / HTTP/1.1\r\nContent-Length: xxxxxx\r\n\r\n"}},
		"a method of a proxy":        {calls: []string{"CONNECT h:443 HTTP/1.1\r\n\r\n", "\x16\x03\x01"}, want: []string{"CONNECT ~:~~~ HTTP/1.1\r\n\r\n", "xxx"}},
		"HTTP/2, which is no HTTP/1": {calls: []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}, want: []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			got := masked(t, c.keepNames, c.calls...)
			require.Len(t, got, len(c.want))
			for i, want := range c.want {
				if got[i] != "" {
					assert.Len(t, got[i], len(c.calls[i]))
				}
				for at := strings.IndexByte(want, '~'); at >= 0; at = strings.IndexByte(want, '~') { // any letter
					require.Greater(t, len(got[i]), at)
					require.Regexp(t, "[a-z]", got[i][at:at+1])
					want = want[:at] + got[i][at:at+1] + want[at+1:]
				}
				assert.Equal(t, want, got[i])
			}
		})
	}
}

// Where bytes are missing, nothing is taken for what it is not.
func TestHeadsAfterAGapAreThoseOfACallThatBeginsWithAStartLine(t *testing.T) {
	h, err := newHeads(newNames(), false, redact.New(nil, nil))
	require.NoError(t, err)
	of := func(position uint64, length int, text string) string {
		return string(h.of(1, &event.Data{Position: position, Length: uint32(max(length, len(text))), Payload: []byte(text)}))
	}
	const head = "POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n"
	assert.Equal(t, head+"xxx", of(0, len(head)+50, head+"abc"))
	assert.Equal(t, "xxxGET / HTTP/1.1\r\n\r\n", of(uint64(len(head)+97), 0, "abcGET / HTTP/1.1\r\n\r\n"), "the rest of the body is where it was expected")
	assert.Equal(t, "xxxxxxxxxx", of(1000, 0, "TE: secret"))
	assert.Equal(t, "GET / HTTP/1.1\r\nTE: x\r\n\r\n", of(2000, 0, "GET / HTTP/1.1\r\nTE: x\r\n\r\n"))
}
