package receiver

import "github.com/socketflow/socketflow/internal/kernel"

// Mode is how the kernel is observed.
type Mode = kernel.Mode

// The modes.
const (
	ModeAuto    = kernel.ModeAuto
	ModeSocket  = kernel.ModeSocket
	ModeSyscall = kernel.ModeSyscall
)

// Attachment is where the programs that see transfers are attached.
type Attachment string

// The attachments.
const (
	AttachmentAuto       Attachment = "auto"
	AttachmentTracepoint Attachment = "tp_btf"
	AttachmentFunction   Attachment = "fexit"
)

// OnUnsupported is what to do where the host cannot be observed.
type OnUnsupported string

// The ways to go on.
const (
	OnUnsupportedFail OnUnsupported = "fail"
	OnUnsupportedWarn OnUnsupported = "warn"
)

// Instrumented is what becomes of spans of processes that export spans themselves.
type Instrumented string

// The choices.
const (
	InstrumentedKeep Instrumented = "keep"
	InstrumentedSkip Instrumented = "skip"
)

// AddressAttributes is a version of the semantic conventions.
type AddressAttributes string

// The versions.
const (
	AddressAttributesBoth   AddressAttributes = "both"
	AddressAttributesStable AddressAttributes = "stable"
	AddressAttributesV120   AddressAttributes = "v1.20"
	AddressAttributesV112   AddressAttributes = "v1.12"
)

// ConnectionRecord is a kind of log record.
type ConnectionRecord string

// The kinds.
const (
	ConnectionRecordOpen  ConnectionRecord = "open"
	ConnectionRecordClose ConnectionRecord = "close"
	ConnectionRecordFail  ConnectionRecord = "fail"
)

// Transport is what a connection runs over.
type Transport string

// The transports.
const (
	TransportTCP  Transport = "tcp"
	TransportUDP  Transport = "udp"
	TransportUnix Transport = "unix"
)

// Parents is which evidence makes a parent.
type Parents string

// The choices.
const (
	ParentsCertain Parents = "certain"
	ParentsLikely  Parents = "likely"
	ParentsOff     Parents = "off"
)

// Temporality is since when a point of a metric counts.
type Temporality string

// The choices.
const (
	TemporalityCumulative Temporality = "cumulative"
	TemporalityDelta      Temporality = "delta"
)

// MetricsResource is what series are of.
type MetricsResource string

// The choices.
const (
	MetricsResourceProcess MetricsResource = "process"
	MetricsResourceService MetricsResource = "service"
)

// Histograms is which buckets histograms have.
type Histograms string

// The choices.
const (
	HistogramsExplicit    Histograms = "explicit"
	HistogramsExponential Histograms = "exponential"
)

// ConnectionSpans is which connections get a span.
type ConnectionSpans string

// The choices.
const (
	ConnectionSpansAuto   ConnectionSpans = "auto"
	ConnectionSpansAlways ConnectionSpans = "always"
	ConnectionSpansNever  ConnectionSpans = "never"
)
