package postgres

import (
	"bytes"
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

// form is that of messages with a type, startForm that of those with which a client begins ("Message Formats"). Unwanted are rows and data of
// COPY, whose types have the same lowest bits; and the names in the client's Describe.
var (
	form      = protocol.FrameForm{Header: header, LengthAt: 1, LengthBytes: 4, Bias: -4, Unwanted: 1<<(dataRow&31) | 1<<(copyData&31)}
	startForm = protocol.FrameForm{Header: 4, LengthBytes: 4, Bias: -4, TypeAt: -1}
)

const (
	header     = 5
	maxLength  = 1<<30 - 1 // of a message (MaxAllocSize)
	maxStart   = 10000     // bytes of a message without a type (MAX_STARTUP_PACKET_LENGTH)
	maxNames   = 512       // bytes that are read of the names of statements and portals
	maxChannel = 128       // bytes that are read of a notification
	maxTag     = 64        // bytes that are read of CommandComplete
	maxError   = 256       // bytes that are read of ErrorResponse, whose code is the third field
	maxStatus  = 128       // bytes that are read of ParameterStatus
)

// What the first number of a message without a type says: the version, or what is asked for.
const (
	cancelRequest = 80877102
	sslRequest    = 80877103
	gssRequest    = 80877104
	major         = 3
)

// Types of the client's messages.
const (
	bindMessage      = 'B'
	closeMessage     = 'C'
	describeMessage  = 'D'
	executeMessage   = 'E'
	functionCall     = 'F'
	flushMessage     = 'H'
	parseMessage     = 'P'
	queryMessage     = 'Q'
	syncMessage      = 'S'
	terminateMessage = 'X'
	copyDone         = 'c' // of the server, too
	copyData         = 'd' // of the server, too
	copyFail         = 'f'
	passwordMessage  = 'p' // and the answers of SASL and GSS
)

// Types of the server's messages.
const (
	parseComplete        = '1'
	bindComplete         = '2'
	closeComplete        = '3'
	notification         = 'A'
	commandComplete      = 'C'
	dataRow              = 'D'
	errorResponse        = 'E'
	copyIn               = 'G'
	copyOut              = 'H'
	emptyQuery           = 'I'
	keyData              = 'K'
	notice               = 'N'
	authentication       = 'R'
	parameterStatus      = 'S'
	rowDescription       = 'T'
	functionResponse     = 'V'
	copyBoth             = 'W'
	readyForQuery        = 'Z'
	noData               = 'n'
	portalSuspended      = 's'
	parameterDescription = 't'
	negotiation          = 'v'
)

// shape is what is known of messages of a type.
type shape struct {
	known       bool
	least, most uint32 // bytes of the body
	want        int    // bytes of the body that are read; wantHead: as many as of a head
}

const wantHead = -1

var requestShapes = [256]shape{
	bindMessage:      {true, 8, maxLength, maxNames},
	closeMessage:     {true, 2, maxLength, maxNames},
	describeMessage:  {true, 2, maxLength, maxNames},
	executeMessage:   {true, 5, maxLength, maxNames},
	functionCall:     {true, 10, maxLength, 0},
	flushMessage:     {true, 0, 0, 0},
	parseMessage:     {true, 4, maxLength, wantHead},
	queryMessage:     {true, 1, maxLength, wantHead},
	syncMessage:      {true, 0, 0, 0},
	terminateMessage: {true, 0, 0, 0},
	copyDone:         {true, 0, 0, 0},
	copyData:         {true, 0, maxLength, 0},
	copyFail:         {true, 1, maxLength, 0},
	passwordMessage:  {true, 0, maxLength, 0},
}

var replyShapes = [256]shape{
	parseComplete:        {true, 0, 0, 0},
	bindComplete:         {true, 0, 0, 0},
	closeComplete:        {true, 0, 0, 0},
	notification:         {true, 6, maxLength, maxChannel},
	commandComplete:      {true, 1, maxLength, maxTag},
	dataRow:              {true, 2, maxLength, 0},
	errorResponse:        {true, 1, maxLength, maxError},
	copyIn:               {true, 3, maxLength, 0},
	copyOut:              {true, 3, maxLength, 0},
	copyBoth:             {true, 3, maxLength, 0},
	emptyQuery:           {true, 0, 0, 0},
	keyData:              {true, 4, maxLength, 0},
	notice:               {true, 1, maxLength, 0},
	authentication:       {true, 4, maxLength, 0},
	parameterStatus:      {true, 2, maxLength, maxStatus},
	rowDescription:       {true, 2, maxLength, 0},
	functionResponse:     {true, 4, maxLength, 0},
	readyForQuery:        {true, 1, 1, 1},
	noData:               {true, 0, 0, 0},
	portalSuspended:      {true, 0, 0, 0},
	parameterDescription: {true, 2, maxLength, 0},
	negotiation:          {true, 8, maxLength, 0},
	copyData:             {true, 0, maxLength, 0},
	copyDone:             {true, 0, 0, 0},
}

// fits reports whether a header is that of a message.
func fits(b []byte, shapes *[256]shape) bool {
	s, body := &shapes[b[0]], binary.BigEndian.Uint32(b[1:])-4
	return s.known && body >= s.least && body <= s.most
}

// measureReply implements framing.Prefixed's Measure.
func measureReply(b []byte) (want int, ok bool) { return replyShapes[b[0]].want, fits(b, &replyShapes) }

// measureRequest implements framing.Prefixed's Measure.
func (p *parser) measureRequest(b []byte) (want int, ok bool) {
	want = requestShapes[b[0]].want
	if want == wantHead {
		want = p.memory.limits.HeadBytes
	}
	return want, fits(b, &requestShapes)
}

// measureStart implements framing.Prefixed's Measure.
func (p *parser) measureStart(b []byte) (want int, ok bool) {
	length := binary.BigEndian.Uint32(b)
	return maxStart, length >= 8 && length <= maxStart
}

// bulk is whether rows, or data of COPY, are large. The kernel passes over those that are. It takes longer to pass over a small one than to
// copy it.
type bulk struct {
	average int // bytes
	large   bool
}

// Averages at which it pays to pass over rows, and does not any more.
const (
	largeRow = 512
	smallRow = 128
)

func (b *bulk) add(n int) {
	if b.average == 0 {
		b.average = n
	}
	b.average += (n - b.average) / 8
	switch {
	case b.average >= largeRow:
		b.large = true
	case b.average < smallRow:
		b.large = false
	}
}

// text reads a string that ends with a zero byte. Without one it is cut, and nothing follows it.
func text(b []byte) (s, rest []byte, whole bool) {
	if n := bytes.IndexByte(b, 0); n >= 0 {
		return b[:n], b[n+1:], true
	}
	return b, nil, false
}

// field returns the value of a field of ErrorResponse; nil: it has none, as far as it is known.
func field(b []byte, kind byte) []byte {
	for len(b) > 1 && b[0] != 0 {
		value, rest, whole := text(b[1:])
		if !whole {
			return nil
		}
		if b[0] == kind {
			return value
		}
		b = rest
	}
	return nil
}

// isCode reports whether a text is a SQLSTATE.
func isCode(b []byte) bool {
	for _, c := range b {
		if !ascii.IsDigit(c) && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return len(b) == 5
}

// readTag reads the tag of CommandComplete: a command, and the number of rows behind its last space, which some have.
func readTag(b []byte) (command []byte, rows int64, counted bool) {
	tag, _, whole := text(b)
	command = tag
	if i := bytes.IndexByte(tag, ' '); i >= 0 {
		command = tag[:i]
	}
	if i := bytes.LastIndexByte(tag, ' '); i >= 0 && whole {
		rows, counted = ascii.Number(tag[i+1:])
	}
	return command, rows, counted
}
