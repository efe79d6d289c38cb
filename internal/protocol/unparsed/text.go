package unparsed

import (
	"bytes"
	"strings"
)

// sshVersion reads an identification string.
var sshVersion = versions("SSH-2.0-", "2.0", "SSH-1.99-", "1.99", "SSH-1.5-", "1.5")

var greeting220 = prefix("220 ", "220-")

// imapCommand accepts a tag and a command that may come first.
func imapCommand(in input) (answer, string) {
	tag, rest, found := bytes.Cut(in.bytes, []byte(" "))
	for _, c := range tag {
		if c <= ' ' || c > '~' || strings.IndexByte(`(){%*"\+`, c) >= 0 {
			return no, ""
		}
	}
	switch {
	case len(tag) == 0 || len(tag) > 32:
		return no, ""
	case !found || len(rest) == 0:
		return more, ""
	}
	return beginsWithWord(rest, "CAPABILITY", "LOGIN", "STARTTLS", "AUTHENTICATE", "NOOP", "LOGOUT",
		"ID", "ENABLE", "SELECT", "EXAMINE", "LIST", "NAMESPACE"), ""
}

// sameBeanstalk reports whether an answer is one to the command.
func sameBeanstalk(client, server []byte) bool {
	var want string
	switch client[0] | 0x20 {
	case 'p':
		want = "INSERTED"
	case 'u':
		want = "USING"
	default:
		want = "WATCHING"
	}
	return beginsWithWord(server, want) == yes
}

// xmppStream accepts the header of a stream, also behind an XML declaration.
func xmppStream(in input) (answer, string) {
	b := in.bytes
	const stream, declaration = "<stream:stream ", "<?xml "
	if a := begins(b, declaration); a != yes {
		return begins(b, stream, declaration), ""
	}
	end := bytes.Index(b, []byte("?>"))
	if end < 0 {
		return more, ""
	}
	b = bytes.TrimLeft(b[end+2:], " \t\r\n")
	return begins(b, stream), ""
}

// ircReply accepts a message of a server before it has accepted a client.
func ircReply(b []byte) (bool, string) {
	if source, rest, found := bytes.Cut(b, []byte(" ")); found && len(source) > 1 && source[0] == ':' {
		a := beginsWithWord(rest, "NOTICE", "CAP", "001", "433", "451", "464")
		return a == yes, ""
	}
	return begins(b, "NOTICE AUTH ", "NOTICE * ", "ERROR :", "PING :") == yes, ""
}

func rsyncVersion(in input) (bool, string) { return in.bytes[9] >= '1' && in.bytes[9] <= '9', "" }

// gitRequest accepts a packet with the request for a service.
func gitRequest(in input) (answer, string) {
	for _, c := range in.bytes[:min(4, len(in.bytes))] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return no, ""
		}
	}
	if len(in.bytes) <= 4 {
		return more, ""
	}
	return begins(in.bytes[4:], "git-upload-pack /", "git-receive-pack /", "git-upload-archive /"), ""
}

// syslogMessage accepts a priority with what follows it: the version 1 and a time, or a time of RFC 3164. Over TCP the
// length may come before it.
func syslogMessage(in input) (answer, string) {
	b := in.bytes
	if in.size == 0 {
		if digits, rest, found := bytes.Cut(b, []byte(" ")); len(digits) < 6 && isDigits(digits) {
			if !found || len(rest) == 0 {
				return more, ""
			}
			b = rest
		}
	}
	if b[0] != '<' {
		return no, ""
	}
	end := bytes.IndexByte(b[:min(len(b), 5)], '>')
	switch {
	case end < 0 && len(b) < 5 && (len(b) == 1 || isDigits(b[1:])):
		return more, ""
	case end < 2 || !isDigits(b[1:end]):
		return no, ""
	}
	return syslogTime(b[end+1:]), ""
}

// syslogTime judges what follows the priority.
func syslogTime(b []byte) answer {
	const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec "
	switch {
	case len(b) < 6:
		return more
	case string(b[:2]) == "1 ":
		if b[2] == '-' && b[3] == ' ' || isDigits(b[2:6]) {
			return yes
		}
	case strings.Contains(months, string(b[:4])) && b[3] == ' ':
		if (b[4] == ' ' || b[4] >= '1' && b[4] <= '3') && b[5] >= '0' && b[5] <= '9' {
			return yes
		}
	}
	return no
}

// tftpRequest accepts a request to read or to write: a file's name and a mode.
func tftpRequest(in input) (answer, string) {
	b := in.bytes
	if len(b) < 4 || b[0] != 0 || b[1] != 1 && b[1] != 2 {
		return no, ""
	}
	name, rest, found := bytes.Cut(b[2:], []byte{0})
	mode, _, ended := bytes.Cut(rest, []byte{0})
	if !found || !ended || len(name) == 0 || !isPrintable(name) {
		return no, ""
	}
	if m := string(mode); strings.EqualFold(m, "octet") || strings.EqualFold(m, "netascii") {
		return yes, ""
	}
	return no, ""
}

// memcachedFrame accepts the header of a datagram that is alone, and what follows it.
func memcachedFrame(command matcher) matcher {
	return func(in input) (answer, string) {
		if len(in.bytes) <= 8 || string(in.bytes[2:8]) != "\x00\x00\x00\x01\x00\x00" {
			return no, ""
		}
		return command(input{bytes: in.bytes[8:], size: in.size})
	}
}
