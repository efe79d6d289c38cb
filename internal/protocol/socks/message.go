package socks

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/socketflow/socketflow/internal/protocol"
)

// The versions that messages begin with. An answer of SOCKS4 begins with 0.
const (
	version4       = 4
	version5       = 5
	versionOfLogin = 1 // RFC 1929, 2
)

// Methods of authentication (RFC 1928, 3).
const (
	anonymous    = 0
	gssapi       = 1
	password     = 2
	unacceptable = 0xff
)

// Commands (RFC 1928, 4).
const (
	connect   = 1
	bind      = 2
	associate = 3
)

// Types of addresses (RFC 1928, 5).
const (
	ip4    = 1
	domain = 3
	ip6    = 4
)

// Answers.
const (
	succeeded = 0    // RFC 1928, 6; RFC 1929, 2
	granted4  = 0x5a // SOCKS4: request granted
	lastCode4 = 0x5d // SOCKS4: refused, because identd has named another user
)

const (
	header4  = 8   // of a request of SOCKS4, and the whole of an answer
	maxText4 = 255 // a user, or the name of a host
)

// A measure finds the length of the message that b begins with: 0 if more bytes have to come, bad if there is no such message.
type measure func(b []byte) int

const bad = -1

// greeting5 lists methods (RFC 1928, 3). Programs offer few, each once.
func greeting5(b []byte) int {
	if b[0] != version5 || len(b) > 1 && b[1] == 0 {
		return bad
	}
	if len(b) < 2 {
		return 0
	}
	end := 2 + int(b[1])
	methods := b[2:min(end, len(b))]
	for i, m := range methods {
		if m == unacceptable || slices.Contains(methods[:i], m) {
			return bad
		}
	}
	switch {
	case len(b) < end:
		return 0
	case bytes.IndexByte(methods, anonymous) < 0 && bytes.IndexByte(methods, gssapi) < 0 && bytes.IndexByte(methods, password) < 0:
		return bad
	}
	return end
}

func choice5(b []byte) int { return exactly(b, version5, 2) }

// login is a user and a password (RFC 1929, 2).
func login(b []byte) int {
	if b[0] != versionOfLogin {
		return bad
	}
	end := 1
	for range 2 {
		if len(b) <= end {
			return 0
		}
		end += 1 + int(b[end])
	}
	return within(b, end)
}

// loginAnswer has the version of the login; some servers send that of SOCKS.
func loginAnswer(b []byte) int {
	if b[0] == version5 {
		return within(b, 2)
	}
	return exactly(b, versionOfLogin, 2)
}

func request5(b []byte) int {
	if len(b) > 1 && (b[1] < connect || b[1] > associate) {
		return bad
	}
	return addressed(b)
}

// addressed is a request or a reply (some servers have codes of their own): version, code, a zero, address and port (RFC 1928, 4 and 6).
func addressed(b []byte) int {
	if b[0] != version5 || len(b) > 2 && b[2] != 0 {
		return bad
	}
	if len(b) < 5 {
		if len(b) == 4 && !isAddressType(b[3]) {
			return bad
		}
		return 0
	}
	switch b[3] {
	case ip4:
		return within(b, 4+4+2)
	case ip6:
		return within(b, 4+16+2)
	case domain:
		return within(b, 5+int(b[4])+2)
	}
	return bad
}

func isAddressType(b byte) bool { return b == ip4 || b == ip6 || b == domain }

// request4 is a request of SOCKS4, or of SOCKS4a: there an address 0.0.0.x says that the name of the host follows.
func request4(b []byte) int {
	switch {
	case b[0] != version4, len(b) > 1 && b[1] != connect && b[1] != bind:
		return bad
	case len(b) < header4:
		return 0
	}
	port, address := binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:])
	if port == 0 || address == 0 {
		return bad
	}
	end := text4(b, header4)
	if end > 0 && address <= 0xff {
		name := end
		if end = text4(b, name); end == name+1 {
			return bad
		}
	}
	return end
}

// text4 is the end of a text that begins at a place, and the zero behind it.
func text4(b []byte, from int) int {
	for i, c := range b[from:] {
		switch {
		case c == 0:
			return from + i + 1
		case c <= ' ', c == 0x7f, i >= maxText4:
			return bad
		}
	}
	return 0
}

func reply4(b []byte) int {
	if len(b) > 1 && (b[1] < granted4 || b[1] > lastCode4) {
		return bad
	}
	return exactly(b, 0, header4)
}

// exactly is a message of known first byte and length.
func exactly(b []byte, first byte, n int) int {
	if b[0] != first {
		return bad
	}
	return within(b, n)
}

func within(b []byte, n int) int {
	if len(b) < n {
		return 0
	}
	return n
}

// detect implements Protocol.Detect. A greeting is too short to be distinguished from other protocols' first bytes: the answer has to match.
func detect(s *protocol.Sample) protocol.Confidence {
	asked, answered := s.Bytes[protocol.FromClient], s.Bytes[protocol.FromServer]
	switch {
	case s.Joined, s.Reversed:
		return protocol.No
	case len(asked) == 0: // the answer may be seen first
		if len(answered) <= 2+header4 && (answered[0] == version5 || reply4(answered) != bad) {
			return protocol.NeedMore
		}
		return protocol.No
	case asked[0] == version4:
		return judge(request4, asked, reply4, answered)
	}
	confidence := judge(greeting5, asked, choice5, answered)
	if confidence != protocol.Strong {
		return confidence
	}
	end := greeting5(asked)
	if c := answered[1]; c != unacceptable && bytes.IndexByte(asked[2:end], c) < 0 {
		return protocol.No
	}
	next, follows := next5[answered[1]]
	if rest := asked[end:]; follows && len(rest) > 0 && next(rest) == bad {
		return protocol.No
	}
	return protocol.Strong
}

// next5 is what the client sends next, by the chosen method.
var next5 = map[byte]measure{anonymous: request5, password: login}

// judge judges the first message of each side.
func judge(ask measure, asked []byte, answer measure, answered []byte) protocol.Confidence {
	end, answerEnd := ask(asked), 0
	if len(answered) > 0 {
		answerEnd = answer(answered)
	}
	switch {
	case end == bad, answerEnd == bad:
		return protocol.No
	case end == 0:
		return protocol.NeedMore
	case len(answered) == 0:
		return protocol.Weak
	case answerEnd == 0:
		return protocol.NeedMore
	}
	return protocol.Strong
}
