package mongodb

import (
	"bytes"
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/protocol"
)

// detect judges the first bytes of a conversation. A request names no other message, and a reply does. So it is known who asks, whoever has
// connected, and wherever the conversation was joined.
func detect(s *protocol.Sample) protocol.Confidence {
	client, server := s.Bytes[protocol.FromClient], s.Bytes[protocol.FromServer]
	c, r := judge(client, protocol.FromClient), judge(server, protocol.FromServer)
	if s.Joined {
		if c >= protocol.Strong || r >= protocol.Strong {
			return protocol.Strong
		}
		return min(c, r)
	}
	switch {
	case len(client) == 0 && len(server) > 0, r == protocol.No, c == protocol.NeedMore && s.Ended[protocol.FromClient]:
		return protocol.No
	}
	return c
}

// judge judges bytes with which a call's transfer began.
func judge(b []byte, d protocol.Direction) protocol.Confidence {
	if len(b) < headerBytes {
		if !mayBegin(b, d) {
			return protocol.No
		}
		return protocol.NeedMore
	}
	h, ok := readHeader(b, d)
	if !ok || d == protocol.FromServer && h.responseTo == 0 {
		return protocol.No
	}
	b = b[headerBytes:min(uint64(len(b)), uint64(h.length))]
	if d == protocol.FromServer && (h.op == opMsg || h.op == opReply) {
		return judgeReply(h.op, b)
	}
	switch h.op {
	case opMsg:
		return judgeSections(b, true)
	case opCompressed:
		return judgeCompressed(b, d)
	case opQuery, opUpdate, opInsert, opGetMore, opDelete:
		return judgeNamespace(h.op, b)
	case opKillCursors:
		if len(b) < 8 {
			return protocol.NeedMore
		}
		if n := binary.LittleEndian.Uint32(b[4:]); binary.LittleEndian.Uint32(b) == 0 && uint64(n)*8+8 == uint64(h.length-headerBytes) {
			return protocol.Strong
		}
	case opReply, opCommand, opCommandReply:
	}
	return protocol.No // what members of a cluster of early servers have said to each other
}

// mayBegin judges a part of a header.
func mayBegin(b []byte, d protocol.Direction) bool {
	if len(b) < 4 {
		return true
	}
	if length := binary.LittleEndian.Uint32(b); length < headerBytes+leastDocument || length > maxMessage {
		return false
	}
	const responseTo, code = 8, 12
	if d == protocol.FromClient && len(b) > responseTo && len(bytes.Trim(b[responseTo:min(len(b), code)], "\x00")) > 0 {
		return false
	}
	if len(b) <= code {
		return true
	}
	for op, l := range layouts {
		var whole [4]byte
		binary.LittleEndian.PutUint32(whole[:], uint32(op))
		if l.sentBy[d] && bytes.HasPrefix(whole[:], b[code:]) {
			return true
		}
	}
	return false
}

// judgeReply judges what is behind the header of a reply.
func judgeReply(op opcode, b []byte) protocol.Confidence {
	if op == opMsg {
		return judgeSections(b, false)
	}
	if len(b) < 20 {
		return protocol.NeedMore
	}
	little := binary.LittleEndian
	if little.Uint32(b) > 0xf || int32(little.Uint32(b[12:])) < 0 || int32(little.Uint32(b[16:])) < 0 {
		return protocol.No
	}
	if little.Uint32(b[16:]) == 0 {
		return protocol.Strong
	}
	return judgeDocument(b[20:], false)
}

// judgeSections judges the flags, and the first section, of OP_MSG.
func judgeSections(b []byte, request bool) protocol.Confidence {
	if len(b) < 5 {
		return protocol.NeedMore
	}
	flags := binary.LittleEndian.Uint32(b)
	if flags&^(flagChecksum|flagMoreToCome|flagExhaust) != 0 {
		return protocol.No
	}
	kind := b[4]
	switch b = b[5:]; {
	case kind == 0:
		return judgeDocument(b, request)
	case kind != 1 || !request:
		return protocol.No
	case len(b) < 4:
		return protocol.NeedMore
	}
	sequence, rest, ended := bytes.Cut(b[4:], []byte{0})
	switch {
	case !printable(sequence) || len(sequence) > 64:
		return protocol.No
	case !ended:
		return protocol.NeedMore
	}
	return judgeDocument(rest, false)
}

// judgeDocument judges the beginning of a document: its length, and the type and name of the first element.
func judgeDocument(b []byte, command bool) protocol.Confidence {
	if len(b) < 5 {
		return protocol.NeedMore
	}
	length := binary.LittleEndian.Uint32(b)
	if length < leastDocument || length > maxMessage {
		return protocol.No
	}
	if length == leastDocument {
		if b[4] == 0 && !command {
			return protocol.Strong
		}
		return protocol.No
	}
	element, _, ended := bytes.Cut(b[5:], []byte{0})
	switch {
	case b[4] == 0 || !shapes[b[4]].known || !printable(element) || len(element) > maxName:
		return protocol.No
	case !ended:
		return protocol.NeedMore
	case command && isCommand(element):
		return protocol.Certain
	}
	return protocol.Strong
}

// judgeCompressed judges what is before the compressed bytes.
func judgeCompressed(b []byte, d protocol.Direction) protocol.Confidence {
	if len(b) < compressedBytes {
		return protocol.NeedMore
	}
	l := layouts[opcode(binary.LittleEndian.Uint32(b))]
	if size := binary.LittleEndian.Uint32(b[4:]); l == nil || !l.sentBy[d] || size < l.least || size > maxMessage || b[8] > compressedZstd {
		return protocol.No
	}
	return protocol.Strong
}

// judgeNamespace judges the namespace of a message of an early opcode.
func judgeNamespace(op opcode, b []byte) protocol.Confidence {
	if len(b) < 5 {
		return protocol.NeedMore
	}
	if flags := binary.LittleEndian.Uint32(b); flags > 0xff {
		return protocol.No
	}
	database, _, ended := bytes.Cut(b[4:], []byte{0})
	switch {
	case !printable(database) || len(database) > maxNamespace:
		return protocol.No
	case !ended:
		return protocol.NeedMore
	case bytes.IndexByte(database, '.') < 1:
		return protocol.No
	case op == opQuery && bytes.HasSuffix(database, []byte(".$cmd")):
		return protocol.Certain
	}
	return protocol.Strong
}

// printable reports whether a text has no bytes that are none.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// credible judges the first bytes of a call after a loss. Drivers receive the length of a message first, and then its rest: so a part of a
// header may be all of a call, and the rest of the header judges it.
func credible(b []byte, d protocol.Direction) bool {
	return judge(b, d) != protocol.No
}
