package memcached

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

const (
	stored = "STORED\r\n"
	set    = "set k 0 0 14\r\n" + secret + "\r\n"
	value  = "VALUE k 0 14\r\n" + secret + "\r\nEND\r\n"
)

func TestParserReadsConversations(t *testing.T) {
	for name, x := range map[string]struct {
		steps  []step
		want   []string
		errors []protocol.ParseError
	}{
		"get":            {[]step{c("get k\r\n"), s(value)}, []string{"get k found=1"}, nil},
		"miss":           {[]step{c("get k\r\n"), s("END\r\n")}, []string{"get k found=0"}, nil},
		"several keys":   {[]step{c("gets a b c\r\n"), s("VALUE a 0 1 7\r\nx\r\nVALUE c 0 2 8\r\n\r\n\r\nEND\r\n")}, []string{"gets a b c found=2"}, nil},
		"pipeline":       {[]step{c("get k\r\nget l\r\ngat 0 k\r\n"), s(value, "END\r\n", value)}, []string{"get k found=1", "get l found=0", "gat ? k found=1"}, nil},
		"set":            {[]step{c(set), s(stored), c("cas k 0 0 1 99\r\nx\r\n"), s("EXISTS\r\n"), c("append k 0 0 0\r\n\r\n"), s("NOT_STORED\r\n")}, []string{"set k ?", "cas k ?", "append k ?"}, nil},
		"data like text": {[]step{c("set k 0 0 7\r\nget k\r\n\r\n"), s(stored), c("get k\r\n"), s("VALUE k 0 5\r\nEND\r\n\r\nEND\r\n")}, []string{"set k ?", "get k found=1"}, nil},
		"lines that end with LF": {
			[]step{c("get k\n"), s("END\r\n")}, []string{"get k found=0"}, nil,
		},
		"others": {
			[]step{c("incr k 1\r\n"), s("43\r\n"), c("decr k 1\r\n"), s("42  \r\n"), c("delete k\r\n"), s("DELETED\r\n"), c("touch k 0\r\n"), s("NOT_FOUND\r\n"), c("flush_all\r\n"), s("OK\r\n"), c("version\r\n"), s("VERSION 1.6.38\r\n"), c("verbosity 1\r\n"), s("OK\r\n"), c("quit\r\n")},
			[]string{"incr k ?", "decr k ?", "delete k", "touch k ?", "flush_all", "version", "verbosity ?", "quit unanswered"}, nil,
		},
		"no reply": {
			[]step{c("set k 0 0 1 noreply\r\nx\r\ndelete k noreply\r\nincr k 1 noreply\r\nget k\r\n"), s("END\r\n"), c("flush_all noreply\r\nget l\r\n"), s(value)},
			[]string{"set k ? unanswered", "delete k ? unanswered", "incr k ? unanswered", "get k found=0", "flush_all ? unanswered", "get l found=1"}, nil,
		},
		"a refusal of what is to get no reply": {
			[]step{c("set k 0 0 1 noreply\r\nxy\nget k\r\n"), s("CLIENT_ERROR bad data chunk\r\nEND\r\n")}, []string{"set k ? unanswered", "get k found=0"}, nil,
		},
		"errors": {
			[]step{c("incr k 1\r\n"), s("CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"), c(set), s("SERVER_ERROR out of memory storing object\r\n"), c("what is this\r\n"), s("ERROR\r\n"), c("get\r\n"), s("ERROR\r\n"), c("\r\n"), s("ERROR\r\n")},
			[]string{"incr k ? response.status_code=CLIENT_ERROR", "set k ? response.status_code=SERVER_ERROR", "memcached|_OTHER ? response.status_code=ERROR", "memcached|_OTHER response.status_code=ERROR", "memcached|_OTHER response.status_code=ERROR"}, nil,
		},
		"error within values": {[]step{c("get k l\r\n"), s("VALUE k 0 1\r\nx\r\nSERVER_ERROR out of memory writing get response\r\n")}, []string{"get k l response.status_code=SERVER_ERROR"}, nil},
		"statistics": {
			[]step{c("stats\r\n"), s("STAT pid 1\r\nSTAT uptime 5\r\nEND\r\n"), c("stats reset\r\n"), s("RESET\r\n"), c("stats cachedump 1 1\r\n"), s("ITEM k [1 b; 0 s]\r\nEND\r\n"), c("lru_crawler metadump all\r\n"), s("key=k exp=-1\r\nkey=l exp=-1\r\nEND\r\n"), c("lru_crawler mgdump all\r\n"), s("mg k\r\nEN\r\n"), c("lru_crawler enable\r\n"), s("OK\r\n"), c("slabs automove 1\r\n"), s("OK\r\n")},
			[]string{"stats", "stats ?", "stats ?", "lru_crawler ?", "lru_crawler ?", "lru_crawler ?", "slabs ?"}, nil,
		},
		"ElastiCache": {[]step{c("config get cluster\r\n"), s("CONFIG cluster 0 9\r\n12\nh|i|1\n\r\nEND\r\n")}, []string{"config ?"}, nil},
		"login":       {[]step{c("set login 0 0 14\r\n" + secret + "\r\n"), s(stored), c("get k\r\n"), s(value)}, []string{"set login ?", "get k found=1"}, nil},
		"watch":       {[]step{c("watch fetchers\r\n"), s("OK\r\n"), s("ts=1 gid=1 type=item_get key=" + secret + "\r\n"), c("quit\r\n")}, []string{"watch ?"}, nil},
		"watch fails": {[]step{c("watch x\r\n"), s("ERROR\r\n"), c("get k\r\n"), s("END\r\n")}, []string{"watch ? response.status_code=ERROR", "get k found=0"}, nil},
		"meta": {
			[]step{c("mg k v\r\n"), s("VA 14\r\n" + secret + "\r\n"), c("mg k\r\n"), s("HD\r\n"), c("mg k v\r\n"), s("EN\r\n"), c("ms k 14 T0\r\n" + secret + "\r\n"), s("HD\r\n"), c("ms k 1 ME\r\nx\r\n"), s("NS\r\n"), c("md k\r\n"), s("NF\r\n"), c("ma k v\r\n"), s("VA 1\r\n5\r\n"), c("me k\r\n"), s("ME k exp=-1\r\n"), c("mn\r\n"), s("MN\r\n")},
			[]string{"mg k ? found=1", "mg k found=1", "mg k ? found=0", "ms k ?", "ms k ?", "md k", "ma k ?", "me k", "mn"}, nil,
		},
		"quiet meta, all silent": {
			[]step{c("ms a 1 q\r\nx\r\nms b 1 q\r\ny\r\nmd c q\r\nmg d q v\r\nmn\r\n"), s("MN\r\n"), c("mg k\r\n"), s("EN\r\n")},
			[]string{"ms a ? unanswered", "ms b ? unanswered", "md c ? unanswered", "mg d ? found=0 unanswered", "mn", "mg k found=0"}, nil,
		},
		"quiet meta, by opaque": {
			[]step{c("mg a q v O1\r\nmg b q v O2\r\nmg c q v O3\r\nmn\r\n"), s("VA 1 O2\r\nx\r\nMN\r\n")},
			[]string{"mg a ? found=0 unanswered", "mg b ? found=1", "mg c ? found=0 unanswered", "mn"}, nil,
		},
		"quiet meta, by key": {
			[]step{c("mg a q v k\r\nmg b q v k\r\nmn\r\n"), s("VA 1 kb\r\nx\r\nMN\r\n")}, []string{"mg a ? found=0 unanswered", "mg b ? found=1", "mn"}, nil,
		},
		"quiet meta, of which any may be answered": {
			[]step{c("mg a q v\r\nmg b q v\r\nmn\r\n"), s("VA 1\r\nx\r\nMN\r\n")}, []string{"mg a ? unanswered", "mg b ? unanswered", "mn"}, nil,
		},
		"quiet meta, refused": {
			[]step{c("ms a 1 q\r\nx\r\nms b 1 q MA\r\ny\r\nmn\r\n"), s("NS\r\nMN\r\n")}, []string{"ms a ? unanswered", "ms b ? unanswered", "mn"}, nil,
		},
		"cut off":                     {[]step{c("get k\r\nset k 0 0 5\r\nab")}, []string{"get k error=connection_closed unanswered", "set k ? error=connection_closed unanswered"}, nil},
		"cut off, not to be answered": {[]step{c("get k\r\n"), s("END\r\n"), c("set k 0 0 5 noreply\r\nab")}, []string{"get k found=0", "set k ? error=connection_closed unanswered"}, nil},
		"quiet at the end":            {[]step{c("mg k q v\r\n")}, []string{"mg k ? unanswered"}, nil},
		"malformed":                   {[]step{c("get k\r\n"), s("END\r\n"), c("get k\r\n"), s("hello\r\n"), c("get l\r\n"), s("END\r\n")}, []string{"get k found=0", "get k error=malformed_response unanswered", "get l capture=2 found=0"}, []protocol.ParseError{protocol.Malformed}},
	} {
		t.Run(name, func(t *testing.T) {
			if len(x.errors) == 0 {
				check(t, x.steps, protocol.Session{}, x.want)
				return
			}
			p, r := play(x.steps, protocol.Session{}, 0) // after an error a call has to begin with a message
			p.Close(0)
			compare(t, name, p, r, x.want, x.errors)
		})
	}
}

