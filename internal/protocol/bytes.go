package protocol

import "math"

// Direction says who sent bytes.
type Direction uint8

// The directions of a conversation.
const (
	FromClient Direction = iota // the side that speaks as the protocol's client does, whoever connected
	FromServer
	Directions
)

// Opposite direction.
func (d Direction) Opposite() Direction { return d ^ 1 }

// Side is the end of the conversation that is observed.
type Side uint8

// The sides.
const (
	Client Side = iota
	Server
)

// Sends reports whether the observed end sends the bytes of a direction.
func (s Side) Sends(d Direction) bool { return uint8(s) == uint8(d) }

// Stamp is the place of a byte in its stream, the time at which a system call transferred it, and the thread that made the
// call.
type Stamp struct {
	Time      uint64 // CLOCK_MONOTONIC, nanoseconds, at the end of the transfer
	Began     uint64 // CLOCK_MONOTONIC, nanoseconds: when the call began to transfer, not after Time
	Position  uint64 // how many bytes the direction had carried before; counted from where observation began
	PID, TID  uint32 // process and thread in the initial pid namespace
	Start     uint64 // when the process was started; with PID its identity
	Goroutine Goroutine
	Unread    bool  // of a byte that is sent: others had arrived that no program had received; false if that is not known
	Cause     Cause // of a byte that is sent
}

// Goroutine is the one of a program in Go that transferred a byte. Numbers are those of the runtime; 0: not known.
type Goroutine struct {
	Number  uint64 // or its address if that is not known, as of answers; 0: it is no goroutine, or that is not known
	Asker   uint64 // of a byte that a client sends: a goroutine that waits for this one
	Creator uint64 // of such a byte: who has started the asker, or without one this goroutine
	// Next is the number of the goroutine that will be started next where this one runs: numbers are given from Block on there.
	Next, Block uint64
}

// Cause is what the thread that sent a byte had received last, which may be why it sent it.
type Cause struct {
	Socket   uint64 // identifies the conversation that it had received from
	Position uint64 // behind the last byte of the call that received
	Length   uint32 // bytes that the call received; 0: it is not known what had been received
	// Pending is how many conversations have asked something that only this thread has read, and have got nothing yet; 255: or more.
	Pending  uint8
	Row      uint8 // conversations from which the thread has received since it looked for events or sent something; 255: or more
	Waited   bool  // the thread has waited since it received
	Polled   bool  // it has looked for events since, or that is not known
	Connect  bool  // all this is about the connect, not about the sending
	Carrier  bool  // the thread runs virtual threads, which do not keep to it
	Deferred bool  // since it looked for events the thread has received a request, and then something else before it sent anything
	Answered bool  // it has sent something to who asked since it received
	Loop     bool  // it has looked for events in its life
}

// Chunk is what one system call transferred in one direction, or its captured beginning. In a conversation of datagrams it
// is one datagram, or its captured beginning.
type Chunk struct {
	Direction Direction
	Bytes     []byte // never empty; valid during the call only
	Missing   uint64 // datagrams: how many bytes of the datagram follow that were not captured
	Stamp            // of the first byte. All bytes have its Time, the last one included
}

// At is the stamp of a byte of the chunk.
func (c *Chunk) At(i int) Stamp {
	s := c.Stamp
	s.Position += uint64(i)
	return s
}

// Rest is the chunk from a byte on, which has to exist.
func (c *Chunk) Rest(i int) Chunk {
	return Chunk{Direction: c.Direction, Bytes: c.Bytes[i:], Missing: c.Missing, Stamp: c.At(i)}
}

// Loss is why bytes are missing from a stream.
type Loss uint8

// The losses, from harmless to grave.
const (
	Skipped   Loss = iota // the parser had said that it does not need them: see Parser.Demand
	Truncated             // a capture limit was reached: the calls' lengths are known, their bytes are not
	Lost                  // events were dropped, or bytes were transferred in a way that cannot be observed
)

// Forever is the number of bytes to skip if nothing more of a direction is of interest.
const Forever = math.MaxUint64

// Ending is how a conversation ended.
type Ending struct {
	At    Stamp  // when; its Position is not set
	Errno uint32 // the Linux error number with which the connection broke; 0: it ended in good order
	// ByClient: the client closed first, or reset the connection.
	ByClient bool
	// Unknown: whether the conversation has ended is not known, it is only not followed any more.
	Unknown bool
	// Cut: it is not known because the conversation is not followed beyond At, when it had not ended. Unknown is set, too.
	Cut bool
}

// Values of error.type of an exchange without an answer on a connection that ended in good order.
const (
	Canceled         = "canceled"          // the client has closed it
	ConnectionClosed = "connection_closed" // who was to answer has closed it, or it is not known who did
)

// Failure is error.type of an exchange that has no answer, at a side; empty if Errno says it. That the client has closed first is no
// reason at the server's end: it may have closed one direction only, and wait for the answer.
func (e *Ending) Failure(side Side) string {
	switch {
	case e.Errno != 0:
		return ""
	case e.ByClient && side == Client:
		return Canceled
	default:
		return ConnectionClosed
	}
}

// Capture is the degree of capture of an exchange that had no end when an Unknown ending came.
func (e *Ending) Capture() Capture {
	if e.Cut {
		return CaptureCut
	}
	return CaptureGap
}

// ParseError is the reason why an exchange was lost, or may have been. It is counted.
type ParseError uint8

// The errors.
const (
	Malformed   ParseError = iota // bytes that the protocol does not allow; the parser resynchronises, or stops following the conversation
	HeadTooLong                   // a head beyond Limits.HeadBytes
	// TooMany: more requests than Limits.Outstanding, or than the end of a connection may emit, or more prepared statements than are
	// remembered. One was dropped, or forgotten.
	TooMany
	Unpaired    // a request or a response whose counterpart was lost, or is not certain: dropped
	Undecodable // a header that refers to what was sent before observation began, or was lost
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
