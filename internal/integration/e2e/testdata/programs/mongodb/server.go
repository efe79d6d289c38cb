package main

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"
)

// printing keeps lines apart.
var printing sync.Mutex

func serve(address string, certificate []string) {
	listener, err := net.Listen("tcp", address)
	check(err)
	if len(certificate) > 0 {
		pair, err := tls.LoadX509KeyPair(certificate[0], certificate[1])
		check(err)
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}})
	}
	for {
		conn, err := listener.Accept()
		check(err)
		go func() {
			defer func() { _ = conn.Close() }()
			s := &session{conn: conn}
			for s.turn() == nil {
			}
		}()
	}
}

// session is a connection.
type session struct {
	conn       net.Conn
	compressor wiremessage.CompressorID
	last       int32 // id of the last reply
}

// turn reads a command, and replies to it.
func (s *session) turn() error {
	head := make([]byte, 16)
	if _, err := io.ReadFull(s.conn, head); err != nil {
		return err
	}
	length, id, _, op, _, _ := wiremessage.ReadHeader(head)
	body := make([]byte, length-16)
	if _, err := io.ReadFull(s.conn, body); err != nil {
		return err
	}
	s.compressor = 0
	if op == wiremessage.OpCompressed {
		op, s.compressor = wiremessage.OpCode(binary.LittleEndian.Uint32(body)), wiremessage.CompressorID(body[8])
		var err error
		body, err = driver.DecompressPayload(body[9:], driver.CompressionOpts{Compressor: s.compressor, UncompressedSize: int32(binary.LittleEndian.Uint32(body[4:]))})
		check(err)
	}
	if op == wiremessage.OpQuery {
		rest := body[4:]
		ns, rest, _ := wiremessage.ReadQueryFullCollectionName(rest)
		command := bson.Raw(rest[8:])
		_, reply := answer(command, strings.Split(ns, ".")[0], nil)
		return s.send(id, wiremessage.OpReply, append(make([]byte, 16), append(binary.LittleEndian.AppendUint32(nil, 1), encode(reply)...)...))
	}
	flags, rest, _ := wiremessage.ReadMsgFlags(body)
	var command bson.Raw
	sequences := map[string]int{}
	for len(rest) > 0 {
		kind, after, _ := wiremessage.ReadMsgSectionType(rest)
		if kind == wiremessage.SingleDocument {
			doc, after, _ := wiremessage.ReadMsgSectionSingleDocument(after)
			command, rest = bson.Raw(doc), after
			continue
		}
		name, docs, after, ok := wiremessage.ReadMsgSectionDocumentSequence(after)
		if !ok {
			return io.ErrUnexpectedEOF
		}
		sequences[name], rest = len(docs), after
	}
	database, _ := command.Lookup("$db").StringValueOK()
	more, reply := answer(command, database, sequences)
	if flags&wiremessage.MoreToCome != 0 {
		return nil
	}
	to := id
	for more && flags&wiremessage.ExhaustAllowed != 0 {
		time.Sleep(100 * time.Millisecond)
		if err := s.reply(to, reply, wiremessage.MoreToCome); err != nil {
			return err
		}
		to = s.last
	}
	return s.reply(to, reply, 0)
}

func encode(d bson.D) []byte {
	b, err := bson.Marshal(d)
	check(err)
	return b
}

func (s *session) reply(to int32, d bson.D, flags wiremessage.MsgFlag) error {
	body := append(wiremessage.AppendMsgFlags(nil, flags), 0)
	body = append(body, encode(d)...)
	if s.compressor == 0 {
		return s.send(to, wiremessage.OpMsg, body)
	}
	packed, err := driver.CompressPayload(body, driver.CompressionOpts{Compressor: s.compressor, ZlibLevel: 6, ZstdLevel: 6})
	check(err)
	all := wiremessage.AppendCompressedOriginalOpCode(nil, wiremessage.OpMsg)
	all = wiremessage.AppendCompressedUncompressedSize(all, int32(len(body)))
	all = wiremessage.AppendCompressedCompressorID(all, s.compressor)
	return s.send(to, wiremessage.OpCompressed, append(all, packed...))
}

func (s *session) send(to int32, op wiremessage.OpCode, body []byte) error {
	s.last++
	_, err := s.conn.Write(append(wiremessage.AppendHeader(nil, int32(16+len(body)), s.last, to, op), body...))
	return err
}