// message is one of the binary protocol.
func message(magic, number byte, status uint16, extras, key, value string, opaque uint32) string {
	b := make([]byte, 24)
	b[0], b[1], b[4] = magic, number, byte(len(extras))
	binary.BigEndian.PutUint16(b[2:], uint16(len(key)))
	binary.BigEndian.PutUint16(b[6:], status)
	binary.BigEndian.PutUint32(b[8:], uint32(len(extras)+len(key)+len(value)))
	binary.BigEndian.PutUint32(b[12:], opaque)
	return string(b) + extras + key + value
}

func req(number byte, extras, key, value string, opaque uint32) string {
	return message(magicRequest, number, 0, extras, key, value, opaque)
}

func res(number byte, status uint16, value string, opaque uint32) string {
	return message(magicReply, number, status, "", "", value, opaque)
}

const (
	extras = "\x00\x00\x00\x00\x00\x00\x00\x00"
	noop   = 0x0a
)

func TestBinaryProtocol(t *testing.T) {
	for name, x := range map[string]struct {
		steps  []step
		want   []string
		errors []protocol.ParseError
	}{
		"get and set": {
			[]step{c(req(0, "", "k", "", 1)), s(res(0, 0, secret, 1)), c(req(0, "", "k", "", 2)), s(res(0, 1, "Not found", 2)), c(req(1, extras, "k", secret, 3)), s(res(1, 0, "", 3)), c(req(2, extras, "k", secret, 4)), s(res(2, 2, "exists", 4))},
			[]string{"get k found=1", "get k found=0", "set k ?", "add k ?"}, nil,
		},
		"errors": {
			[]step{c(req(5, extras+extras+"\x00\x00\x00\x00", "k", "", 0)), s(res(5, 6, "Non-numeric", 0)), c(req(0x77, "", "", "", 0)), s(res(0x77, 0x81, "Unknown command", 0))},
			[]string{"incr k ? response.status_code=0x0006", "memcached|_OTHER response.status_code=0x0081"}, nil,
		},
		"quiet gets": {
			[]step{c(req(9, "", "a", "", 1), req(9, "", "b", "", 2), req(0x0d, "", "c", "", 3), req(noop, "", "", "", 4)), s(res(9, 0, secret, 2), res(noop, 0, "", 4))},
			[]string{"getq a found=0 unanswered", "getq b found=1", "getkq c found=0 unanswered", "noop"}, nil,
		},
		"quiet sets without numbers": {
			[]step{c(req(0x11, extras, "a", "x", 0), req(0x12, extras, "b", "x", 0), req(noop, "", "", "", 0)), s(res(0x12, 2, "exists", 0), res(noop, 0, "", 0))},
			[]string{"setq a ? unanswered", "addq b ?", "noop"}, nil,
		},
		"statistics": {
			[]step{c(req(0x10, "", "", "", 7), req(0x0b, "", "", "", 8)), s(message(magicReply, 0x10, 0, "", "pid", "1", 7), message(magicReply, 0x10, 0, "", "uptime", "1", 7), res(0x10, 0, "", 7), res(0x0b, 0, "1.6.38", 8))},
			[]string{"stat", "version"}, nil,
		},
		"login": {
			[]step{c(req(0x21, "", "PLAIN", "\x00user\x00"+secret, 1)), s(res(0x21, 0x20, "Auth failure", 1)), c(req(0x20, "", "", "", 2)), s(res(0x20, 0, "PLAIN", 2))},
			[]string{"sasl_auth ? response.status_code=0x0020", "sasl_list_mechs"}, nil,
		},
		"quit":      {[]step{c(req(noop, "", "", "", 0)), s(res(noop, 0, "", 0)), c(req(0x17, "", "", "", 0))}, []string{"noop", "quitq unanswered"}, nil},
		"long":      {[]step{c(req(1, extras, "k", strings.Repeat(secret, 9000), 3)), s(res(1, 0, "", 3))}, []string{"set k ?"}, nil},
		"malformed": {[]step{c(req(noop, "", "", "", 0)), s(res(noop, 0, "", 0)), c(req(0, "", "k", "", 0)), s("\x82" + res(0, 0, "", 0)[1:]), c(req(noop, "", "", "", 0)), s(res(noop, 0, "", 0))}, []string{"noop", "get k error=malformed_response unanswered", "noop capture=2"}, []protocol.ParseError{protocol.Malformed}},
	} {
		t.Run(name, func(t *testing.T) {
			pieces := []int{0, 1, 3, 7}
			if name == "malformed" || name == "long" {
				pieces = pieces[:1]
			}
			for _, piece := range pieces {
				p, r := play(x.steps, protocol.Session{}, piece)
				p.Close(0)
				compare(t, name, p, r, x.want, x.errors)
			}
		})
	}
}

func TestAnyNumberOfQuietCommandsIsNotTooMany(t *testing.T) {
	n := 3 * limits.Outstanding
	p, r := play([]step{c(strings.Repeat(req(0x11, extras, "k", "x", 0), n), req(noop, "", "", "", 0)), s(res(noop, 0, "", 0))}, protocol.Session{}, 0)
	p.Close(0)
	if len(r.Exchanges) != n+1 || r.Errors != [protocol.ParseErrors]int{} {
		t.Errorf("%d exchanges, errors %v", len(r.Exchanges), r.Errors)
	}
}

func TestTextIsBounded(t *testing.T) {
	many := strings.Repeat(" key", 100)
	p, r := play([]step{c("get"+many+"\r\n", "get "+strings.Repeat("k", 250)+strings.Repeat(" "+strings.Repeat("l", 250), 5)+"\r\n"), s("END\r\nEND\r\n")}, protocol.Session{}, 0)
	p.Close(0)
	for i, want := range []string{"get" + strings.Repeat(" key", maxArguments) + " ...", "get " + strings.Repeat("k", 250) + strings.Repeat(" "+strings.Repeat("l", 250), 3) + " ..."} {
		if got := r.Exchanges[i].Attributes["db.query.text"]; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
