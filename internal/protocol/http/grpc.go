package http

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

// gRPC calls have the attributes of the RPC conventions, not those of HTTP. grpc-message is left out: it is written for the
// calling program, and may quote secrets (a name, a statement, a token).

// grpcStatus is a status code plus one; zero: there is none.
type grpcStatus uint8

// grpcStatuses are the codes that grpc-status can have, in order (gRPC, statuscodes.md).
var grpcStatuses = [...]struct {
	name        string
	serverError bool // by the conventions of gRPC; for a client every status but OK is an error
}{
	{name: "OK"},
	{name: "CANCELLED"},
	{name: "UNKNOWN", serverError: true},
	{name: "INVALID_ARGUMENT"},
	{name: "DEADLINE_EXCEEDED", serverError: true},
	{name: "NOT_FOUND"},
	{name: "ALREADY_EXISTS"},
	{name: "PERMISSION_DENIED"},
	{name: "RESOURCE_EXHAUSTED"},
	{name: "FAILED_PRECONDITION"},
	{name: "ABORTED"},
	{name: "OUT_OF_RANGE"},
	{name: "UNIMPLEMENTED", serverError: true},
	{name: "INTERNAL", serverError: true},
	{name: "UNAVAILABLE", serverError: true},
	{name: "DATA_LOSS", serverError: true},
	{name: "UNAUTHENTICATED"},
}

// grpcTexts are the names of the statuses, as attribute values.
var grpcTexts = func() (texts [len(grpcStatuses)][]byte) {
	for i := range grpcStatuses {
		texts[i] = []byte(grpcStatuses[i].name)
	}
	return texts
}()

const (
	grpcOK                grpcStatus = 1 + 0
	grpcCancelled         grpcStatus = 1 + 1
	grpcDeadlineExceeded  grpcStatus = 1 + 4
	grpcUnknown           grpcStatus = 1 + 2
	grpcPermissionDenied  grpcStatus = 1 + 7
	grpcResourceExhausted grpcStatus = 1 + 8
	grpcUnimplemented     grpcStatus = 1 + 12
	grpcInternal          grpcStatus = 1 + 13
	grpcUnavailable       grpcStatus = 1 + 14
	grpcUnauthenticated   grpcStatus = 1 + 16
)

// statusOfHTTP is the status that a client derives from an HTTP status if grpc-status is missing (gRPC,
// http-grpc-status-mapping.md). All others are UNKNOWN, 200 too.
var statusOfHTTP = map[int]grpcStatus{
	400: grpcInternal,
	401: grpcUnauthenticated,
	403: grpcPermissionDenied,
	404: grpcUnimplemented,
	429: grpcUnavailable,
	431: grpcInternal,
	502: grpcUnavailable,
	503: grpcUnavailable,
	504: grpcUnavailable,
}

// statusOfReset is the status that a reset of the stream means to gRPC, by the name of its HTTP/2 error code (gRPC,
// PROTOCOL-HTTP2.md, "Errors").
var statusOfReset = map[string]grpcStatus{
	"NO_ERROR":            grpcInternal,
	"PROTOCOL_ERROR":      grpcInternal,
	"INTERNAL_ERROR":      grpcInternal,
	"FLOW_CONTROL_ERROR":  grpcInternal,
	"SETTINGS_TIMEOUT":    grpcInternal,
	"FRAME_SIZE_ERROR":    grpcInternal,
	"REFUSED_STREAM":      grpcUnavailable,
	"CANCEL":              grpcCancelled,
	protocol.Canceled:     grpcCancelled, // the connection, by a client that closes it
	"COMPRESSION_ERROR":   grpcInternal,
	"CONNECT_ERROR":       grpcInternal,
	"ENHANCE_YOUR_CALM":   grpcResourceExhausted,
	"INADEQUATE_SECURITY": grpcPermissionDenied,
}

// parseGRPCStatus reads grpc-status. A client reads anything that is no code as UNKNOWN (gRPC, statuscodes.md: "Error
// parsing returned status").
func parseGRPCStatus(value []byte) grpcStatus {
	code, ok := ascii.Number(value)
	if !ok || len(value) > 2 || int(code) >= len(grpcStatuses) {
		return grpcUnknown
	}
	return grpcStatus(code + 1)
}

