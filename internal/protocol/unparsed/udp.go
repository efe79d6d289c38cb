package unparsed

// quicInitial accepts a packet with a long header and the type Initial, in a datagram of a least size.
func quicInitial(least int) matcher {
	const idLimit = 20
	return form(nil, 7, func(in input) (bool, string) {
		b := in.bytes
		version, kind := "", b[0]&0xf0
		switch {
		case u32(b[1:]) == 1 && kind == 0xc0:
			version = "1"
		case u32(b[1:]) == 0x6b3343cf && kind == 0xd0:
			version = "2"
		default:
			return false, ""
		}
		destination := int(b[5])
		if destination > idLimit || in.size < least || least > 0 && destination < 8 || len(b) < 7+destination {
			return false, ""
		}
		return b[6+destination] <= idLimit, version
	})
}

// Types of DTLS' messages that come first.
const (
	clientHello = 1
	serverHello = 2
	helloVerify = 3
)

// dtlsHello accepts a record of epoch 0 with one of the messages.
func dtlsHello(kinds ...byte) matcher {
	const header, handshake, most = 13, 22, 1 << 14
	return form([]int16{handshake, 0xfe, anyByte, 0, 0, 0, 0, 0}, header+12, func(in input) (bool, string) {
		b := in.bytes
		length, message := u16(b[11:]), int(u32(b[header:])&0xffffff)
		fits := false
		for _, k := range kinds {
			fits = fits || b[header] == k
		}
		if !fits || length < 12 || length > most || message < 3 || u16(b[header+4:]) > 4 {
			return false, ""
		}
		return b[2] == 0xff || b[2] == 0xfd, "" // the version is agreed on later
	})
}

// wireGuard accepts a message of the handshake, or a cookie: each has one size.
func wireGuard(in input) (answer, string) {
	sizes := [...]int{1: 148, 2: 92, 3: 64}
	b := in.bytes
	if len(b) < 64 || b[0] == 0 || int(b[0]) >= len(sizes) || !allZero(b[1:4]) || in.size != sizes[b[0]] || allZero(b[12:44]) {
		return no, ""
	}
	return yes, ""
}

// stunMessage accepts a header with the cookie and the datagram's length.
func stunMessage(in input) (answer, string) {
	const header, cookie = 20, 0x2112a442
	b := in.bytes
	if len(b) < header || b[0]&0xc0 != 0 || u32(b[4:]) != cookie || u16(b[2:])%4 != 0 || u16(b[2:])+header != in.size {
		return no, ""
	}
	return yes, ""
}

// ntpMessage accepts a message of a mode, of or to the protocol's port: little else is in it.
func ntpMessage(mode byte) matcher {
	const ntpPort, least = 123, 48
	return func(in input) (answer, string) {
		b := in.bytes
		version := int(b[0]>>3&7) - 1
		known := [...]string{"1", "2", "3", "4"}
		if in.port != ntpPort || in.size < least || in.size%4 != 0 || b[0]&7 != mode || version < 0 || version >= len(known) {
			return no, ""
		}
		return yes, known[version]
	}
}

// dhcpMessage accepts a request or a reply with the cookie of its options.
func dhcpMessage(in input) (answer, string) {
	const cookieAt, cookie = 236, 0x63825363
	b := in.bytes
	if len(b) < cookieAt+4 || b[0] != 1 && b[0] != 2 || b[2] > 16 || u32(b[cookieAt:]) != cookie {
		return no, ""
	}
	return yes, ""
}

// ikeHeader accepts the first message of version 2, or the answer to it, also behind the marker of port 4500.
func ikeHeader(in input) (answer, string) {
	const header, saInit, security = 28, 34, 33
	b, size := in.bytes, in.size
	if len(b) > 4 && allZero(b[:4]) {
		b, size = b[4:], size-4
	}
	if len(b) < header || allZero(b[:8]) || b[17] != 0x20 || b[18] != saInit || b[16] != security ||
		!allZero(b[20:24]) || int(u32(b[24:])) != size {
		return no, ""
	}
	if initiator := b[19] == 0x08 && allZero(b[8:16]); !initiator && (b[19] != 0x20 || allZero(b[8:16])) {
		return no, ""
	}
	return yes, "2"
}
