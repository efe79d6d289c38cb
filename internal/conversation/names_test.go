package conversation_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol/unparsed"
)

// named are samples of protocols that are not parsed, beside those that other tests have.
var named = []sample{
	{"TLS", false, []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("r", 32) + "\x00\x00\x02\x13\x01\x01\x00"}, ""},
	{"SSH of a server that waits", false, []string{"SSH-2.0-libssh_0.10\r\n"}, ""},
	{"SSH whose server speaks first", false, []string{"", "SSH-1.99-OpenSSH_3.9\r\n", "SSH-2.0-x\r\n"}, ""},
	{"LMTP", false, []string{"", "220 mail.example LMTP\r\n", "LHLO h\r\n", "250 mail.example\r\n"}, ""},
	{"FTP with TLS", false, []string{"", "220-hello\r\n220 ready\r\n", "AUTH TLS\r\n", "234 go on\r\n"}, ""},
	{"IMAP without a login", false, []string{"", "* PREAUTH IMAP4rev1\r\n", ". CAPABILITY\r\n", "* CAPABILITY IMAP4rev1\r\n"}, ""},
	{"ManageSieve", false, []string{"", "\"IMPLEMENTATION\" \"Dovecot\"\r\nOK\r\n", "LOGOUT\r\n"}, ""},
	{"LDAP, a search", false, []string{"\x30\x25\x02\x01\x01\x63\x20\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00\x87\x0bobjectclass\x30\x00"}, ""},
	{"LDAP, StartTLS", false, []string{"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037", "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"}, ""},
	{"AMQP 1.0", false, []string{"AMQP\x03\x01\x00\x00", "AMQP\x03\x01\x00\x00"}, ""},
	{"AMQP 1.0 without SASL", false, []string{"AMQP\x00\x01\x00\x00", "AMQP\x00\x01\x00\x00"}, ""},
	{"MQTT 5", false, []string{"\x10\x13\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x06client", "\x20\x03\x00\x00\x00"}, ""},
	{"MQTT 3.1", false, []string{"\x10\x14\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x06client", "\x20\x02\x00\x00"}, ""},
	{"Kafka, metadata", false, []string{"\x00\x00\x00\x1a\x00\x03\x00\x01\x00\x00\x00\x07\x00\x07rdkafka\x00\x00\x00\x00", "\x00\x00\x00\x20\x00\x00\x00\x07\x00\x00\x00\x01"}, ""},
	{"Cassandra, startup", false, []string{"\x05\x00\x00\x00\x01\x00\x00\x00\x16\x00\x01\x00\x0bCQL_VERSION\x00\x053.4.5", "\x85\x00\x00\x00\x03\x00\x00\x00\x01\x00"}, ""},
	{"Cassandra, options", false, []string{"\x04\x00\x00\x07\x05\x00\x00\x00\x00", "\x84\x00\x00\x07\x06\x00\x00\x00\x04\x00\x00\x00\x00"}, ""},
	{"ZooKeeper's request", false, []string{"\x00\x00\x00\x2d\x00\x00\x00\x00" + zeros(8) + "\x00\x00\x75\x30" + zeros(8) + "\x00\x00\x00\x10" + zeros(17), "\x00\x00\x00\x25\x00\x00\x00\x00\x00\x00\x75\x30"}, ""},
	{"RDP with a cookie", false, []string{"\x03\x00\x00\x2a\x25\xe0\x00\x00\x00\x00\x00Cookie: mstshash=me\r\n\x01\x00\x08\x00\x03\x00\x00\x00"}, ""},
	{"XMPP", false, []string{"<?xml version='1.0'?><stream:stream xmlns='jabber:client' to='h'>", "<?xml version='1.0'?><stream:stream id='1'>"}, ""},
	{"IRC", false, []string{"CAP LS 302\r\nNICK me\r\n", ":irc.example CAP * LS :sasl\r\n"}, ""},
	{"SMB", false, []string{"\x00\x00\x00\x45\xffSMB\x72" + zeros(60), "\x00\x00\x00\x45\xfeSMB\x40" + zeros(60)}, ""},
	{"TDS", false, []string{"\x12\x01\x00\x2f\x00\x00\x01\x00\x00\x00\x1a\x00\x06\x01\x00\x20\x00\x01", "\x04\x01\x00\x2b\x00\x00\x01\x00"}, ""},
	{"TNS", false, []string{"\x00\x9c\x00\x00\x01\x00\x00\x00\x01\x3f\x01\x2c\x00\x00" + zeros(20) + "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=x)))", "\x00\x08\x00\x00\x0b\x00\x00\x00"}, ""},
	{"AJP", false, []string{"\x12\x34\x00\x20\x02\x02\x00\x08HTTP/1.1\x00", "AB\x00\x04\x04\x00\xc8\x00"}, ""},
	{"JDWP", false, []string{"JDWP-Handshake", "JDWP-Handshake"}, ""},
	{"X11", false, []string{"l\x00\x0b\x00\x00\x00\x12\x00\x10\x00\x00\x00MIT-MAGIC-COOKIE-1\x00\x00", "\x01\x00\x0b\x00\x00\x00\xc1\x06"}, ""},
	{"D-Bus", false, []string{"\x00", "", "AUTH EXTERNAL 31303030\r\n", "OK 1234deadbeef\r\n"}, ""},
	{"rsync", false, []string{"@RSYNCD: 31.0 sha512\n", "@RSYNCD: 31.0 sha512\n"}, ""},
	{"git", false, []string{"0032git-upload-pack /project.git\x00host=h.example\x00", "00e0"}, ""},
	{"Subversion", false, []string{"", "( success ( 2 2 ( ) ( edit-pipeline ) ) ) ", "( 2 ( edit-pipeline ) 9:svn://h/a ) "}, ""},
	{"ClickHouse", false, []string{"\x00\x11ClickHouse client\x15\x08", "\x00\x0aClickHouse\x15\x08"}, ""},
	{"BGP", false, []string{ffs(16) + "\x00\x1d\x01\x04\xfd\xe9\x00\xb4\x0a\x00\x00\x01\x00", ffs(16) + "\x00\x1d\x01\x04\xfd\xea\x00\xb4\x0a\x00\x00\x02\x00"}, ""},
	{"ZeroMQ", false, []string{"\xff" + zeros(7) + "\x01\x7f\x03\x00NULL" + zeros(48), "\xff" + zeros(7) + "\x01\x7f\x03\x01NULL"}, ""},
	{"OpenWire", false, []string{"\x00\x00\x01\x3c\x01ActiveMQ\x00\x00\x00\x0c", "\x00\x00\x01\x3c\x01ActiveMQ\x00\x00\x00\x0c"}, ""},
	{"Pulsar", false, []string{"\x00\x00\x00\x16\x00\x00\x00\x12\x08\x02\x12\x0e\x0a\x0cPulsar-Go-1."}, ""},
	{"Zabbix", false, []string{"ZBXD\x01\x10\x00\x00\x00\x00\x00\x00\x00{\"request\":\"x\"}", "ZBXD\x01"}, ""},
	{"Syslog with its length", false, []string{"43 <34>1 2026-01-01T00:00:00Z h a - - - text\n"}, ""},
	{"OPC UA", false, []string{"HELF\x38\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00", "ACKF\x1c\x00\x00\x00"}, ""},
	{"Kerberos over TCP", false, []string{"\x00\x00\x00\x20" + kerberosAsk}, ""},
	{"Tarantool", false, []string{"", "Tarantool 2.11.0 (Binary) 7170b4aa\n", "\xce\x00\x00\x00\x05"}, ""},
	{"Bolt", false, []string{"\x60\x60\xb0\x17\x00\x00\x04\x05\x00\x00\x02\x04", "\x00\x00\x04\x05"}, ""},
	{"Ceph", false, []string{"", "ceph v2\n\x10\x00", "ceph v2\n\x10\x00"}, ""},
	{"Telnet", false, []string{"", "\xff\xfd\x18\xff\xfd\x20\xff\xfd\x23", "\xff\xfb\x18"}, ""},
	{"ONC RPC", false, []string{"\x80\x00\x00\x28\x12\x34\x56\x78\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\x86\xa0\x00\x00\x00\x02\x00\x00\x00\x04" + zeros(16)}, ""},
	{"SSH behind a PROXY header", false, []string{"PROXY TCP4 192.0.2.1 192.0.2.2 4711 22\r\nSSH-2.0-x\r\n", "SSH-2.0-y\r\n"}, ""},
	{"SSH behind SOCKS5", false, []string{"\x05\x01\x00", "\x05\x00", "\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x16", "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x16", "SSH-2.0-x\r\n", "SSH-2.0-y\r\n"}, ""},

	{"QUIC, version 2", true, []string{"\xd3\x6b\x33\x43\xcf\x08abcdefgh\x00\x00\x44\x9e" + strings.Repeat("x", 1182)}, ""},
	{"DTLS", true, []string{"\x16\xfe\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40\x01\x00\x00\x34\x00\x00\x00\x00\x00\x00\x00\x34\xfe\xfd", "\x16\xfe\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x23\x03\x00\x00\x17\x00\x00\x00\x00\x00\x00\x00\x17\xfe\xff"}, ""},
	{"WireGuard's handshake", true, []string{"\x01\x00\x00\x00\x12\x34\x56\x78" + strings.Repeat("k", 124) + zeros(16), "\x02\x00\x00\x00\x12\x34\x56\x78\x87\x65\x43\x21" + strings.Repeat("k", 64) + zeros(16)}, ""},
	{"BitTorrent's table", true, []string{"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe", "d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re"}, ""},
	{"IKE", true, []string{"abcdefgh" + zeros(8) + "\x21\x20\x22\x08\x00\x00\x00\x00\x00\x00\x00\x20abcd", "abcdefghijklmnop\x21\x20\x22\x20\x00\x00\x00\x00\x00\x00\x00\x20abcd"}, ""},
	{"Kerberos", true, []string{kerberosAsk}, ""},
	{"ONC RPC over UDP", true, []string{"\x12\x34\x56\x78\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\x86\xa0\x00\x00\x00\x02\x00\x00\x00\x04" + zeros(16)}, ""},
}

