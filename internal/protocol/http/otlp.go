package http

import "bytes"

// media is what a request's body is, as far as OTLP may have it.
type media uint8

const (
	mediaOther media = iota
	mediaProtobuf
	mediaJSON
)

var mediaTypes = [...]struct {
	name []byte
	media
}{
	{[]byte("application/x-protobuf"), mediaProtobuf},
	{[]byte("application/json"), mediaJSON},
}

func mediaOf(contentType []byte) media {
	name, _, _ := bytes.Cut(contentType, []byte{';'})
	name = trim(name)
	for i := range mediaTypes {
		if bytes.EqualFold(name, mediaTypes[i].name) {
			return mediaTypes[i].media
		}
	}
	return mediaOther
}

// otlpServices is what the paths of all gRPC calls of OTLP begin with, OTel Arrow included.
var otlpServices = []byte("/opentelemetry.proto.")

// otlpSpans is what the paths of those that carry spans begin with.
var otlpSpans = [...][]byte{
	[]byte("/opentelemetry.proto.collector.trace."), []byte("/opentelemetry.proto.experimental.arrow.v1.ArrowTracesService/"),
}

// otlpPaths are those of OTLP over HTTP (OTLP specification, "OTLP/HTTP Request"). A backend may have a prefix before them.
var otlpPaths = [...][]byte{otlpTraces, []byte("/v1/metrics"), []byte("/v1/logs"), []byte("/v1development/profiles")}

var otlpTraces = []byte("/v1/traces")

// isOTLP reports whether the request carries telemetry to a collector or a backend, and whether that is spans. A path with a prefix is only taken for one if the body
// is in Protobuf: others have APIs with such paths, in JSON.
func (m *Message) isOTLP(l *location) (is, spans bool) {
	if m.isGRPC {
		for _, service := range otlpSpans {
			spans = spans || bytes.HasPrefix(l.path, service)
		}
		return bytes.HasPrefix(l.path, otlpServices), spans
	}
	if m.body == mediaOther || string(m.Method()) != "POST" {
		return false, false
	}
	for _, path := range otlpPaths {
		if bytes.HasSuffix(l.path, path) {
			is = m.body == mediaProtobuf || len(l.path) == len(path)
			return is, is && bytes.Equal(path, otlpTraces)
		}
	}
	return false, false
}
