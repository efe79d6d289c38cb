package conversation_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/registry"
)

// sample is the beginning of a conversation: what each side sends, in turns. want is the name of its protocol; "": none that is
// parsed.
type sample struct {
	name      string
	datagrams bool
	turns     []string // the client's first; "" leaves out a turn
	want      string
}

const (
	http1Request   = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
	http2Preface   = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	dnsQuery       = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x04test\x00\x00\x01\x00\x01"
	dnsResponse    = "\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x04test\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01"
	mysqlHello     = "\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00saltsalt\x00\xff\xff\xff\x02\x00\xff\xdf\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00saltsaltsalt\x00caching_sha2_password\x00"
	fastcgiRequest = "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x01\x04\x00\x01\x00\x21\x07\x00\x0e\x03REQUEST_METHODGET\x0b\x02REQUEST_URI/\x00\x00\x00\x00\x00\x00\x00" +
		"\x01\x04\x00\x01\x00\x00\x00\x00\x01\x05\x00\x01\x00\x00\x00\x00"
	fastcgiResponse = "\x01\x06\x00\x01\x00\x0e\x02\x00Status: 200\r\n\r\x00\x00\x01\x06\x00\x01\x00\x01\x07\x00\n\x00\x00\x00\x00\x00\x00\x00\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	http2Server     = "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"
)