const kerberosAsk = "\x6a\x1e\x30\x1c\xa1\x03\x02\x01\x05\xa2\x03\x02\x01\x0a\xa4\x10" + "0123456789abcdef"

func zeros(n int) string { return string(make([]byte, n)) }

func ffs(n int) string { return strings.Repeat("\xff", n) }

// identities are the names and versions of what samples show, of those that are not parsed. What is not here has no name.
var identities = map[string]string{
	"TLS": "tls", // the sample ends within the hello
	"SSH": "ssh 2.0", "SSH of a server that waits": "ssh 2.0", "SSH whose server speaks first": "ssh 1.99",
	"SMTP": "smtp", "LMTP": "lmtp", "FTP": "ftp", "FTP with TLS": "ftp", "POP3": "pop3", "POP3 with an error": "pop3",
	"IMAP": "imap", "IMAP without a login": "imap", "ManageSieve": "managesieve", "NNTP": "nntp",
	"LDAP": "ldap 3", "LDAP, a search": "ldap", "LDAP, StartTLS": "ldap", "NATS": "nats", "STOMP": "stomp", "Beanstalkd": "beanstalkd", "Gearman": "gearman",
	"AMQP 0-9-1": "amqp 0-9-1", "AMQP 1.0": "amqp 1.0", "AMQP 1.0 without SASL": "amqp 1.0", "MQTT": "mqtt 3.1.1", "MQTT 5": "mqtt 5.0", "MQTT 3.1": "mqtt 3.1",
	"Kafka": "kafka", "Kafka, metadata": "kafka", "Cassandra": "cassandra 4", "Cassandra, startup": "cassandra 5", "Cassandra, options": "cassandra 4",
	"ZooKeeper's request": "zookeeper", "BitTorrent": "bittorrent", "RDP": "rdp", "RDP with a cookie": "rdp", "VNC": "rfb 3.8", "Thrift": "thrift",
	"RTSP": "rtsp 1.0", "SIP over TCP": "sip 2.0", "ICAP": "icap 1.0", "XMPP": "xmpp", "IRC": "irc", "SMB": "smb", "TDS": "tds", "TNS": "tns", "AJP": "ajp",
	"JDWP": "jdwp", "X11": "x11 11.0", "D-Bus": "dbus", "rsync": "rsync", "git": "git", "Subversion": "svn", "ClickHouse": "clickhouse", "BGP": "bgp 4",
	"ZeroMQ": "zmtp 3.0", "OpenWire": "openwire", "Pulsar": "pulsar", "Zabbix": "zabbix", "Syslog over TCP": "syslog", "Syslog with its length": "syslog",
	"OPC UA": "opcua", "Kerberos over TCP": "kerberos 5", "Tarantool": "tarantool", "Bolt": "bolt", "Ceph": "ceph", "Telnet": "telnet", "ONC RPC": "onc_rpc",
	"SSH behind a PROXY header": "ssh 2.0", "SSH behind SOCKS5": "ssh 2.0", "PostgreSQL asking for TLS": "postgresql",

	"QUIC": "quic 1", "QUIC, version 2": "quic 2", "STUN": "stun", "Syslog": "syslog", "SNMP": "snmp 2c", "Memcached over UDP": "memcached",
	"WireGuard's handshake": "wireguard", "SIP": "sip 2.0", "DHCP": "dhcp", "TFTP": "tftp", "SSDP": "ssdp", "DTLS": "dtls", "BitTorrent's table": "bittorrent",
	"IKE": "ike 2", "Kerberos": "kerberos 5", "ONC RPC over UDP": "onc_rpc",
}

