package otlp

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// conditions is the set of what is known of a connection, or of an exchange on it, when it is emitted. An attribute is
// present if and only if all conditions that it needs hold.
type conditions uint32

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
	wasEstablished // and has ended, so that there are counts
	hasRTT
	hasWay
	hasSide
	hasError
	ofConnection // the report is of the connection, not of an exchange on it
	hasServer    // the request names the server
	hasServerPort
	hasClient // a proxy has said who the connection is for
	hasProtocol
	hasVersion
	isTCP
	isUDP
	isUnix
	overIP // the ends have addresses and ports, not names
	hasPeerPID
	hasSegments // the kernel's counts of a TCP connection are known
)

func (f *conditions) add(condition conditions, holds bool) {
	if holds {
		*f |= condition
	}
}

// family is the version of the semantic conventions that an attribute is from.
type family uint8

const (
	always family = iota
	stable
	net
)

// attribute is one row of the table.
type attribute struct {
	key    string
	family family
	needs  conditions
	put    func(pcommon.Value, *report)
}

// attributes are all attributes of log records and spans, in the order in which they are written. Exchanges add their own
// after these. The log record and the span of one close have the same attributes, so that they cannot disagree. If rows
// have the same key, the first whose conditions hold is taken.
var attributes = [...]attribute{
	{connectionID, always, 0, func(v pcommon.Value, r *report) { v.SetStr(r.id) }},

	{networkPeerAddress, stable, hasRemoteAddress, putRemoteAddress},
	{networkPeerPort, stable, hasRemotePort, putRemotePort},
	{networkLocalAddress, stable, hasLocalAddress, putLocalAddress},
	{networkLocalPort, stable, hasLocalPort, putLocalPort},
	{serverAddress, stable, hasServer, putServer},
	{serverPort, stable, hasServerPort, putServerPort},
	{serverAddress, stable, hasRemoteAddress | isClient, putRemoteAddress},
	{serverPort, stable, hasRemotePort | isClient, putRemotePort},
	{serverAddress, stable, hasLocalAddress | isServer, putLocalAddress},
	{serverPort, stable, hasLocalPort | isServer, putLocalPort},
	{clientAddress, stable, hasClient | isServer, putClient},
	{clientPort, stable, hasClient | isServer, putClientPort},
	{clientAddress, stable, hasRemoteAddress | isServer, putRemoteAddress},
	{clientPort, stable, hasRemotePort | isServer, putRemotePort},
	{networkTransport, stable, isTCP, text("tcp")},
	{networkTransport, stable, isUDP, text("udp")},
	{networkTransport, stable, isUnix, text("unix")},
	{networkType, stable, isIPv4, text("ipv4")},
	{networkType, stable, isIPv6, text("ipv6")},
	{networkProtocolName, stable, hasProtocol, putProtocol},
	{networkProtocolVersion, stable, hasVersion, putVersion},

	{netSockPeerAddr, net, hasRemoteAddress, putRemoteAddress},
	{netSockPeerPort, net, hasRemotePort, putRemotePort},
	{netPeerIP, net, hasRemoteAddress | overIP, putRemoteAddress},
	{netSockHostAddr, net, hasLocalAddress, putLocalAddress},
	{netSockHostPort, net, hasLocalPort, putLocalPort},
	{netHostIP, net, hasLocalAddress | overIP, putLocalAddress},
	{netPeerName, net, hasServer | isClient, putServer},
	{netPeerPort, net, hasServerPort | isClient, putServerPort},
	{netPeerName, net, hasClient | isServer, putClient},
	{netPeerPort, net, hasClient | isServer, putClientPort},
	{netPeerName, net, hasRemoteAddress, putRemoteAddress},
	{netPeerPort, net, hasRemotePort, putRemotePort},
	{netHostName, net, hasServer | isServer, putServer},
	{netHostPort, net, hasServerPort | isServer, putServerPort},
	{netHostName, net, hasLocalAddress | isServer, putLocalAddress},
	{netHostPort, net, hasLocalPort | isServer, putLocalPort},
	{netTransport, net, isTCP, text("ip_tcp")},
	{netTransport, net, isUDP, text("ip_udp")},
	{netTransport, net, isUnix, text("unix")},
	{netSockFamily, net, isIPv4, text("inet")},
	{netSockFamily, net, isIPv6, text("inet6")},
	{netSockFamily, net, isUnix, text("unix")},
	{netProtocolName, net, hasProtocol, putProtocol},
	{netProtocolVersion, net, hasVersion, putVersion},

	{role, always, isClient | ofConnection, text("client")},
	{role, always, isServer | ofConnection, text("server")},
	{roleSource, always, 0, func(v pcommon.Value, r *report) {
		v.SetStr(nameOf(roleSourceNames[:], r.connection.RoleSource))
	}},
	{capture, always, 0, func(v pcommon.Value, r *report) { v.SetStr(r.capture) }},
	{addressSource, always, 0, func(v pcommon.Value, r *report) {
		v.SetStr(nameOf(addressSourceNames[:], r.addressSource()))
	}},
	{netNS, always, hasNetNS, func(v pcommon.Value, r *report) { v.SetInt(int64(r.connection.NetNS)) }},
	{peerPID, always, hasPeerPID, func(v pcommon.Value, r *report) { v.SetInt(int64(r.connection.Unix.PeerPID)) }},

	{errorType, always, hasError, func(v pcommon.Value, r *report) { v.SetStr(r.err.name) }},
	{duration, always, hasEnded, func(v pcommon.Value, r *report) {
		v.SetDouble(time.Duration(r.duration()).Seconds())
	}},
	{bytesSent, always, wasEstablished, func(v pcommon.Value, r *report) {
		v.SetInt(int64(r.connection.Stats.BytesSent))
	}},
	{bytesReceived, always, wasEstablished, func(v pcommon.Value, r *report) {
		v.SetInt(int64(r.connection.Stats.BytesReceived))
	}},
	{segmentsSent, always, isTCP | wasEstablished | hasSegments, putSegmentsSent},
	{segmentsReceived, always, isTCP | wasEstablished | hasSegments, putSegmentsReceived},
	{datagramsSent, always, isUDP | wasEstablished, putSegmentsSent},
	{datagramsReceived, always, isUDP | wasEstablished, putSegmentsReceived},
	{tcpRTT, always, isTCP | wasEstablished | hasRTT, func(v pcommon.Value, r *report) {
		v.SetDouble(float64(r.connection.Stats.RTT) / 1e6)
	}},
	// A failed attempt has retransmits too: its SYNs that nobody answered.
	{tcpRetransmits, always, isTCP | hasEnded | hasSegments, func(v pcommon.Value, r *report) {
		v.SetInt(int64(r.connection.Stats.Retransmits))
	}},
	{endHow, always, hasEnded | hasWay, func(v pcommon.Value, r *report) {
		v.SetStr(nameOf(wayNames[:], r.connection.End.Way))
	}},
	{endBy, always, hasEnded | hasSide, func(v pcommon.Value, r *report) {
		v.SetStr(nameOf(sideNames[:], r.connection.End.By))
	}},
}

