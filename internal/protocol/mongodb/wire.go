package mongodb

import (
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/protocol"
)

const (
	headerBytes = 16
	// maxLength of a message (maxMessageSizeBytes of servers).
	maxMessage = 48_000_000
)

// opcode says what a message is.
type opcode uint32

const (
	opReply        opcode = 1
	opUpdate       opcode = 2001
	opInsert       opcode = 2002
	opQuery        opcode = 2004
	opGetMore      opcode = 2005
	opDelete       opcode = 2006
	opKillCursors  opcode = 2007
	opCommand      opcode = 2010
	opCommandReply opcode = 2011
	opCompressed   opcode = 2012
	opMsg          opcode = 2013
)

// Flags of OP_MSG. A receiver has to refuse a message with others of the lower half.
const (
	flagChecksum   = 1 << 0
	flagMoreToCome = 1 << 1
	flagExhaust    = 1 << 16 // the server may send several replies
	flagsRequired  = 0xffff
)

// Flags of OP_REPLY.
const (
	flagCursorNotFound = 1 << 0
	flagQueryFailure   = 1 << 1
)

const checksumBytes = 4

// part is what a message consists of, before or instead of documents.
type part uint8

const (
	partEnd       part = iota
	partSections       // of OP_MSG
	partDocument       // one, and what follows is of no interest
	partNamespace      // a text: database and collection
	partFixed4         // bytes that are ignored, or flags
	partFixed8
	partFixed20
)

// layout is what is known of the messages with an opcode.
type layout struct {
	text   []byte // its name, if it is the name of an operation
	parts  [4]part
	least  uint32 // bytes of the body
	sentBy [protocol.Directions]bool
	mute   bool // there is no reply
}

var (
	byClient = [protocol.Directions]bool{protocol.FromClient: true}
	byServer = [protocol.Directions]bool{protocol.FromServer: true}
	byBoth   = [protocol.Directions]bool{true, true}
)

var layouts = map[opcode]*layout{
	opMsg:          {parts: [4]part{partFixed4, partSections}, least: 4 + 1 + leastDocument, sentBy: byBoth},
	opCompressed:   {least: compressedBytes, sentBy: byBoth},
	opQuery:        {[]byte("OP_QUERY"), [4]part{partFixed4, partNamespace, partFixed8, partDocument}, 4 + 2 + 8 + leastDocument, byClient, false},
	opReply:        {parts: [4]part{partFixed20, partDocument}, least: 20, sentBy: byServer},
	opUpdate:       {[]byte("OP_UPDATE"), [4]part{partFixed4, partNamespace}, 4 + 2 + 4 + 2*leastDocument, byClient, true},
	opInsert:       {[]byte("OP_INSERT"), [4]part{partFixed4, partNamespace}, 4 + 2 + leastDocument, byClient, true},
	opGetMore:      {[]byte("OP_GET_MORE"), [4]part{partFixed4, partNamespace}, 4 + 2 + 12, byClient, false},
	opDelete:       {[]byte("OP_DELETE"), [4]part{partFixed4, partNamespace}, 4 + 2 + 4 + leastDocument, byClient, true},
	opKillCursors:  {[]byte("OP_KILL_CURSORS"), [4]part{}, 4 + 4, byClient, true},
	opCommand:      {[]byte("OP_COMMAND"), [4]part{}, 2 + 2*leastDocument, byClient, false},
	opCommandReply: {parts: [4]part{}, least: 2 * leastDocument, sentBy: byServer},
}

// header is that of a message.
type header struct {
	length         uint32
	id, responseTo uint32
	op             opcode
	layout         *layout
}

// readHeader reads the header of a message of one direction; false: it is none.
func readHeader(b []byte, d protocol.Direction) (h header, ok bool) {
	little := binary.LittleEndian
	h = header{little.Uint32(b), little.Uint32(b[4:]), little.Uint32(b[8:]), opcode(little.Uint32(b[12:])), nil}
	h.layout = layouts[h.op]
	switch {
	case h.layout == nil || !h.layout.sentBy[d] || h.length > maxMessage || h.length < headerBytes+h.layout.least:
		return h, false
	case d == protocol.FromClient: // what names a request is a reply: the roles are the other way round
		return h, h.responseTo == 0
	}
	return h, true
}
