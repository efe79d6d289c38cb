package otlp

// All names in the emitted telemetry. Names outside socketflow.* are those of the OpenTelemetry semantic conventions: a
// test compares them with the constants of go.opentelemetry.io/otel/semconv.

// Resource attributes: the process that owns the socket, and its host.
const (
	serviceName           = "service.name"              // set by the process, else derived from its container or executable
	serviceSource         = "socketflow.service.source" // how the name is known: see process.SourceServiceName and the following
	serviceInstanceID     = "service.instance.id"       // set by the process, else a UUID of host, boot, pid and start
	processPID            = "process.pid"               // in the pid namespace of the collector's procfs
	processCreationTime   = "process.creation.time"     // RFC 3339, UTC; to 10 ms after the time of the boot, which is to the second
	processOwner          = "process.owner"             // the user's name on the host, or the number
	processExecutableName = "process.executable.name"   // last element of the path
	processExecutablePath = "process.executable.path"   // behind "..." if only its end is known
	processCommandArgs    = "process.command_args"      // the arguments one by one; on request only
	containerID           = "container.id"
	containerName         = "container.name"
	containerRuntimeName  = "container.runtime.name"
	k8sPodUID             = "k8s.pod.uid"
	k8sContainerName      = "k8s.container.name"
	hostName              = "host.name"
	hostID                = "host.id" // machine-id(5)
)

// Address attributes of the current conventions. Addresses are IP addresses as text, or names of Unix sockets that have one;
// ports are numbers.
const (
	networkPeerAddress  = "network.peer.address" // remote end of the socket
	networkPeerPort     = "network.peer.port"
	networkLocalAddress = "network.local.address" // local end of the socket
	networkLocalPort    = "network.local.port"
	serverAddress       = "server.address" // the accepting end, or its name in the request; on both sides
	serverPort          = "server.port"
	clientAddress       = "client.address" // the connecting end; on the server side only
	clientPort          = "client.port"
	networkTransport    = "network.transport" // "tcp", "udp", "unix"
	networkType         = "network.type"      // "ipv4", "ipv6"; absent elsewhere

	networkProtocolName    = "network.protocol.name" // "http"; of connections, too, if their bytes have shown it
	networkProtocolVersion = "network.protocol.version"
)

// Address attributes of the conventions before 1.21, and in part before 1.13, which older dashboards still query.
const (
	netSockPeerAddr = "net.sock.peer.addr" // remote end of the socket
	netSockPeerPort = "net.sock.peer.port"
	netPeerIP       = "net.peer.ip"        // the same, before 1.13
	netSockHostAddr = "net.sock.host.addr" // local end of the socket
	netSockHostPort = "net.sock.host.port"
	netHostIP       = "net.host.ip"   // the same, before 1.13
	netPeerName     = "net.peer.name" // logical remote end
	netPeerPort     = "net.peer.port"
	netHostName     = "net.host.name" // logical local end; on the server side only
	netHostPort     = "net.host.port"
	netTransport    = "net.transport"   // "ip_tcp", "ip_udp", "other"; "unix" in 1.12
	netSockFamily   = "net.sock.family" // "inet", "inet6", "unix"

	netProtocolName    = "net.protocol.name"
	netProtocolVersion = "net.protocol.version"
)

// Attributes of HTTP before 1.21 that are not a request's own.
const (
	httpClientIP = "http.client_ip" // who the connection is for, if a proxy has said so
	httpHost     = "http.host"      // 1.12: the server that the request names
	httpFlavor   = "http.flavor"    // 1.12: "1.0", "1.1", "2.0"
)