// topology changes with the process: clients that know it wait for a change.
var topology = bson.D{{Key: "processId", Value: bson.NewObjectID()}, {Key: "counter", Value: int64(0)}}

// answer prints a command, and returns the reply. More: the reply is the first of a stream.
func answer(command bson.Raw, database string, sequences map[string]int) (more bool, reply bson.D) {
	elements, err := command.Elements()
	check(err)
	name := elements[0].Key()
	collection, _ := elements[0].Value().StringValueOK()
	if other, ok := command.Lookup("collection").StringValueOK(); ok && name == "getMore" {
		collection = other
	}
	reply, code := result(name, collection, command, sequences)
	printing.Lock()
	fmt.Printf("%s %s %s %d\n", name, database, collection, code)
	printing.Unlock()
	_, awaits := command.Lookup("topologyVersion").DocumentOK()
	return awaits, reply
}

func ok(d ...bson.E) bson.D { return append(d, bson.E{Key: "ok", Value: 1.0}) }

func failure(code int32) (bson.D, int32) {
	return bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: "it has failed"}, {Key: "code", Value: code}, {Key: "codeName", Value: "Failed"}}, code
}

func result(name, collection string, command bson.Raw, sequences map[string]int) (bson.D, int32) {
	switch name {
	case "hello", "isMaster", "ismaster":
		compressors := bson.A{}
		if known, is := command.Lookup("compression").ArrayOK(); is {
			check(bson.UnmarshalValue(bson.TypeArray, known, &compressors))
		}
		return ok(bson.E{Key: "helloOk", Value: true}, bson.E{Key: "isWritablePrimary", Value: true}, bson.E{Key: "ismaster", Value: true}, bson.E{Key: "msg", Value: "isdbgrid"},
			bson.E{Key: "topologyVersion", Value: topology}, bson.E{Key: "maxBsonObjectSize", Value: int32(16 << 20)}, bson.E{Key: "maxMessageSizeBytes", Value: int32(48000000)},
			bson.E{Key: "maxWriteBatchSize", Value: int32(100000)}, bson.E{Key: "logicalSessionTimeoutMinutes", Value: int32(30)}, bson.E{Key: "minWireVersion", Value: int32(0)},
			bson.E{Key: "maxWireVersion", Value: int32(21)}, bson.E{Key: "compression", Value: compressors}), 0
	case "saslStart":
		return ok(bson.E{Key: "conversationId", Value: int32(1)}, bson.E{Key: "done", Value: true}, bson.E{Key: "payload", Value: bson.Binary{}}), 0
	case "find", "aggregate", "getMore":
		return cursor(name, collection)
	case "insert":
		if collection == "taken" {
			return ok(bson.E{Key: "n", Value: int32(0)}, bson.E{Key: "writeErrors", Value: bson.A{bson.D{{Key: "index", Value: int32(0)}, {Key: "code", Value: int32(11000)}, {Key: "errmsg", Value: "duplicate"}}}}), 11000
		}
	case "distinct":
		return ok(bson.E{Key: "values", Value: bson.A{int32(1)}}), 0
	case "findAndModify":
		return ok(bson.E{Key: "value", Value: bson.D{{Key: "_id", Value: int32(1)}}}), 0
	case "frobnicate":
		return failure(59)
	}
	return ok(bson.E{Key: "n", Value: int32(max(1, sequences["documents"]))}, bson.E{Key: "nModified", Value: int32(1)}), 0
}

// rows are in each batch of a cursor; a large collection has large ones, and two batches.
const rows = 5

func cursor(name, collection string) (bson.D, int32) {
	if collection == "broken" {
		return failure(26)
	}
	batch, id, field := bson.A{}, int64(0), "firstBatch"
	for i := range rows {
		row := bson.D{{Key: "_id", Value: int32(i)}}
		if collection == "large" {
			row = append(row, bson.E{Key: "text", Value: strings.Repeat("x", 20_000)})
		}
		batch = append(batch, row)
	}
	if name == "getMore" {
		field = "nextBatch"
	} else if collection == "large" {
		id = 7
	}
	return ok(bson.E{Key: "cursor", Value: bson.D{{Key: field, Value: batch}, {Key: "id", Value: id}, {Key: "ns", Value: "shop." + collection}}}), 0
}
