package metrics

import (
	"slices"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Family are instruments that measure the same things with the same attributes.
type Family struct {
	id          byte
	Instruments []Instrument

	server  bool // series have server.address and server.port
	version bool // series have network.protocol.version, and network.protocol.name if it is not usualProtocol

	graph    bool // exchanges are edges of the service graph
	database bool // to a database
	routed   bool // series have http.route
	bodies   bool // the second and the third instrument are the sizes of bodies
	phases   int  // the first of the three instruments of phases; 0: there are none
}

// Attribute of a series.
type Attribute struct {
	Key   string
	Text  string
	Int   int64
	IsInt bool
}

// exchangeFamily are the metrics of exchanges of one kind.
type exchangeFamily struct {
	marker string // the attribute that exchanges of this kind have
	always bool   // exchanges of the protocol that may have it are of this kind without it, too
	asked  Family // of the end that was asked
	asking Family // of the other one
}

// exchangeFamilies are the kinds, with the phases of exchanges or without.
func exchangeFamilies(phases bool) []exchangeFamily {
	all := slices.Clone(kindsOfExchanges)
	for i := range all {
		f := &all[i]
		f.asked.id, f.asking.id = byte(2*i), byte(2*i+1)
		if phases {
			f.asked.addPhases(phasesAsked)
			f.asking.addPhases(phasesAsking)
		}
	}
	return all
}

// The phases of exchanges, at the end that was asked and at the one that asks.
var (
	phasesAsked = [...]Instrument{
		seconds("socketflow.server.request.receiving.duration", "From the first byte of a request to its last one, at its server.", secondsOfRequests),
		seconds("socketflow.server.request.handling.duration", "From the last byte of a request to the first one of its response, at its server.", secondsOfRequests),
		seconds("socketflow.server.response.sending.duration", "From the first byte of a response to its last one, at its server.", secondsOfRequests),
	}
	phasesAsking = [...]Instrument{
		seconds("socketflow.client.request.sending.duration", "From the first byte of a request to its last one, at its client.", secondsOfRequests),
		seconds("socketflow.client.request.waiting.duration", "From the last byte of a request to the first one of its response, at its client.", secondsOfRequests),
		seconds("socketflow.client.response.receiving.duration", "From the first byte of a response to its last one, at its client.", secondsOfRequests),
	}
)

func (f *Family) addPhases(phases [3]Instrument) {
	f.phases = len(f.Instruments)
	f.Instruments = append(slices.Clone(f.Instruments), phases[:]...)
}

// kindsOfExchanges are the kinds, the more special ones first. A server's series have no server.address: whoever sends a request may choose what it
// names. The conventions have no metrics for servers of databases and of DNS.
var kindsOfExchanges = []exchangeFamily{
	{
		marker: string(semconv.RPCSystemNameKey),
		asked:  Family{graph: true, Instruments: []Instrument{seconds("rpc.server.call.duration", "Measures the duration of an incoming Remote Procedure Call (RPC).", secondsOfRequests)}},
		asking: Family{graph: true, server: true, Instruments: []Instrument{seconds("rpc.client.call.duration", "Measures the duration of an outgoing Remote Procedure Call (RPC).", secondsOfRequests)}},
	},
	{
		marker: string(semconv.HTTPRequestMethodKey),
		asked: Family{graph: true, version: true, bodies: true, routed: true, Instruments: []Instrument{
			seconds("http.server.request.duration", "Duration of HTTP server requests.", secondsOfRequests),
			size("http.server.request.body.size", "Size of HTTP server request bodies."),
			size("http.server.response.body.size", "Size of HTTP server response bodies."),
		}},
		asking: Family{graph: true, server: true, version: true, bodies: true, Instruments: []Instrument{
			seconds("http.client.request.duration", "Duration of HTTP client requests.", secondsOfRequests),
			size("http.client.request.body.size", "Size of HTTP client request bodies."),
			size("http.client.response.body.size", "Size of HTTP client response bodies."),
		}},
	},
	{
		marker: string(semconv.DBSystemNameKey),
		asked:  Family{graph: true, database: true, Instruments: []Instrument{seconds("socketflow.db.server.operation.duration", "Duration of database operations at their server.", secondsOfDatabases)}},
		asking: Family{graph: true, database: true, server: true, Instruments: []Instrument{seconds("db.client.operation.duration", "Duration of database client operations.", secondsOfDatabases)}},
	},
	{
		marker: string(semconv.DNSQuestionNameKey), always: true,
		asked:  Family{Instruments: []Instrument{seconds("socketflow.dns.server.lookup.duration", "Duration of DNS queries at their server.", secondsOfRequests)}},
		asking: Family{Instruments: []Instrument{seconds("dns.lookup.duration", "Measures the time taken to perform a DNS lookup.", secondsOfRequests)}},
	},
}

// of is the family of the end that began exchanges, or of the other one.
func (f *exchangeFamily) of(asking bool) *Family {
	if asking {
		return &f.asking
	}
	return &f.asked
}

// What series have beside what the protocols name.
const (
	errorType       = string(semconv.ErrorTypeKey)
	serverAddress   = string(semconv.ServerAddressKey)
	serverPort      = string(semconv.ServerPortKey)
	httpRoute       = string(semconv.HTTPRouteKey)
	protocolName    = string(semconv.NetworkProtocolNameKey)
	protocolVersion = string(semconv.NetworkProtocolVersionKey)
)

// usualProtocol is that of the metrics of HTTP where they do not say which (semantic conventions, network.protocol.name).
const usualProtocol = "http"