// What a connection was, and how that is known.
const (
	connectionID  = "socketflow.connection.id"  // 16 hex digits, the same in all records and spans of a connection
	role          = "socketflow.role.name"      // "client", "server"; absent if not known. An exchange's is its span's kind
	roleSource    = "socketflow.role.source"    // "connect", "accept", "listener", "first", "protocol", "unknown"
	capture       = "socketflow.capture"        // "complete", "truncated", "gap", "joined_midstream", "cut"
	addressSource = "socketflow.address.source" // "sock", "accept", "connect", "getsockname", "container", "unknown"
	// parentSource is how the parent of a span is known; see trace.Source.
	parentSource = "socketflow.parent.source"
	// serverAddressSource is absent where server.address is what the request names, or the address of the socket.
	serverAddressSource = "socketflow.server.address.source" // "dns": the process had asked for it before it connected; on the client's side only
	netNS               = "socketflow.netns"                 // inode of the network namespace
	peerPID             = "socketflow.peer.pid"              // Unix: the process that connected or listened at the other end; initial pid namespace
	// peerAddress and peerPort are where the other end was accepted, if that is not what was connected to.
	peerAddress = "socketflow.peer.address"
	peerPort    = "socketflow.peer.port"
	truncated   = "socketflow.attributes.truncated" // list of the attributes whose values were cut
)

// What the hellos of a TLS connection say in clear text.
const (
	tlsProtocolName    = "tls.protocol.name"    // "tls", "ssl"
	tlsProtocolVersion = "tls.protocol.version" // "1.0" to "1.3", or "3" of SSL
	tlsCipher          = "tls.cipher"           // IANA's name, or "0x1234"
	tlsServerName      = "tls.client.server_name"
	tlsNextProtocol    = "tls.next_protocol" // the server's choice, which 1.3 encrypts
	tlsResumed         = "tls.resumed"
	tlsEstablished     = "tls.established"                      // absent if it was not seen whether
	tlsOffered         = "socketflow.tls.client.next_protocols" // list of what the client has offered
)

// How a connection went. Counts are those of the whole connection.
const (
	errorType         = "error.type"          // errno name; "canceled": the program gave up; "_OTHER": cause not known; or the protocol's
	duration          = "socketflow.duration" // seconds, from the start timestamp to the end
	bytesSent         = "socketflow.bytes.sent"
	bytesReceived     = "socketflow.bytes.received"
	segmentsSent      = "socketflow.segments.sent"
	segmentsReceived  = "socketflow.segments.received" // TCP
	datagramsSent     = "socketflow.datagrams.sent"
	datagramsReceived = "socketflow.datagrams.received" // UDP
	tcpRTT            = "socketflow.tcp.rtt"            // seconds, smoothed, as last measured
	tcpRetransmits    = "socketflow.tcp.retransmits"    // segments retransmitted
	endHow            = "socketflow.end.how"            // "fin", "rst", "timeout", "error", "canceled", "idle"
	endBy             = "socketflow.end.by"             // "local", "remote": who sent the first FIN, or the RST; Unix: who closed
)

// How long the parts of an exchange took, in seconds; see protocol.Exchange.Phases.
const (
	phaseResolving  = "socketflow.duration.resolving"  // of the connection's first exchange, at its client: the query of DNS before it connected
	phaseConnecting = "socketflow.duration.connecting" // of the connection's first exchange, at its client: the handshake of TCP
	phaseQueued     = "socketflow.duration.queued"     // of the connection's first exchange, at its server: until it accepted
	phaseHandshake  = "socketflow.duration.handshake"  // of the first exchange within TLS: the handshake of that
	phaseSending    = "socketflow.duration.sending"    // first to last byte sent
	phaseWaiting    = "socketflow.duration.waiting"    // at the client: last byte sent to first byte received
	phaseHandling   = "socketflow.duration.handling"   // at the server: last byte received to first byte sent
	phaseReceiving  = "socketflow.duration.receiving"  // first to last byte received
)

// Event names of log records.
const (
	eventOpen  = "socketflow.connection.open"
	eventClose = "socketflow.connection.close"
	eventFail  = "socketflow.connection.fail"
)

// Span names: low in cardinality, so without an address.
const (
	spanTCPConnection  = "tcp.connection" // a connection from open to close
	spanTCPConnect     = "tcp.connect"    // a failed attempt
	spanUnixConnection = "unix.connection"
	spanUnixConnect    = "unix.connect"
	spanUDPFlow        = "udp.flow" // between a socket and one remote address, from the first datagram until it was idle
	spanUDPConnect     = "udp.connect"
)
