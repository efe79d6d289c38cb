// Package mongodb reads MongoDB's wire protocol (https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/): commands in OP_MSG,
// compressed or not, the handshake in OP_QUERY and OP_REPLY, and the opcodes of servers before 5.1 by their names.
//
// Every command is an exchange, also one that the server does not reply to. A reply names its request, so that they are paired in any order.
// A request that is answered by a stream of replies (exhaust) is one exchange, up to the last of them. Of documents only what an attribute
// needs is read, as the bytes come: none is held.
package mongodb

import (
	"fmt"
	"unsafe"

	"go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
	"github.com/socketflow/socketflow/internal/redact"
)

const name = "mongodb"

// The attributes, by index in keys.
const (
	systemName = iota
	operationName
	collectionName
	namespace
	querySummary
	queryText
	batchSize
	returnedRows
	statusCode
)

var keys = []protocol.Key{
	systemName:     {Name: string(semconv.DBSystemNameKey), Metric: true},
	operationName:  {Name: string(semconv.DBOperationNameKey), Metric: true},
	collectionName: {Name: string(semconv.DBCollectionNameKey), Metric: true},
	namespace:      {Name: string(semconv.DBNamespaceKey), Metric: true},
	querySummary:   {Name: string(semconv.DBQuerySummaryKey)},
	queryText:      {Name: string(semconv.DBQueryTextKey)},
	batchSize:      {Name: string(semconv.DBOperationBatchSizeKey), Type: protocol.Int},
	returnedRows:   {Name: string(semconv.DBResponseReturnedRowsKey), Type: protocol.Int},
	statusCode:     {Name: string(semconv.DBResponseStatusCodeKey), Metric: true},
}

// The bounds and the default of Config.QueryTextLength.
const (
	minLength     = 64
	maxLength     = 64 << 10
	defaultLength = 2 << 10
)

// Config is the configuration of MongoDB.
type Config struct {
	// RawQueryText makes db.query.text a command with its values. Commands that have to do with passwords or keys, the documents that are
	// inserted, and values by the names of secrets are left out nevertheless. Default: false.
	RawQueryText bool `mapstructure:"raw_query_text"`

	// QueryTextLength is how many bytes db.query.text has at most: 64 to 65536. Default: 2048.
	QueryTextLength int `mapstructure:"query_text_length"`
}

// Validate reports a length out of bounds.
func (c *Config) Validate() error {
	if c.QueryTextLength < minLength || c.QueryTextLength > maxLength {
		return fmt.Errorf("query_text_length: write a number of bytes from %d to %d, not %d", minLength, maxLength, c.QueryTextLength)
	}
	return nil
}

// Protocol returns the protocol.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name:       name,
		Transports: protocol.Streams,
		Detect:     detect,
		NewConfig:  func() any { return &Config{QueryTextLength: defaultLength} },
		Keys:       func(any) []protocol.Key { return keys },
		Start: func(s *protocol.Settings) func(*protocol.Session) protocol.Parser {
			m := newMemory(s)
			return func(session *protocol.Session) protocol.Parser { return newParser(m, session) }
		},
	}
}

// memory is what the conversations of a goroutine share.
type memory struct {
	keys      *protocol.Keys
	limits    protocol.Limits
	redaction *redact.Rules
	config    Config
	buffers   framing.Pool
	inflater  inflater
	exchange  protocol.Exchange
	request   protocol.Request
	summary   []byte // texts of attributes, until the exchange has been handed over
	status    []byte
	codes     map[int32]string  // error codes that were seen
	summaries map[string]string // summaries that were seen
}

func newMemory(s *protocol.Settings) *memory {
	config, ok := s.Config.(*Config)
	if !ok {
		panic("mongodb: the configuration is not one of MongoDB")
	}
	return &memory{keys: s.Keys, redaction: s.Redaction, limits: s.Limits, config: *config, codes: make(map[int32]string), summaries: make(map[string]string)}
}

const (
	entrySize = int(unsafe.Sizeof(pairing.Entry[uint32, exchange]{}))
	earlySize = int(unsafe.Sizeof(pairing.Entry[uint32, result]{}))
)
