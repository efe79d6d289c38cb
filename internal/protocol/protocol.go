// Package protocol defines what the rest of the program requires of a protocol: it recognises its conversations by their
// first bytes, follows both directions, and pairs requests and responses into exchanges. Each protocol is a folder beside
// this file. None of them does I/O or knows where bytes come from.
package protocol

import (
	"math"
	"net/netip"

	"github.com/socketflow/socketflow/internal/redact"
)

// Protocol is one protocol. Several may share a name, which is then that of a family.
type Protocol struct {
	Name       string     // in own telemetry and in configuration
	Transports Transports // what it is spoken over
	Preamble   bool       // it only precedes what is in another protocol, or encrypted, and has no exchanges
	Encloses   bool       // a preamble that names the connection's protocol, if what follows does not
	Anywhere   bool       // conversations in protocols that are not known may go on in it
	Resolves   bool       // it is a name service: its parsers call Sink.Resolved

	// Detect judges the first bytes of a conversation. It is called again whenever there are more of them.
	Detect func(*Sample) Confidence

	// Signatures are first bytes that let the kernel capture the conversation whole from the start. They are needed only by
	// a parser that cannot do without any byte of the beginning.
	Signatures []Signature

	// NewConfig returns the protocol's part of the receiver's configuration with its defaults: a pointer to a struct. It is nil if
	// nothing can be configured. Protocols of one name have the same configuration.
	NewConfig func() any

	// Keys returns the attributes that exchanges may have, at most MaxKeys, under a configuration. It is nil for a preamble.
	Keys func(config any) []Key

	// Start prepares the parsing of conversations by one goroutine, and returns what makes a parser of each. The parsers may
	// share memory.
	Start func(*Settings) func(*Session) Parser
}

// Transports is a set of kinds of conversations.
type Transports uint8

// The kinds of conversations.
const (
	Streams   Transports = 1 << iota // TCP, and streams of Unix sockets
	Datagrams                        // UDP: between a socket and one remote address
)

// Settings are what the conversations of a goroutine that speak one protocol have in common. They are not changed.
type Settings struct {
	Config any   // as NewConfig made it and the user filled it in
	Keys   *Keys // of Exchange.Attributes
	Limits
	Redaction *redact.Rules // what is secret in free text; nil: the default
}

// Limits bound what a parser remembers of one conversation.
type Limits struct {
	// HeadBytes bounds the part of a message that is read: the head of an HTTP message, the command and keys of a query. Of a
	// longer one only that much is read, and its exchange is marked truncated.
	HeadBytes int
	// Outstanding bounds the requests that wait for their response (pipelined, or concurrent).
	Outstanding int
}

// Session is what a parser is given about the conversation that it follows.
type Session struct {
	Side          Side
	Datagrams     bool           // each Chunk is one datagram; otherwise the conversation is a stream
	Local, Remote netip.AddrPort // invalid where there is none
	Joined        bool           // it was under way already: its first bytes may be from the middle of a message
	TLS           bool           // it is encrypted: these are the plaintexts
	Sink          Sink
}

// Parser follows one conversation. It is used by one goroutine. Payload is hostile: a parser bounds what it remembers,
// never panics, and takes time linear in its input.
//
// Within a direction, bytes and gaps come in order and without overlap. Between directions the order is the one that the
// kernel saw, which is not causality: a response may come before the last bytes of its request. If two threads share the
// socket, it may come even before the first.
//
// A parser may also implement Waiter and Database.
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

	// Demand is what of a direction's next bytes the parser needs. It is asked after Data and Gap.
	Demand(d Direction) Demand

	// Held is about how many bytes of memory the conversation holds beyond what every idle conversation does. It is asked after
	// Data and Gap, and takes constant time.
	Held() int
}

// Waiter is a Parser that stops waiting for something after some time.
type Waiter interface {
	// Deadline is when Expire has to be called (CLOCK_MONOTONIC, ns); 0: not at present. It is asked after Data, Gap and Expire.
	Deadline() uint64
	// Expire reports that it is now so late.
	Expire(now uint64)
}

