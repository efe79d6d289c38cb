package metrics

import (
	"encoding/binary"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/socket"
)

// The instruments of connections.
const (
	opened = iota
	present
	lasted
	resolving
	connecting
	queued
	handshake
	bytesSent
	bytesReceived
	segmentsSent
	segmentsReceived
	retransmits
	roundTrip
	minRoundTrip
	resetsSent
	resetsReceived
)

// Families of connections. Their ids are none of exchangeFamilies.
var (
	connections = Family{id: 0x40, Instruments: []Instrument{
		opened:           counter("socketflow.connection.opened", "{connection}", "Connections that were opened."),
		present:          {Name: "socketflow.connection.count", Unit: "{connection}", Description: "Connections that are open.", Kind: Level},
		lasted:           seconds("socketflow.connection.duration", "How long connections were open.", secondsOfConnections),
		resolving:        seconds("socketflow.connection.lookup.duration", "How long clients waited for DNS before they connected.", secondsOfRequests),
		connecting:       seconds("socketflow.connection.connect.duration", "How long clients waited for a connection to open.", secondsOfRoundTrips),
		queued:           seconds("socketflow.connection.accept.duration", "How long connections waited for their server to accept them.", secondsOfRoundTrips),
		handshake:        seconds("socketflow.tls.handshake.duration", "How long handshakes of TLS took.", secondsOfRequests),
		bytesSent:        counter("socketflow.connection.bytes.sent", "By", "Bytes that connections have sent."),
		bytesReceived:    counter("socketflow.connection.bytes.received", "By", "Bytes that connections have received."),
		segmentsSent:     counter("socketflow.tcp.segments.sent", "{segment}", "Segments that connections have sent."),
		segmentsReceived: counter("socketflow.tcp.segments.received", "{segment}", "Segments that connections have received."),
		retransmits:      counter("socketflow.tcp.retransmits", "{segment}", "Segments that connections have sent again."),
		roundTrip:        seconds("socketflow.tcp.rtt", "Smoothed round trip time of connections, once a minute and when they end.", secondsOfRoundTrips),
		minRoundTrip:     seconds("socketflow.tcp.min_rtt", "Least round trip time of connections of late, once a minute and when they end.", secondsOfRoundTrips),
		resetsSent:       counter("socketflow.tcp.resets.sent", "{connection}", "Connections that this side has reset."),
		resetsReceived:   counter("socketflow.tcp.resets.received", "{connection}", "Connections that the other side has reset."),
	}}
	// The conventions have no name for what a database itself has in progress.
	askingInProgress = inProgress(0x44, "db.client.operations_in_progress", "Operations of clients of databases that are in progress.")
	askedInProgress  = inProgress(0x45, "socketflow.db.server.operations_in_progress", "Operations that are in progress at their database.")

	observed = Family{id: 0x43, Instruments: []Instrument{{
		Name: "socketflow.observed.ratio", Unit: "1", Kind: Ratio,
		Description: "Part of the bytes with requests that was seen, of what was seen and what is known to be lost.",
	}}}
	failedConnections = Family{id: 0x41, Instruments: []Instrument{
		counter("socketflow.connection.failed", "{attempt}", "Attempts that did not become a connection."),
	}}
)

func inProgress(id byte, name, description string) Family {
	return Family{id: id, Instruments: []Instrument{{Name: name, Unit: "{operation}", Description: description, Kind: Level}}}
}

// What series of connections have.
const (
	networkTransport = string(semconv.NetworkTransportKey)
	dbSystemName     = string(semconv.DBSystemNameKey)
	servicePeerName  = string(semconv.ServicePeerNameKey)
	role             = "socketflow.role.name"
)

var (
	transportNames = [event.Transports]string{event.TCP: "tcp", event.UnixStream: "unix", event.UDP: "udp"}
	roleNames      = [...]string{event.RoleUnknown: "", event.RoleClient: "client", event.RoleServer: "server"}
)

// open measures a connection that is open; at is now (Unix, ns). It returns whether it is known by now who has the other end.
func (r *Recorder) open(c *socket.Connection, at int64) (settled bool) {
	r.observe(c, at)
	r.runs(c, at)
	t := r.ofConnection(c, &connections, 0, at)
	t.level++
	if !isSettled(c) {
		return false
	}
	t.carry(c)
	if c.Capture == socket.CaptureJoinedMidstream {
		return true
	}
	if !c.Counted {
		t.points[opened].add(1)
	}
	return true
}

// runs measures the operations of databases that are in progress on a connection. What they are is known once they have ended.
func (r *Recorder) runs(c *socket.Connection, at int64) {
	if c.InProgress <= 0 || c.Speaks == nil || c.Role == event.RoleUnknown || !r.planOf(c.Speaks).isDatabase() {
		return
	}
	f := &askingInProgress
	if c.Role == event.RoleServer {
		f = &askedInProgress
	}
	port := listeningPort(c)
	r.key = append(r.key[:0], f.id)
	r.key = binary.BigEndian.AppendUint16(r.key, port)
	r.key = appendText(r.key, c.System)
	t := r.known(c.Process)
	if t == nil {
		t = r.begin(c.Process, f, at, func() []Attribute {
			all := []Attribute{{Key: dbSystemName, Text: c.System}}
			if port != 0 {
				all = append(all, Attribute{Key: serverPort, Int: int64(port), IsInt: true})
			}
			return all
		})
	}
	t.level += int64(c.InProgress)
}

