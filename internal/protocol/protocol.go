// Package protocol defines what the rest of the program requires of a protocol: it recognises its conversations by their
// first bytes, follows both directions, and pairs requests and responses into exchanges. Each protocol is a folder beside
// this file. None of them does I/O or knows where bytes come from.
package protocol

import (
	"math"
	"net/netip"
)

// Direction says who sent bytes.
type Direction uint8

// The directions of a conversation.
const (
	FromClient Direction = iota // requests
	FromServer                  // responses
	Directions
)

// Opposite direction.
func (d Direction) Opposite() Direction { return d ^ 1 }

// Side is the end of the conversation that is observed.
type Side uint8

// The sides.
const (
	Client Side = iota // the socket sends requests
	Server             // the socket sends responses
)

// Stamp is the place of a byte in its stream, the time at which a system call transferred it, and the thread that made the
// call.
type Stamp struct {
	Time      uint64 // CLOCK_MONOTONIC, nanoseconds, at the end of the transfer
	Position  uint64 // how many bytes the direction had carried before; counted from where observation began
	PID, TID  uint32 // process and thread in the initial pid namespace
	Start     uint64 // when the process was started; with PID its identity
	Goroutine uint64 // identifies the goroutine in a Go process; without meaning elsewhere
}

// Chunk is what one system call transferred in one direction, or its captured beginning.
type Chunk struct {
	Direction Direction
	Bytes     []byte // never empty; valid during the call only
	Stamp            // of the first byte. All bytes have its Time, the last one included
}

// Loss is why bytes are missing from a stream.
type Loss uint8

// The losses, from harmless to grave.
const (
	Skipped   Loss = iota // the parser had said that it does not need them: see Parser.Skip
	Truncated             // a capture limit was reached: the calls' lengths are known, their bytes are not
	Lost                  // events were dropped, or bytes were transferred in a way that cannot be observed
)

// Forever is the number of bytes to skip if nothing more of a direction is of interest.
const Forever = math.MaxUint64

// Parser follows one conversation. It is used by one goroutine. Payload is hostile: a parser bounds what it remembers,
// never panics, and takes time linear in its input.
//
// Within a direction, bytes and gaps come in order and without overlap. Between directions the order is the one that the
// kernel saw, which is not causality: a response may come before the last bytes of its request. If two threads share the
// socket, it may come even before the first.
type Parser interface {
	// Data reads what a call transferred. The parser keeps what it needs of an incomplete message, but not c.Bytes.
	Data(c *Chunk)

	// Gap reports that the next n bytes (at least 1) of a direction are missing. at.Position is that of the first of them,
	// at.Time the time of the last. A gap within bytes of no interest (a body whose length is known) changes nothing.
	// Otherwise the parser goes on with the first chunk that looks like the beginning of a message, and marks the exchanges
	// that the gap touched.
	Gap(d Direction, n uint64, at Stamp, why Loss)

	// Close reports that both directions have ended. The parser emits or drops whatever is pending. Nothing is called
	// afterwards.
	Close(e Ending)

	// Enough is how many bytes of a call suffice in a direction, judging by the conversation so far: the rest of a call is
	// then likely to be of no interest. 0: all may matter. It is asked after Data and Gap.
	Enough(d Direction) int

	// Skip is how many of the next bytes of a direction are not needed at present, counted from the end of the bytes read
	// so far; Forever for all. It is asked after Data and Gap. Skipped bytes come as Gap with Skipped, or, if they had been
	// captured already, as Data.
	Skip(d Direction) uint64
}

// Ending is how a conversation ended.
type Ending struct {
	At    Stamp  // when; its Position is not set
	Errno uint32 // the Linux error number with which the connection broke; 0: it ended in good order
	// Unknown: whether the conversation has ended is not known, it is only not followed any more.
	Unknown bool
}

// Confidence is whether the first bytes of a direction belong to a protocol.
type Confidence uint8

// The confidences.
const (
	No    Confidence = iota // not this protocol
	Maybe                   // so far; more bytes are needed
	Yes
)

// Protocol is one protocol, or a family that shares its detection.
type Protocol struct {
	Name string // in own telemetry and in configuration

	// Detect examines bytes that begin at the start of a system call's transfer. first: they are the first of their
	// direction; otherwise the conversation was joined in the middle, and only an unmistakable beginning of a message
	// counts. It has to say No or Yes at the latest when it is given 512 bytes.
	Detect func(d Direction, b []byte, first bool) Confidence

	// Signature is the first 16 bytes that the client of every conversation sends. It is set only if a parser needs the
	// conversation from there on without a gap; else it is empty. The kernel then captures more until user space confirms
	// that the conversation is parsed.
	Signature []byte

	// New returns a parser of a conversation.
	New func(c Conversation) Parser
}

