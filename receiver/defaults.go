package receiver

import (
	"math/bits"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/socketflow/socketflow/internal/protocol/registry"
	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

const (
	maxSelectors     = 64 // the kernel side's RULES_MAX
	maxShards        = 8  // the kernel side's SHARDS_MAX
	enoughShards     = 4  // at most by default
	maxRingBuffer    = 1 << 30
	minSockets       = 64
	maxSockets       = 1 << 24
	minProcesses     = 64
	maxProcesses     = 1 << 20
	maxBatchSize     = 1 << 16
	minBatchBytes    = 64 << 10
	maxBatchBytes    = 1 << 30
	maxSocketEvents  = 1 << 16
	maxWaitingEvents = 1 << 24
	minWaitingBytes  = 4 << 10
	maxSocketBytes   = 1 << 30
	maxWaitingBytes  = 16 << 30
	minPollInterval  = 10 * time.Millisecond
	maxPollInterval  = time.Second
	minCallLimit     = 256
	maxCallLimit     = 1 << 20
	minBurstLimit    = 4 << 10
	maxBurstLimit    = 1 << 30
	minHeadSize      = 1 << 10
	maxHeadSize      = 1 << 20
	maxRequests      = 1 << 16
	minMemory        = 1 << 20
	minAttribute     = 512 // what the mapping itself writes is shorter
	maxAttribute     = 64 << 10
	maxNames         = 256
	maxMemory        = 1 << 38
	maxSlowerThan    = time.Hour
	maxCPULimit      = 1024.
	minSeries        = 64
	maxSeries        = 1 << 20
	minInterval      = time.Second
	maxInterval      = time.Hour
	minStale         = 10 * time.Second
	maxStale         = 24 * time.Hour
	minBatchTimeout  = time.Millisecond
	maxBatchTimeout  = 10 * time.Second
	minShutdown      = 100 * time.Millisecond
	maxShutdown      = 10 * time.Minute
	allRingBuffers   = 16 << 20 // all together by default
)

func createDefaultConfig() component.Config {
	return &Config{
		Mode:              ModeAuto,
		Attachment:        AttachmentAuto,
		OnUnsupported:     OnUnsupportedFail,
		ExcludeSelf:       true,
		ExcludeOTLP:       true,
		Instrumented:      InstrumentedKeep,
		AddressAttributes: defaultAddressAttributes(),
		ConnectionRecords: []ConnectionRecord{ConnectionRecordClose, ConnectionRecordFail},
		ConnectionSpans:   ConnectionSpansAuto,
		TLS:               TLSConfig{OpenSSL: true, Go: true, GnuTLS: true},
		Trace:             TraceConfig{Parents: ParentsCertain},
		Sampling:          SamplingConfig{Ratio: 1, HonourParent: true, Keep: KeepConfig{Errors: true}},
		Metrics: MetricsConfig{
			Interval: 15 * time.Second, Temporality: TemporalityCumulative, Histograms: HistogramsExplicit, StaleAfter: 5 * time.Minute,
			Resource: MetricsResourceProcess,
		},
		ResourceAttributes: metadata.DefaultResourceAttributesConfig(),
		Transports:         []Transport{TransportTCP, TransportUDP, TransportUnix},
		Protocols:          registry.Configs(),
		Payload:            PayloadConfig{CallLimit: 256 << 10, BurstLimit: 64 << 20},
		PollInterval:       100 * time.Millisecond,
		UDPIdleTimeout:     time.Minute,
		Limits:             LimitsConfig{Sockets: 65536, Processes: 16384, Series: 20000, Requests: 4096, HeadSize: 64 << 10, Memory: 64 << 20, AttributeLength: 2 << 10},
		Completion: CompletionConfig{
			Timeout: time.Second, LookupAfter: 20 * time.Millisecond,
			SocketEvents: 1024, SocketBytes: 1 << 20, Events: 65536, Bytes: 64 << 20,
		},
		Batch:           BatchConfig{Size: 1024, Bytes: 2 << 20, Timeout: 200 * time.Millisecond},
		ShutdownTimeout: 10 * time.Second,
	}
}

// sizeOf is the size of each of so many ring buffers.
func (c *RingBufferConfig) sizeOf(shards int) int {
	if c.Size != 0 {
		return int(c.Size)
	}
	return allRingBuffers / shards
}

// shardsOn is the number of shards on a host with so many CPUs.
func (c *RingBufferConfig) shardsOn(cpus int) int {
	if c.Shards != 0 {
		return c.Shards
	}
	return min(enoughShards, 1<<(bits.Len(uint(max(cpus, 1)))-1))
}
