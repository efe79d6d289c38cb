package redis

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

const (
	maxWords  = 1 << 20 // of a command, in detection: MSET of half a million keys
	maxInline = 512     // bytes of an inline command, in detection
)

// detect judges the first bytes of a conversation. An array of strings that begins with a known command is Redis. A line that
// begins with one may be anything (HTTP, memcached, NATS, POP3, FTP and beanstalkd have words in common with Redis): it needs a
// reply in RESP, and that the client has spoken first, which it does not in NATS and in the protocols of mail.
func detect(s *protocol.Sample) protocol.Confidence {
	client, server := s.Bytes[protocol.FromClient], s.Bytes[protocol.FromServer]
	if s.Reversed { // clients of Redis connect
		return protocol.No
	}
	if len(client) == 0 {
		return judgeServer(s, server)
	}
	var confidence protocol.Confidence
	switch {
	case client[0] == '*':
		if confidence = judgeArray(client); s.Joined && confidence == protocol.Strong {
			confidence = protocol.Weak // the words of a command that is not known may be those within another's value
		}
	case s.Joined || s.First == protocol.FromServer:
		return protocol.No
	default:
		confidence = judgeInline(client)
		if confidence == protocol.Weak && len(server) > 0 && isReply(server) {
			confidence = protocol.Strong
		}
	}
	switch {
	case confidence == protocol.NeedMore && s.Ended[protocol.FromClient]:
		return protocol.No
	case len(server) > 0 && !s.Joined && !isReply(server):
		return protocol.No
	}
	return confidence
}

// judgeServer judges a conversation of which only bytes of the server are known.
func judgeServer(s *protocol.Sample, b []byte) protocol.Confidence {
	switch {
	case s.Joined && isPush(b): // to a subscriber, who may never say anything again
		return protocol.Strong
	case s.Ended[protocol.FromServer] && s.Ended[protocol.FromClient]:
		return protocol.No
	case !s.Joined && len(b) > 0 && !isReply(b):
		return protocol.No
	}
	return protocol.NeedMore
}

// judgeArray judges bytes that are a command if they begin with an array of strings: certain if its name is known.
func judgeArray(b []byte) protocol.Confidence {
	words, b, c := header(b, '*', maxWords)
	if c != protocol.Certain {
		return c
	}
	length, b, c := header(b, '$', 2*maxName)
	switch {
	case c != protocol.Certain:
		return c
	case words < 1 || length < 1:
		return protocol.No
	}
	word := b[:min(len(b), int(length))]
	for _, c := range word {
		if c <= ' ' || c >= 0x7f {
			return protocol.No
		}
	}
	if len(b) < int(length)+2 {
		return protocol.NeedMore
	}
	switch rest := b[length:]; {
	case !bytes.HasPrefix(rest, []byte("\r\n")), words > 1 && len(rest) > 2 && rest[2] != '$':
		return protocol.No
	case lookup(nil, word) == nil:
		return protocol.Strong
	}
	return protocol.Certain
}

// header reads a line with a type and a length. It returns Certain if there is one.
func header(b []byte, kind byte, limit int64) (n int64, rest []byte, c protocol.Confidence) {
	switch end := bytes.IndexByte(b, '\n'); {
	case len(b) > 0 && b[0] != kind, end < 0 && len(b) > maxLine:
		return 0, nil, protocol.No
	case end < 0:
		digits := bytes.TrimSuffix(b[min(len(b), 1):], []byte("\r"))
		if _, ok := ascii.Number(digits); !ok && len(digits) > 0 {
			return 0, nil, protocol.No
		}
		return 0, nil, protocol.NeedMore
	case end < 2 || b[end-1] != '\r':
		return 0, nil, protocol.No
	default:
		n, ok := ascii.Number(b[1 : end-1])
		if !ok || n > limit {
			return 0, nil, protocol.No
		}
		return n, b[end+1:], protocol.Certain
	}
}

// judgeInline judges bytes that may begin with a command in a line.
func judgeInline(b []byte) protocol.Confidence {
	end := bytes.IndexByte(b, '\n')
	line := b
	if end >= 0 {
		line = bytes.TrimSuffix(b[:end], []byte("\r"))
	}
	line = line[:min(len(line), maxInline)]
	word, rest := nextWord(line)
	complete := end >= 0 || len(rest) > 0
	switch {
	case !printable(bytes.TrimSuffix(line, []byte("\r"))), len(b) > 0 && ascii.IsSpace(b[0]), len(word) > maxName:
		return protocol.No
	case complete && lookup(nil, word) == nil:
		return protocol.No
	case bytes.Contains(line, []byte(" HTTP/")), bytes.Contains(line, []byte(" RTSP/")), bytes.Contains(line, []byte(" SIP/")):
		return protocol.No
	case end >= 0:
		return protocol.Weak
	case len(b) >= maxInline:
		return protocol.No
	}
	return protocol.NeedMore
}

// isReply reports whether bytes can be the beginning of a reply.
func isReply(b []byte) bool {
	end := bytes.IndexByte(b, '\n')
	line := bytes.TrimSuffix(b, []byte("\r"))
	if end >= 0 {
		if end == 0 || b[end-1] != '\r' {
			return false
		}
		line = b[:end-1]
	}
	if len(line) == 0 {
		return true
	}
	rest := line[1:]
	switch types[line[0]] {
	case simple:
		return isSimple(line[0], rest)
	case bulk, aggregate, pairs:
		_, ok := parseLength(rest, maxBulk)
		return ok || end < 0 && (len(rest) == 0 || string(rest) == "-")
	}
	return false
}

func isSimple(kind byte, rest []byte) bool {
	switch kind {
	case ':', '(':
		for i, c := range rest {
			if (c < '0' || c > '9') && !(i == 0 && (c == '-' || c == '+')) {
				return false
			}
		}
		return true
	case '#':
		return len(rest) == 0 || string(rest) == "t" || string(rest) == "f"
	case '_':
		return len(rest) == 0
	case '-', '+':
		return printable(rest)
	}
	return len(rest) == 0 || rest[0] == '-' || rest[0] >= '0' && rest[0] <= '9' || rest[0] == 'i' || rest[0] == 'n'
}

// isPush reports whether bytes begin with all of the first words of a message to a subscriber, or of an invalidation.
func isPush(b []byte) bool {
	kind := byte('*')
	if len(b) > 0 && b[0] == '>' {
		kind = '>'
	}
	n, b, c := header(b, kind, maxLine)
	if c != protocol.Certain || n < 2 {
		return false
	}
	length, b, c := header(b, '$', maxWord)
	if c != protocol.Certain || len(b) < int(length)+2 {
		return false
	}
	m := pushes[string(b[:length])]
	return m != nil && m.confirm == none && (m.names+2 == uint32(n) || m.names == 0 && kind == '>')
}