// Conversation is what a parser is given about the conversation it follows.
type Conversation struct {
	Side          Side
	Local, Remote netip.AddrPort // invalid where there is none
	Joined        bool           // it was under way already: its first bytes may be from the middle of a message
	Sink          Sink
	Settings      *Settings // shared by the conversations of one goroutine, not to be changed
}

// Settings are shared by all conversations of a goroutine.
type Settings struct {
	// RequestHeaders and ResponseHeaders are recorded as attributes; lower case.
	RequestHeaders, ResponseHeaders []string
	// HeadBytes bounds the head of a message. Of a longer head only that much is read, and its exchange is marked
	// truncated.
	HeadBytes int
	// Outstanding bounds the requests of one conversation that wait for their response (pipelined, or concurrent streams).
	Outstanding int
}

// Sink receives what parsers find. The pointer is valid during the call only.
type Sink interface {
	Exchanged(x *Exchange)
	Error(t ParseError)
}

// ParseError is the reason why an exchange was lost, or may have been. It is counted.
type ParseError uint8

// The errors.
const (
	Malformed   ParseError = iota // bytes that the protocol does not allow; the parser resynchronises, or stops following the conversation
	HeadTooLong                   // a head beyond Settings.HeadBytes
	TooMany                       // more than Settings.Outstanding requests: the oldest was dropped
	Unpaired                      // a request or a response whose counterpart was lost, or is not certain: dropped
	Undecodable                   // a header that refers to what was sent before observation began, or was lost
	ParseErrors
)

var parseErrorNames = [ParseErrors]string{"malformed", "head_too_long", "too_many", "unpaired", "undecodable"}

// String is the name of the error in own telemetry.
func (t ParseError) String() string {
	if t < ParseErrors {
		return parseErrorNames[t]
	}
	return "unknown"
}

// Capture says whether everything of an exchange was seen.
type Capture uint8

// The degrees of capture. If several apply, the highest is set.
const (
	CaptureComplete  Capture = iota
	CaptureTruncated         // a limit was reached: a head was longer than HeadBytes, or the length of a body is not known
	CaptureGap               // bytes of it were lost
	CaptureJoined            // it had begun before observation, or refers to bytes sent before
)

// Exchange is a request and its response. It is reused: valid during the call only, byte slices included.
type Exchange struct {
	Protocol string // network.protocol.name
	Version  string // network.protocol.version; empty if the protocol has none
	Name     string // span name: of low cardinality, never a text that a peer can choose freely
	Start    Stamp  // first byte of the request
	End      Stamp  // last byte of the response; or the time at which the parser stopped waiting for it
	// Error is error.type: empty unless the exchange failed by the conventions' rules for this side.
	Error string
	// Errno is set instead of Error if the exchange failed because the connection broke. It is the Linux error number,
	// whose name becomes error.type. 0: that was not the reason.
	Errno       uint32
	Description string // of the error, in addition to what attributes say; may be empty
	Capture     Capture
	// Server is the host that the request names (which need not be the socket's address); empty if it names none.
	Server     string
	ServerPort uint16
	Parent     TraceContext // from the request; zero if there was none that is valid
	Attributes []Attribute  // in the conventions' names
}

// Reset makes x empty, keeping its memory.
func (x *Exchange) Reset() {
	attributes := x.Attributes[:0]
	*x = Exchange{Attributes: attributes}
}

// Attribute is a name and a value: a text, a number, or a list of texts.
type Attribute struct {
	Key  string
	Kind AttributeKind
	Text []byte
	Int  int64
	List []string
}

// AttributeKind says which member of an Attribute is its value.
type AttributeKind uint8

// The kinds.
const (
	TextAttribute AttributeKind = iota
	IntAttribute
	ListAttribute
)

// Text adds an attribute; the bytes have to stay until the exchange has been handed over.
func (x *Exchange) Text(key string, value []byte) {
	x.Attributes = append(x.Attributes, Attribute{Key: key, Text: value})
}

// Int adds an attribute.
func (x *Exchange) Int(key string, value int64) {
	x.Attributes = append(x.Attributes, Attribute{Key: key, Kind: IntAttribute, Int: value})
}

// List adds an attribute.
func (x *Exchange) List(key string, value []string) {
	x.Attributes = append(x.Attributes, Attribute{Key: key, Kind: ListAttribute, List: value})
}