// grpcVersion is the one of HTTP that carries gRPC (gRPC, PROTOCOL-HTTP2.md).
const grpcVersion = "2"

var grpcMediaType = []byte("application/grpc")

// isGRPC checks a content-type (gRPC, PROTOCOL-HTTP2.md). application/grpc-web is another protocol.
func isGRPC(contentType []byte) bool {
	if len(contentType) < len(grpcMediaType) || !bytes.EqualFold(contentType[:len(grpcMediaType)], grpcMediaType) {
		return false
	}
	rest := contentType[len(grpcMediaType):]
	return len(rest) == 0 || rest[0] == '+' || rest[0] == ';' || ascii.IsSpace(rest[0])
}

// grpcOutcome is the call's status. It is zero if the status is not known: there was no complete response, or grpc-status,
// which comes last, may have been in the missing part.
func (m *Message) grpcOutcome() grpcStatus {
	if m.grpc == 0 && m.failed() {
		switch status := statusOfReset[m.failure]; {
		case m.broken():
			return grpcUnavailable // as clients have it (gRPC, statuscodes.md)
		case status == grpcCancelled && m.timedOut():
			return grpcDeadlineExceeded
		default:
			return status
		}
	}
	if m.grpc != 0 || m.failed() || m.status == 0 || m.Capture != protocol.CaptureComplete {
		return m.grpc
	}
	if status, ok := statusOfHTTP[m.status]; ok {
		return status
	}
	return grpcUnknown
}

const (
	unknownCallName = "grpc" // the span name if the method is not known is rpc.system.name
	maxCall         = 255
)

var grpcSystem = []byte("grpc")

// fillGRPC sets the attributes of gRPC.
func (m *Message) fillGRPC(x *protocol.Exchange) {
	server := m.session.Side == protocol.Server
	status := m.grpcOutcome()
	x.SetText(rpcSystemName, grpcSystem)
	call, valid := m.call()
	if valid && (!server || m.isImplemented(call, status)) {
		x.Name = m.pool.names.method(call)
		x.SetText(rpcMethod, call)
	} else {
		x.Name = unknownCallName
		x.SetText(rpcMethod, otherMethod)
		if len(call) > 0 {
			p := m.pool
			from := len(p.out)
			p.out = p.settings.Redaction.AppendPath(p.out, call)
			x.SetText(rpcMethodOriginal, m.finish(from, maxCall))
		}
	}
	if status != 0 {
		s := &grpcStatuses[status-1]
		x.SetText(rpcResponseStatusCode, grpcTexts[status-1])
		if s.serverError || status != grpcOK && !server {
			x.Error = s.name
		}
	}
}

// isImplemented reports whether the server is known to have the method. The conventions allow no other name as span name,
// because anybody can call a server by any name. A server answers a call of a method that it does not have with
// UNIMPLEMENTED (gRPC, statuscodes.md). A missing answer proves nothing, unless the same method was answered before.
func (m *Message) isImplemented(call []byte, status grpcStatus) bool {
	switch {
	case status == grpcUnimplemented:
		return false
	case m.status == 0:
		return m.pool.names.isRecent(call)
	default:
		return m.status == 200
	}
}

// call is package.Service/Method: the part after the first slash of the path (gRPC, PROTOCOL-HTTP2.md). A path that is not
// valid is cut to the part that is certain.
func (m *Message) call() (name []byte, valid bool) {
	name = m.bytes(m.target)
	valid = len(name) > 0 && name[0] == '/'
	if valid {
		name = name[1:]
	}
	segments, from := 1, 0
	for i, c := range name {
		switch {
		case c == '/':
			valid = valid && i > from
			segments, from = segments+1, i+1
		case c == '?' || c == '#': // not part of the protocol, and secrets may follow
			return cutText(name[:i], maxCall), false
		case ascii.IsLetter(c), ascii.IsDigit(c), c == '.', c == '_', c == '-', c == '$':
		default:
			valid = false
		}
	}
	if len(name) > maxCall {
		m.Raise(protocol.CaptureTruncated)
		return cutText(name, maxCall), false
	}
	return name, valid && segments > 1 && from < len(name)
}