// name is what a conversation is named, without the version of a protocol that is parsed.
func (l *listener) name(parsed bool) string {
	if l.identity.Version == "" || parsed {
		return l.identity.Name
	}
	return l.identity.Name + " " + l.identity.Version
}

// TestConversationsAreNamedForWhatTheyAre at either end, however the bytes come. What is in no known protocol has no name.
func TestConversationsAreNamedForWhatTheyAre(t *testing.T) {
	l := newListener(t)
	for _, s := range samples {
		want := identities[s.name]
		if s.want != "" {
			want = s.want
		}
		for _, role := range []event.Role{event.RoleClient, event.RoleServer, event.RoleUnknown} {
			pieces := []int{wholeTurns, 3, 7}
			if s.datagrams {
				pieces = pieces[:1]
			}
			for _, n := range pieces {
				l.recognise(s.turns, s.datagrams, role, n)
				assert.Equal(t, want, l.name(s.want != ""), "%s at role %d in pieces of %d", s.name, role, n)
			}
		}
	}
}

// TestNTPIsNamedOnItsPort and nowhere else, as little else shows it.
func TestNTPIsNamedOnItsPort(t *testing.T) {
	question := "\x23" + zeros(47)
	for port, want := range map[uint16]string{123: "ntp", 124: ""} {
		l := newListener(t)
		c := l.shard.Begin(nil, conversation.Connection{
			Cookie: 1, Role: event.RoleClient, Datagrams: true, Remote: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port),
		}, l)
		c.Data(&event.Event{Kind: event.KindData, Time: 1, Data: event.Data{Length: 48, Payload: []byte(question)}})
		assert.Equal(t, want, c.Identity().Name)
	}
}

