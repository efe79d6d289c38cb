// Package mysql reads the client/server protocol of MySQL and MariaDB
// (https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html, https://mariadb.com/kb/en/clientserver-protocol/).
//
// Every command is an exchange, those that the server does not reply to as well, and so is a login that fails. A COM_QUERY with several
// statements is one exchange, because its results are one reply. After COM_BINLOG_DUMP the server sends its log, which is not read.
package mysql

import (
	"errors"
	"unsafe"

	"go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/intrusive"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
	"github.com/socketflow/socketflow/internal/sqltext"
)

const name = "mysql"

// The attributes, by index in keys.
const (
	systemName = iota
	operationName
	collectionName
	namespace
	querySummary
	queryText
	procedureName
	batchSize
	returnedRows
	statusCode
	sqlState
)

// keys has the attributes. The semantic conventions 1.43 have none for the last one.
var keys = []protocol.Key{
	systemName:     {Name: string(semconv.DBSystemNameKey), Metric: true},
	operationName:  {Name: string(semconv.DBOperationNameKey), Metric: true},
	collectionName: {Name: string(semconv.DBCollectionNameKey), Metric: true},
	namespace:      {Name: string(semconv.DBNamespaceKey), Metric: true},
	querySummary:   {Name: string(semconv.DBQuerySummaryKey)},
	queryText:      {Name: string(semconv.DBQueryTextKey)},
	procedureName:  {Name: string(semconv.DBStoredProcedureNameKey), Metric: true},
	batchSize:      {Name: string(semconv.DBOperationBatchSizeKey), Type: protocol.Int},
	returnedRows:   {Name: string(semconv.DBResponseReturnedRowsKey), Type: protocol.Int},
	statusCode:     {Name: string(semconv.DBResponseStatusCodeKey), Metric: true},
	sqlState:       {Name: "socketflow.db.sqlstate"},
}

// Protocol returns the protocol.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name:       name,
		Transports: protocol.Streams,
		Detect:     detect,
		NewConfig: func() any {
			c := sqltext.DefaultConfig()
			return &c
		},
		Keys:  func(any) []protocol.Key { return keys },
		Start: start,
	}
}

// memory is what the conversations of a goroutine share.
type memory struct {
	keys     *protocol.Keys
	limits   protocol.Limits
	sql      *sqltext.Reader
	items    pairing.Pool[exchange]
	exchange protocol.Exchange
	request  protocol.Request
	carried  protocol.Carried
	summary  []byte // texts of attributes, until the exchange has been handed over
	status   []byte
	codes    map[uint16]string // error codes that were seen
	batches  map[string]string // names of batches, by operation
	prepared intrusive.Free[statement]
	inflater inflater
}

func start(s *protocol.Settings) func(*protocol.Session) protocol.Parser {
	config, ok := s.Config.(*sqltext.Config)
	if !ok {
		panic(errors.New("mysql: the configuration is not one of SQL"))
	}
	m := &memory{keys: s.Keys, limits: s.Limits, sql: sqltext.NewReader(sqltext.MySQL, *config), codes: make(map[uint16]string), batches: make(map[string]string)}
	return func(session *protocol.Session) protocol.Parser { return newParser(m, session) }
}

// maxPacket is the length of a packet's body that goes on in the next packet.
const maxPacket = 1<<24 - 1

const (
	headerBytes = 4
	sequenceAt  = 3 // the number of the packet within a command and its reply
)

// form is that of packets.
var form = protocol.FrameForm{Header: headerBytes, LengthBytes: 3, LittleEndian: true, TypeAt: -1}

// replyBytes is how much of a packet of the server is read: a row's first byte, a reply with the state of the session.
const replyBytes = 512

const itemSize = int(unsafe.Sizeof(pairing.Item[exchange]{})) + usualSchema
