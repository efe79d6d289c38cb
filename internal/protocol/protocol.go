// Package protocol says what a protocol is to the rest of the program: something that recognises its conversations by
// their first bytes, follows both directions, and pairs what it reads into exchanges. Each protocol is a folder beside
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

// Stamp is a byte's place in its stream: when a system call transferred it, and who made that call.
type Stamp struct {
	Time      uint64 // CLOCK_MONOTONIC, nanoseconds, at the end of the transfer
	Position  uint64 // how many bytes the direction had carried before; counted from where observation began
	PID, TID  uint32 // process and thread in the initial pid namespace
	Start     uint64 // when the process was started; with PID its identity
	Goroutine uint64 // what names the goroutine in a Go process; without meaning elsewhere
}

// Chunk is what one system call transferred in one direction, or its captured beginning.
type Chunk struct {
	Direction Direction
	Bytes     []byte // never empty; valid during the call only
	Stamp            // of the first byte. All bytes have its Time, the last one included
}

// Loss is why bytes are missing from a stream.
type Loss uint8

// The losses, from harmless to grave. What is Skipped was asked for: see Parser.Skip.
const (
	Skipped   Loss = iota // the parser had said that it does not need them
	Truncated             // a bound on what is captured bit: the calls' lengths are known, their bytes are not
	Lost                  // events were dropped, or bytes were transferred in a way that cannot be observed
)

// Forever as a number of bytes to skip: nothing more of this direction is of interest.
const Forever = math.MaxUint64

// Parser follows one conversation. It is for one goroutine. Payload is hostile: a parser bounds what it remembers, never
// panics, and takes time linear in what it is given.
//
// Within a direction, bytes and gaps come in order and without overlap. Between directions order is what the kernel saw,
// which is not causality: a response may come before the last bytes of its request, and if two threads share the socket
// even before the first.
type Parser interface {
	// Data takes in what a call transferred. The parser keeps what it needs of an incomplete message, but not c.Bytes.
	Data(c *Chunk)

	// Gap says that the next n bytes (at least 1) of a direction are not to be had. at.Position is that of the first of
	// them, at.Time the time of the last. A gap within what is of no interest (a body whose length is known) changes nothing;
	// otherwise the parser goes on with the first chunk that looks like the beginning of a message, and stamps the
	// exchanges that the gap touched.
	Gap(d Direction, n uint64, at Stamp, why Loss)

	// Close says that both directions have ended. Whatever is pending becomes an exchange or is dropped now; nothing is
	// called afterwards.
	Close(e Ending)

	// Enough is how many bytes of a call suffice in a direction, as far as the conversation has shown: the rest of a call is
	// then likely to be of no interest. 0: all may matter. It is asked after Data and Gap.
	Enough(d Direction) int

	// Skip is how many of the next bytes of a direction are not needed at present, counted from the end of what was taken
	// in; Forever for all. It is asked after Data and Gap. Skipped bytes come as Gap with Skipped, or, if they had been
	// captured already, as Data.
	Skip(d Direction) uint64
}

// Ending is how a conversation ended.
type Ending struct {
	At    Stamp  // when; its Position is not set
	Errno uint32 // the Linux error number with which the connection broke; 0: it ended in good order
	// Unknown: it is not known that the conversation has ended, it is only not followed any more.
	Unknown bool
}

// Confidence is what a protocol says to the first bytes of a direction.
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

	// Detect judges bytes that begin at the start of a system call's transfer. first: they are the first of their direction;
	// otherwise the conversation was joined in the middle, and only an unmistakable beginning of a message counts.
	// It has to say No or Yes at the latest when it is given 512 bytes.
	Detect func(d Direction, b []byte, first bool) Confidence

	// Signature is what the client of every conversation sends first, 16 bytes, if the protocol cannot be followed unless all of
	// a conversation is seen from there on; else empty. The capture then takes more before it is told that it is parsed.
	Signature []byte

	// New returns a parser of a conversation.
	New func(c Conversation) Parser
}

// Conversation is what a parser is told of the conversation it follows.
type Conversation struct {
	Side          Side
	Local, Remote netip.AddrPort // invalid where there is none
	Joined        bool           // it was under way already: its first bytes may be the middle of anything
	Sink          Sink
	Settings      *Settings // shared by the conversations of one goroutine, not to be changed
}

// Settings are the same for all conversations.
type Settings struct {
	// RequestHeaders and ResponseHeaders are recorded as attributes; lower case.
	RequestHeaders, ResponseHeaders []string
	// HeadBytes bounds the head of a message; what is longer is read as far as it goes, and its exchange marked truncated.
	HeadBytes int
	// Outstanding bounds the requests of one conversation that wait for their response (pipelined, or concurrent streams).
	Outstanding int
}

// Sink takes what parsers find. The pointer is valid during the call only.
type Sink interface {
	Exchanged(x *Exchange)
	Error(t ParseError)
}

// ParseError is something in a conversation that cost an exchange, or may have. It is counted.
type ParseError uint8

// The errors.
const (
	Malformed   ParseError = iota // bytes that the protocol does not allow; the parser resynchronises, or gives up the conversation
	HeadTooLong                   // a head beyond Settings.HeadBytes
	TooMany                       // more than Settings.Outstanding requests: the oldest was dropped
	Unpaired                      // a request or a response whose counterpart was lost, or cannot be told for certain: dropped
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

// The degrees of capture. If several apply, the last does.
const (
	CaptureComplete  Capture = iota
	CaptureTruncated         // a bound bit: a head was longer than what is read of one, or the length of a body is not known
	CaptureGap               // bytes of it were lost
	CaptureJoined            // it had begun before observation, or refers to what was sent then
)

// Exchange is a request and its response. It is reused: valid during the call only, byte slices included.
type Exchange struct {
	Protocol string // network.protocol.name
	Version  string // network.protocol.version; empty if the protocol has none
	Name     string // span name: of low cardinality, never holding what a peer can choose freely
	Start    Stamp  // first byte of the request
	End      Stamp  // last byte of the response; or when the exchange was given up
	// Error is error.type: empty unless the exchange failed by the conventions' rules for this side.
	Error string
	// Errno is instead of Error if the exchange failed because the connection broke: the Linux error number with which it
	// did. Its name is error.type. 0: that was not the reason.
	Errno       uint32
	Description string // of the error, in addition to what attributes say; may be empty
	Capture     Capture
	// Server is the server as the request names it (not as the socket does); empty if it does not.
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
