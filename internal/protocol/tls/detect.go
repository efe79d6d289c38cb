package tls

import (
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/protocol"
)

// Types of messages (4).
const (
	clientHello = 1
	serverHello = 2
)

const (
	messageHeader = 4  // bytes: type and length
	minHello      = 38 // bytes of a ServerHello without a session id and extensions; a ClientHello has a few more
	maxSession    = 32 // bytes of a session id
	sessionAt     = 2 + randomBytes
	randomBytes   = 32
	// maxClaimed is the longest hello that is taken for one. Real ones have less than 20 KiB.
	maxClaimed = 1 << 16
)

// detect judges the first bytes of a conversation: a hello in a record, both of whose lengths fit each other. Either side's suffices; that the
// server answers with something else is no reason against TLS.
func detect(s *protocol.Sample) protocol.Confidence {
	d, message := protocol.FromClient, byte(clientHello)
	if len(s.Bytes[d]) == 0 {
		d, message = protocol.FromServer, serverHello
	}
	confidence := judge(s.Bytes[d], message)
	if confidence == protocol.NeedMore && s.Ended[d] {
		return protocol.No
	}
	return confidence
}

// judge judges the first bytes of a side that begins with a message.
func judge(b []byte, message byte) protocol.Confidence {
	beginning := [...]struct{ least, most byte }{
		{handshake, handshake}, {major, major}, {0, latestMinor}, {0, maxPlain >> 8}, {0, 0xff}, {message, message},
	}
	for i, c := range b[:min(len(b), len(beginning))] {
		if c < beginning[i].least || c > beginning[i].most {
			return protocol.No
		}
	}
	if len(b) < headerBytes+messageHeader {
		return protocol.NeedMore
	}
	size := int(binary.BigEndian.Uint16(b[3:])) - messageHeader // of the message, as the record has it
	b = b[headerBytes:]
	length := int(binary.BigEndian.Uint32(b) & 0xffffff)
	// Other messages may follow a server's hello in its record, and a record may end within a long hello.
	if size < 2 || size > maxPlain-messageHeader || length < minHello || length > maxClaimed || message == clientHello && length < size {
		return protocol.No
	}
	return judgeHello(b[messageHeader:], size)
}

// judgeHello judges the first bytes of a hello, whose first record has size bytes of it.
func judgeHello(b []byte, size int) protocol.Confidence {
	switch {
	case len(b) > 0 && b[0] != major, len(b) > 1 && b[1] > latestMinor:
		return protocol.No
	case size <= sessionAt: // the header of the next record is within
		if len(b) < size {
			return protocol.NeedMore
		}
		return protocol.Certain
	case len(b) <= sessionAt:
		return protocol.NeedMore
	case b[sessionAt] > maxSession:
		return protocol.No
	}
	return protocol.Certain
}
