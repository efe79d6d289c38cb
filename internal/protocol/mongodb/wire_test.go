package mongodb

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// secret is in what must not be emitted.
const secret = "SECRET"

func n32(n uint32) string { return string(binary.LittleEndian.AppendUint32(nil, n)) }
func n64(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }

func element(kind byte, name, value string) string {
	return string([]byte{kind}) + name + "\x00" + value
}

func str(name, v string) string {
	return element(typeString, name, n32(uint32(len(v)+1))+v+"\x00")
}
func i32(name string, v int32) string { return element(typeInt32, name, n32(uint32(v))) }
func i64(name string, v int64) string { return element(typeInt64, name, n64(uint64(v))) }
func num(name string, v float64) string {
	return element(typeDouble, name, n64(math.Float64bits(v)))
}
func sub(name string, elements ...string) string {
	return element(typeDocument, name, doc(elements...))
}
func binaryOf(name, v string) string {
	return element(typeBinary, name, n32(uint32(len(v)))+"\x00"+v)
}

// array has documents.
func array(name string, documents ...string) string {
	var all strings.Builder
	for i, d := range documents {
		all.WriteString(element(typeDocument, strconv.Itoa(i), d))
	}
	return element(typeArray, name, doc(all.String()))
}

// list has texts.
func list(name string, values ...string) string {
	var all strings.Builder
	for i, v := range values {
		all.WriteString(str(strconv.Itoa(i), v))
	}
	return element(typeArray, name, doc(all.String()))
}

func doc(elements ...string) string {
	all := strings.Join(elements, "")
	return n32(uint32(len(all)+leastDocument)) + all + "\x00"
}

func message(op opcode, id, to uint32, body ...string) string {
	all := strings.Join(body, "")
	return n32(uint32(len(all)+headerBytes)) + n32(id) + n32(to) + n32(uint32(op)) + all
}

func body(document string) string { return "\x00" + document }

func sequence(name string, documents ...string) string {
	all := name + "\x00" + strings.Join(documents, "")
	return "\x01" + n32(uint32(len(all)+4)) + all
}

// ask is a command of the database db.
func ask(id uint32, elements ...string) string {
	return message(opMsg, id, 0, n32(0), body(doc(append(elements, str("$db", "db"))...)))
}

func answer(to uint32, elements ...string) string {
	return message(opMsg, 1000+to, to, n32(0), body(doc(elements...)))
}

var good = num("ok", 1)

// cursor is the reply to a command that finds n documents.
func cursor(to uint32, batch string, n int) string {
	documents := make([]string, n)
	for i := range documents {
		documents[i] = doc(str("name", secret), i32("ok", 0), i32("code", 9))
	}
	return answer(to, sub("cursor", array(batch, documents...), i64("id", 0), str("ns", "db.orders")), good)
}

func find(id uint32) string {
	return ask(id, str("find", "orders"), sub("filter", str("status", secret)), i32("limit", 5))
}

// Writers are large: they are used again.
var (
	zlibWriter    = zlib.NewWriter(nil)
	zstdWriter, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
)

// packed compresses a message.
func packed(compressor byte, m string) string {
	head, content := m[:headerBytes], []byte(m[headerBytes:])
	var out []byte
	switch compressor {
	case compressedNot:
		out = content
	case compressedSnappy:
		out = snappy.Encode(nil, content)
	case compressedZlib:
		var b bytes.Buffer
		zlibWriter.Reset(&b)
		_, _ = zlibWriter.Write(content)
		_ = zlibWriter.Close()
		out = b.Bytes()
	case compressedZstd:
		out = zstdWriter.EncodeAll(content, nil)
	}
	little := binary.LittleEndian
	b := []byte(head)
	return message(opCompressed, little.Uint32(b[4:]), little.Uint32(b[8:]), head[12:16], n32(uint32(len(content))), string([]byte{compressor}), string(out))
}

func query(id uint32, ns string, documents ...string) string {
	return message(opQuery, id, 0, n32(4), ns, "\x00", n32(0), n32(0xffffffff), strings.Join(documents, ""))
}

func early(to, flags uint32, documents ...string) string {
	return message(opReply, 1000+to, to, n32(flags), n64(0), n32(0), n32(uint32(len(documents))), strings.Join(documents, ""))
}
