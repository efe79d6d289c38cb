package unparsed

import "bytes"

// amqpHeader reads a protocol header. 1.0 has one for itself, one for TLS and one for SASL.
var amqpHeader = versions(
	"AMQP\x00\x00\x09\x01", "0-9-1", "AMQP\x01\x01\x00\x09", "0-9", "AMQP\x01\x01\x09\x01", "0-9-1",
	"AMQP\x01\x01\x00\x0a", "0-10", "AMQP\x01\x01\x08\x00", "0-8",
	"AMQP\x00\x01\x00\x00", "1.0", "AMQP\x02\x01\x00\x00", "1.0", "AMQP\x03\x01\x00\x00", "1.0",
)

// mqttVersion reads the protocol's name and level.
var mqttVersion = versions("\x00\x04MQTT\x04", "3.1.1", "\x00\x04MQTT\x05", "5.0", "\x00\x06MQIsdp\x03", "3.1")

// mqttConnect accepts a CONNECT packet: its type, its length, and the protocol's name and version.
func mqttConnect(in input) (answer, string) {
	b := in.bytes
	if b[0] != 0x10 {
		return no, ""
	}
	for i := 1; i < len(b) && i <= 4; i++ {
		if b[i] < 0x80 { // the last byte of the length
			if len(b) == i+1 {
				return more, ""
			}
			return mqttVersion(input{bytes: b[i+1:]})
		}
	}
	if len(b) <= 4 {
		return more, ""
	}
	return no, ""
}

// Bounds of what is taken for a request of Kafka.
const (
	kafkaHeader     = 14 // bytes up to the client's name: length, key, version, correlation, length of the name
	kafkaMaxSize    = 100 << 20
	kafkaMaxKey     = 100
	kafkaMaxVersion = 20
	kafkaMaxName    = 200
)

// kafkaRequest accepts the header of a request, with the client's name.
func kafkaRequest(in input) (answer, string) {
	b := in.bytes
	switch {
	case len(b) >= 4 && u32(b) > kafkaMaxSize, len(b) >= 6 && u16(b[4:]) > kafkaMaxKey, len(b) >= 8 && u16(b[6:]) > kafkaMaxVersion:
		return no, ""
	case len(b) < kafkaHeader:
		return more, ""
	}
	size, name := int(u32(b)), u16(b[12:])
	if name == 0 || name > kafkaMaxName || size < kafkaHeader-4+name {
		return no, ""
	}
	if known := b[kafkaHeader:min(len(b), kafkaHeader+name)]; !isPrintable(known) {
		return no, ""
	} else if len(known) < min(name, 1) {
		return more, ""
	}
	return yes, ""
}

func kafkaResponse(in input) (bool, string) {
	size := u32(in.bytes)
	return size > 4 && size < kafkaMaxSize, ""
}

func sameCorrelation(client, server []byte) bool { return string(client[8:12]) == string(server[4:8]) }

// Opcodes of CQL that come first (2.4).
const (
	cqlError, cqlStartup, cqlReady, cqlAuthenticate, cqlOptions, cqlSupported = 0, 1, 2, 3, 5, 6

	cqlResponseBit = 0x80
	cqlMaxFlags    = 0x1f
)

// cqlRequest accepts a frame with STARTUP or OPTIONS.
func cqlRequest(in input) (answer, string) {
	b := in.bytes
	switch {
	case b[0] < 3 || b[0] > 5, len(b) > 1 && b[1] > cqlMaxFlags, len(b) > 4 && b[4] != cqlStartup && b[4] != cqlOptions:
		return no, ""
	case len(b) < 9:
		return more, ""
	}
	length := u32(b[5:])
	if b[4] == cqlOptions && length != 0 || b[4] == cqlStartup && (length < 20 || length > 4096) {
		return no, ""
	}
	return yes, [...]string{"3", "4", "5"}[b[0]-3]
}

func cqlResponse(in input) (bool, string) {
	b := in.bytes
	known := b[4] == cqlError || b[4] == cqlReady || b[4] == cqlAuthenticate || b[4] == cqlSupported
	return known && b[0] >= cqlResponseBit|3 && b[0] <= cqlResponseBit|5 && b[1] <= cqlMaxFlags && u32(b[5:]) < 1<<16, ""
}

// sameCQLStream reports whether a response has the stream of the request; an error about the version may have another version.
func sameCQLStream(client, server []byte) bool {
	return string(client[2:4]) == string(server[2:4]) && (server[0] == client[0]|cqlResponseBit || server[4] == cqlError)
}

// zookeeperConnect reads protocolVersion (0), lastZxidSeen, timeOut, sessionId and the password's length; readOnly may follow.
func zookeeperConnect(in input) (bool, string) {
	const maxTimeout = 1 << 24 // ms
	b := in.bytes
	size, timeout, password := u32(b), u32(b[16:]), u32(b[28:])
	return password == 16 && (size == 44 || size == 45) && timeout > 0 && timeout < maxTimeout, ""
}

// rdpRequest reads a connection request of X.224 in a TPKT, which has a cookie, or asks for a kind of security.
func rdpRequest(in input) (answer, string) {
	const fixed = 11 // bytes of the headers
	b := in.bytes
	switch {
	case int(b[3]) != int(b[4])+5 || b[3] < fixed+8:
		return no, ""
	case len(b) < fixed:
		return more, ""
	case b[10] != 0:
		return no, ""
	}
	return begins(b[fixed:], "Cookie: mstshash=", "Cookie: msts=",
		"\x01\x00\x08\x00", "\x01\x01\x08\x00", "\x01\x02\x08\x00", "\x01\x08\x08\x00"), ""
}

