package fastcgi

import (
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

func TestDetect(t *testing.T) {
	begin, ask, ok := beginOf(1, responder, 1), rec(typeGetValues, 0, pairs("FCGI_MAX_CONNS=")), answers(1, okText)
	for name, x := range map[string]struct {
		client, server   string
		joined, reversed bool
		want             protocol.Confidence
	}{
		"BEGIN_REQUEST":                         {begin, "", false, false, protocol.Certain},
		"its first bytes":                       {begin[:8], "", false, false, protocol.NeedMore},
		"its first byte":                        {begin[:1], "", false, false, protocol.NeedMore},
		"with a response":                       {get(1, "/"), ok, false, false, protocol.Certain},
		"with the first byte of one":            {get(1, "/"), ok[:1], false, false, protocol.NeedMore},
		"with HTTP for a response":              {get(1, "/"), "HTTP/1.1 400 x\r\n", false, false, protocol.No},
		"whose server connected":                {begin, "", false, true, protocol.No},
		"id 0":                                  {beginOf(0, responder, 1), "", false, false, protocol.No},
		"role 0":                                {beginOf(1, 0, 1), "", false, false, protocol.No},
		"role 4":                                {beginOf(1, 4, 1), "", false, false, protocol.No},
		"flags":                                 {beginOf(1, responder, 2), "", false, false, protocol.No},
		"reserved bytes":                        {begin[:15] + "x", "", false, false, protocol.No},
		"GET_VALUES":                            {ask, "", false, false, protocol.Certain},
		"GET_VALUES, the first bytes":           {ask[:12], "", false, false, protocol.NeedMore},
		"GET_VALUES of another name":            {rec(typeGetValues, 0, pairs("MAX_CONNS=")), "", false, false, protocol.No},
		"server first":                          {"", ok, false, false, protocol.No},
		"joined, the server first":              {"", ok, true, false, protocol.NeedMore},
		"joined, the end of a response":         {"", endOf(1, 0, 0), true, false, protocol.Strong},
		"joined, a body":                        {"", "hello", true, false, protocol.No},
		"joined, a body and the next request":   {begin, "hello", true, false, protocol.Certain},
		"joined, within the body of a request":  {"hello", "", true, false, protocol.No},
		"HTTP":                                  {"GET / HTTP/1.1\r\n\r\n", "", false, false, protocol.No},
		"zeros":                                 {string(make([]byte, 64)), "", false, false, protocol.No},
		"joined, a whole response of zeros":     {"", string(make([]byte, 64)), true, false, protocol.No},
		"joined, a response of another version": {"", "\x02\x06\x00\x01\x00\x00\x00\x00", true, false, protocol.No},
	} {
		s := protocol.Sample{Bytes: [...][]byte{[]byte(x.client), []byte(x.server)}, Joined: x.joined, Reversed: x.reversed}
		if x.client == "" {
			s.First = protocol.FromServer
		}
		if got := detect(&s); got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
}
