package receiver

import (
	"time"

	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

// Config is what a user may set. Each comment says what a key means, its unit, its range and its default. A key without a value has its
// default. A list takes the place of its default, an empty one too: connection_records: [] is no record at all.
type Config struct {
	// Mode is how the kernel is observed: "socket" reads the kernel's sockets and needs the kernel's description of its types (BTF);
	// "syscall" derives sockets from the arguments and results of system calls and needs tracefs; "auto" is "socket" where that is
	// possible, and "syscall" elsewhere. Default: auto.
	Mode Mode `mapstructure:"mode"`

	// Attachment is where the socket mode attaches the programs that see transfers: "tp_btf" (tracepoints, Linux 6.3 and
	// newer), "fexit" (behind the kernel's functions, from 5.15 on where the kernel allows it) or "auto", the first of them that is
	// possible. With mode: syscall it has to be auto. Default: auto.
	Attachment Attachment `mapstructure:"attachment"`

	// OnUnsupported is what to do where the host cannot be observed: "fail" keeps the collector from starting; "warn" logs why,
	// sets the component's status to permanent error, emits nothing, and lets the collector run. Default: fail.
	OnUnsupported OnUnsupported `mapstructure:"on_unsupported"`

	// Include lists the sockets that are observed: those that match one of the selectors. Empty means all. Default: empty.
	Include []Selector `mapstructure:"include"`

	// Exclude lists the sockets that are left out, even if Include matches them. Both lists together hold at most 64 selectors.
	// Default: empty.
	Exclude []Selector `mapstructure:"exclude"`

	// ExcludeSelf leaves out the collector's own sockets, and their other ends on this host, so that exporting does not feed itself.
	// Default: true.
	ExcludeSelf bool `mapstructure:"exclude_self"`

	// ExcludeOTLP leaves out the requests that carry telemetry to a collector or a backend (OTLP over gRPC and HTTP), so that what others
	// export does not feed it. Their connections are not left out. Default: true.
	ExcludeOTLP bool `mapstructure:"exclude_otlp"`

	// Instrumented is what becomes of spans of processes that export spans themselves (by OTLP, over gRPC or HTTP): "keep" emits them as those of others, in
	// the same traces; "skip" leaves out, from a process's first export on, its own ends of the requests that it serves, of those that it sends with a
	// trace context, and of those to databases. Metrics and connections stay. Default: keep.
	Instrumented Instrumented `mapstructure:"instrumented"`

	// AddressAttributes is the version of the semantic conventions whose attributes are written: "stable" (the current one: network.*,
	// server.*, client.*), "both" (these, and the names, addresses and ports of both ends as before 1.21: net.peer.*, net.host.*,
	// net.sock.*), "v1.20" or "v1.12" (those of that version, of requests too, such as http.method). Default: stable.
	AddressAttributes AddressAttributes `mapstructure:"address_attributes"`

	// ConnectionRecords lists which log records connections have: "open", "close", "fail". Default: close and fail.
	ConnectionRecords []ConnectionRecord `mapstructure:"connection_records"`

	// ConnectionSpans is which connections get a span of their own, beside those that failed to open: "auto" (the ones that
	// spoke no protocol that is parsed), "always" or "never". Default: auto.
	ConnectionSpans ConnectionSpans `mapstructure:"connection_spans"`

	// Transports are followed: "tcp" (always has to be there), "udp" and "unix" (stream sockets). Default: all.
	Transports []Transport `mapstructure:"transports"`

	// Protocols are the protocols whose requests become spans: "http" (HTTP/1, HTTP/2 and gRPC), "redis", "postgresql",
	// "mysql" (and MariaDB), "memcached", "mongodb", "fastcgi" and "dns"; and "tls", whose hellos are read. It is a list of names, or a map from names to what can be configured of each. Those that are not named are not
	// parsed. An empty list means connections only: no payload is captured. Default: all.
	Protocols ProtocolsConfig `mapstructure:"protocols"`

	// Payload bounds how much payload of connections is captured.
	Payload PayloadConfig `mapstructure:"payload"`

	// Redaction is what is secret in URLs and recorded header fields, beside what always is.
	Redaction RedactionConfig `mapstructure:"redaction"`

	// TLS is which TLS libraries are looked into.
	TLS TLSConfig `mapstructure:"tls"`

	// Trace is what belongs to one trace.
	Trace TraceConfig `mapstructure:"trace"`

	// Sampling is which spans are kept.
	Sampling SamplingConfig `mapstructure:"sampling"`

	// Metrics is how metrics are emitted. There are some if the receiver is in a pipeline of metrics.
	Metrics MetricsConfig `mapstructure:"metrics"`

	// ResourceAttributes switches the attributes of the resource, each by its name and "enabled". Default: all but
	// process.command_args, which may hold secrets.
	ResourceAttributes metadata.ResourceAttributesConfig `mapstructure:"resource_attributes"`

	// RingBuffer is the memory through which the kernel hands over events.
	RingBuffer RingBufferConfig `mapstructure:"ring_buffer"`

	// PollInterval is how long an event may wait in a ring buffer that does not fill: 10ms to 1s. Default: 100ms.
	PollInterval time.Duration `mapstructure:"poll_interval"`

	// UDPIdleTimeout is the time without a datagram between a UDP socket and a remote address after which that flow has ended:
	// 1s to 1h. Default: 1m.
	UDPIdleTimeout time.Duration `mapstructure:"udp_idle_timeout"`

	// Limits bound the receiver's memory.
	Limits LimitsConfig `mapstructure:"limits"`

	// Completion bounds how connections wait for an address that no system call has named yet. Syscall mode.
	Completion CompletionConfig `mapstructure:"completion"`

	// Batch is how items are gathered before they are handed to the pipeline.
	Batch BatchConfig `mapstructure:"batch"`

	// ShutdownTimeout is how long the receiver goes on handing over what it has captured when the collector stops, or loads another
	// configuration: 100ms to 10m. What the pipeline has not taken by then is lost, and counted. Default: 10s.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`

	_ struct{} // keyed literals only: keys may be added
}

// RingBufferConfig sizes the memory through which the kernel hands over events.
type RingBufferConfig struct {
	// Size is the size of each ring buffer: bytes, or a number with a unit such as 4MiB. A power of two, from one page of memory
	// to 1GiB; 0 means 16MiB divided by the number of them. Default: 0.
	Size ByteSize `mapstructure:"size"`

	// Shards is the number of ring buffers, each with its own reader: 1, 2, 4 or 8. 0 means the largest of these that exceeds
	// neither the number of CPUs nor 4. Each ring buffer takes Size of the kernel's memory. Default: 0.
	Shards int `mapstructure:"shards"`
}

// PayloadConfig bounds how much payload of connections is captured. Within these bounds, connections without a protocol that is parsed
// are captured for their first bytes only, and bodies of known length not at all.
type PayloadConfig struct {
	// CallLimit is how many bytes of one system call are captured: 256 to 1MiB. Default: 256KiB.
	CallLimit ByteSize `mapstructure:"call_limit"`

	// BurstLimit is how many bytes are captured of a burst of calls that all go in one direction: 4KiB to 1GiB. Default: 64MiB.
	BurstLimit ByteSize `mapstructure:"burst_limit"`
}

// RedactionConfig lists names of URL parameters, members of JSON objects in them, and recorded header fields, each of at most 32 bytes and at most
// 256. Case and everything but letters and digits does not matter: page_token is also pageToken and Page-Token.
type RedactionConfig struct {
	// SecretNames are names whose values are REDACTED, beside those that are known. Default: none.
	SecretNames []string `mapstructure:"secret_names"`

	// SafeNames are names whose values are never redacted. Default: none.
	SafeNames []string `mapstructure:"safe_names"`
}

// TLSConfig is which TLS libraries are looked into, in all processes that use them: the requests that they encrypt are seen as others are. Before
// Linux 6.6 it takes CAP_SYS_ADMIN, and before 5.15 it is without effect.
type TLSConfig struct {
	// OpenSSL is libssl of OpenSSL 1.1 and 3, and programs that have OpenSSL or BoringSSL linked in and have symbols. Default: true.
	OpenSSL bool `mapstructure:"openssl"`

	// Go is crypto/tls of Go. Default: true.
	Go bool `mapstructure:"go"`

	// GnuTLS is libgnutls 3 on x86-64. Default: true.
	GnuTLS bool `mapstructure:"gnutls"`
}

// TraceConfig is what belongs to one trace.
type TraceConfig struct {
	// Parents says which evidence within a process makes a request that it sends the child of one that it has received: "certain" (kinds that were
	// right in 99 of 100 cases at least, as measured, but for what timers send), "likely" (further ones), "off" (none). Default: certain.
	Parents Parents `mapstructure:"parents"`
	// Phases gives spans of requests how long their parts took: socketflow.duration.*. Default: false.
	Phases bool `mapstructure:"phases"`
	// ObservedNetworks are networks of other hosts whose connections are observed by a receiver like this one, by address and number of bits:
	// 10.0.0.0/8, fd00::/8; at most 256. Of a request from or to there, the span of the end that is asked is the child of the other end's, which
	// that receiver emits. An address is the one that the socket has for its peer, so that behind NAT it may be a gateway's. Default: none.
	ObservedNetworks []string `mapstructure:"observed_networks"`
}

// SamplingConfig is which spans are kept. Log records of connections are not sampled.
type SamplingConfig struct {
	// Ratio is which part of the traces that begin here is kept: 0 to 1. The id of a trace decides, so that hosts with the same ratio keep the same
	// traces. The tracestate of spans that are kept has the threshold (ot=th:…). Default: 1.
	Ratio float64 `mapstructure:"ratio"`

	// HonourParent leaves out the traces that a trace context of the wire says are not sampled. Default: true.
	HonourParent bool `mapstructure:"honour_parent"`

	// CPULimit is how many processors the collector may take, 0 to 1024, before fewer of the traces that begin here are kept: as few
	// as it takes to stay below. It is measured once a second, of the whole process. 0 means no limit. Default: 0.
	CPULimit float64 `mapstructure:"cpu_limit"`

	// Keep is which spans are kept though Ratio leaves their traces out.
	Keep KeepConfig `mapstructure:"keep"`
}

// KeepConfig is which spans are kept though the ratio leaves their traces out: only the span itself, whose trace is incomplete then.
type KeepConfig struct {
	// Errors keeps spans whose status is an error. Default: true.
	Errors bool `mapstructure:"errors"`

	// SlowerThan keeps spans that took longer: up to 1h; 0 means none. Default: 0.
	SlowerThan time.Duration `mapstructure:"slower_than"`
}

// MetricsConfig is how metrics are emitted.
type MetricsConfig struct {
	// Interval is the time between two emissions: 1s to 1h. Default: 15s.
	Interval time.Duration `mapstructure:"interval"`

	// Temporality is since when a point counts: "cumulative" (since its series has begun) or "delta" (since the last emission).
	// Default: cumulative.
	Temporality Temporality `mapstructure:"temporality"`

	// Histograms have buckets with the bounds that the conventions advise ("explicit"), or with exponential ones ("exponential"), at most 160.
	// Default: explicit.
	Histograms Histograms `mapstructure:"histograms"`

	// StaleAfter is for how long a series to which nothing is added goes on if its process has ended, or its room is needed: 10s to 24h.
	// Default: 5m.
	StaleAfter time.Duration `mapstructure:"stale_after"`

	// Resource is what series are of: "process", or "service", all processes of which are together. Default: process.
	Resource MetricsResource `mapstructure:"resource"`

	// LearnRoutes gives requests of HTTP a route at their server that was learned from the paths which it has: a segment that looks like an id, or of
	// which there are many, is {}. Patterns in protocols::http::routes come first. Default: false.
	LearnRoutes bool `mapstructure:"learn_routes"`

	// Phases measures the parts of what requests take, too: sending, waiting, receiving; receiving, handling, sending. Default: false.
	Phases bool `mapstructure:"phases"`

	// Peers are names of other ends of connections that are on other hosts and have no name in DNS, at most 256. The first one that matches counts.
	// Default: none.
	Peers []PeerConfig `mapstructure:"peers"`
}

// PeerConfig is a name for the other ends of connections.
type PeerConfig struct {
	// Name is the service's.
	Name string `mapstructure:"name"`

	// CIDR is the network of their addresses: 10.1.0.0/16, fd00::/8.
	CIDR string `mapstructure:"cidr"`

	// Port is that of the end which has accepted the connection: 1 to 65535; 0 means any. Default: 0.
	Port int `mapstructure:"port"`
}

// LimitsConfig bounds the receiver's memory.
type LimitsConfig struct {
	// Sockets is how many sockets of each transport (TCP, UDP, Unix) are followed at a time, in all shards together: 64 to 16777216.
	// Beyond it those that were used least recently are dropped, and counted. Default: 65536.
	Sockets int `mapstructure:"sockets"`

	// Processes is how many processes are remembered at a time, in all shards together: 64 to 1048576. Default: 16384.
	Processes int `mapstructure:"processes"`

	// Requests is how many requests of one connection may wait for their responses: 1 to 65536. Beyond it the oldest are
	// dropped, and counted. Default: 4096.
	Requests int `mapstructure:"requests"`

	// Series is how many series metrics have at a time, in all shards together: 64 to 1048576. No process takes more than are left for the others.
	// What has no room is added to a series with the attribute otel.metric.overflow, and counted. Default: 20000.
	Series int `mapstructure:"series"`

	// HeadSize is how many bytes of a request's or a response's head are read: 1KiB to 1MiB. Default: 64KiB.
	HeadSize ByteSize `mapstructure:"head_size"`

	// Memory is how much memory the parsers of all connections take together, half of which is what Go needs beside what is in use to
	// collect garbage: 1MiB to 256GiB. Beyond it the connection that holds most
	// is not parsed any more, and counted. Default: 64MiB.
	Memory ByteSize `mapstructure:"memory"`

	// AttributeLength is how many bytes an attribute's value has at most: 512 to 64KiB. A longer one is cut, counted, and named by
	// socketflow.attributes.truncated. Default: 2KiB.
	AttributeLength ByteSize `mapstructure:"attribute_length"`
}

// CompletionConfig bounds how connections wait for an address that no system call has named yet. At a bound, what waits is emitted in
// order; socketflow.address.source then says which address is missing.
type CompletionConfig struct {
	// Timeout is how long a connection waits at most: 1ms to 1m. Default: 1s.
	Timeout time.Duration `mapstructure:"timeout"`

	// LookupAfter is how long it waits for a call before its socket is looked up in /proc/<pid>/net: 1ms to 1h. With Timeout or more
	// it is never looked up. Default: 20ms.
	LookupAfter time.Duration `mapstructure:"lookup_after"`

	// SocketEvents is how many events of one connection wait: 1 to 65536. Default: 1024.
	SocketEvents int `mapstructure:"socket_events"`

	// SocketBytes is how much payload of one connection waits: 4KiB to 1GiB. Default: 1MiB.
	SocketBytes ByteSize `mapstructure:"socket_bytes"`

	// Events is how many events wait in all: 1 to 16777216. Default: 65536.
	Events int `mapstructure:"events"`

	// Bytes is how much payload waits in all: 4KiB to 16GiB. Default: 64MiB.
	Bytes ByteSize `mapstructure:"bytes"`
}

// BatchConfig sets how items are gathered. A batch processor is not needed behind the receiver.
type BatchConfig struct {
	// Size is how many log records, or spans, are handed over at a time at the most: 1 to 65536. Default: 1024.
	Size int `mapstructure:"size"`

	// Bytes is how large the log records, or the spans, that are handed over at a time are at the most, as OTLP encodes them without
	// compression: 64KiB to 1GiB. An item that alone is larger is handed over alone. OTLP receivers over gRPC refuse more than 4MiB by
	// default. Default: 2MiB.
	Bytes ByteSize `mapstructure:"bytes"`

	// Timeout is how long an item waits for others: 1ms to 10s. It waits for twice as long at most if what DNS answered to its process has not
	// been read yet. Default: 200ms.
	Timeout time.Duration `mapstructure:"timeout"`
}
