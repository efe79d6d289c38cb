package otlp

import (
	semconv112 "go.opentelemetry.io/otel/semconv/v1.12.0"
	semconv120 "go.opentelemetry.io/otel/semconv/v1.20.0"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// AddressAttributes selects the version of the semantic conventions whose attributes are written.
type AddressAttributes uint8

// The choices.
const (
	AddressBoth   AddressAttributes = iota // the current ones, and of the earlier ones the names and addresses of both ends
	AddressStable                          // the current ones: network.*, server.*, client.*, http.request.*
	AddressV120                            // 1.20: net.sock.*, net.peer.*, http.method
	AddressV112                            // 1.12: net.peer.ip, http.method

	addressChoices
)

// presets is a set of choices.
type presets uint8

const (
	inBoth   presets = 1 << AddressBoth
	inStable presets = 1 << AddressStable
	inV120   presets = 1 << AddressV120
	inV112   presets = 1 << AddressV112

	inAll     = 1<<addressChoices - 1
	inCurrent = inBoth | inStable
	inEarlier = inV120 | inV112
)

func (s presets) has(a AddressAttributes) bool { return s>>a&1 != 0 }

// schemaURLs are those of the conventions' versions.
var schemaURLs = [addressChoices]string{
	AddressBoth: semconv.SchemaURL, AddressStable: semconv.SchemaURL, AddressV120: semconv120.SchemaURL, AddressV112: semconv112.SchemaURL,
}
