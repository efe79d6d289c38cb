package fastcgi

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
)

// detect judges the first bytes of a conversation: a BEGIN_REQUEST, of which 13 bytes of 16 are hardly free, or GET_VALUES. One that was joined is recognised
// when the next request begins, because nothing before it can be read.
func detect(s *protocol.Sample) protocol.Confidence {
	client, server := s.Bytes[protocol.FromClient], s.Bytes[protocol.FromServer]
	switch {
	case s.Reversed: // clients connect
		return protocol.No
	case len(client) == 0 && s.Joined:
		return judgeJoined(server)
	case len(client) == 0, !s.Joined && s.First == protocol.FromServer:
		return protocol.No
	}
	c := judgeClient(client)
	if len(server) > 0 && !s.Joined {
		c = protocol.Weaker(c, judgeServer(server))
	}
	if c == protocol.NeedMore && s.Ended[protocol.FromClient] {
		return protocol.No
	}
	return c
}

func judgeClient(b []byte) protocol.Confidence {
	switch {
	case isBegin(b) && len(b) >= headerBytes+fixedBytes:
		return protocol.Certain
	case isBegin(b), isQuestion(b) && len(b) < headerBytes+len(question)+2:
		return protocol.NeedMore
	case isQuestion(b):
		return protocol.Certain
	}
	return protocol.No
}

// question is what the names of GET_VALUES begin with (specification, 4.1).
var question = []byte("FCGI_")

// isQuestion reports whether bytes are GET_VALUES, as far as they go.
func isQuestion(b []byte) bool {
	header := [...]byte{version, typeGetValues, 0, 0}
	if !bytes.HasPrefix(header[:], b[:min(len(b), len(header))]) {
		return false
	}
	if len(b) <= headerBytes+2 { // lengths of the first name and value
		return true
	}
	name := b[headerBytes+2:]
	return bytes.HasPrefix(name, question) || bytes.HasPrefix(question, name)
}

// judgeServer judges the first bytes of the answers, which may be those to a later request than the first.
func judgeServer(b []byte) protocol.Confidence {
	if len(b) < headerBytes {
		if b[0] != version || len(b) > 1 && (b[1] < typeEnd || b[1] > typeUnknown) {
			return protocol.No
		}
		return protocol.NeedMore
	}
	if _, ok := readHeader(b, protocol.FromServer); !ok {
		return protocol.No
	}
	return protocol.Certain
}

// judgeJoined judges what a server sends while its client is silent.
func judgeJoined(b []byte) protocol.Confidence {
	if len(b) == 0 {
		return protocol.NeedMore
	}
	c := judgeServer(b)
	switch {
	case c == protocol.No:
		return protocol.No
	case isEnd(b) && len(b) >= headerBytes+fixedBytes:
		return protocol.Strong
	default:
		return protocol.NeedMore
	}
}
