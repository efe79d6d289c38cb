package receiver

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/socketflow/socketflow/internal/redact"
)

// choices are the words of the types that have some.
var choices = map[reflect.Type][]string{
	reflect.TypeFor[Mode]():              words(ModeAuto, ModeSocket, ModeSyscall),
	reflect.TypeFor[Attachment]():        words(AttachmentAuto, AttachmentTracepoint, AttachmentFunction),
	reflect.TypeFor[OnUnsupported]():     words(OnUnsupportedFail, OnUnsupportedWarn),
	reflect.TypeFor[Instrumented]():      words(InstrumentedKeep, InstrumentedSkip),
	reflect.TypeFor[AddressAttributes](): words(AddressAttributesBoth, AddressAttributesStable, AddressAttributesV120, AddressAttributesV112),
	reflect.TypeFor[ConnectionRecord]():  words(ConnectionRecordOpen, ConnectionRecordClose, ConnectionRecordFail),
	reflect.TypeFor[Parents]():           words(ParentsCertain, ParentsLikely, ParentsOff),
	reflect.TypeFor[ConnectionSpans]():   words(ConnectionSpansAuto, ConnectionSpansAlways, ConnectionSpansNever),
	reflect.TypeFor[Temporality]():       words(TemporalityCumulative, TemporalityDelta),
	reflect.TypeFor[MetricsResource]():   words(MetricsResourceProcess, MetricsResourceService),
	reflect.TypeFor[Histograms]():        words(HistogramsExplicit, HistogramsExponential),
	reflect.TypeFor[Transport]():         words(TransportTCP, TransportUDP, TransportUnix),
}

func words[T ~string](all ...T) (texts []string) {
	for _, word := range all {
		texts = append(texts, string(word))
	}
	return texts
}

// Validate reports everything that is wrong at this level. The collector validates the parts itself, and puts their keys before their
// messages.
func (c *Config) Validate() error {
	var errs []error
	errs = append(errs,
		oneOf("mode", c.Mode),
		oneOf("attachment", c.Attachment),
		c.validateAttachment(),
		oneOf("on_unsupported", c.OnUnsupported),
		oneOf("instrumented", c.Instrumented),
		c.validateAddressAttributes(),
		oneOf("connection_spans", c.ConnectionSpans),
		within("poll_interval", c.PollInterval, minPollInterval, maxPollInterval),
		within("udp_idle_timeout", c.UDPIdleTimeout, time.Second, time.Hour),
		within("shutdown_timeout", c.ShutdownTimeout, minShutdown, maxShutdown),
		eachOneOf("connection_records", c.ConnectionRecords),
		eachOneOf("transports", c.Transports),
	)
	if !slices.Contains(c.Transports, TransportTCP) {
		errs = append(errs, errors.New(`transports: TCP is always watched; add "tcp" to the list`))
	}
	if n := len(c.Include) + len(c.Exclude); n > maxSelectors {
		errs = append(errs, fmt.Errorf("include and exclude hold %d selectors; write at most %d in all, "+
			`for example by joining patterns: executable: "/usr/bin/{curl,wget}"`, n, maxSelectors))
	}
	errs = append(errs, sameSelectors("include", c.Include), sameSelectors("exclude", c.Exclude))
	return errors.Join(errs...)
}

func (c *Config) validateAddressAttributes() error {
	if c.AddressAttributes == "net" {
		return errors.New(`address_attributes: "net" is gone; write "v1.20"`)
	}
	return oneOf("address_attributes", c.AddressAttributes)
}

// validateAttachment refuses an attachment that would never be used.
func (c *Config) validateAttachment() error {
	if c.Mode != ModeSyscall || c.Attachment == AttachmentAuto {
		return nil
	}
	return fmt.Errorf(`attachment: the syscall mode has none; leave out attachment, or write mode: socket, not attachment: %s`, c.Attachment)
}

func sameSelectors(key string, list []Selector) error {
	var errs []error
	for i := range list {
		if first := slices.Index(list, list[i]); first < i {
			errs = append(errs, fmt.Errorf("%s::%d: is the same as %s::%d; leave it out", key, i, key, first))
		}
	}
	return errors.Join(errs...)
}

// Validate reports everything that is wrong with the sizes.
func (c *RingBufferConfig) Validate() error {
	var errs []error
	page := ByteSize(os.Getpagesize())
	switch {
	case c.Size == 0:
	case c.Size < page || c.Size > maxRingBuffer:
		errs = append(errs, fmt.Errorf("size: write a power of two from %s (a page of memory here) to %s, for example 2MiB, not %s",
			page, ByteSize(maxRingBuffer), c.Size))
	case bits.OnesCount64(uint64(c.Size)) != 1:
		below := ByteSize(1) << (bits.Len64(uint64(c.Size)) - 1)
		errs = append(errs, fmt.Errorf("size: the kernel wants a power of two; write %s or %s, not %d", below, 2*below, c.Size))
	}
	if c.Shards < 0 || c.Shards > maxShards || bits.OnesCount(uint(c.Shards)) > 1 {
		errs = append(errs, fmt.Errorf("shards: write 1, 2, 4 or %d, or 0 for as many as the CPUs call for, not %d", maxShards, c.Shards))
	}
	return inline(errs...)
}

