// Package tls reads the hellos with which a TLS connection begins, for what they say about it in clear text (RFC 8446; numbers are its
// sections. TLS 1.0 to 1.2: RFC 2246, 4346, 5246). What follows them is encrypted: of that it looks at the headers of records only, to see
// whether the handshake succeeds, and then asks for nothing more. It has no exchanges.
package tls

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

const name = "tls"

// Protocol is TLS 1.0 to 1.3, and SSL 3.0. It may begin anywhere in a conversation: behind a preamble, or what asks for it, also in a
// protocol that is not known (STARTTLS).
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name:       name,
		Transports: protocol.Streams,
		Preamble:   true,
		Encloses:   true,
		Anywhere:   true,
		Detect:     detect,
		Start: func(*protocol.Settings) func(*protocol.Session) protocol.Parser {
			pool := new(framing.Pool)
			return func(s *protocol.Session) protocol.Parser { return newParser(s.Sink, pool) }
		},
	}
}
