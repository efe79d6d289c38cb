package memcached

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

// detect judges the first bytes of a conversation: a command, and the reply to it. Redis takes commands in lines, too, and Beanstalkd has
// some of the same: so most need a reply.
func detect(s *protocol.Sample) protocol.Confidence {
	client, server := s.Bytes[protocol.FromClient], s.Bytes[protocol.FromServer]
	switch {
	case s.Reversed: // clients connect
		return protocol.No
	case len(client) == 0 && s.Joined:
		return protocol.NeedMore
	case len(client) == 0, !s.Joined && s.First == protocol.FromServer:
		return protocol.No
	}
	var c protocol.Confidence
	if client[0] == magicRequest {
		c = judgeBinary(client, server)
	} else {
		c = judgeText(s, client, server)
	}
	if c == protocol.NeedMore && s.Ended[protocol.FromClient] {
		return protocol.No
	}
	return c
}

// judgeBinary judges bytes that begin as a request of the binary protocol does.
func judgeBinary(client, server []byte) protocol.Confidence {
	if len(client) < headerBytes {
		if len(client) > 1 && binaries[client[1]] == other {
			return protocol.No
		}
		return protocol.NeedMore
	}
	h := readHeader(client)
	if !h.valid(magicRequest) || binaries[h.number] == other {
		return protocol.No
	}
	switch {
	case len(server) == 0:
		return protocol.Weak
	case server[0] != magicReply:
		return protocol.No
	case len(server) < headerBytes:
		return protocol.NeedMore
	}
	if r := readHeader(server); !r.valid(magicReply) || binaries[r.number] == other {
		return protocol.No
	}
	return protocol.Certain
}

// judgeText judges bytes that begin with a command in a line.
func judgeText(s *protocol.Sample, client, server []byte) protocol.Confidence {
	line, ended := firstLine(client)
	var w words
	readable := w.read(line)
	switch {
	case !readable && !(len(line) > 0 && line[len(line)-1] == '\r' && printable(line[:len(line)-1])):
		return protocol.No
	case !ended:
		return judgeBeginning(line)
	case w.command == other, w.numbered(line): // a job of Beanstalkd
		return protocol.No
	}
	if len(server) == 0 || s.Joined && s.First == protocol.FromServer {
		switch {
		case isRequestLine(line):
			return protocol.NeedMore // a key, or a request in lower case: only the reply shows it
		case w.data >= 0 && !w.command.meta:
			return protocol.Strong
		}
		return protocol.Weak
	}
	reply, whole := firstLine(server)
	switch {
	case !whole && len(reply) < maxReply:
		return protocol.NeedMore
	case !whole, !isReply(reply), !w.command.may(reply):
		return protocol.No
	}
	return protocol.Certain
}

// isRequestLine reports whether a line may be the first one of a request in HTTP/1.
func isRequestLine(line []byte) bool {
	line = bytes.TrimSuffix(line, []byte("\r"))
	return bytes.HasSuffix(line, []byte(" HTTP/1.1")) || bytes.HasSuffix(line, []byte(" HTTP/1.0"))
}

// judgeBeginning judges the beginning of a line.
func judgeBeginning(line []byte) protocol.Confidence {
	name, rest := cutWord(line)
	if len(rest) > 0 || len(name) < len(line) {
		if len(name) > maxName || commands[string(name)] == nil {
			return protocol.No
		}
		return protocol.NeedMore
	}
	for known := range commands {
		if len(known) >= len(name) && known[:len(name)] == string(name) {
			return protocol.NeedMore
		}
	}
	return protocol.No
}

// numbered reports whether a command is one that Beanstalkd has, too, and its key a number.
func (w *words) numbered(line []byte) bool {
	if n := w.command.name; n != "delete" && n != "touch" || w.count != 2 {
		return false
	}
	_, key := cutWord(line)
	_, is := ascii.Number(key)
	return is
}

// may reports whether a line can be the first of the reply to a command.
func (c *command) may(line []byte) bool {
	s, _ := goesOn(line)
	switch word, _ := cutWord(line); c.reply {
	case replyValues:
		return s == stateValues || string(word) == "END" || errorWords[string(word)] != ""
	case replyLines:
		return s == stateLines || s == stateBegins
	default:
		return s == stateBegins || s == stateData && c.meta
	}
}
