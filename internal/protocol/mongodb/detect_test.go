package mongodb

import (
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

func TestDetectKnowsWhoAsks(t *testing.T) {
	const no, more, strong, certain = protocol.No, protocol.NeedMore, protocol.Strong, protocol.Certain
	one, reply := find(1), cursor(1, "firstBatch", 1)
	for name, x := range map[string]struct {
		client, server string
		joined         bool
		want           protocol.Confidence
	}{
		"command":                        {one, "", false, certain},
		"command and its reply":          {one, reply, false, certain},
		"a command that is not known":    {ask(1, str("frobnicate", "x")), "", false, strong},
		"handshake":                      {query(1, "admin.$cmd", hello), "", false, certain},
		"handshake and its reply":        {query(1, "admin.$cmd", hello), early(1, 8, doc(good)), false, certain},
		"compressed":                     {packed(compressedZlib, one), "", false, strong},
		"a sequence first":               {message(opMsg, 1, 0, n32(0), sequence("documents", doc(str("a", "b"))), body(doc(str("insert", "c")))), "", false, strong},
		"an insert of an early client":   {message(opInsert, 1, 0, n32(0), "db.c\x00", doc()), "", false, strong},
		"its cursors":                    {message(opKillCursors, 1, 0, n32(0), n32(1), n64(5)), "", false, strong},
		"beginning of a header":          {one[:10], "", false, more},
		"header":                         {one[:16], "", false, more},
		"beginning of a name":            {one[:28], "", false, more},
		"reply from a client":            {reply, "", false, no},
		"roles the other way round":      {reply, one, false, no},
		"another answer":                 {one, "HTTP/1.1 400 Bad Request\r\n\r\n", false, no},
		"an answer that names no one":    {one, answer(0, good), false, no},
		"server first":                   {"", reply, false, no},
		"HTTP":                           {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "", false, no},
		"too long":                       {"\xff\xff\xff\x7f" + one[4:], "", false, no},
		"flags that there are not":       {message(opMsg, 1, 0, n32(4), body(doc(str("find", "c")))), "", false, no},
		"zeros":                          {string(make([]byte, 64)), "", false, no},
		"joined at a command":            {one, reply[50:], true, strong},
		"joined at a reply":              {one[30:], reply, true, strong},
		"joined, only a reply":           {"", reply, true, strong},
		"joined, the length":             {one[:4], "", true, more},
		"joined, in the middle of both":  {one[30:], reply[50:], true, no},
		"joined, the other way round":    {reply, one, true, no},
		"joined, a reply and no command": {"\x00\x01", reply, true, strong},
	} {
		got := detect(&protocol.Sample{Bytes: [...][]byte{[]byte(x.client), []byte(x.server)}, Joined: x.joined})
		if got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
	if got := detect(&protocol.Sample{Bytes: [...][]byte{[]byte(one[:10]), nil}, Ended: [...]bool{true, true}}); got != no {
		t.Errorf("a beginning that is all: %s", got)
	}
}
