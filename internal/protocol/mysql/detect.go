package mysql

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

// detect judges the first bytes of a conversation: the server's greeting, or, within TLS, the client's answer to the one that was sent before
// TLS began. A conversation that was joined in the middle begins with a command, and its reply.
func detect(s *protocol.Sample) protocol.Confidence {
	client, server := s.Bytes[protocol.FromClient], s.Bytes[protocol.FromServer]
	var c protocol.Confidence
	ended := s.Ended[s.First]
	switch {
	case s.Reversed: // clients of MySQL connect
		return protocol.No
	case s.Joined && len(client) == 0: // only commands are recognised
		return protocol.NeedMore
	case s.Joined:
		c, ended = judgeCommand(client, server, s.First), s.Ended[protocol.FromClient]
	case s.First == protocol.FromServer:
		c = judgeGreeting(server)
	default:
		c = judgeLogin(client)
	}
	if c == protocol.NeedMore && ended {
		return protocol.No
	}
	return c
}

const (
	mostGreeting = 1 << 10 // bytes of the packet
	mostLogin    = 1 << 16
)

// packetOf returns what has come of a packet at the beginning of bytes. All of a header that has come has to be right.
func packetOf(b []byte, sequence byte, most uint64) (body []byte, whole bool, c protocol.Confidence) {
	f := fields{rest: b}
	length := f.number(3)
	switch {
	case len(b) >= 3 && (length == 0 || length > most), len(b) > sequenceAt && b[sequenceAt] != sequence:
		return nil, false, protocol.No
	case len(b) <= headerBytes:
		return nil, false, protocol.NeedMore
	}
	f.take(1)
	if body = f.take(min(length, uint64(len(f.rest)))); uint64(len(body)) < length {
		return body, false, protocol.NeedMore
	}
	return body, true, protocol.Certain
}

// judgeGreeting judges what the server says first.
func judgeGreeting(b []byte) protocol.Confidence {
	body, whole, c := packetOf(b, 0, mostGreeting)
	switch {
	case len(body) == 0:
		return c
	case body[0] == headError && !whole:
		return protocol.NeedMore
	case body[0] == headError:
		if e, ok := readError(body); ok && e.code >= leastCode && e.code < 5000 && len(body) > 3 && printable(body[3:]) && len(b) == headerBytes+len(body) {
			return protocol.Strong
		}
		return protocol.No
	case body[0] != protocolVersion, len(body) > 1 && !ascii.IsDigit(body[1]):
		return protocol.No
	case !whole:
		return protocol.NeedMore
	}
	if _, ok := readGreeting(body); !ok {
		return protocol.No
	}
	return protocol.Certain
}

// judgeLogin judges what the client says first within TLS: its answer to the greeting, of which TLS has taken the first part.
func judgeLogin(b []byte) protocol.Confidence {
	body, whole, c := packetOf(b, 2, mostLogin)
	f := fields{rest: body}
	if capabilities := f.number(4); len(body) >= 4 && (capabilities&canTLS == 0 || capabilities&canProtocol41 == 0) {
		return protocol.No
	}
	f.number(5)
	for _, filler := range f.rest[:min(len(f.rest), fillerBytes)] {
		if filler != 0 {
			return protocol.No
		}
	}
	if !whole {
		return c
	}
	if l, ok := readLogin(body, uint64(len(body))); !ok || l.tls {
		return protocol.No
	}
	return protocol.Certain
}

// judgeCommand judges what the client, and the server, have said first since the conversation was joined. Little is certain of a command
// without a statement: all of it has to be there, and the reply.
func judgeCommand(client, server []byte, first protocol.Direction) protocol.Confidence {
	if len(client) <= headerBytes {
		return protocol.NeedMore
	}
	f := fields{rest: client}
	length := f.number(3)
	said := says(client)
	if !beginsCommand(client) || !said && headerBytes+length != uint64(len(client)) {
		return protocol.No
	}
	answered := len(server) > headerBytes && server[sequenceAt] == 1 && isReply(server)
	switch {
	case answered:
		return protocol.Certain
	case first == protocol.FromClient && len(server) > headerBytes:
		return protocol.No
	case said:
		return protocol.Strong
	}
	return protocol.NeedMore
}

// says reports whether a packet has a statement that begins with a word.
func says(b []byte) bool {
	if c := commands[b[headerBytes]]; c.body != bodySQL || len(b) < headerBytes+9 {
		return false
	}
	for _, c := range b[headerBytes+1 : headerBytes+4] {
		if !ascii.IsLetter(c) {
			return false
		}
	}
	return true
}
