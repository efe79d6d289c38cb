package postgres

import (
	"bytes"
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/sqltext"
)

// detect judges the first bytes of a conversation. A client begins with a StartupMessage, or a CancelRequest. Where the beginning was not seen,
// messages have to be well-formed, of a kind that has some structure, and up to the end of what a call transferred.
func detect(s *protocol.Sample) protocol.Confidence {
	client, server := s.Bytes[protocol.FromClient], s.Bytes[protocol.FromServer]
	if s.Reversed { // clients of PostgreSQL connect
		return protocol.No
	}
	if s.Joined {
		return judgeJoined(client, server)
	}
	if len(client) == 0 {
		if len(server) > 0 {
			return protocol.No
		}
		return protocol.NeedMore
	}
	c := judgeStart(client)
	switch {
	case c == protocol.NeedMore && s.Ended[protocol.FromClient]:
		return protocol.No
	case len(server) > 0 && !bytes.ContainsRune([]byte("REvNS"), rune(server[0])):
		return protocol.No
	}
	return c
}

// judgeJoined judges bytes with which calls began. Either direction may be in the midst of a message.
func judgeJoined(client, server []byte) protocol.Confidence {
	c, s := judgeMessages(client, &requestShapes, isRequest), judgeMessages(server, &replyShapes, isReply)
	if c == protocol.Strong || s == protocol.Strong {
		return protocol.Strong
	}
	return min(c, s)
}

// judgeStart judges the message that a client sends first.
func judgeStart(b []byte) protocol.Confidence {
	beginning := [...]struct{ least, most byte }{{0, 0}, {0, 0}, {0, maxStart >> 8}, {0, 0xff}}
	for i, c := range b[:min(len(b), len(beginning))] {
		if c < beginning[i].least || c > beginning[i].most {
			return protocol.No
		}
	}
	if len(b) < 8 {
		return protocol.NeedMore
	}
	length, code := int(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint32(b[4:])
	switch {
	case code == cancelRequest && length >= 16 && length <= 8+4+256:
		return protocol.Certain
	case code>>16 != major || length < 9 || length > maxStart:
		return protocol.No
	}
	return judgeParameters(b[8:min(len(b), length)], len(b) >= length)
}

// judgeParameters judges those of a StartupMessage: pairs of strings, of which none is empty but values, and a zero byte at the end.
func judgeParameters(b []byte, whole bool) protocol.Confidence {
	for {
		key, rest, ended := text(b)
		for _, c := range key {
			if c < ' ' || c > '~' {
				return protocol.No
			}
		}
		switch {
		case ended && len(key) == 0 && whole && len(rest) == 0:
			return protocol.Certain
		case ended && len(key) == 0:
			return protocol.No
		case !ended && whole:
			return protocol.No
		case !ended:
			return protocol.NeedMore
		}
		if _, b, ended = text(rest); !ended {
			if whole {
				return protocol.No
			}
			return protocol.NeedMore
		}
	}
}

// credible bounds the length of messages where it is not known whether there are any.
const credible = 1 << 24

// judgeMessages judges bytes with which a call's transfer began.
func judgeMessages(b []byte, shapes *[256]shape, is func(kind byte, body []byte, whole bool) bool) protocol.Confidence {
	structured := 0
	for n := 0; len(b) > 0; n++ {
		switch {
		case len(b) < header:
			if n == 0 || !shapes[b[0]].known {
				return protocol.No
			}
			return found(structured)
		case !fits(b, shapes) || binary.BigEndian.Uint32(b[1:]) > credible:
			return protocol.No
		}
		end := int(binary.BigEndian.Uint32(b[1:])) + 1
		body := b[header:min(end, len(b))]
		whole := end <= len(b)
		if !is(b[0], body, whole) {
			return protocol.No
		}
		if shapes[b[0]].want != 0 && (whole || n > 0) {
			structured++
		}
		if !whole {
			return found(structured)
		}
		b = b[end:]
	}
	return found(structured)
}

func found(structured int) protocol.Confidence {
	if structured > 0 {
		return protocol.Strong
	}
	return protocol.NeedMore
}

// isRequest reports whether a message of the client can have a body, or one that begins so.
func isRequest(kind byte, b []byte, whole bool) bool {
	switch kind {
	case queryMessage:
		sql, rest, ended := text(b)
		return isSQL(sql) && ended == whole && len(rest) == 0
	case parseMessage:
		_, b, ended := text(b)
		if !ended {
			return !whole
		}
		sql, b, ended := text(b)
		if !isSQL(sql) || ended && len(b) < 2 && whole || !ended && whole {
			return false
		}
		return !whole || len(b) == 2+4*int(binary.BigEndian.Uint16(b))
	case bindMessage:
		if _, b, ended := text(b); ended {
			_, _, ended = text(b)
			return ended || !whole
		}
		return !whole
	case describeMessage, closeMessage:
		if len(b) == 0 {
			return !whole
		}
		if b[0] != 'S' && b[0] != 'P' {
			return false
		}
		_, rest, ended := text(b[1:])
		return ended == whole && len(rest) == 0
	case executeMessage:
		_, rest, ended := text(b)
		return !whole || ended && len(rest) == 4
	}
	return true
}

// isSQL reports whether bytes may be statements: they begin with a known command, or with what is no word.
func isSQL(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n(;")
	n := 0
	for n < len(b) && (b[n]|0x20 >= 'a' && b[n]|0x20 <= 'z' || b[n] == '_') {
		n++
	}
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' {
			return false
		}
	}
	return n == 0 && len(b) == 0 || n == 0 && (b[0] == '-' || b[0] == '/') || n == len(b) || n > 0 && sqltext.Command(b[:n]) != nil
}

// isReply reports whether a message of the server can have a body, or one that begins so.
func isReply(kind byte, b []byte, whole bool) bool {
	switch kind {
	case readyForQuery:
		return len(b) == 0 || bytes.IndexByte([]byte("ITE"), b[0]) >= 0
	case commandComplete:
		command, _, _ := readTag(b)
		return sqltext.Command(command) != nil || !whole
	case errorResponse, notice:
		return len(b) == 0 || b[0] == 'S' || b[0] == 'V'
	case notification, parameterStatus:
		if kind == notification {
			b = b[min(len(b), 4):]
		}
		_, b, ended := text(b)
		if !ended {
			return !whole
		}
		_, b, ended = text(b)
		return ended == whole && len(b) == 0
	}
	return true
}

// credibleRequest implements framing.Prefixed's Credible: whether a call begins with a message that begins what is answered.
func credibleRequest(b []byte) bool {
	switch b[0] {
	case queryMessage, parseMessage, bindMessage, describeMessage, closeMessage, executeMessage, functionCall:
		return len(b) >= header && judgeMessages(b, &requestShapes, isRequest) != protocol.No
	}
	return false
}

// credibleReply implements framing.Prefixed's Credible. A client asks again only after the answer to what it has asked before.
func (p *parser) credibleReply(b []byte) bool {
	if !p.asked && b[0] != notification || b[0] == dataRow || b[0] == copyData {
		return false
	}
	return len(b) >= header && judgeMessages(b, &replyShapes, isReply) != protocol.No
}