// Reusable is a Parser whose memory serves another conversation when its own is over.
type Reusable interface {
	Parser
	// Reuse makes the parser one of another conversation, as if it were new. It is called after Close only.
	Reuse(s *Session)
}

// Database is a Parser of a protocol that several databases speak.
type Database interface {
	// System is db.system.name, as far as it is known by now.
	System() string
}

// Demand is what a parser needs of the next bytes of a direction. The zero Demand is everything.
type Demand struct {
	// Skip is how many of the next bytes are not needed, counted from the end of the bytes read so far; Forever for all.
	// Skipped bytes come as Gap with Skipped, or, if they had been captured already, as Data.
	Skip uint64
	// Enough is how many bytes of a call suffice, judging by the conversation so far: the rest of a call is then likely to be
	// of no interest. 0: all may matter.
	Enough int
	// Frames is the form of the frames that the direction consists of; nil: it has none that the kernel can read. The bodies
	// that are not wanted come as Gap with Skipped, or as Data.
	Frames *FrameForm
	// NextFrame is how many bytes after the end of the bytes read so far a frame begins, or UnknownFrame; meaningless without Frames.
	NextFrame uint64
}

// UnknownFrame as Demand.NextFrame: where the next frame begins is not known yet.
const UnknownFrame = math.MaxUint64

// FrameForm is the form of length-prefixed frames: a header of fixed length that has the length of the body after it.
type FrameForm struct {
	Header       uint8  // length of the header: 1 to 16 bytes
	LengthAt     uint8  // where in the header the length is
	LengthBytes  uint8  // 1 to 4
	LittleEndian bool   // of the length
	Bias         int8   // is added to the length; -4 if it counts four bytes of the header
	TypeAt       int8   // where in the header a byte with the type is; -1: there is none, and every frame has type 0
	Unwanted     uint32 // set of the types, by their lowest five bits, whose bodies are not wanted
}

// SignatureBytes is the length of a Signature.
const SignatureBytes = 16

// Signature is how every conversation of a protocol begins.
type Signature struct {
	Client [SignatureBytes]byte // the first bytes that the client sends
	// ServerMask has ones where the first bytes of the server are those of Server; all zero: they are not known.
	Server, ServerMask [SignatureBytes]byte
	// Frames is the form of the frames in both directions; nil: there are none. FirstFrame is the position of the first one.
	Frames     *FrameForm
	FirstFrame [Directions]uint32
}

// Sink receives what a parser finds. Pointers are valid during the call only.
type Sink interface {
	// Begin gives an identity to an exchange whose request has begun. End, or Forget, follows.
	Begin(r *Request) ID
	// Continue says what the request carries, as soon as that is known.
	Continue(id ID, c *Carried)
	// Requested says which byte is the last one of an Interleaved request.
	Requested(id ID, last *Stamp)
	// End hands over the exchange that Begin has named.
	End(id ID, x *Exchange)
	// Forget drops what Begin has named: nothing is emitted.
	Forget(id ID)
	// Single hands over an exchange whose end is known at once. It is Begin and End in one.
	Single(x *Exchange)
	// Error counts a parse error.
	Error(e ParseError)
	// Resolved hands over what a name service has answered to this side.
	Resolved(r *Resolution)
	// Secured hands over what is known of TLS on the connection. It is called again if more is.
	Secured(t *TLS)
	// Ignore says that nothing of the rest of the conversation can be read. Nothing of the parser is called afterwards, not even Close.
	Ignore()

	// Switch says that the rest of the conversation is in another protocol, which is recognised anew. The parser has to return the
	// bytes that it was given and that belong to the rest with Return and ReturnGap, in order, before it returns. By then it has handed
	// over its exchanges: nothing of it is called afterwards, not even Close.
	Switch(s Switch)
	// Reject says that the conversation is not in this protocol after all. It is followed as Switch is.
	Reject()
	Return(c *Chunk)
	ReturnGap(d Direction, n uint64, at Stamp, why Loss)
}

// Switch is what a protocol has shown about the one that follows it.
type Switch struct {
	Client netip.AddrPort // who the connection is for, if a proxy has named it; invalid: it has not
}
