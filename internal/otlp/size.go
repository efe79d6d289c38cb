package otlp

import "math/bits"

// The size of a span in OTLP's encoding bounds a batch. To ask pdata for it takes as long as a tenth of all else that is done for a span, because it
// looks at each value once more. But most of it is known from the layout of the attributes, and the rest from a few texts.

// reportText is a text of a report whose size differs from one report to another.
type reportText uint8

const (
	noText reportText = iota
	idText
	remoteText
	localText
	serverText
	peerNameText
	clientText
	protocolText
	versionText
	errorText
	reportTexts
)

const (
	maxNumber = 10                      // bytes of a varint, and more than a double has
	maxName   = len("joined_midstream") // of the names in this package's tables
	// attributeBytes is what an attribute takes beside its key and its value: four tags, and the lengths of the attribute, the key, the value and
	// its text.
	attributeBytes = 4 + 2 + 1 + 2 + 2
	// elementBytes is what an element of a list takes beside its text.
	elementBytes = 2 + 2*2
)

// encoded is how many bytes a text takes at most, which is long. Its length, and those of what it is in, may take a byte more than is usual.
func encoded(text string) int { return len(text) + len(text)>>7 }

// sizes are how many bytes attributes have at most: a constant, and texts, each so many times.
type sizes struct {
	constant int
	texts    [reportTexts]int
}

// add counts an attribute in, whose value has most bytes beside a text.
func (s *sizes) add(key string, text reportText, most int) {
	s.constant += attributeBytes + encoded(key) + most
	s.texts[text]++
}

func (s *sizes) of(r *report) int {
	n := &s.texts
	size := s.constant + n[idText]*len(r.id) + n[remoteText]*len(r.remote) + n[localText]*len(r.local) + n[serverText]*len(r.server) +
		n[clientText]*len(r.client) + n[protocolText]*len(r.protocol) + n[versionText]*len(r.version) + n[errorText]*len(r.err.name)
	if n[peerNameText] > 0 {
		size += n[peerNameText] * len(r.connection.PeerName)
	}
	return size
}

const (
	// spanBytes is what a span takes at most beside its attributes, links and texts: ids, kind, times, flags and the status, and the lengths of the
	// texts.
	spanBytes = 96
	// linkBytes is what a link takes at most beside its state.
	linkBytes = 48
)

// maxPrefix is the size of the longest length prefix that a batch can have: five times seven bits.
const maxPrefix = 5

// prefixed is the encoded size of an embedded message of n bytes, whose field number is below 16: with its tag and its length.
func prefixed(n int) int { return 1 + (bits.Len64(uint64(n)|1)+6)/7 + n }

// growing is the same at most, if the message grows to any size.
func growing(n int) int { return 1 + maxPrefix + n }
