package memcached

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

func TestDetectKnowsMemcachedAndNothingElse(t *testing.T) {
	const client, server = protocol.FromClient, protocol.FromServer
	for name, x := range map[string]struct {
		client, server string
		first          protocol.Direction
		joined         bool
		want           protocol.Confidence
	}{
		"get":                       {"get k\r\n", "", client, false, protocol.Weak},
		"get and a value":           {"get k\r\n", value, client, false, protocol.Certain},
		"get and a miss":            {"get k\r\n", "END\r\n", client, false, protocol.Certain},
		"get and Redis' reply":      {"get k\r\n", "$-1\r\n", client, false, protocol.No},
		"set":                       {set, "", client, false, protocol.Strong},
		"set and its reply":         {set, stored, client, false, protocol.Certain},
		"meta":                      {"mg k v\r\n", "VA 1\r\nx\r\n", client, false, protocol.Certain},
		"version":                   {"version\r\n", "VERSION 1.6\r\n", client, false, protocol.Certain},
		"statistics":                {"stats\r\n", "STAT pid 1\r\n", client, false, protocol.Certain},
		"increment":                 {"incr k 1\r\n", "5\r\n", client, false, protocol.Certain},
		"increment of Redis":        {"incr k\r\n", ":5\r\n", client, false, protocol.No},
		"set of Redis":              {"set foo 1\r\n", "+OK\r\n", client, false, protocol.No},
		"beginning of a word":       {"ge", "", client, false, protocol.NeedMore},
		"beginning of a line":       {"get k", "", client, false, protocol.NeedMore},
		"in capitals":               {"GET k\r\n", "", client, false, protocol.No},
		"HTTP":                      {"get / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", client, false, protocol.No},
		"beginning of a reply":      {"get k\r\n", "VAL", client, false, protocol.NeedMore},
		"reply to something else":   {"version\r\n", "VALUE k 0 1\r\n", client, false, protocol.No},
		"Beanstalkd":                {"delete 5\r\n", "DELETED\r\n", client, false, protocol.No},
		"Beanstalkd's put":          {"put 1 0 60 5\r\nhello\r\n", "INSERTED 1\r\n", client, false, protocol.No},
		"a line that never ends":    {"get " + strings.Repeat("x", 600), "", client, false, protocol.NeedMore},
		"server first":              {"quit\r\n", "OK\r\n", server, false, protocol.No},
		"joined":                    {set, "", client, true, protocol.Strong},
		"joined, and its reply":     {"get k\r\n", "END\r\n", client, true, protocol.Certain},
		"joined within a value":     {"get k\r\n", "lue\r\nEND\r\n", server, true, protocol.Weak},
		"joined, only a reply":      {"", "END\r\n", server, true, protocol.NeedMore},
		"binary":                    {req(0, "", "k", "", 1), "", client, false, protocol.Weak},
		"binary and its reply":      {req(0, "", "k", "", 1), res(0, 0, "v", 1), client, false, protocol.Certain},
		"binary and another reply":  {req(0, "", "k", "", 1), "\x00\x01", client, false, protocol.No},
		"beginning of a binary one": {req(0, "", "k", "", 1)[:10], "", client, false, protocol.NeedMore},
		"no binary one":             {"\x80\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00", "", client, false, protocol.No},
	} {
		got := detect(&protocol.Sample{Bytes: [...][]byte{[]byte(x.client), []byte(x.server)}, First: x.first, Joined: x.joined})
		if got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
	if got := detect(&protocol.Sample{Bytes: [...][]byte{[]byte(set), nil}, Reversed: true}); got != protocol.No {
		t.Errorf("a server that connects: %s", got)
	}
	if got := detect(&protocol.Sample{Bytes: [...][]byte{[]byte("get k"), nil}, Ended: [...]bool{true, true}}); got != protocol.No {
		t.Errorf("a beginning that is all: %s", got)
	}
}