var samples = append(named, []sample{
	{"HTTP/1", false, []string{http1Request, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}, "http"},
	{"HTTP/1 in lower case", false, []string{"get / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n"}, "http"},
	{"HTTP/1 with two spaces", false, []string{"GET  / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n"}, "http"},
	{"HTTP/1 with bare LF", false, []string{"GET / HTTP/1.1\n\n", "HTTP/1.1 200 OK\r\n\r\n"}, "http"},
	{"HTTP/1 without an answer, badly written", false, []string{"get / HTTP/1.1\r\n\r\n"}, ""},
	{"HTTP/2", false, []string{http2Preface, http2Server}, "http"},
	{"HTTP/2 whose server speaks first", false, []string{"", http2Server, http2Preface}, "http"},

	{"HTTP/1 behind a PROXY header", false, []string{"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n" + http1Request, "HTTP/1.1 200 OK\r\n\r\n"}, "http"},
	{"HTTP/1 behind SOCKS5", false, []string{"\x05\x01\x00", "\x05\x00", "\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50",
		"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50", http1Request, "HTTP/1.1 200 OK\r\n\r\n"}, "http"},
	{"Redis", false, []string{"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "$-1\r\n"}, "redis"},
	{"Redis with RESP3", false, []string{"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n", "%1\r\n+proto\r\n:3\r\n"}, "redis"},
	{"Redis inline", false, []string{"PING\r\n", "+PONG\r\n"}, "redis"},
	{"DNS over TCP", false, []string{"\x00\x18" + dnsQuery, "\x00\x28" + dnsResponse}, "dns"},
	{"DNS", true, []string{dnsQuery, dnsResponse}, "dns"},
	{"DNS without an answer, on another port", true, []string{dnsQuery}, ""},

	{"TLS 1.3", false, []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefgh", "\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"}, ""},
	{"TLS to a plain HTTP port", false, []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefgh", "HTTP/1.1 400 Bad Request\r\n\r\n"}, ""},
	{"SSH", false, []string{"SSH-2.0-OpenSSH_9.6\r\n", "SSH-2.0-OpenSSH_9.6\r\n"}, ""},
	{"SMTP", false, []string{"", "220 mail.example ESMTP\r\n", "EHLO h\r\n", "250-mail.example\r\n250 PIPELINING\r\n"}, ""},
	{"FTP", false, []string{"", "220 ready\r\n", "USER a\r\n", "331 password\r\n"}, ""},
	{"POP3", false, []string{"", "+OK POP3 ready\r\n", "USER a\r\n", "+OK\r\n"}, ""},
	{"POP3 with an error", false, []string{"", "+OK POP3 ready\r\n", "STAT\r\n", "-ERR unknown command\r\n"}, ""},
	{"IMAP", false, []string{"", "* OK IMAP4rev1\r\n", "a1 LOGIN a b\r\n", "a1 OK done\r\n"}, ""},
	{"NNTP", false, []string{"", "200 news\r\n", "LIST\r\n", "215 list\r\n"}, ""},
	{"Memcached text", false, []string{"get key\r\n", "VALUE key 0 3\r\nabc\r\nEND\r\n"}, "memcached"},
	{"Memcached text, a miss", false, []string{"get key\r\n", "END\r\n"}, "memcached"},
	{"Memcached meta", false, []string{"mg key v\r\n", "VA 3\r\nabc\r\n"}, "memcached"},
	{"Memcached version", false, []string{"version\r\n", "VERSION 1.6.21\r\n"}, "memcached"},
	{"Memcached set", false, []string{"set key 0 0 3\r\nabc\r\n", "STORED\r\n"}, "memcached"},
	{"Memcached binary", false, []string{"\x80\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00key",
		"\x81\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00abc"}, "memcached"},
	{"Memcached's command to Redis", false, []string{"get key\r\n", "$-1\r\n"}, "redis"},
	{"NATS", false, []string{"", "INFO {\"server_id\":\"a\"}\r\n", "CONNECT {}\r\nPING\r\n", "PONG\r\n"}, ""},
	{"STOMP", false, []string{"CONNECT\naccept-version:1.2\n\n\x00", "CONNECTED\nversion:1.2\n\n\x00"}, ""},
	{"Beanstalkd", false, []string{"put 1 0 60 5\r\nhello\r\n", "INSERTED 1\r\n"}, ""},
	{"Gearman", false, []string{"\x00REQ\x00\x00\x00\x01\x00\x00\x00\x01a", "\x00RES\x00\x00\x00\x08\x00\x00\x00\x01a"}, ""},
	{"MySQL", false, []string{"", mysqlHello, "\x25\x00\x00\x01\x85\xa6\xff\x01\x00\x00\x00\x01\xff" + string(make([]byte, 23)) + "root\x00", "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"}, "mysql"},
	{"MySQL with results", false, []string{"", mysqlHello, "\x25\x00\x00\x01\x85\xa6\xff\x01\x00\x00\x00\x01\xff" + string(make([]byte, 23)) + "root\x00", "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00",
		"\x09\x00\x00\x00\x03SELECT 1", "\x01\x00\x00\x01\x01\x17\x00\x00\x02\x03def\x00\x00\x00\x011\x00\x0c\x3f\x00\x01\x00\x00\x00\x03\x81\x00\x00\x00\x00\x05\x00\x00\x03\xfe\x00\x00\x02\x00\x02\x00\x00\x04\x01\x31\x05\x00\x00\x05\xfe\x00\x00\x02\x00",
		"\x01\x00\x00\x00\x0e", "\x07\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00", "\x05\x00\x00\x00\x19\x01\x00\x00\x00"}, "mysql"},
	{"MySQL, its client's part within TLS", false, []string{"\x25\x00\x00\x02\x85\xae\xff\x01\x00\x00\x00\x01\xff" + string(make([]byte, 23)) + "root\x00", "\x07\x00\x00\x03\x00\x00\x00\x02\x00\x00\x00"}, "mysql"},
	{"MySQL that refuses", false, []string{"", "\x17\x00\x00\x00\xff\x10\x04Too many connections"}, "mysql"},
	{"MySQL whose greeting does not end", false, []string{"", "\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00", "\x20\x00\x00\x01\x85\xa6\xff\x01"}, ""},
	{"PostgreSQL", false, []string{"\x00\x00\x00\x1b\x00\x03\x00\x00user\x00a\x00database\x00a\x00\x00", "R\x00\x00\x00\x08\x00\x00\x00\x00"}, "postgresql"},
	{"PostgreSQL with results", false, []string{"\x00\x00\x00\x10\x00\x03\x00\x00user\x00a\x00\x00", "R\x00\x00\x00\x08\x00\x00\x00\x00S\x00\x00\x00\x15TimeZone\x00Etc/UTC\x00K\x00\x00\x00\x0c\x00\x00\x04\xd2\x12\x34\x56\x78Z\x00\x00\x00\x05I",
		"Q\x00\x00\x00\x0eSELECT 1;\x00", "T\x00\x00\x00\x21\x00\x01?column?\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x17\x00\x04\xff\xff\xff\xff\x00\x00D\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x011C\x00\x00\x00\x0dSELECT 1\x00Z\x00\x00\x00\x05I",
		"P\x00\x00\x00\x12s\x00SELECT $1\x00\x00\x00B\x00\x00\x00\x12\x00s\x00\x00\x00\x00\x01\x00\x00\x00\x01a\x00\x00E\x00\x00\x00\x09\x00\x00\x00\x00\x00S\x00\x00\x00\x04", "1\x00\x00\x00\x042\x00\x00\x00\x04D\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x01aC\x00\x00\x00\x0dSELECT 1\x00Z\x00\x00\x00\x05I"}, "postgresql"},
	{"PostgreSQL asking for TLS", false, []string{"\x00\x00\x00\x08\x04\xd2\x16\x2f", "N"}, ""},
	{"PostgreSQL that was refused TLS", false, []string{"\x00\x00\x00\x08\x04\xd2\x16\x2f", "N", "\x00\x00\x00\x10\x00\x03\x00\x00user\x00a\x00\x00", "R\x00\x00\x00\x08\x00\x00\x00\x00"}, "postgresql"},
	{"PostgreSQL's cancel", false, []string{"\x00\x00\x00\x10\x04\xd2\x16\x2eabcdefgh"}, "postgresql"},
	{"MongoDB, no command", false, []string{"\x3a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00\x00\x00\x00\x00\x00", "\x3a\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\xdd\x07\x00\x00"}, ""},
	{"MongoDB", false, []string{"3\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00\x00\x00\x00\x00\x00\x1e\x00\x00\x00\x10ping\x00\x01\x00\x00\x00\x02$db\x00\x06\x00\x00\x00admin\x00\x00", "&\x00\x00\x00\x09\x00\x00\x00\x01\x00\x00\x00\xdd\x07\x00\x00\x00\x00\x00\x00\x00\x11\x00\x00\x00\x01ok\x00\x00\x00\x00\x00\x00\x00\xf0?\x00"}, "mongodb"},
	{"MongoDB's handshake", false, []string{":\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xd4\x07\x00\x00\x00\x00\x00\x00admin.$cmd\x00\x00\x00\x00\x00\xff\xff\xff\xff\x13\x00\x00\x00\x10isMaster\x00\x01\x00\x00\x00\x00", "5\x00\x00\x00\x09\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x11\x00\x00\x00\x01ok\x00\x00\x00\x00\x00\x00\x00\xf0?\x00"}, "mongodb"},
	{"MongoDB, compressed", false, []string{"<\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xdc\x07\x00\x00\xdd\x07\x00\x00#\x00\x00\x00\x00\x00\x00\x00\x00\x00\x1e\x00\x00\x00\x10ping\x00\x01\x00\x00\x00\x02$db\x00\x06\x00\x00\x00admin\x00\x00", "/\x00\x00\x00\x09\x00\x00\x00\x01\x00\x00\x00\xdc\x07\x00\x00\xdd\x07\x00\x00\x16\x00\x00\x00\x00\x00\x00\x00\x00\x00\x11\x00\x00\x00\x01ok\x00\x00\x00\x00\x00\x00\x00\xf0?\x00"}, "mongodb"},
	{"Kafka", false, []string{"\x00\x00\x00\x21\x00\x12\x00\x03\x00\x00\x00\x01\x00\x05adminx", "\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"}, ""},
	{"AMQP 0-9-1", false, []string{"AMQP\x00\x00\x09\x01", "\x01\x00\x00\x00\x00\x01\xe2\x00\x0a\x00\x0a\x00\x09"}, ""},
	{"MQTT", false, []string{"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02id", "\x20\x02\x00\x00"}, ""},
	{"Cassandra", false, []string{"\x04\x00\x00\x00\x01\x00\x00\x00\x16", "\x84\x00\x00\x00\x02\x00\x00\x00\x00"}, ""},
	{"ZooKeeper", false, []string{"\x00\x00\x00\x2d\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x25\x00\x00\x00\x00\x00\x00\x75\x30"}, ""},
	{"LDAP", false, []string{"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00", "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"}, ""},
	{"BitTorrent", false, []string{"\x13BitTorrent protocol\x00\x00\x00\x00\x00\x10\x00\x05", "\x13BitTorrent protocol\x00\x00\x00\x00\x00\x10\x00\x05"}, ""},
	{"RDP", false, []string{"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00", "\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x01\x08\x00\x02\x00\x00\x00"}, ""},
	{"VNC", false, []string{"", "RFB 003.008\n", "RFB 003.008\n"}, ""},
	{"Thrift", false, []string{"\x00\x00\x00\x1b\x80\x01\x00\x01\x00\x00\x00\x04ping\x00\x00\x00\x01\x00", "\x00\x00\x00\x11\x80\x01\x00\x02\x00\x00\x00\x04ping\x00\x00\x00\x01\x00"}, ""},
	{"FastCGI", false, []string{"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00", "\x01\x06\x00\x01\x00\x05\x03\x00hello\x00\x00\x00"}, "fastcgi"},
	{"FastCGI, a whole request", false, []string{fastcgiRequest, fastcgiResponse, fastcgiRequest, fastcgiResponse}, "fastcgi"},
	{"FastCGI, asking for values", false, []string{"\x01\x09\x00\x00\x00\x11\x07\x00\x0f\x00FCGI_MPXS_CONNS\x00\x00\x00\x00\x00\x00\x00",
		"\x01\x0a\x00\x00\x00\x12\x06\x00\x0f\x01FCGI_MPXS_CONNS0\x00\x00\x00\x00\x00\x00"}, "fastcgi"},
	{"RTSP", false, []string{"OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n", "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"}, ""},
	{"SIP over TCP", false, []string{"OPTIONS sip:a@h SIP/2.0\r\n\r\n", "SIP/2.0 200 OK\r\n\r\n"}, ""},
	{"ICAP", false, []string{"OPTIONS icap://h/s ICAP/1.0\r\nHost: h\r\n\r\n", "ICAP/1.0 200 OK\r\n\r\n"}, ""},
	{"Graphite", false, []string{"a.b.c 1 1700000000\n"}, ""},
	{"Syslog over TCP", false, []string{"<34>1 2026-01-01T00:00:00Z h a - - - text\n"}, ""},
	{"JSON lines", false, []string{"{\"a\":1}\n", "{\"b\":2}\n"}, ""},
	{"Echo", false, []string{"hello\n", "hello\n"}, ""},
	{"Zeros", false, []string{string(make([]byte, 600)), string(make([]byte, 600))}, ""},

	{"NTP", true, []string{"\x23" + string(make([]byte, 47)), "\x24\x02\x03\xe8" + string(make([]byte, 44))}, ""},
	{"QUIC", true, []string{"\xc3\x00\x00\x00\x01\x08abcdefgh\x00\x00\x44\x9e" + string(make([]byte, 1182)), "\xc1\x00\x00\x00\x01\x00\x08abcdefgh"}, ""},
	{"STUN", true, []string{"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl", "\x01\x01\x00\x0c\x21\x12\xa4\x42abcdefghijkl\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43"}, ""},
	{"Syslog", true, []string{"<34>Oct 11 22:14:15 h su: text"}, ""},
	{"StatsD", true, []string{"a.b:1|c"}, ""},
	{"SNMP", true, []string{"\x30\x26\x02\x01\x01\x04\x06public\xa0\x19\x02\x04\x00\x00\x00\x01\x02\x01\x00\x02\x01\x00", "\x30\x26\x02\x01\x01\x04\x06public\xa2\x19"}, ""},
	{"RTP", true, []string{"\x80\x00\x00\x01\x00\x00\x00\xa0\x12\x34\x56\x78" + string(make([]byte, 160))}, ""},
	{"Memcached over UDP", true, []string{"\x00\x01\x00\x00\x00\x01\x00\x00get key\r\n", "\x00\x01\x00\x00\x00\x01\x00\x00END\r\n"}, ""},
	{"WireGuard", true, []string{"\x01\x00\x00\x00" + string(make([]byte, 144)), "\x02\x00\x00\x00" + string(make([]byte, 88))}, ""},
	{"SIP", true, []string{"OPTIONS sip:a@h SIP/2.0\r\n\r\n", "SIP/2.0 200 OK\r\n\r\n"}, ""},
	{"DHCP", true, []string{"\x01\x01\x06\x00\x12\x34\x56\x78" + string(make([]byte, 228)) + "\x63\x82\x53\x63\x35\x01\x01\xff"}, ""},
	{"TFTP", true, []string{"\x00\x01file\x00octet\x00", "\x00\x03\x00\x01data"}, ""},
	{"SSDP", true, []string{"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"}, ""},
	{"zeros", true, []string{string(make([]byte, 100)), string(make([]byte, 100))}, ""},
}...)

// listener observes which protocols the conversations of a shard are in.
type listener struct {
	joined    bool // in the middle
	shard     *conversation.Shard
	protocols []protocol.Configured
	wants     int
	identity  protocol.Identity // of the last conversation
}

func (listener) Emit(protocol.ID, *protocol.Exchange) {}

func newListener(t testing.TB) *listener {
	t.Helper()
	l := &listener{}
	var err error
	if l.protocols, err = registry.Configured(registry.Configs(), protocol.Limits{HeadBytes: 8 << 10, Outstanding: 64}); err != nil {
		t.Fatal(err)
	}
	l.shard = conversation.NewShard(conversation.Options{
		Protocols: l.protocols, Memory: 1 << 20, PayloadLimit: 1 << 18, PayloadBurst: 1 << 20, Want: func(uint64, event.Want) { l.wants++ },
	})
	return l
}

// recognise plays the turns at an end with a role, in pieces of n bytes, and returns the name of the protocol that was recognised.
func (*listener) Begin(protocol.ID, *protocol.Request)    {}
func (*listener) Continue(protocol.ID, *protocol.Carried) {}
func (*listener) Requested(protocol.ID, *protocol.Stamp)  {}
func (*listener) Forget(protocol.ID)                      {}

func (l *listener) recognise(turns []string, datagrams bool, role event.Role, n int) string {
	c := l.shard.Begin(nil, conversation.Connection{Cookie: 1, Role: role, Datagrams: datagrams, Joined: l.joined}, l)
	if c == nil {
		return ""
	}
	var position [event.Directions]uint64
	for i, turn := range turns {
		d := event.Direction(i % 2) // the client sends first
		if role == event.RoleServer {
			d ^= 1
		}
		for len(turn) > 0 {
			piece := turn[:min(n, len(turn))]
			turn = turn[len(piece):]
			c.Data(&event.Event{Kind: event.KindData, Time: 1, Data: event.Data{
				Direction: d, Position: position[d], Length: uint32(len(piece)), Payload: []byte(piece),
			}})
			position[d] += uint64(len(piece))
		}
	}
	i, ok := c.Protocol()
	c.Abandon(2)
	l.identity = c.Identity()
	if ok && !l.protocols[i].Preamble {
		return l.protocols[i].Name
	}
	return ""
}

const wholeTurns = 1 << 20

func TestConversationsAreRecognisedForWhatTheyAre(t *testing.T) {
	l := newListener(t)
	for _, s := range samples {
		for _, role := range []event.Role{event.RoleClient, event.RoleServer, event.RoleUnknown} {
			pieces := []int{wholeTurns, 1, 3, 7}
			if s.datagrams {
				pieces = pieces[:1]
			}
			for _, n := range pieces {
				if got := l.recognise(s.turns, s.datagrams, role, n); got != s.want {
					t.Errorf("%s at role %d in pieces of %d is taken for %q, want %q", s.name, role, n, got, s.want)
				}
			}
		}
	}
}

// A beginning is not taken for another protocol than the whole conversation.
func TestBeginningsAreNoFalseClaims(t *testing.T) {
	l := newListener(t)
	for _, s := range samples {
		for i := range s.turns {
			for cut := 1; cut <= min(len(s.turns[i]), 200); cut++ {
				turns := append(append([]string(nil), s.turns[:i]...), s.turns[i][:cut])
				if got := l.recognise(turns, s.datagrams, event.RoleClient, wholeTurns); got != "" && got != s.want {
					t.Fatalf("%s, the first %d bytes of turn %d, is taken for %q", s.name, cut, i, got)
				}
			}
		}
	}
}

// A conversation that is joined in the middle is not taken for another protocol.
func TestJoinedConversationsAreNoFalseClaims(t *testing.T) {
	l := newListener(t)
	l.joined = true
	for _, s := range samples {
		for from := range s.turns {
			for cut := 0; cut < min(len(s.turns[from]), 100); cut++ {
				turns := append(make([]string, from), s.turns[from:]...)
				turns[from] = turns[from][cut:]
				for _, role := range []event.Role{event.RoleClient, event.RoleServer, event.RoleUnknown} {
					got := l.recognise(turns, s.datagrams, role, wholeTurns)
					if got == "http" && (cut > 0 || s.name == "TLS to a plain HTTP port") {
						continue // two frames of HTTP/2 by chance; and that server does answer in HTTP
					}
					if got != "" && got != s.want {
						t.Errorf("%s at role %d, joined at byte %d of turn %d, is taken for %q", s.name, role, cut, from, got)
					}
				}
			}
		}
	}
}

// Of 100,000 conversations at random, and of samples with a few bytes changed, none is taken for a protocol that it is not.
func TestRandomConversationsAreNotClaimed(t *testing.T) {
	l := newListener(t)
	random := rand.New(rand.NewPCG(1, 2))
	bytesOf := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return string(b)
	}
	text := []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .:/-\r\n$*+")
	textOf := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = text[random.IntN(len(text))]
		}
		return string(b)
	}
	prefixed := func(n int) string { // as many binary protocols begin
		width := []int{1, 2, 4}[random.IntN(3)]
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(n))
		return string(length[4-width:]) + bytesOf(n)
	}
	for i := range 100_000 {
		of := []func(int) string{bytesOf, textOf, prefixed}[i%3]
		turns := []string{of(1 + random.IntN(80)), of(1 + random.IntN(80)), of(1 + random.IntN(20))}
		if i%5 == 0 {
			turns[0] = ""
		}
		if got := l.recognise(turns, i%2 == 0, event.Role(random.IntN(3)), wholeTurns); got != "" {
			t.Fatalf("%q is taken for %q", turns, got)
		}
		if l.identity.Name != "" {
			t.Fatalf("%q is named %q", turns, l.identity.Name)
		}
	}
}

// FuzzRecognition mixes the beginnings of protocols: nothing panics, and no memory is left behind.
func FuzzRecognition(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s.turns[0]), []byte(s.turns[min(1, len(s.turns)-1)]), s.datagrams, uint8(7))
	}
	f.Fuzz(func(t *testing.T, client, server []byte, datagrams bool, n uint8) {
		l := newListener(t)
		l.recognise([]string{string(client), string(server), string(client), string(server)}, datagrams, event.RoleClient, 1+int(n))
		l.shard.Tick(1 << 40)
		if held := l.shard.Stats().Held.Load(); held != 0 {
			t.Errorf("%d bytes are held after the end", held)
		}
	})
}

func (listener) Omit(*protocol.Exchange) {}
