package protocol

// Sample is what is known of the beginning of a conversation, as one of the possible assignments of the roles has it.
type Sample struct {
	// Bytes are the first of each direction, as far as they have come; empty: none have. If Joined, they begin where a call's
	// transfer began, and may be from the middle of a message.
	Bytes [Directions][]byte
	// Ended: no more bytes of the direction will be shown, because enough were.
	Ended     [Directions]bool
	First     Direction // who sent the first bytes that were seen
	Joined    bool      // the beginning was not seen
	Datagrams bool      // Bytes are the first datagram of each direction
	// Reversed: the side that connected speaks as the server.
	Reversed bool
	Port     uint16 // of the server; a hint and no more; 0: not known
}

// Confidence is how certain it is that a conversation is in a protocol. The strongest wins.
type Confidence uint8

// The confidences.
const (
	No       Confidence = iota // it is not
	NeedMore                   // nothing speaks against it so far; more bytes may decide
	// Weak: it may be. This waits for bytes of the other direction. It counts if nothing stronger is known then.
	Weak
	// Strong: other protocols hardly begin so. It counts unless another protocol is as certain; then the other direction decides.
	Strong
	// Certain: no other protocol begins so. It counts at once.
	Certain
)

// String is the confidence's name.
func (c Confidence) String() string {
	if int(c) < len(confidenceNames) {
		return confidenceNames[c]
	}
	return "unknown"
}

var confidenceNames = [...]string{"no", "need_more", "weak", "strong", "certain"}

// Weaker is the lower of two confidences: that in a conversation both of whose directions were judged.
func Weaker(a, b Confidence) Confidence { return min(a, b) }