// text always puts the same value.
func text(value string) func(pcommon.Value, *report) {
	return func(v pcommon.Value, _ *report) { v.SetStr(value) }
}

func putRemoteAddress(v pcommon.Value, r *report) { v.SetStr(r.remote) }
func putRemotePort(v pcommon.Value, r *report)    { v.SetInt(int64(r.connection.Remote.Port())) }
func putLocalAddress(v pcommon.Value, r *report)  { v.SetStr(r.local) }
func putLocalPort(v pcommon.Value, r *report)     { v.SetInt(int64(r.connection.Local.Port())) }
func putServer(v pcommon.Value, r *report)        { v.SetStr(sound(r.exchange.Server)) }
func putServerPort(v pcommon.Value, r *report)    { v.SetInt(int64(r.exchange.ServerPort)) }
func putClient(v pcommon.Value, r *report)        { v.SetStr(r.client) }
func putClientPort(v pcommon.Value, r *report)    { v.SetInt(int64(r.exchange.Client.Port())) }
func putProtocol(v pcommon.Value, r *report)      { v.SetStr(sound(r.exchange.Protocol)) }
func putVersion(v pcommon.Value, r *report)       { v.SetStr(sound(r.exchange.Version)) }

// The segments of a UDP flow are its datagrams.
func putSegmentsSent(v pcommon.Value, r *report) { v.SetInt(int64(r.connection.Stats.SegmentsSent)) }
func putSegmentsReceived(v pcommon.Value, r *report) {
	v.SetInt(int64(r.connection.Stats.SegmentsReceived))
}

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
