package postgres

import (
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/preamble"
)

// Encryption is the question with which a client begins: whether the connection may be encrypted, by TLS or GSSAPI. The server's answer is
// one byte. Then TLS follows, or a StartupMessage, or another such question; what GSSAPI encrypts is not read.
func Encryption() protocol.Protocol {
	return protocol.Protocol{
		Name:       name,
		Transports: protocol.Streams,
		Preamble:   true,
		Encloses:   true,
		Detect:     detectEncryption,
		Start: func(s *protocol.Settings) func(*protocol.Session) protocol.Parser {
			return func(c *protocol.Session) protocol.Parser {
				return &encryption{sink: c.Sink, kept: preamble.New(c.Sink, max(s.HeadBytes, questionBytes))}
			}
		},
	}
}

const questionBytes = 8

func detectEncryption(s *protocol.Sample) protocol.Confidence {
	b := s.Bytes[protocol.FromClient]
	question := [...]byte{0, 0, 0, questionBytes, sslRequest >> 24, sslRequest >> 16 & 0xff, sslRequest >> 8 & 0xff}
	switch {
	case s.Joined || s.Reversed || s.First == protocol.FromServer:
		return protocol.No
	case string(b[:min(len(b), len(question))]) != string(question[:min(len(b), len(question))]):
		return protocol.No
	case len(b) >= questionBytes && !isQuestion(b):
		return protocol.No
	case len(b) >= questionBytes:
		return protocol.Certain
	case s.Ended[protocol.FromClient]:
		return protocol.No
	}
	return protocol.NeedMore
}

func isQuestion(b []byte) bool {
	code := binary.BigEndian.Uint32(b[4:])
	return code == sslRequest || code == gssRequest
}

// encryption implements protocol.Parser.
type encryption struct {
	sink protocol.Sink
	kept preamble.Kept
	over bool
}

// Data implements protocol.Parser.
func (p *encryption) Data(c *protocol.Chunk) {
	if !p.over {
		p.kept.Data(c)
		p.advance()
	}
}

// Gap implements protocol.Parser.
func (p *encryption) Gap(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	if !p.over {
		p.kept.Gap(d, n, at, why)
		p.advance()
	}
}

// advance reads the question and its answer as soon as both have come.
func (p *encryption) advance() {
	question, cut := p.kept.Bytes(protocol.FromClient)
	answer, lost := p.kept.Bytes(protocol.FromServer)
	switch {
	case len(question) < questionBytes && cut, len(question) >= questionBytes && !isQuestion(question), len(answer) == 0 && lost:
		p.over = true
		p.kept.Reject()
		return
	case len(question) < questionBytes || len(answer) == 0:
		return
	}
	p.over = true
	gss := binary.BigEndian.Uint32(question[4:]) == gssRequest
	switch answer[0] {
	case 'N', 'S':
		p.kept.Read(protocol.FromClient, questionBytes)
		p.kept.Read(protocol.FromServer, 1)
		p.kept.Switch(protocol.Switch{})
	case 'G', errorResponse:
		if gss || answer[0] == errorResponse {
			p.kept.Drop()
			p.sink.Ignore()
			return
		}
		fallthrough
	default:
		p.kept.Reject()
	}
}

// Close implements protocol.Parser.
func (p *encryption) Close(protocol.Ending) { p.kept.Drop() }

// Demand implements protocol.Parser.
func (p *encryption) Demand(protocol.Direction) protocol.Demand {
	if p.over {
		return protocol.Demand{Skip: protocol.Forever}
	}
	return protocol.Demand{}
}

// Held implements protocol.Parser.
func (p *encryption) Held() int { return p.kept.Held() }