// Validate says everything that is wrong with the bounds.
func (c *PayloadConfig) Validate() error {
	return inline(
		within("call_limit", c.CallLimit, minCallLimit, maxCallLimit),
		within("burst_limit", c.BurstLimit, minBurstLimit, maxBurstLimit),
		partOfAll("call_limit", c.CallLimit, "burst_limit", c.BurstLimit),
	)
}

// Validate reports everything that is wrong with the names.
func (c *RedactionConfig) Validate() error {
	var errs []error
	for _, list := range []struct {
		key   string
		names []string
	}{{"secret_names", c.SecretNames}, {"safe_names", c.SafeNames}} {
		if len(list.names) > maxNames {
			errs = append(errs, fmt.Errorf("%s: lists %d names; write at most %d", list.key, len(list.names), maxNames))
		}
		for i, name := range list.names {
			if slices.IndexFunc(list.names, func(other string) bool { return redact.SameName(name, other) }) < i {
				errs = append(errs, listedTwice(list.key, name))
			}
			if !redact.ValidName(name) {
				errs = append(errs, fmt.Errorf("%s: %q can never match; write a name of at most %d bytes with a letter or a digit in it",
					list.key, name, redact.MaxName))
			}
		}
	}
	for _, name := range c.SafeNames {
		if slices.ContainsFunc(c.SecretNames, func(other string) bool { return redact.SameName(name, other) }) {
			errs = append(errs, fmt.Errorf("safe_names: %q is in secret_names, too; write it in one of them", name))
		}
	}
	return inline(errs...)
}

// Validate reports everything that is wrong with the ratio and the limit.
func (c *SamplingConfig) Validate() error {
	return inline(within("ratio", c.Ratio, 0, 1), within("cpu_limit", c.CPULimit, 0, maxCPULimit))
}

// Validate reports everything that is wrong with what is kept.
func (c *KeepConfig) Validate() error { return within("slower_than", c.SlowerThan, 0, maxSlowerThan) }

// Validate reports everything that is wrong with the limits.
func (c *LimitsConfig) Validate() error {
	return inline(
		within("sockets", c.Sockets, minSockets, maxSockets),
		within("processes", c.Processes, minProcesses, maxProcesses),
		within("series", c.Series, minSeries, maxSeries),
		within("requests", c.Requests, 1, maxRequests),
		within("head_size", c.HeadSize, minHeadSize, maxHeadSize),
		within("memory", c.Memory, minMemory, maxMemory),
		within("attribute_length", c.AttributeLength, minAttribute, maxAttribute),
	)
}

// Validate says everything that is wrong with the bounds.
func (c *CompletionConfig) Validate() error {
	return inline(
		within("timeout", c.Timeout, time.Millisecond, time.Minute),
		within("lookup_after", c.LookupAfter, time.Millisecond, time.Hour),
		within("socket_events", c.SocketEvents, 1, maxSocketEvents),
		within("socket_bytes", c.SocketBytes, minWaitingBytes, maxSocketBytes),
		within("events", c.Events, 1, maxWaitingEvents),
		within("bytes", c.Bytes, minWaitingBytes, maxWaitingBytes),
		partOfAll("socket_events", c.SocketEvents, "events", c.Events),
		partOfAll("socket_bytes", c.SocketBytes, "bytes", c.Bytes),
	)
}

// Validate reports everything that is wrong with the batches.
func (c *BatchConfig) Validate() error {
	return inline(
		within("size", c.Size, 1, maxBatchSize),
		within("bytes", c.Bytes, minBatchBytes, maxBatchBytes),
		within("timeout", c.Timeout, minBatchTimeout, maxBatchTimeout),
	)
}

// inline joins errors on one line. The collector puts the key of their part before it.
func inline(errs ...error) error {
	var messages []string
	for _, err := range errs {
		if err != nil {
			messages = append(messages, err.Error())
		}
	}
	if messages == nil {
		return nil
	}
	return errors.New(strings.Join(messages, "; "))
}

// oneOf refuses a word that is none of its type's choices.
func oneOf[T ~string](key string, value T) error {
	known := choices[reflect.TypeFor[T]()]
	if slices.Contains(known, string(value)) {
		return nil
	}
	return fmt.Errorf("%s: write %s, not %q", key, quoted(known), string(value))
}

// eachOneOf refuses elements of a list that are no choices, or that are in it twice.
func eachOneOf[T ~string](key string, list []T) error {
	var errs []error
	for i, value := range list {
		errs = append(errs, oneOf(key, value))
		if slices.Index(list, value) < i {
			errs = append(errs, listedTwice(key, string(value)))
		}
	}
	return errors.Join(errs...)
}

func listedTwice(key, value string) error {
	return fmt.Errorf("%s: %q is listed twice; write it once", key, value)
}

// partOfAll refuses a bound that never bites, because another that bounds more is smaller.
func partOfAll[T int | ByteSize](key string, value T, wholeKey string, whole T) error {
	if value <= whole {
		return nil
	}
	return fmt.Errorf("%s: write at most what %s has, %v, not %v", key, wholeKey, whole, value)
}

func within[T int | float64 | time.Duration | ByteSize](key string, value, low, high T) error {
	if value >= low && value <= high {
		return nil
	}
	return fmt.Errorf("%s: write a value from %s to %s, not %s", key, brief(low), brief(high), brief(value))
}

// brief is a quantity as a user would write it: an hour is 1h, not 1h0m0s.
func brief[T int | float64 | time.Duration | ByteSize](quantity T) string {
	text := fmt.Sprint(quantity)
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
