package tls

import "encoding/binary"

// number is a number of so many bytes.
func number(n, bytes int) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(n))
	return string(b[4-bytes:])
}

// vector is bytes behind their length, which has so many bytes.
func vector(bytes int, b string) string { return number(len(b), bytes) + b }

func extension(kind int, b string) string { return number(kind, 2) + vector(2, b) }

// named is the extension with a host's name, and offers the one with application protocols.
func named(host string) string { return extension(extServerName, vector(2, "\x00"+vector(2, host))) }

func offers(names ...string) string {
	list := ""
	for _, name := range names {
		list += vector(1, name)
	}
	return extension(extALPN, vector(2, list))
}

// random is a random without a meaning.
const random = "0123456789abcdefghijklmnopqrstuv"

// asks and answers are the bodies of hellos.
func asks(session, extensions string) string {
	return "\x03\x03" + random + vector(1, session) + vector(2, "\x13\x01\xc0\x2f") + vector(1, "\x00") + vector(2, extensions)
}

func answers(session string, cipher int, extensions string) string {
	return "\x03\x03" + random + vector(1, session) + number(cipher, 2) + "\x00" + vector(2, extensions)
}

func message(kind byte, body string) string { return string(kind) + vector(3, body) }

func recordOf(kind byte, body string) string { return string(kind) + "\x03\x03" + vector(2, body) }

// hello is a client's; answered13 is a server's of TLS 1.3, and answered12 of 1.2, with what follows it.
var (
	hello      = recordOf(handshake, message(clientHello, asks("", named("a.example")+offers("h2"))))
	answered13 = recordOf(handshake, message(serverHello, answers("", 0x1301, extension(extSupportedVersions, "\x03\x04"))))
	answered12 = recordOf(handshake, message(serverHello, answers("", 0xc02f, offers("h2")))+message(11, "certificate"))
	finished   = recordOf(applicationData, random+random)
	changed    = recordOf(changeCipherSpec, "\x01")
	encrypted  = recordOf(handshake, random+random)
)
