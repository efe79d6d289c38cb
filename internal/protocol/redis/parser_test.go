package redis

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

const (
	ok     = "+OK\r\n"
	queued = "+QUEUED\r\n"
	null   = "$-1\r\n"
)

func TestParserReadsConversations(t *testing.T) {
	for name, x := range map[string]struct {
		steps  []step
		want   []string
		errors []protocol.ParseError
	}{
		"get":     {[]step{c(cmd("get", "k")), s("$5\r\nhello\r\n")}, []string{"GET k"}, nil},
		"inline":  {[]step{c("\r\nSET foo \"a b\"\r\nPING\n"), s(ok + "+PONG\r\n")}, []string{"SET foo ?", "PING"}, nil},
		"empty":   {[]step{c("*0\r\n*-1\r\n" + cmd("PING")), s("+PONG\r\n")}, []string{"PING"}, nil},
		"null":    {[]step{c(cmd("GET", "k") + cmd("BLPOP", "l", "m", "1")), s(null + "*-1\r\n")}, []string{"GET k", "BLPOP l m ?"}, nil},
		"error":   {[]step{c(cmd("INCR", "k")), s("-WRONGTYPE Operation\r\n")}, []string{"INCR k response.status_code=WRONGTYPE"}, nil},
		"moved":   {[]step{c(cmd("GET", "k")), s("-MOVED 3999 127.0.0.1:6381\r\n")}, []string{"GET k response.status_code=MOVED"}, nil},
		"own":     {[]step{c(cmd("EVAL", "secret", "1", "k", "v")), s("-my error\r\n")}, []string{"EVAL ? 1 k ? error=_OTHER"}, nil},
		"blob":    {[]step{c(cmd("GET", "k")), s("!10\r\nERR broken\r\n")}, []string{"GET k response.status_code=ERR"}, nil},
		"unknown": {[]step{c(cmd("b840fc02", "requirepass", "x") + cmd("MOD.DO", "x")), s(ok + ok)}, []string{"_OTHER|? ? ?", "_OTHER|? ?"}, nil},
		"keys": {
			[]step{c(cmd("MSET", "a", "1", "b", "2") + cmd("HSET", "h", "f", "1", "g", "2") + cmd("BITOP", "AND", "d", "a", "b") +
				cmd("XREAD", "BLOCK", "0", "STREAMS", "s", "t", "0", "$") + cmd("XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "s", ">") +
				cmd("ZUNIONSTORE", "d", "2", "a", "b", "WEIGHTS", "1", "2") + cmd("RENAME", "a b", "\xff")), s(ok + ":2\r\n:1\r\n*-1\r\n*-1\r\n:1\r\n" + ok)},
			[]string{
				"MSET a ? b ?", "HSET h f ? g ?", "BITOP AND d a b", "XREAD ? ? STREAMS s t ? ?", "XREADGROUP GROUP g c ? ? STREAMS s ?",
				"ZUNIONSTORE d 2 a b ? ? ?", `RENAME "a b" "\xff"`,
			}, nil,
		},
		"secrets": {
			[]step{c(cmd("AUTH", "u", "S") + cmd("HELLO", "2", "AUTH", "u", "S", "SETNAME", "n") + cmd("CONFIG", "SET", "requirepass", "S", "maxmemory", "S") +
				cmd("MIGRATE", "h", "1", "k", "0", "9", "AUTH2", "u", "S") + cmd("ACL", "SETUSER", "u", ">S") + cmd("CLIENT", "S", "S")), s(ok + "*0\r\n" + ok + ok + ok + "-ERR\r\n")},
			[]string{
				"AUTH ? ?", "HELLO 2 ? ? ? ? ?", "CONFIG SET requirepass ? maxmemory ?", "MIGRATE h 1 k ? ? ? ? ?",
				"ACL SETUSER ? ?", "CLIENT ? ? response.status_code=ERR",
			}, nil,
		},
		"scripts": {
			[]step{c(cmd("EVALSHA", "abc", "2", "k", "l", "v") + cmd("FCALL", "f", "0", "v") + cmd("EVAL", "return 1", "0")), s(":1\r\n:1\r\n:1\r\n")},
			[]string{"EVALSHA abc 2 k l ? stored_procedure.name=abc", "FCALL f 0 ? stored_procedure.name=f", "EVAL ? 0"}, nil,
		},
		"database": {
			[]step{c(cmd("SELECT", "3") + cmd("GET", "k") + cmd("SELECT", "99") + cmd("RESET") + cmd("GET", "k")), s(ok + null + "-ERR DB index is out of range\r\n+RESET\r\n" + null)},
			[]string{"SELECT 3", "GET k db=3", "SELECT 99 db=3 response.status_code=ERR", "RESET db=3", "GET k"}, nil,
		},
		"transaction": {
			[]step{c(cmd("MULTI")), s(ok), c(cmd("SELECT", "2") + cmd("GET", "k") + cmd("EXEC") + cmd("PING")), s(queued + queued + "*2\r\n+OK\r\n$1\r\nv\r\n+PONG\r\n")},
			[]string{"MULTI", "SELECT 2", "GET k", "EXEC operation.batch.size=2", "PING db=2"}, nil,
		},
		"failed transactions": {
			[]step{c(cmd("MULTI") + cmd("SELECT", "77") + cmd("EXEC") + cmd("GET", "k") + cmd("MULTI") + cmd("EXEC") + cmd("MULTI") + cmd("NO") + cmd("EXEC")),
				s(ok + queued + "*1\r\n-ERR\r\n" + null + ok + "*0\r\n" + ok + "-ERR unknown\r\n-EXECABORT Transaction\r\n")},
			[]string{
				"MULTI", "SELECT 77", "EXEC", "GET k db=unknown", "MULTI db=unknown", "EXEC db=unknown operation.batch.size=0", "MULTI db=unknown",
				"_OTHER|? db=unknown response.status_code=ERR", "EXEC db=unknown response.status_code=EXECABORT",
			}, nil,
		},
		"subscriber": {
			[]step{c(cmd("SUBSCRIBE", "a", "b")), s(confirm("subscribe", "a", 1)), s(confirm("subscribe", "b", 2)), s(cmd("message", "a", "secret") + cmd("pmessage", "p*", "pa", "secret")),
				c(cmd("PING")), s("*2\r\n$4\r\npong\r\n$0\r\n\r\n"), c(cmd("UNSUBSCRIBE")), s(confirm("unsubscribe", "a", 1) + confirm("unsubscribe", "b", 0)), c(cmd("LRANGE", "l", "0", "1")), s(cmd("message", "b"))},
			[]string{"SUBSCRIBE a b", "message a ? pushed", "pmessage p* pa ? pushed", "PING", "UNSUBSCRIBE", "LRANGE l ? ?"}, nil,
		},
		"kinds of subscriptions": {
			[]step{c(cmd("SUBSCRIBE", "a") + cmd("PSUBSCRIBE", "p", "p", "q") + cmd("UNSUBSCRIBE") + cmd("PUNSUBSCRIBE") + cmd("PING")),
				s(confirm("subscribe", "a", 1) + confirm("psubscribe", "p", 2) + confirm("psubscribe", "p", 2) + confirm("psubscribe", "q", 3) +
					confirm("unsubscribe", "a", 2) + confirm("punsubscribe", "p", 1) + confirm("punsubscribe", "q", 0) + "+PONG\r\n")},
			[]string{"SUBSCRIBE a", "PSUBSCRIBE p p q", "UNSUBSCRIBE", "PUNSUBSCRIBE", "PING"}, nil,
		},
		"subscription refused": {
			[]step{c(cmd("SUBSCRIBE", "a", "b") + cmd("PING")), s("-NOPERM no\r\n+PONG\r\n")},
			[]string{"SUBSCRIBE a b response.status_code=NOPERM", "PING"}, nil,
		},
		"RESP3": {
			[]step{c(cmd("HELLO", "3") + cmd("SUBSCRIBE", "a") + cmd("HGETALL", "h") + cmd("LRANGE", "l", "0", "1")), s("%1\r\n+proto\r\n:3\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"),
				s(">3\r\n+message\r\n+a\r\n$3\r\nxyz\r\n|1\r\n+ttl\r\n*2\r\n:1\r\n:2\r\n%2\r\n$1\r\nf\r\n,1.5\r\n$1\r\ng\r\n=5\r\ntxt:x\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n" + cmd("message", "x"))},
			[]string{"HELLO 3", "SUBSCRIBE a", "message a ? pushed", "HGETALL h", "invalidate pushed", "LRANGE l ? ?"}, nil,
		},
		"RESP3 types": {
			[]step{c(strings.Repeat(cmd("GET", "k"), 11)), s("_\r\n#t\r\n,inf\r\n(3492890328409238509324850943850943825024385\r\n~2\r\n:1\r\n:2\r\n$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n" +
				"*?\r\n:1\r\n*?\r\n.\r\n.\r\n%?\r\n+a\r\n:1\r\n.\r\n|?\r\n+a\r\n:1\r\n.\r\n:1\r\n=8\r\nmkd:# hi\r\n*2\r\n|0\r\n*0\r\n|1\r\n:1\r\n:2\r\n%0\r\n")},
			[]string{"GET k", "GET k", "GET k", "GET k", "GET k", "GET k", "GET k", "GET k", "GET k", "GET k", "GET k"}, nil,
		},
		"pushes between": {
			[]step{c(cmd("GET", "k")), s(">2\r\n+invalidate\r\n_\r\n>1\r\n+server-cpu-usage\r\n$1\r\nv\r\n")},
			[]string{"invalidate pushed", "push pushed", "GET k"}, nil,
		},
		"no replies": {
			[]step{c(cmd("CLIENT", "REPLY", "OFF") + cmd("SET", "a", "1") + cmd("CLIENT", "REPLY", "ON")), s(ok), c(cmd("CLIENT", "REPLY", "SKIP") + cmd("GET", "k") + cmd("PING")), s("+PONG\r\n")},
			[]string{"CLIENT REPLY OFF unanswered", "SET a ? unanswered", "CLIENT REPLY ON", "CLIENT REPLY SKIP unanswered", "GET k unanswered", "PING"}, nil,
		},
		"monitor":             {[]step{c(cmd("MONITOR")), s(ok + "+1339518083.107412 [0 127.0.0.1:60866] \"auth\" \"secret\"\r\n"), c(cmd("QUIT"))}, []string{"MONITOR"}, nil},
		"replication":         {[]step{c(cmd("REPLCONF", "capa", "eof") + cmd("PSYNC", "?", "-1")), s(ok + "\n+FULLRESYNC 8de1 1\r\n"), s("$4\r\nREDI" + cmd("SET", "k", "v")), c(cmd("REPLCONF", "ACK", "0"))}, []string{"REPLCONF CAPA ?", "PSYNC ? ?"}, nil},
		"SYNC":                {[]step{c(cmd("SYNC")), s("$4\r\nREDI" + cmd("PING"))}, []string{"SYNC"}, nil},
		"replication refused": {[]step{c(cmd("PSYNC", "?", "-1") + cmd("PING")), s("-NOMASTERLINK x\r\n+PONG\r\n")}, []string{"PSYNC ? ? response.status_code=NOMASTERLINK", "PING"}, nil},
		"quit":                {[]step{c(cmd("QUIT"))}, []string{"QUIT unanswered"}, nil},
		"cut off":             {[]step{c(cmd("BLPOP", "l", "0") + "*2\r\n$3\r\nGET\r\n$5\r\nk"), s("*2\r\n")}, []string{"BLPOP l ? error=connection_closed", "GET error=connection_closed unanswered"}, nil},
		"server first":        {[]step{s("-ERR max number of clients reached\r\n")}, nil, []protocol.ParseError{protocol.Unpaired}},
		"reply before its request began": {
			[]step{s("-DENIED x\r\n"), c(cmd("GET", "k"))}, []string{"GET k error=connection_closed unanswered"}, []protocol.ParseError{protocol.Unpaired},
		},
		"reply within its request":         {[]step{c("*2\r\n$3\r\nGET\r\n"), s("-ERR x\r\n"), c("$1\r\nk\r\n" + cmd("PING")), s("+PONG\r\n")}, []string{"GET k response.status_code=ERR", "PING"}, nil},
		"sentinel and cluster":             {[]step{c(cmd("SENTINEL", "masters") + cmd("CLUSTER", "SLOTS") + cmd("INFO")), s("*0\r\n*0\r\n$0\r\n\r\n")}, []string{"SENTINEL MASTERS", "CLUSTER SLOTS", "INFO"}, nil},
		"container without a subcommand":   {[]step{c(cmd("CLIENT") + cmd("PING")), s("-ERR wrong\r\n+PONG\r\n")}, []string{"CLIENT response.status_code=ERR", "PING"}, nil},
		"malformed command":                {[]step{c(cmd("PING")), s("+PONG\r\n"), c("*1\r\n:5\r\n")}, []string{"PING"}, []protocol.ParseError{protocol.Malformed}},
		"long line of an error is bounded": {[]step{c(cmd("GET", "k")), s("-ERR " + strings.Repeat("x", 9000) + "\r\n")}, []string{"GET k response.status_code=ERR"}, nil},
	} {
		t.Run(name, func(t *testing.T) { check(t, x.steps, protocol.Session{}, x.want, x.errors...) })
	}
}

// confirm is the confirmation of a subscription.
func confirm(kind, channel string, n int) string {
	return strings.Replace(cmd(kind, channel, "n"), "$1\r\nn\r\n", ":"+string(rune('0'+n))+"\r\n", 1)
}
