// Package dns follows DNS over UDP and TCP (RFC 1035, RFC 7766), and what has its wire format: mDNS (RFC 6762) and LLMNR (RFC 4795).
//
// A query and its response are an exchange. They are paired by id and question, in both directions, because a server may ask its
// client too (RFC 1996). A message to a group of hosts is an exchange by itself: any number of hosts may answer, each from its own
// address, which is another conversation, and none of the answers ends the query. So is what a host announces unasked.
package dns

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// The bounds of Config.Timeout.
const (
	minTimeout = time.Second
	maxTimeout = 5 * time.Minute
)

// Config is the configuration of DNS.
type Config struct {
	// Timeout is after which time a query without a response counts as not answered: 1s to 5m, 10s by default.
	Timeout time.Duration `mapstructure:"timeout"`
}

// Validate checks the configuration.
func (c *Config) Validate() error {
	if c.Timeout < minTimeout || c.Timeout > maxTimeout {
		return fmt.Errorf("timeout: write a value from 1s to 5m, not %v", c.Timeout)
	}
	return nil
}

// Protocol is DNS.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name:       "dns",
		Transports: protocol.Streams | protocol.Datagrams,
		Resolves:   true,
		Detect:     detect,
		NewConfig:  func() any { return &Config{Timeout: 10 * time.Second} },
		Keys:       func(any) []protocol.Key { return keys[:] },
		Start:      start,
	}
}

// The attributes, as indices of keys.
const (
	questionName = iota
	answers
	questionType
	responseCode
	attributes
)

// keys has the attributes. The semantic conventions 1.43 have none for the last two.
var keys = [attributes]protocol.Key{
	questionName: {Name: string(semconv.DNSQuestionNameKey), Type: protocol.Text},
	answers:      {Name: string(semconv.DNSAnswersKey), Type: protocol.List},
	questionType: {Name: "socketflow.dns.question.type", Type: protocol.Text, Metric: true},
	responseCode: {Name: "socketflow.dns.response.code", Type: protocol.Text, Metric: true},
}

// form is that of a message over TCP: RFC 1035, section 4.2.2.
var form = protocol.FrameForm{Header: prefix, LengthBytes: prefix, TypeAt: -1}

const prefix = 2 // bytes of the length

// entryBytes is about what an outstanding query occupies.
const entryBytes = int(unsafe.Sizeof(outstanding{})) + maxName

// memory is what the conversations of a goroutine share.
type memory struct {
	settings   *protocol.Settings
	timeout    uint64 // nanoseconds
	message    message
	request    protocol.Request
	exchange   protocol.Exchange
	text       []byte // of attributes
	list       []string
	texts      texts
	resolution protocol.Resolution
}

func start(s *protocol.Settings) func(*protocol.Session) protocol.Parser {
	config, ok := s.Config.(*Config)
	if !ok {
		panic(errors.New("dns: the configuration is not one of DNS"))
	}
	m := &memory{settings: s, timeout: uint64(config.Timeout)}
	return func(session *protocol.Session) protocol.Parser {
		p := &parser{memory: m, session: *session, sink: session.Sink}
		p.waiting.Limit = s.Outstanding
		if !session.Datagrams {
			p.frames = new([protocol.Directions]framing.Prefixed)
			for i := range p.frames {
				f := &p.frames[i]
				f.Form, f.MaxBody, f.Credible = &form, s.HeadBytes, credible[i]
			}
		}
		return p
	}
}