// Closed measures a connection that has ended.
func (r *Recorder) Closed(c *socket.Connection) {
	if isSettled(c) {
		r.closed(c)
		return
	}
	r.await(closed, c, &measured{})
}

// Failed measures an attempt that did not become a connection.
func (r *Recorder) Failed(c *socket.Connection) {
	if c.PeerQuestion.At == 0 {
		r.failed(c)
		return
	}
	r.await(failed, c, &measured{})
}

func (r *Recorder) closed(c *socket.Connection) {
	r.observe(c, c.EndedAt)
	t := r.ofConnection(c, &connections, 0, c.EndedAt)
	if !c.Counted && c.Capture != socket.CaptureJoinedMidstream {
		t.points[opened].add(1)
	}
	t.carry(c)
	if c.Capture == socket.CaptureComplete {
		t.record(lasted, time.Duration(max(c.EndedAt-c.StartedAt, 0)).Seconds())
	}
	if c.Transport != event.TCP {
		return
	}
	if c.Handshake != 0 {
		t.record(handshake, c.Handshake.Seconds())
	}
	if c.Capture == socket.CaptureComplete && c.Role == event.RoleClient && c.PeerLookup != 0 {
		t.record(resolving, c.PeerLookup.Seconds())
	}
	if c.Capture == socket.CaptureComplete && c.Role == event.RoleClient && c.OpenedAt != 0 {
		t.record(connecting, time.Duration(max(c.OpenedAt-c.StartedAt, 0)).Seconds())
	}
	if c.Capture == socket.CaptureComplete && c.AcceptedAt != 0 && c.OpenedAt != 0 {
		t.record(queued, time.Duration(max(c.AcceptedAt-c.OpenedAt, 0)).Seconds())
	}
	if c.End.Way == socket.WayRST {
		switch c.End.By {
		case socket.SideLocal:
			t.points[resetsSent].add(1)
		case socket.SideRemote:
			t.points[resetsReceived].add(1)
		}
	}
}

// carry measures what a connection has carried since it was measured last.
func (t *Tally) carry(c *socket.Connection) {
	t.points[bytesSent].add(float64(c.Carried[event.Sent]))
	t.points[bytesReceived].add(float64(c.Carried[event.Received]))
	s := &c.Segments
	if *s == (socket.Segments{}) {
		return
	}
	t.points[segmentsSent].add(float64(s.Sent))
	t.points[segmentsReceived].add(float64(s.Received))
	t.points[retransmits].add(float64(s.Retransmits))
	if s.RTT != 0 {
		t.record(roundTrip, (time.Duration(s.RTT) * time.Microsecond).Seconds())
	}
	if s.MinRTT != 0 {
		t.record(minRoundTrip, (time.Duration(s.MinRTT) * time.Microsecond).Seconds())
	}
}

// observe measures how much of what was of interest was seen.
func (r *Recorder) observe(c *socket.Connection, at int64) {
	if c.Followed == 0 {
		return
	}
	r.key = append(r.key[:0], observed.id)
	t := r.known(c.Process)
	if t == nil {
		t = r.begin(c.Process, &observed, at, func() []Attribute { return nil })
	}
	t.points[0].part(float64(c.Followed-min(c.Lost, c.Followed)), float64(c.Followed))
}

func (r *Recorder) failed(c *socket.Connection) {
	r.ofConnection(c, &failedConnections, c.Errno, c.EndedAt).points[0].add(1)
}

// ofConnection is the tally of a connection's series.
func (r *Recorder) ofConnection(c *socket.Connection, f *Family, errno uint32, at int64) *Tally {
	peer := r.peerName(c)
	port := listeningPort(c)
	r.key = append(r.key[:0], f.id, byte(c.Transport), byte(c.Role))
	r.key = binary.BigEndian.AppendUint16(r.key, port)
	r.key = binary.BigEndian.AppendUint32(r.key, errno)
	r.key = appendText(r.key, peer)
	if t := r.known(c.Process); t != nil {
		return t
	}
	return r.begin(c.Process, f, at, func() []Attribute {
		return r.connectionAttributes(c, f, peer, port, errno)
	})
}

func (r *Recorder) connectionAttributes(c *socket.Connection, f *Family, peer string, port uint16, errno uint32) (all []Attribute) {
	all = append(all, Attribute{Key: networkTransport, Text: transportNames[c.Transport]})
	if name := roleNames[c.Role]; name != "" {
		all = append(all, Attribute{Key: role, Text: name})
	}
	if port != 0 {
		all = append(all, Attribute{Key: serverPort, Int: int64(port), IsInt: true})
	}
	if peer != "" {
		all = append(all, Attribute{Key: servicePeerName, Text: r.store.options.Text(peer)})
	}
	if f == &failedConnections {
		all = append(all, Attribute{Key: errorType, Text: r.errorOfAttempt(c, errno)})
	}
	return all
}

// errorOfAttempt is why there is no connection: without an errno the program has given it up.
func (r *Recorder) errorOfAttempt(c *socket.Connection, errno uint32) string {
	switch {
	case errno != 0:
		return r.store.options.Errno(errno)
	case c.End.Way == socket.WayCanceled:
		return "canceled"
	default:
		return "_OTHER"
	}
}

// listeningPort is the port of the end that has accepted the connection; 0: it has none, or it is not known which that is.
func listeningPort(c *socket.Connection) uint16 {
	switch c.Role {
	case event.RoleClient:
		return c.Remote.Port()
	case event.RoleServer:
		return c.Local.Port()
	default:
		return 0
	}
}
