package otlp

import (
	"net"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// conditions is the set of what is known of a connection, or of an exchange on it, when it is emitted. An attribute is
// present if and only if all conditions that it needs hold.
type conditions uint64

const (
	hasRemoteAddress conditions = 1 << iota // or a name
	hasRemotePort
	hasLocalAddress // or a name
	hasLocalPort
	isIPv4
	isIPv6
	isClient
	isServer
	hasNetNS
	hasEnded
	wasEstablished // and has ended, so that there are counts; but see report.unmeasured
	hasRTT
	hasWay
	hasSide
	hasError
	ofConnection // the report is of the connection, not of an exchange on it
	hasServer    // the request names the server
	hasServerPort
	hasClient     // a proxy has said who the connection is for
	hasClientPort // and its port
	isClientsPeer // no proxy has: it is for who has connected
	hasProtocol
	hasVersion
	isTCP
	isUDP
	isUnix
	overIP // the ends have addresses and ports, not names
	hasPeerPID
	hasSegments // the kernel's counts of a TCP connection are known
	isHTTP
	hasPeerName // the process has asked DNS for the remote address, and the request does not name the server
	hasTLSServerName
	hasTLSOffer
	hasTLSNextProtocol
	hasTLSProtocol // and its version
	hasTLSCipher
	hasTLSResumed     // whether the connection is
	hasTLSEstablished // whether it was
	asks              // this end began the exchange
	isAsked           // the other one did
	hasRequestPhase
	hasWaitPhase
	hasResponsePhase
	hasResolving
	hasConnecting
	hasQueued
	hasHandshake
)

func (f *conditions) add(condition conditions, holds bool) {
	if holds {
		*f |= condition
	}
}

// attribute is one row of the table.
type attribute struct {
	key     string
	presets presets
	needs   conditions
	value   value
}

// value writes the value of an attribute. In OTLP's encoding it takes as many bytes as a text of the report, and at most so many beside.
type value struct {
	put  func(pcommon.Value, *report)
	of   reportText
	most int
}

func number(put func(pcommon.Value, *report)) value { return value{put, noText, maxNumber} }
func port(put func(pcommon.Value, *report)) value   { return value{put, noText, 3} }
func name(put func(pcommon.Value, *report)) value   { return value{put, noText, maxName} }

// attributes are all attributes of log records and spans, in the order in which they are written. Exchanges add their own
// after these. The log record and the span of one close have the same attributes, so that they cannot disagree; the record has its
// duration beside them. If rows have the same key, the first whose conditions hold is taken.
var attributes = [...]attribute{
	{connectionID, inAll, 0, putID},

	{networkPeerAddress, inCurrent, hasRemoteAddress, putRemoteAddress},
	{networkPeerPort, inCurrent, hasRemotePort, putRemotePort},
	{networkLocalAddress, inCurrent, hasLocalAddress, putLocalAddress},
	{networkLocalPort, inCurrent, hasLocalPort, putLocalPort},
	{serverAddress, inCurrent, hasServer, putServer},
	{serverPort, inCurrent, hasServerPort, putServerPort},
	{serverAddress, inCurrent, hasPeerName | isClient, putPeerName},
	{serverAddress, inCurrent, hasRemoteAddress | isClient, putRemoteAddress},
	{serverPort, inCurrent, hasRemotePort | isClient, putRemotePort},
	{serverAddress, inCurrent, hasLocalAddress | isServer, putLocalAddress},
	{serverPort, inCurrent, hasLocalPort | isServer, putLocalPort},
	{clientAddress, inCurrent, hasClient | isServer, putClient},
	{clientPort, inCurrent, hasClientPort | isServer, putClientPort},
	{clientAddress, inCurrent, isClientsPeer | hasRemoteAddress | isServer, putRemoteAddress},
	{clientPort, inCurrent, isClientsPeer | hasRemotePort | isServer, putRemotePort},
	{networkTransport, inCurrent, isTCP, text("tcp")},
	{networkTransport, inCurrent, isUDP, text("udp")},
	{networkTransport, inCurrent, isUnix, text("unix")},
	{networkType, inCurrent, isIPv4, text("ipv4")},
	{networkType, inCurrent, isIPv6, text("ipv6")},
	{networkProtocolName, inCurrent, hasProtocol, putProtocol},
	{networkProtocolVersion, inCurrent, hasVersion, putVersion},

	{netSockPeerAddr, inBoth | inV120, hasRemoteAddress, putRemoteAddress},
	{netSockPeerPort, inBoth | inV120, hasRemotePort, putRemotePort},
	{netSockHostAddr, inBoth | inV120, hasLocalAddress, putLocalAddress},
	{netSockHostPort, inBoth | inV120, hasLocalPort, putLocalPort},
	{netPeerName, inBoth | inV120, hasServer | isClient, putServer},
	{netPeerPort, inBoth | inV120, hasServerPort | isClient, putServerPort},
	{netPeerName, inBoth | inV120, hasPeerName | isClient, putPeerName},
	{netPeerName, inBoth | inV120, hasClient | isServer, putClient},
	{netPeerPort, inBoth | inV120, hasClientPort | isServer, putClientPort},
	{netPeerName, inBoth | inV120, isClientsPeer | hasRemoteAddress, putRemoteAddress},
	{netPeerPort, inBoth | inV120, isClientsPeer | hasRemotePort, putRemotePort},
	{netHostName, inBoth | inV120, hasServer | isServer, putServer},
	{netHostPort, inBoth | inV120, hasServerPort | isServer, putServerPort},
	{netHostName, inBoth | inV120, hasLocalAddress | isServer, putLocalAddress},
	{netHostPort, inBoth | inV120, hasLocalPort | isServer, putLocalPort},
	{netSockFamily, inV120, isIPv4, text("inet")},
	{netSockFamily, inV120, isIPv6, text("inet6")},
	{netSockFamily, inV120, isUnix, text("unix")},
	{netProtocolName, inV120, hasProtocol, putProtocol},
	{netProtocolVersion, inV120, hasVersion, putVersion},

	// In 1.12 ports belong to the addresses, and names are there only if they are known.
	{netPeerIP, inV112, hasRemoteAddress | overIP, putRemoteAddress},
	{netPeerPort, inV112, hasRemotePort, putRemotePort},
	{netPeerName, inV112, hasServer | isClient, putServer},
	{netPeerName, inV112, hasPeerName | isClient, putPeerName},
	{netPeerName, inV112, hasRemoteAddress | isUnix, putRemoteAddress},
	{netHostIP, inV112, hasLocalAddress | overIP, putLocalAddress},
	{netHostPort, inV112, hasLocalPort, putLocalPort},
	{netHostName, inV112, hasServer | isServer, putServer},
	{netHostName, inV112, hasLocalAddress | isUnix, putLocalAddress},
	{httpClientIP, inEarlier, hasClient | isServer | isHTTP, putClient},
	{httpHost, inV112, hasServer | isHTTP, putHost},
	{httpFlavor, inV112, hasVersion | isHTTP, putFlavor},

	{netTransport, inEarlier, isTCP, text("ip_tcp")},
	{netTransport, inEarlier, isUDP, text("ip_udp")},
	{netTransport, inV112, isUnix, text("unix")},
	{netTransport, inV120, isUnix, text("other")}, // "unix" is not in 1.13 and later

	{role, inAll, isClient | ofConnection, text("client")},
	{role, inAll, isServer | ofConnection, text("server")},
	{roleSource, inAll, 0, name(func(v pcommon.Value, r *report) {
		v.SetStr(nameOf(roleSourceNames[:], r.connection.RoleSource))
	})},
	{capture, inAll, 0, name(func(v pcommon.Value, r *report) { v.SetStr(r.capture) })},
	{addressSource, inAll, 0, name(func(v pcommon.Value, r *report) {
		v.SetStr(nameOf(addressSourceNames[:], r.addressSource()))
	})},
	{serverAddressSource, inAll, hasPeerName | isClient, text(serverAddressByDNS)},
	{netNS, inAll, hasNetNS, number(func(v pcommon.Value, r *report) { v.SetInt(int64(r.connection.NetNS)) })},
	{peerPID, inAll, hasPeerPID, number(func(v pcommon.Value, r *report) { v.SetInt(int64(r.connection.Unix.PeerPID)) })},

	{tlsProtocolName, inAll, hasTLSProtocol, putTLS(tlsProtocolName, func(t *protocol.TLS) string { return t.Protocol })},
	{tlsProtocolVersion, inAll, hasTLSProtocol, putTLS(tlsProtocolVersion, func(t *protocol.TLS) string { return t.Version })},
	{tlsCipher, inAll, hasTLSCipher, putTLS(tlsCipher, func(t *protocol.TLS) string { return t.Cipher })},
	{tlsServerName, inAll, hasTLSServerName, putTLS(tlsServerName, func(t *protocol.TLS) string { return t.ServerName })},
	{tlsNextProtocol, inAll, hasTLSNextProtocol, putTLS(tlsNextProtocol, func(t *protocol.TLS) string { return t.NextProtocol })},
	{tlsOffered, inAll, hasTLSOffer, value{putTLSOffer, noText, 0}},
	{tlsResumed, inAll, hasTLSResumed, number(func(v pcommon.Value, r *report) { v.SetBool(r.connection.TLS.Resumed) })},
	{tlsEstablished, inAll, hasTLSEstablished, number(func(v pcommon.Value, r *report) { v.SetBool(r.connection.TLS.Established) })},

	{phaseResolving, inAll, hasResolving, number(func(v pcommon.Value, r *report) { v.SetDouble(r.connection.PeerLookup.Seconds()) })},
	{phaseConnecting, inAll, hasConnecting, number(func(v pcommon.Value, r *report) {
		v.SetDouble(time.Duration(r.connection.OpenedAt - r.connection.StartedAt).Seconds())
	})},
	{phaseQueued, inAll, hasQueued, number(func(v pcommon.Value, r *report) {
		v.SetDouble(time.Duration(r.connection.AcceptedAt - r.connection.OpenedAt).Seconds())
	})},
	{phaseHandshake, inAll, hasHandshake, number(func(v pcommon.Value, r *report) { v.SetDouble(r.connection.TLS.Handshake.Seconds()) })},
	{phaseSending, inAll, hasRequestPhase | asks, putPhase(0)},
	{phaseWaiting, inAll, hasWaitPhase | asks, putPhase(1)},
	{phaseReceiving, inAll, hasResponsePhase | asks, putPhase(2)},
	{phaseReceiving, inAll, hasRequestPhase | isAsked, putPhase(0)},
	{phaseHandling, inAll, hasWaitPhase | isAsked, putPhase(1)},
	{phaseSending, inAll, hasResponsePhase | isAsked, putPhase(2)},

	{errorType, inAll, hasError, putError},
	{bytesSent, inAll, wasEstablished, number(func(v pcommon.Value, r *report) {
		v.SetInt(int64(r.connection.Stats.BytesSent))
	})},
	{bytesReceived, inAll, wasEstablished, number(func(v pcommon.Value, r *report) {
		v.SetInt(int64(r.connection.Stats.BytesReceived))
	})},
	{segmentsSent, inAll, isTCP | wasEstablished | hasSegments, putSegmentsSent},
	{segmentsReceived, inAll, isTCP | wasEstablished | hasSegments, putSegmentsReceived},
	{datagramsSent, inAll, isUDP | wasEstablished, putSegmentsSent},
	{datagramsReceived, inAll, isUDP | wasEstablished, putSegmentsReceived},
	{tcpRTT, inAll, isTCP | wasEstablished | hasRTT, number(func(v pcommon.Value, r *report) {
		v.SetDouble(float64(r.connection.Stats.RTT) / 1e6)
	})},
	// A failed attempt has retransmits too: its SYNs that nobody answered.
	{tcpRetransmits, inAll, isTCP | hasEnded | hasSegments, number(func(v pcommon.Value, r *report) {
		v.SetInt(int64(r.connection.Stats.Retransmits))
	})},
	{endHow, inAll, hasEnded | hasWay, name(func(v pcommon.Value, r *report) {
		v.SetStr(nameOf(wayNames[:], r.connection.End.Way))
	})},
	{endBy, inAll, hasEnded | hasSide, name(func(v pcommon.Value, r *report) {
		v.SetStr(nameOf(sideNames[:], r.connection.End.By))
	})},
}

// putPhase puts how long a phase of an exchange took.
func putPhase(i int) value {
	return number(func(v pcommon.Value, r *report) { v.SetDouble(r.phases[i].Seconds()) })
}

// text always puts the same value.
func text(s string) value {
	return value{func(v pcommon.Value, _ *report) { v.SetStr(s) }, noText, len(s)}
}

var (
	putID            = value{func(v pcommon.Value, r *report) { v.SetStr(r.id) }, idText, 0}
	putRemoteAddress = value{func(v pcommon.Value, r *report) { v.SetStr(r.remote) }, remoteText, 0}
	putRemotePort    = port(func(v pcommon.Value, r *report) { v.SetInt(int64(r.connection.Remote.Port())) })
	putLocalAddress  = value{func(v pcommon.Value, r *report) { v.SetStr(r.local) }, localText, 0}
	putLocalPort     = port(func(v pcommon.Value, r *report) { v.SetInt(int64(r.connection.Local.Port())) })
	putServer        = value{func(v pcommon.Value, r *report) { v.SetStr(r.server) }, serverText, 0}
	putServerPort    = port(func(v pcommon.Value, r *report) { v.SetInt(int64(r.exchange.ServerPort)) })
	putPeerName      = value{func(v pcommon.Value, r *report) { v.SetStr(r.connection.PeerName) }, peerNameText, 0}
	putClient        = value{func(v pcommon.Value, r *report) { v.SetStr(r.client) }, clientText, 0}
	putClientPort    = port(func(v pcommon.Value, r *report) { v.SetInt(int64(r.exchange.Client.Port())) })
	putProtocol      = value{func(v pcommon.Value, r *report) { v.SetStr(r.protocol) }, protocolText, 0}
	putVersion       = value{func(v pcommon.Value, r *report) { v.SetStr(r.version) }, versionText, 0}
	putError         = value{func(v pcommon.Value, r *report) { v.SetStr(r.err.name) }, errorText, 0}

	// The segments of a UDP flow are its datagrams.
	putSegmentsSent     = number(func(v pcommon.Value, r *report) { v.SetInt(int64(r.connection.Stats.SegmentsSent)) })
	putSegmentsReceived = number(func(v pcommon.Value, r *report) { v.SetInt(int64(r.connection.Stats.SegmentsReceived)) })

	// putHost writes the name of the server and its port, which is left out where no client writes it.
	putHost = value{func(v pcommon.Value, r *report) {
		if port := r.exchange.ServerPort; port == 0 || port == 80 || port == 443 {
			v.SetStr(r.server)
			return
		}
		v.SetStr(net.JoinHostPort(r.server, strconv.Itoa(int(r.exchange.ServerPort))))
	}, serverText, len("[]:65535")}

	// putFlavor writes the version as 1.12 does.
	putFlavor = value{func(v pcommon.Value, r *report) {
		if v.SetStr(r.version); r.version == "2" {
			v.SetStr("2.0")
		}
	}, versionText, len(".0")}
)

var (
	roleSourceNames = [...]string{
		event.RoleSourceUnknown:  "unknown",
		event.RoleSourceConnect:  "connect",
		event.RoleSourceAccept:   "accept",
		event.RoleSourceListener: "listener",
		event.RoleSourceFirst:    "first",
		event.RoleSourceProtocol: "protocol",
	}
	addressSourceNames = [...]string{
		event.AddressSourceSock:        "sock",
		event.AddressSourceAccept:      "accept",
		event.AddressSourceConnect:     "connect",
		event.AddressSourceGetsockname: "getsockname",
		event.AddressSourceGetpeername: "getpeername",
		event.AddressSourceContainer:   "container",
		event.AddressSourceProc:        "proc",
		event.AddressSourceUnknown:     "unknown",
		event.AddressSourceTLSRecord:   "tls_record",
	}
	captureNames = [...]string{
		socket.CaptureComplete:        "complete",
		socket.CaptureGap:             "gap",
		socket.CaptureJoinedMidstream: "joined_midstream",
	}
	exchangeCaptureNames = [...]string{
		protocol.CaptureComplete:  "complete",
		protocol.CaptureTruncated: "truncated",
		protocol.CaptureGap:       "gap",
		protocol.CaptureJoined:    "joined_midstream",
		protocol.CaptureCut:       "cut",
	}
	wayNames = [...]string{
		socket.WayUnknown:  "unknown",
		socket.WayFIN:      "fin",
		socket.WayRST:      "rst",
		socket.WayTimeout:  "timeout",
		socket.WayError:    "error",
		socket.WayCanceled: "canceled",
		socket.WayIdle:     "idle",
	}
	sideNames = [...]string{
		socket.SideUnknown: "unknown",
		socket.SideLocal:   "local",
		socket.SideRemote:  "remote",
	}
)

// nameOf is a value's name in a table. A value that the table lacks is "unknown": a new constant must not make a collector
// panic.
func nameOf[T ~uint8](names []string, value T) string {
	if int(value) < len(names) {
		return names[value]
	}
	return "unknown"
}

// row is a value's row of a table. The first row stands for values that the table lacks.
func row[T any, V ~uint8](rows []T, value V) *T {
	if int(value) < len(rows) {
		return &rows[value]
	}
	return &rows[0]
}

// entry is the content of a value's row.
func entry[T any, V ~uint8](rows []T, value V) T { return *row(rows, value) }
