package protocol

import "net/netip"

// ID names an exchange of a conversation from the beginning of its request on. It is not reused within a conversation.
type ID uint64

// Kind is what an exchange is to its two sides. It decides the kinds of their spans.
type Kind uint8

// The kinds.
const (
	Call    Kind = iota // a request and its response: CLIENT and SERVER
	Message             // a message that nobody asked for: PRODUCER and CONSUMER
)

// Request is what is known of an exchange when it begins.
type Request struct {
	Kind      Kind
	Initiator Direction // who sent the request
	Start     Stamp     // first byte of the request
	// Interleaved: others of the conversation may begin before this request has ended. Sink.Requested follows when it has.
	Interleaved bool
	Content     uint64 // the same of requests for the same; 0: not known
}

// Capture says whether everything of an exchange was seen.
type Capture uint8

// The degrees of capture. If several apply, the highest is set.
const (
	CaptureComplete  Capture = iota
	CaptureTruncated         // a limit was reached: a head was longer than HeadBytes, or the length of a body is not known
	CaptureGap               // bytes of it were lost
	CaptureJoined            // it had begun before observation, or refers to bytes sent before
	CaptureCut               // it was under way when observation ended, which is its End
)

// Capture is what a loss makes of an exchange that it has touched.
func (l Loss) Capture() Capture {
	switch l {
	case Skipped:
		return CaptureComplete
	case Truncated:
		return CaptureTruncated
	default:
		return CaptureGap
	}
}

// MalformedResponse is Exchange.Error of a request whose response cannot be read, although nothing of it was lost.
const MalformedResponse = "malformed_response"

// Exchange is a request and its response, or a message without one. It is reused: valid during the call only, byte slices
// included.
type Exchange struct {
	Kind      Kind
	Initiator Direction
	Protocol  string // network.protocol.name
	Version   string // network.protocol.version; empty if the protocol has none
	Name      string // span name: of low cardinality, never a text that a peer can choose freely

	Start         Stamp // first byte of the request
	RequestEnd    Stamp // its last byte; Time 0: not known
	ResponseStart Stamp // first byte of the response; Time 0: there was none
	End           Stamp // last byte of the response; or the time at which the parser stopped waiting for it

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
	Client     netip.AddrPort // who a proxy has said that the connection is for; invalid: nobody. The conversation sets it
	Parent     TraceContext   // from the request; zero if there was none that is valid
	Links      []TraceContext // other exchanges that this one has to do with
	// Token is what of the exchange both ends of a flow of datagrams know, and what hardly two exchanges at a time have in common; 0: nothing.
	Token uint64
	// Telemetry: it carries telemetry to a collector or a backend (OTLP).
	Telemetry bool
	// CarriesSpans: that telemetry is spans.
	CarriesSpans bool
	// RequestBody and ResponseBody are the sizes of what messages carry beside their heads.
	RequestBody, ResponseBody Size
	AttrSet
}

// Size is a number of bytes.
type Size struct {
	Bytes uint64
	Known bool
}

// Reset makes x empty, keeping its memory. Attributes are then those of keys.
func (x *Exchange) Reset(keys *Keys) {
	attrs, links := x.AttrSet, x.Links[:0]
	*x = Exchange{Links: links}
	x.reset(attrs, keys)
}
