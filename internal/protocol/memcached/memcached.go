// Package memcached reads the protocols of memcached over streams: the text protocol with its meta commands
// (https://github.com/memcached/memcached/blob/master/doc/protocol.txt), and the binary one
// (https://github.com/memcached/memcached/wiki/BinaryProtocolRevamped).
//
// Every command is an exchange, also one that the server does not reply to. A get of several keys is one.
package memcached

import (
	"unsafe"

	"go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
)

const name = "memcached"

// The attributes, by index in keys.
const (
	systemName = iota
	operationName
	queryText
	returnedRows
	statusCode
)

var keys = []protocol.Key{
	systemName:    {Name: string(semconv.DBSystemNameKey), Metric: true},
	operationName: {Name: string(semconv.DBOperationNameKey), Metric: true},
	queryText:     {Name: string(semconv.DBQueryTextKey)},
	returnedRows:  {Name: string(semconv.DBResponseReturnedRowsKey), Type: protocol.Int},
	statusCode:    {Name: string(semconv.DBResponseStatusCodeKey), Metric: true},
}

// Protocol returns the protocol.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name:       name,
		Transports: protocol.Streams,
		Detect:     detect,
		Keys:       func(any) []protocol.Key { return keys },
		Start: func(s *protocol.Settings) func(*protocol.Session) protocol.Parser {
			m := &memory{keys: s.Keys, limits: s.Limits}
			return func(session *protocol.Session) protocol.Parser { return newParser(m, session) }
		},
	}
}

// memory is what the conversations of a goroutine share.
type memory struct {
	keys     *protocol.Keys
	limits   protocol.Limits
	buffers  framing.Pool
	items    pairing.Pool[exchange]
	line     framing.Line
	exchange protocol.Exchange
	request  protocol.Request
	status   []byte // text of an attribute, until the exchange has been handed over
}

const itemSize = int(unsafe.Sizeof(pairing.Item[exchange]{})) + usualText
