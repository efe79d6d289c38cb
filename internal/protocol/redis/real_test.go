package redis

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

func TestEveryCommandOfABenchmarkIsCounted(t *testing.T) {
	s := startServer(t)
	s.run("", "redis-benchmark", "-q", "-P", "16", "-c", "5", "-n", "2000", "-d", "300", "-r", "100", "-t", "set,get,incr,lpush,lrange_100,mset,hset,spop,zadd")
	all := s.check()
	if len(all) < 9*2000 {
		t.Errorf("%d exchanges", len(all))
	}
	for _, x := range all {
		if x.Error != "" || x.ResponseStart.Time < x.RequestEnd.Time || x.End.Time < x.ResponseStart.Time {
			t.Fatalf("%+v", x)
		}
	}
}

func TestRealRepliesOfEveryFormAreRead(t *testing.T) {
	const session = `SET a 1
GET a
INCR a
LPUSH a x
HSET h f 1 g 2
HGETALL h
ZADD z 1.5 m 2 n
ZRANGE z 0 -1 WITHSCORES
ZSCORE z m
SADD s a b c
SMEMBERS s
XADD x * f v
XRANGE x - +
XREAD COUNT 1 STREAMS x 0
COMMAND DOCS GET SET
COMMAND
CLIENT LIST
CLIENT TRACKING ON
DEBUG PROTOCOL ATTRIB
EVAL "return {1,{2,{3,'x'}}}" 1 a
EVAL "return redis.error_reply('MYERR no')" 0
SELECT 3
MULTI
SET b 1
LPUSH b x
SELECT 4
EXEC
GET b
CONFIG GET max*
CONFIG SET requirepass ""
LOLWUT
RESET
PING
BLPOP none 0.01
NOSUCH x
`
	for _, version := range []string{"-2", "-3"} {
		t.Run(version, func(t *testing.T) {
			s := startServer(t)
			s.run(session, "redis-cli", version)
			var got []string
			for _, x := range s.check() {
				if x.Name == "CLIENT SETINFO" || x.Name == "HELLO" || x.Kind == protocol.Message {
					continue
				}
				got = append(got, brief(&x))
			}
			var want []string
			for line := range strings.Lines(session) {
				words := strings.Fields(line)
				want = append(want, words[0])
			}
			if len(got) < len(want) {
				t.Fatalf("%d exchanges for %d commands:\n%s", len(got), len(want), strings.Join(got, "\n"))
			}
			got = got[len(got)-len(want):] // redis-cli may ask for the list of commands first
			for i := range want {
				if !strings.HasPrefix(got[i], want[i]) && want[i] != "NOSUCH" {
					t.Errorf("command %d is %s, want %s", i, got[i], want[i])
				}
			}
			text := strings.Join(got, "\n")
			for _, line := range []string{
				"LPUSH a ? response.status_code=WRONGTYPE", "EVAL ? 0 response.status_code=MYERR", "EXEC db=3 operation.batch.size=3",
				"GET b db=unknown", "_OTHER|? ? response.status_code=ERR", "CONFIG SET requirepass ?",
			} {
				if !strings.Contains(text, line) {
					t.Errorf("%s is missing in\n%s", line, text)
				}
			}
		})
	}
}

func TestRealConversationsWithoutTurnsAreRead(t *testing.T) {
	publish := cmd("PUBLISH", "a", "secret")
	for name, x := range map[string]struct {
		steps [][2]string
		want  string
	}{
		"subscriber": {
			[][2]string{
				{cmd("SUBSCRIBE", "a", "b", "a") + cmd("PSUBSCRIBE", "p*") + cmd("SSUBSCRIBE", "c"), "c\r\n:1\r\n"},
				{cmd("PING"), "pong\r\n$0\r\n\r\n"},
				{cmd("GET", "k"), "context\r\n"},
				{cmd("UNSUBSCRIBE") + cmd("PUNSUBSCRIBE") + cmd("SUNSUBSCRIBE") + cmd("UNSUBSCRIBE") + cmd("GET", "k"), "$-1\r\n"},
			},
			"SUBSCRIBE a b a\nPSUBSCRIBE p*\nSSUBSCRIBE c\nPING\nGET k response.status_code=ERR\nUNSUBSCRIBE\nPUNSUBSCRIBE\nSUNSUBSCRIBE\nUNSUBSCRIBE\nGET k",
		},
		"messages of RESP3": {
			[][2]string{{cmd("HELLO", "3") + cmd("SUBSCRIBE", "a"), "a\r\n:1\r\n"}, {publish + publish, "$6\r\nsecret\r\n:1\r\n"}, {cmd("UNSUBSCRIBE") + cmd("PING"), "+PONG\r\n"}},
			"HELLO 3\nSUBSCRIBE a\nmessage a ? pushed\nPUBLISH a ?\nmessage a ? pushed\nPUBLISH a ?\nUNSUBSCRIBE\nPING",
		},
		"invalidation": {
			[][2]string{{cmd("HELLO", "3") + cmd("CLIENT", "TRACKING", "ON") + cmd("GET", "x") + cmd("SET", "x", "1"), "$1\r\nx\r\n"}},
			"HELLO 3\nCLIENT TRACKING ON\nGET x\nSET x ?\ninvalidate pushed",
		},
		"no replies": {
			[][2]string{{cmd("CLIENT", "REPLY", "SKIP") + cmd("SET", "y", "1") + cmd("GET", "y"), "$1\r\n1\r\n"}, {cmd("CLIENT", "REPLY", "OFF") + cmd("INCR", "y") + cmd("CLIENT", "REPLY", "ON"), "+OK\r\n"}, {cmd("GET", "y"), "$1\r\n2\r\n"}},
			"CLIENT REPLY SKIP unanswered\nSET y ? unanswered\nGET y\nCLIENT REPLY OFF unanswered\nINCR y unanswered\nCLIENT REPLY ON\nGET y",
		},
		"monitor":     {[][2]string{{cmd("MONITOR"), "+OK\r\n"}}, "MONITOR"},
		"replication": {[][2]string{{cmd("PING") + cmd("REPLCONF", "capa", "psync2"), "+OK\r\n"}, {cmd("PSYNC", "?", "-1"), "\r\n"}}, "PING\nREPLCONF CAPA ?\nPSYNC ? ?"},
		"quit":        {[][2]string{{cmd("SELECT", "5") + cmd("QUIT"), "+OK\r\n+OK\r\n"}}, "SELECT 5\nQUIT db=5"},
		"large values": {
			[][2]string{{cmd("SET", "big", strings.Repeat("x", 1<<20)) + cmd("GET", "big") + cmd("GETRANGE", "big", "0", "0"), "$1\r\nx\r\n"}},
			"SET big ?\nGET big\nGETRANGE big ? ?",
		},
		"protocol error": {[][2]string{{cmd("PING"), "+PONG\r\n"}, {"*1\r\n!\r\n", "got '!'\r\n"}}, "PING"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			s.talk(x.steps...)
			s.open.Wait()
			r := s.recorders[0]
			if got := briefs(r); got != x.want || len(r.Open) > 0 {
				t.Errorf("%s\nwant:\n%s", got, x.want)
			}
			if name == "protocol error" {
				r.Errors[protocol.Malformed]--
				r.Errors[protocol.Unpaired]--
			}
			if r.Errors != [protocol.ParseErrors]int{} {
				t.Errorf("errors %v", r.Errors)
			}
		})
	}
}