func gearmanType(in input) (bool, string) {
	const highest = 42
	return in.bytes[7] >= 1 && in.bytes[7] <= highest, ""
}

// thriftCall accepts a call of a method, also behind the length of a frame.
func thriftCall(in input) (answer, string) {
	const version, call, oneway, longest = 0x80010000, 1, 4, 128
	b := in.bytes
	framed := 0
	if b[0] != 0x80 {
		if framed = 4; len(b) <= framed {
			return more, ""
		}
	}
	m := b[framed:]
	if a := begins(m, "\x80\x01\x00\x01\x00\x00\x00", "\x80\x01\x00\x04\x00\x00\x00"); a != yes || len(m) < 9 {
		return min(a, more), ""
	}
	size := int(m[7])
	if size == 0 || size > longest || framed > 0 && u32(b) < uint32(size)+12 {
		return no, ""
	}
	for _, c := range m[8:min(len(m), 8+size)] {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != ':' && c != '.' && c != '-' {
			return no, ""
		}
	}
	if len(m) < 8+size {
		return more, ""
	}
	return yes, ""
}

// smbHeader accepts a message behind the header of the session service: SMB 1, 2, or an encrypted one.
func smbHeader(in input) (bool, string) {
	kind := in.bytes[4]
	return kind == 0xff || kind == 0xfe, ""
}

// tnsConnect accepts a connect packet that has the description of what it connects to.
func tnsConnect(in input) (answer, string) {
	const dataAt = 34
	b := in.bytes
	if len(b) < dataAt {
		return more, ""
	}
	if u16(b) <= dataAt {
		return no, ""
	}
	if bytes.Contains(b, []byte("(DESCRIPTION=")) || bytes.Contains(b, []byte("(CONNECT_DATA=")) {
		return yes, ""
	}
	return more, ""
}

// Types of AJP's packets.
const (
	ajpForward, ajpPing, ajpPong = 2, 10, 9
	ajpBodyChunk, ajpGetBody     = 3, 6
)

func ajpRequest(in input) (bool, string) {
	return u16(in.bytes[2:]) > 0 && (in.bytes[4] == ajpForward || in.bytes[4] == ajpPing), ""
}

func ajpResponse(in input) (bool, string) {
	kind := in.bytes[4]
	return u16(in.bytes[2:]) > 0 && (kind >= ajpBodyChunk && kind <= ajpGetBody || kind == ajpPong), ""
}

// x11Setup reads the byte order, and the version 11.0 in it.
func x11Setup(in input) (answer, string) {
	return begins(in.bytes, "l\x00\x0b\x00\x00\x00", "B\x00\x00\x0b\x00\x00"), "11.0"
}

func x11Answer(in input) (bool, string) {
	b := in.bytes
	return b[0] <= 2 && (string(b[2:6]) == "\x0b\x00\x00\x00" || string(b[2:6]) == "\x00\x0b\x00\x00"), ""
}

// bgpOpen accepts the marker and an OPEN message of version 4.
var bgpOpen = form([]int16{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, anyByte, anyByte, 1, 4,
}, 20, func(in input) (bool, string) {
	length := u16(in.bytes[16:])
	return length >= 29 && length <= 4096, "4"
})

// zmtpGreeting accepts the signature of a greeting and the version.
var zmtpGreeting = form([]int16{0xff, 0, 0, 0, 0, 0, 0, 0, anyByte, 0x7f, 3}, 12, func(in input) (bool, string) {
	if in.bytes[11] == 1 {
		return in.bytes[8] <= 1, "3.1"
	}
	return in.bytes[8] <= 1 && in.bytes[11] == 0, "3.0"
})

var openWire = form([]int16{0, 0, anyByte, anyByte, 1, 'A', 'c', 't', 'i', 'v', 'e', 'M', 'Q'}, 13, nil)

// pulsarConnect accepts a command of the type CONNECT (2), whose message has the client's version first.
func pulsarConnect(in input) (bool, string) {
	b := in.bytes
	return u32(b) == u32(b[4:])+4 && string(b[8:11]) == "\x08\x02\x12", ""
}

// telnetOptions accepts two requests for options one after the other.
func telnetOptions(in input) (bool, string) {
	const command, will, dont, highest = 0xff, 0xfb, 0xfe, 50
	for at := 0; at < 6; at += 3 {
		o := in.bytes[at : at+3]
		if o[0] != command || o[1] < will || o[1] > dont || o[2] > highest {
			return false, ""
		}
	}
	return true, ""
}

// rpcRecordForm is the mark of a record, the call's number, that it is a call, the version 2, and how the numbers of the registered
// programs begin.
var rpcRecordForm = []int16{
	0x80, anyByte, anyByte, anyByte, anyByte, anyByte, anyByte, anyByte, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1,
}

// rpcRecord accepts the last fragment of a record with a call.
func rpcRecord(in input) (bool, string) {
	const last = 0x80000000
	if size := u32(in.bytes); size < last+24 || size > last+1<<24 {
		return false, ""
	}
	return rpcCall(input{bytes: in.bytes[4:]})
}

// rpcCall accepts a call to one of the programs that are registered.
func rpcCall(in input) (bool, string) {
	const first, end = 100000, 101000
	b := in.bytes
	program := u32(b[12:])
	return program >= first && program < end && u32(b[16:]) < 16 && u32(b[20:]) < 64, ""
}