// TestBeginningsHaveNoWrongName: whatever a conversation shows of itself, it has its own name or none.
func TestBeginningsHaveNoWrongName(t *testing.T) {
	l := newListener(t)
	for _, s := range samples {
		want, _, _ := strings.Cut(identities[s.name], " ")
		if s.want != "" {
			want = s.want
		}
		for i := range s.turns {
			for cut := 1; cut <= min(len(s.turns[i]), 200); cut++ {
				turns := append(append([]string(nil), s.turns[:i]...), s.turns[i][:cut])
				for _, role := range []event.Role{event.RoleClient, event.RoleUnknown} {
					l.recognise(turns, s.datagrams, role, wholeTurns)
					got := l.identity.Name
					assert.True(t, got == "" || got == want || got == "socks", "%s, the first %d bytes of turn %d, is named %q", s.name, cut, i, got)
				}
			}
		}
	}
}

// TestJoinedStreamsHaveNoNameOfTheUnparsed: only the beginning shows it.
func TestJoinedStreamsHaveNoNameOfTheUnparsed(t *testing.T) {
	l := newListener(t)
	l.joined = true
	for _, s := range samples {
		if s.datagrams || s.want != "" || strings.HasPrefix(s.name, "SSH behind") {
			continue
		}
		for _, role := range []event.Role{event.RoleClient, event.RoleServer, event.RoleUnknown} {
			l.recognise(s.turns, false, role, wholeTurns)
			if got := l.identity.Name; got != "" {
				for _, row := range unparsed.Rows() {
					assert.NotEqual(t, row.Name, got, s.name)
				}
			}
		}
	}
}

// TestEverySignatureHasASample keeps the samples whole.
func TestEverySignatureHasASample(t *testing.T) {
	shown := make(map[string]bool)
	for _, s := range samples {
		name, _, _ := strings.Cut(identities[s.name], " ")
		shown[name+map[bool]string{true: " over UDP"}[s.datagrams]] = true
	}
	for _, row := range unparsed.Rows() {
		if row.Name == "ntp" {
			continue // it is known by its port, too: TestNTPIsNamedOnItsPort
		}
		assert.True(t, shown[row.Name+map[bool]string{true: " over UDP"}[row.Datagrams]], "%s has no sample (datagrams: %v)", row.Name, row.Datagrams)
	}
}
